"""Three simulated cameras live over DDS, each with its tracker node, into one gallery node, and what came of it scored.

Two cameras stand around one table; an hour later the same things stand on another one, before the third.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.files import write_json
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.camera_scores import Counts, count_pairs, scores_of
from pose_tracking.evaluation.cameras import Places, places_of, truth_of
from pose_tracking.evaluation.report.files import check_writable
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.objects import ObjectSet
from pose_tracking.ros.node.dds_profile import use_image_profile
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

from .cameras_session import CamerasSession
from .process import start_node, stop_node

GALLERY_MODULE = "pose_tracking.ros.gallery_node.main"
# Name, view of the table, table, and where that table is in the map (m).
CAMERAS = (("left", 0, 0, 0.0), ("right", 1, 0, 0.0), ("hall", 0, 1, 4.0))
LATER = 3600  # seconds between the tables: that long the things take to be put there


@dataclass(frozen=True)
class CamerasDemoOptions:
    """What to show.

    Attributes:
        out: folder for the gallery, logs, scores and screenshots.
        model: name or folder of the model bundle.
        frames: of each camera.
        seed: of the simulated world.
    """

    out: Path
    model: str = "demo"
    frames: int = 30
    seed: int = 1


class Watch(AbstractContextManager[Any], Protocol):
    """Looks at what goes on, from when it is entered until it is left; `notes` say what was seen, one line each."""

    notes: list[str]


@dataclass
class CamerasDemoResult:
    """What came of it.

    Attributes:
        scores: see `evaluation.cameras.scores_of`.
        sightings, identities: their numbers.
        frames, answered: frames published, and those that a tracker answered.
        notes: what was left out, and what the page showed, one line each.
    """

    scores: dict[str, Any]
    sightings: int
    identities: int
    frames: int
    answered: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Camera:
    name: str
    room: int
    samples: list[Sample]
    places: Places
    tints: dict[int, np.ndarray]


def run_cameras_demo(
    options: CamerasDemoOptions,
    look: Callable[[Path, Path], list[str]] | None = None,
    watch: Callable[[Path, Path], Watch] | None = None,
) -> CamerasDemoResult:
    """Run the demo; gallery, logs and scores lie in ``options.out`` afterwards.

    Args:
        options: what to show.
        look: called with the store and the folder once everything is in the gallery; what it returns goes into the
            notes.
        watch: the same while the cameras speak.

    Raises:
        PoseTrackingError: a model or folder that cannot be used, or a node that ended; the message names it.
    """
    out = check_writable(options.out)
    for old in (*out.glob("gallery.db*"), *out.glob("*.log"), *out.glob("*.png")):
        old.unlink()
    objects = ModelBundle.load(options.model).objects
    now = time.time_ns()  # one clock for all: rendering them takes minutes
    cameras = [_simulated(objects, options, now, *camera) for camera in CAMERAS]
    use_image_profile()
    store = out / "gallery.db"
    watcher = None if watch is None else watch(store, out)
    frames, answered = _play(cameras, options, store, watcher)
    result = _scored(cameras, options, store, objects)
    result.notes += [] if watcher is None else watcher.notes
    result.frames, result.answered = frames, answered
    if look is not None:
        result.notes += look(store, out)
    write_json(out / "scores.json", {"seed": options.seed, "sightings": result.sightings, "frames": frames,
                                     "answered": answered, **result.scores})  # fmt: skip
    return result


def _simulated(
    objects: ObjectSet, options: CamerasDemoOptions, now: int, name: str, view: int, room: int, along: float
) -> _Camera:
    """A camera's frames, stamped as if its table had been seen today."""
    config = SequenceConfig(frames=options.frames, view=view, room=room)
    begin = now - (len(CAMERAS) - room) * LATER * 1_000_000_000
    samples, places = [], {}
    shift = np.eye(4)
    shift[0, 3] = along
    simulator = SequenceSimulator(objects, config, options.seed)
    for number, sample in enumerate(tqdm(simulator, desc=f"render {name}", unit="frame")):
        assert sample.frame.camera_pose is not None
        frame = replace(
            sample.frame,
            stamp_ns=begin + round(number * 1e9 / config.fps),
            camera_pose=shift @ sample.frame.camera_pose,
            frame_id=f"{name}_color_optical_frame",
        )
        placed = replace(sample, frame=frame)
        samples.append(placed)
        places[frame.stamp_ns] = places_of(placed)
    return _Camera(name, room, samples, places, dict(simulator.tints))


def _play(cameras: list[_Camera], options: CamerasDemoOptions, store: Path, watcher: Watch | None) -> tuple[int, int]:
    """All nodes, and the frames of the cameras: those of one table at one time, the next table after it."""
    out = options.out
    with ExitStack() as stack:
        processes = {}
        for camera in cameras:
            parameters = {
                "model": options.model, "autostart": True, "camera": f"/{camera.name}/camera", "fixed_frame": "map",
                "publish_tf": False, "publish_markers": False, "crop_period": 0.0,
            }  # fmt: skip
            log = stack.enter_context((out / f"{camera.name}.log").open("wb"))
            node = start_node(parameters, namespace=f"/{camera.name}", stdout=log, stderr=subprocess.STDOUT)
            stack.callback(stop_node, node)
            processes[camera.name] = node
        log = stack.enter_context((out / "gallery.log").open("wb"))
        parameters = {
            "store": str(store),
            "model": options.model,
            "map_frame": "map",
            "link_every": 5.0,
            "silence_warning": 60.0,
        }
        gallery = start_node(parameters, module=GALLERY_MODULE, stdout=log, stderr=subprocess.STDOUT)
        stack.callback(stop_node, gallery, 60.0)
        processes["gallery"] = gallery
        session = stack.enter_context(CamerasSession(processes, out, [camera.name for camera in cameras]))
        session.wait_ready()
        bar = stack.enter_context(tqdm(total=sum(len(c.samples) for c in cameras), desc="track", unit="frame"))
        with watcher or nullcontext():
            for room in sorted({camera.room for camera in cameras}):
                together = [camera for camera in cameras if camera.room == room]
                for samples in zip(*(camera.samples for camera in together), strict=True):
                    pairs = zip(together, samples, strict=True)
                    session.show({camera.name: sample.frame for camera, sample in pairs})
                    bar.update(len(samples))
        session.wait_quiet()
        if stop_node(gallery, 60.0) != 0:
            raise PoseTrackingError(f"the gallery node did not end well; see {out / 'gallery.log'}")
        return session.shown, session.answered


def _scored(cameras: list[_Camera], options: CamerasDemoOptions, store: Path, objects: ObjectSet) -> CamerasDemoResult:
    by_name, counts = {camera.name: camera for camera in cameras}, Counts()
    with SqliteReader(store) as reader:
        sightings = reader.find(Filter())
        truth = {s.id: truth_of(s, by_name[s.camera].places, options.seed, objects) for s in sightings}
        tints = {(options.seed, instance): tint for camera in cameras for instance, tint in camera.tints.items()}
        count_pairs(reader, truth, {camera.name: camera.room for camera in cameras}, counts, tints)
        identities = len({s.identity for s in sightings})
    return CamerasDemoResult(scores_of(counts), len(sightings), identities, 0, 0)

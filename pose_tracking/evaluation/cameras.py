"""Identities over several simulated cameras: views that overlap, and rooms apart from each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.sample import Sample
from pose_tracking.gallery.collector import CollectorConfig
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.ingest import CameraSettings, ingest
from pose_tracking.gallery.linking.linker import link
from pose_tracking.gallery.recordings import fingerprint_of_text
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import GalleryStore, Recording
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator
from pose_tracking.simulation.sequences.source import SimulatedSequences

from .camera_scores import Counts, Tints, Truth, count_pairs, scores_of

ROOM_LATER = 3600.0  # seconds from one room to the next: that long the things take to be put there
# A sighting is of the instance that is nearest to it, within this share of its diameter, at most of its points.
_WITHIN = 0.5

# By stamp: object, instance and place in the map of all that is there.
Places = dict[int, list[tuple[int, int, np.ndarray]]]


class _Remembering:
    """A simulated camera, whose truth is kept as it is rendered."""

    def __init__(self, source: SimulatedSequences) -> None:
        self._source, self.name = source, source.name
        self.places: Places = {}

    @property
    def tints(self) -> dict[int, np.ndarray]:
        """Colour matrix of each instance, once a frame was rendered."""
        simulator = self._source.simulator
        return dict(simulator.tints) if isinstance(simulator, SequenceSimulator) else {}

    def __len__(self) -> int:
        return len(self._source)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._source:
            self.places[sample.frame.stamp_ns] = places_of(sample)
            yield sample


def places_of(sample: Sample) -> list[tuple[int, int, np.ndarray]]:
    """What is where in the map, by the truth of a frame whose camera's place is known."""
    pose = sample.frame.camera_pose
    assert pose is not None
    return [(o.obj_id, o.instance_id or 0, (pose @ o.pose)[:3, 3]) for o in sample.objects or ()]


def evaluate_cameras(
    model: str,
    seeds: Sequence[int],
    views: int,
    rooms: int,
    frames: int,
    device: str = "cpu",
    background: bool = False,
) -> dict[str, Any]:
    """Track what `views` cameras around each of `rooms` tables see, link it, and compare with the truth.

    Args:
        model: bundle.
        seeds: a world each; only within one anything is compared.
        views: cameras in the first room; the others have one.
        rooms: tables that the things of a world stand on, an hour after one another.
        frames: of each camera, 10 a second.
        device: torch device.
        background: whether crops keep what stands around a thing, for comparison.

    Raises:
        ConfigError: there would be a single camera.
    """
    if views * rooms < 2:
        raise ConfigError("one camera alone: give --views 2 or more, or --rooms 2 or more")
    bundle = ModelBundle.load(model)
    tracker = PoseTracker(bundle, device)
    embedder = CropEmbedder.of(tracker)
    counts = Counts()
    with TemporaryDirectory() as folder:
        for seed in seeds:
            with SqliteStore(Path(folder) / f"{seed}.db") as store:
                config = CollectorConfig(background=background)
                truth, tints = _take_in(store, tracker, embedder, seed, views, rooms, frames, config)
                link(store)
                room_of = {camera.name: int(camera.name.partition("-")[0]) for camera in store.cameras()}
                count_pairs(store, truth, room_of, counts, tints)
    return {
        "model": bundle.name, "seeds": list(seeds), "views": views, "rooms": rooms, "frames": frames,
        "embedding": str(embedder.kind), **scores_of(counts),
    }  # fmt: skip


def _take_in(
    store: GalleryStore,
    tracker: PoseTracker,
    embedder: CropEmbedder,
    seed: int,
    views: int,
    rooms: int,
    frames: int,
    kept: CollectorConfig,
) -> tuple[dict[int, Truth], Tints]:
    """Fill a store with what all cameras see of a world; who each sighting is of, and what colours these have."""
    truth: dict[int, Truth] = {}
    tints: dict[tuple[int, int], np.ndarray] = {}
    cameras = [(0, view) for view in range(views)] + [(room, 0) for room in range(1, rooms)]
    for room, view in cameras:
        config = SequenceConfig(frames=frames, view=view, room=room)
        source = _Remembering(SimulatedSequences(tracker.objects, [seed], config))
        name, offset = f"{room}-{view}", round(room * ROOM_LATER * 1e9)
        recording = Recording(name, name, fingerprint_of_text(f"{seed} {name}"), {})
        where = CameraSettings(f"room {room}", clock_offset_ns=offset)
        ingest(source, tracker, store, embedder, recording, where, config=kept, progress=True)
        for sighting in store.find(Filter(cameras=(name,))):
            truth[sighting.id] = truth_of(sighting, source.places, seed, tracker.objects, offset)
        tints |= {(seed, instance): tint for instance, tint in source.tints.items()}
    return truth, tints


def truth_of(sighting: StoredSighting, places: Places, seed: int, objects: ObjectSet, offset: int = 0) -> Truth:
    """Which instance a sighting is of: that which most points of its path are nearest to.

    Args:
        sighting: of one camera.
        places: the truth of its frames.
        seed: of the world.
        objects: the known objects.
        offset: how much later the stamps of the sighting are than those of `places`, nanoseconds.
    """
    votes: dict[int, int] = defaultdict(int)
    reach = _WITHIN * objects[sighting.obj_id].diameter
    for stamp, position in zip(sighting.path.stamps_ns, sighting.path.positions, strict=True):
        near = [
            (float(np.linalg.norm(place - position)), instance)
            for obj_id, instance, place in places[int(stamp) - offset]
            if obj_id == sighting.obj_id
        ]
        distance, instance = min(near, default=(np.inf, 0))
        votes[instance if distance <= reach else 0] += 1
    best = max(votes, key=lambda instance: votes[instance], default=0)
    return (seed, best) if best else None

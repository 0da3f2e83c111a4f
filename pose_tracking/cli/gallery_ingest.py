"""`pose-tracking gallery ingest`: recordings of one camera into a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import evaluation_options as options
from .sources import SOURCE_HELP

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.datasets.sample import Source
    from pose_tracking.gallery.ingest import CameraSettings, IngestReport
    from pose_tracking.gallery.store import Recording
    from pose_tracking.simulation.sequences.plain import SequenceConfig

SIMULATED = "simulated:"


def ingest(
    recordings: Annotated[
        list[str], typer.Argument(help=f"{SOURCE_HELP} Each becomes a recording.", metavar="RECORDING...")
    ],
    camera: Annotated[str, typer.Option(help="Name of the camera that all of them are of.")],
    store: Annotated[
        str, typer.Option(help="File of the gallery, or postgresql://USER@HOST/NAME; made where needed.")
    ] = "gallery.db",
    model: options.Model = "demo",
    objects: options.Objects = None,
    camera_pose: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|tf",
            help="Where the camera is: a YAML file with position and quaternion_xyzw (or matrix) in the map frame, for "
            "one that stands still; tf: as the recording says, which it then has to. Default: as the recording says, "
            "if it does; else poses are in the camera's own frame and link nothing.",
        ),
    ] = None,
    map_frame: Annotated[
        str | None,
        typer.Option(
            "--map",
            help="Name of the frame that the camera's poses are in: places are compared within one. Default: that of "
            "the file, `map` for bags, else the path of the recording.",
        ),
    ] = None,
    clock_offset: Annotated[
        float, typer.Option(help="Seconds added to each stamp: what this camera's clock is behind the others'.")
    ] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(help="Time of the first frame (2026-11-29T10:00), for a recording without a clock; one only."),
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    max_frames: options.MaxFrames = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change an option of the bundle (pipeline.segment_every=5), of what is kept (gallery.crops=6) or of "
            "simulated sequences (simulated.view=1).",
        ),
    ] = None,
    relink: Annotated[bool, typer.Option("--link/--no-link", help="Link all identities anew at the end.")] = True,
) -> None:
    """Track recordings of one camera and keep what was seen.

    A recording that is in the gallery already is left alone, one that was cut short is finished: the same command may
    be given again and again, also after a kill -9. Recordings of one camera must not overlap in time.
    """
    from pose_tracking.core.errors import ConfigError, DatasetError, FrameError, PoseTrackingError
    from pose_tracking.core.threads import use_threads
    from pose_tracking.gallery.collector import CollectorConfig
    from pose_tracking.gallery.embedding import CropEmbedder
    from pose_tracking.gallery.ingest import ingest as take_in
    from pose_tracking.gallery.linking.linker import link
    from pose_tracking.gallery.sighting import check_camera_name
    from pose_tracking.gallery.stores import open_store
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.pipeline import PoseTracker

    from .gallery import show
    from pose_tracking.core.settings import with_settings

    check_camera_name(camera)
    given = {group: _of_group(settings, group) for group in ("gallery", "simulated")}
    pipeline_settings = [s for s in settings or [] if s.partition(".")[0] not in given]
    bundle = _bundle(model, objects, pipeline_settings)
    config = with_settings(CollectorConfig(), given["gallery"], "--set gallery")
    texts = _texts(recordings, given["simulated"])
    where = _camera(camera_pose, map_frame, clock_offset, start)
    if start is not None and len(texts) > 1:
        raise ConfigError("--start is the time of one recording: take them in one by one")
    known = {
        "model": str(Path(model).resolve()) if Path(model).is_dir() else model,
        "weights": fingerprint(bundle.segmentation_weights),
        "settings": sorted(settings or []),
        "max_frames": max_frames,
        "camera": [camera_pose, map_frame, clock_offset, start],
    }
    failed: list[PoseTrackingError] = []
    with open_store(store, make=True) as gallery:
        use_threads(threads)
        tracker = PoseTracker(bundle, device)
        embedder = CropEmbedder(bundle, tracker.segmenter, tracker.embedding)
        for text in texts:
            try:
                source = _open(text, bundle, given["simulated"])
                recording = _recording(text, source, camera, known, given["simulated"])
                report = take_in(
                    source, tracker, gallery, embedder, recording, _in_map(where, text, source),
                    config=config, max_frames=max_frames, progress=True,
                )  # fmt: skip
                typer.echo(_told(source, recording, report))
            except (DatasetError, FrameError) as error:
                # The others are not to wait for a damaged one.
                failed.append(error)
                if len(texts) > 1:
                    typer.echo(f"error: {error}", err=True)
        if relink:
            show(link(gallery))
    if failed:
        raise failed[0] if len(texts) == 1 else DatasetError(f"{len(failed)} of {len(texts)} recordings, see above")


def _of_group(settings: list[str] | None, group: str) -> list[str]:
    return [s.partition(".")[2] for s in settings or [] if s.startswith(f"{group}.")]


def _bundle(model: str, objects: Path | None, settings: list[str]) -> ModelBundle:
    from pose_tracking.bundles.bundle import ModelBundle

    from .evaluation_plan import make_plan

    return make_plan(None, settings, 0).configured(ModelBundle.load(model, objects))


def _texts(recordings: list[str], simulated: list[str]) -> list[str]:
    """One text a recording; that all exist shows before the networks are loaded."""
    from pose_tracking.core.errors import ConfigError, DatasetError
    from pose_tracking.simulation.sequences.source import parse_seeds

    texts: list[str] = []
    for text in recordings:
        if text.startswith(SIMULATED):
            texts += [f"{SIMULATED}{seed}" for seed in parse_seeds(text)]
            continue
        if simulated:
            raise ConfigError(f"--set simulated...: {text} is not simulated")
        if not Path(text).expanduser().exists():
            raise DatasetError(f"{text}: no such file or folder")
        texts.append(text)
    _sequence(simulated)
    return texts


def _sequence(simulated: list[str]) -> SequenceConfig:
    from pose_tracking.simulation.sequences.plain import SequenceConfig

    from pose_tracking.core.settings import with_settings

    return with_settings(SequenceConfig(), simulated, "--set simulated")


def _open(text: str, bundle: ModelBundle, simulated: list[str]) -> Source:
    from pose_tracking.datasets import open_source
    from pose_tracking.simulation.sequences.source import SimulatedSequences, parse_seeds

    if not text.startswith(SIMULATED):
        return open_source(text)
    return SimulatedSequences(bundle.objects, parse_seeds(text), _sequence(simulated))


def _recording(text: str, source: Source, camera: str, known: dict[str, Any], simulated: list[str]) -> Recording:
    from pose_tracking.gallery.recordings import fingerprint_of, fingerprint_of_text
    from pose_tracking.gallery.store import Recording

    if text.startswith(SIMULATED):
        return Recording(camera, source.name, fingerprint_of_text(f"{text} {_sequence(simulated)}"), known)
    return Recording(camera, text, fingerprint_of(text), known)


def _camera(
    camera_pose: str | None, map_frame: str | None, clock_offset: float, start: str | None
) -> tuple[CameraSettings, bool]:
    """How frames are to be read, and whether the name of the map depends on the recording."""
    from datetime import datetime

    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.camera_place import read_camera_place
    from pose_tracking.gallery.ingest import CameraSettings
    from pose_tracking.gallery.query import nanoseconds_of

    place = None if camera_pose in (None, "tf") else read_camera_place(str(camera_pose))
    named = map_frame or (None if place is None else place.map_frame)
    start_ns = None
    if start is not None:
        try:
            start_ns = nanoseconds_of(datetime.fromisoformat(start))
        except (ValueError, OverflowError, OSError) as error:
            raise ConfigError(f"--start {start!r}: no time; write 2026-11-29T10:00") from error
    pose = None if place is None else place.pose
    settings = CameraSettings(named or "map", pose, camera_pose == "tf", round(clock_offset * 1e9), start_ns)
    return settings, named is None and place is None


def _in_map(where: tuple[CameraSettings, bool], text: str, source: Source) -> CameraSettings:
    """Data sets have a world of their own each, and often a scene 000000; that of bags is a robot's."""
    from dataclasses import replace

    from pose_tracking.datasets.bag.reader import BagReader

    settings, is_open = where
    if not is_open or isinstance(source, BagReader):
        return settings
    return replace(settings, map_frame=source.name if text.startswith(SIMULATED) else str(Path(text).resolve()))


def _told(source: Source, recording: Recording, report: IngestReport) -> str:
    """One line on a recording that has been taken in."""
    progress = report.progress
    if report.was_done:
        told = f"{recording.name}: in the gallery already ({progress.frames} frames of camera {recording.camera!r})"
        return told + (", with other options: `gallery forget` it first to change them" if report.differs else "")
    dropped = {**getattr(source, "dropped", {}), **{k: v for k, v in progress.dropped.items() if v}}
    text = f"{recording.name}: {progress.frames} frames, {len(report.sightings)} sightings"
    if dropped:
        text += "; dropped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    if progress.without_map:
        text += f"; {progress.without_map} frames without the camera's pose: places are in its own frame"
    return text

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

SIMULATED = "simulated:"


def ingest(
    recordings: Annotated[
        list[str], typer.Argument(help=f"{SOURCE_HELP} Each becomes a recording.", metavar="RECORDING...")
    ],
    camera: Annotated[str, typer.Option(help="Name of the camera that all of them are of.")],
    store: Annotated[Path, typer.Option(help="File of the gallery; made where needed.")] = Path("gallery.db"),
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
            "the file, `map` for bags, else the name of the recording.",
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
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.core.threads import use_threads
    from pose_tracking.gallery.collector import CollectorConfig
    from pose_tracking.gallery.embedding import CropEmbedder
    from pose_tracking.gallery.ingest import ingest as take_in
    from pose_tracking.gallery.linking.linker import link
    from pose_tracking.gallery.sighting import check_camera_name
    from pose_tracking.gallery.sqlite_store import SqliteStore
    from pose_tracking.pipeline import PoseTracker

    from .gallery import show
    from .settings import with_settings

    check_camera_name(camera)
    given = {group: _of_group(settings, group) for group in ("gallery", "simulated")}
    pipeline_settings = [s for s in settings or [] if s.partition(".")[0] not in given]
    bundle = _bundle(model, objects, pipeline_settings)
    config = with_settings(CollectorConfig(), given["gallery"], "--set gallery")
    opened = [each for text in recordings for each in _open(text, bundle, given["simulated"])]
    if start is not None and len(opened) > 1:
        raise ConfigError("--start is the time of one recording: take them in one by one")
    plans = [
        (source, _recording(text, source, camera, model, bundle, settings, max_frames),
         _camera(source, camera_pose, map_frame, clock_offset, start))
        for text, source in opened
    ]  # fmt: skip
    with SqliteStore(store) as gallery:
        use_threads(threads)
        tracker = PoseTracker(bundle, device)
        embedder = CropEmbedder(bundle, tracker.segmenter, tracker.embedding)
        for source, recording, where in plans:
            report = take_in(
                source, tracker, gallery, embedder, recording, where,
                config=config, max_frames=max_frames, progress=True,
            )  # fmt: skip
            typer.echo(_told(source, recording, report))
        if relink:
            show(link(gallery))


def _of_group(settings: list[str] | None, group: str) -> list[str]:
    return [s.partition(".")[2] for s in settings or [] if s.startswith(f"{group}.")]


def _bundle(model: str, objects: Path | None, settings: list[str]) -> ModelBundle:
    from pose_tracking.bundles.bundle import ModelBundle

    from .evaluation_plan import make_plan

    return make_plan(None, settings, 0).configured(ModelBundle.load(model, objects))


def _open(text: str, bundle: ModelBundle, simulated: list[str]) -> list[tuple[str, Source]]:
    """The recordings of a text: several where it names several seeds."""
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.datasets import open_source

    if not text.startswith(SIMULATED):
        if simulated:
            raise ConfigError(f"--set simulated...: {text} is not simulated")
        return [(text, open_source(text))]
    from pose_tracking.simulation.sequences.presets import preset_config
    from pose_tracking.simulation.sequences.source import SimulatedSequences, parse_seeds

    from .settings import with_settings

    config = with_settings(preset_config("plain"), simulated, "--set simulated")
    return [
        (f"{SIMULATED}{seed} {config}", SimulatedSequences(bundle.objects, [seed], config))
        for seed in parse_seeds(text)
    ]


def _recording(
    text: str,
    source: Source,
    camera: str,
    model: str,
    bundle: ModelBundle,
    settings: list[str] | None,
    max_frames: int | None,
) -> Recording:
    from pose_tracking.gallery.recordings import fingerprint_of, fingerprint_of_text
    from pose_tracking.gallery.store import Recording
    from pose_tracking.networks.weights import fingerprint

    is_simulated = text.startswith(SIMULATED)
    known: dict[str, Any] = {
        "model": str(Path(model).resolve()) if Path(model).is_dir() else model,
        "weights": fingerprint(bundle.segmentation_weights),
        "settings": sorted(settings or []),
        "max_frames": max_frames,
    }
    name = source.name if is_simulated else text
    return Recording(camera, name, fingerprint_of_text(text) if is_simulated else fingerprint_of(text), known)


def _camera(
    source: Source, camera_pose: str | None, map_frame: str | None, clock_offset: float, start: str | None
) -> CameraSettings:
    from datetime import datetime

    from pose_tracking.core.errors import ConfigError
    from pose_tracking.datasets.bag.reader import BagReader
    from pose_tracking.gallery.camera_place import read_camera_place
    from pose_tracking.gallery.ingest import CameraSettings
    from pose_tracking.gallery.query import nanoseconds_of

    place = None if camera_pose in (None, "tf") else read_camera_place(camera_pose)
    named = map_frame or (place.map_frame if place is not None else None)
    default = "map" if place is not None or isinstance(source, BagReader) else source.name
    start_ns = None
    if start is not None:
        try:
            start_ns = nanoseconds_of(datetime.fromisoformat(start))
        except (ValueError, OverflowError, OSError) as error:
            raise ConfigError(f"--start {start!r}: no time; write 2026-11-29T10:00") from error
    return CameraSettings(
        named or default,
        None if place is None else place.pose,
        camera_pose == "tf",
        round(clock_offset * 1e9),
        start_ns,
    )


def _told(source: Source, recording: Recording, report: IngestReport) -> str:
    """One line on a recording that has been taken in."""
    progress = report.progress
    if report.was_done:
        return f"{recording.name}: in the gallery already ({progress.frames} frames of camera {recording.camera!r})"
    dropped = {**getattr(source, "dropped", {}), **{k: v for k, v in progress.dropped.items() if v}}
    text = f"{recording.name}: {progress.frames} frames, {len(report.sightings)} sightings"
    if dropped:
        text += "; dropped: " + ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    if progress.without_map:
        text += f"; {progress.without_map} frames without the camera's pose: places are in its own frame"
    return text

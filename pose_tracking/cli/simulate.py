"""`pose-tracking simulate`: rendered RGB-D sequences and training frames of a model's objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pose_tracking.core.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from pose_tracking.objects import ObjectSet
    from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig
    from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
    from pose_tracking.simulation.sequences.video import VideoConfig

FORMATS = ("bop", "bag", "packed", "mot")


Model = Annotated[str, typer.Option(help="Model bundle: a name or a folder.")]
Out = Annotated[Path, typer.Option(help="Scene folder, bag folder or packed file to write; must not exist.")]
Frames = Annotated[
    int | None,
    typer.Option(min=1, max=1_000_000, help="Number of frames; default: 100, or 20 s of a stress sequence."),
]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same frames.")]
Objects = Annotated[Path | None, typer.Option(help="Folder of the meshes, for models that do not ship them.")]
Backgrounds = Annotated[Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout to place the objects in.")]
BackgroundSplit = Annotated[
    str | None,
    typer.Option(help="train, test (every 5th, never trained on) or all; default: train for --random, otherwise test."),
]
Preset = Annotated[
    str, typer.Option(help="plain (a quiet table top) or stress (copies that cross, hide, leave and return).")
]
Rate = Annotated[float | None, typer.Option(min=0.1, max=240, help="Frame rate of a sequence in Hz; default: 10.")]
Format = Annotated[
    str | None,
    typer.Option(
        help="bop, bag, packed, or mot (MOTChallenge: pictures and boxes, with the ground truth and noise for "
        "detections); default: packed for a .zip name, otherwise bop."
    ),
]
Bag = Annotated[bool, typer.Option("--bag", help="Short for --format bag.")]
Random = Annotated[bool, typer.Option("--random", help="Independent training frames in place of a sequence.")]
Minutes = Annotated[
    float | None, typer.Option(min=0.0, help="Render fewer --random packed frames where they take longer than this.")
]
Fewest = Annotated[int | None, typer.Option(min=1, help="So many frames whatever --minutes says; default: 50.")]
Processes = Annotated[int, typer.Option(min=1, help="Processes that render --random packed frames.")]
Clips = Annotated[
    int | None,
    typer.Option(min=1, help="Write so many labelled clips for train events (a .zip) in place of frames."),
]
ClipsOf = Annotated[
    list[str] | None,
    typer.Option(help="things, people, or both (default): what the --clips are of."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change an option of the scene, e.g. tables=0, clutter=0,0 or sensor.blur=0.",
    ),
]


def simulate(
    model: Model,
    out: Out,
    frames: Frames = None,
    seed: Seed = 0,
    objects: Objects = None,
    backgrounds: Backgrounds = None,
    background_split: BackgroundSplit = None,
    preset: Preset = "plain",
    fps: Rate = None,
    format: Format = None,
    bag: Bag = False,
    random: Random = False,
    minutes: Minutes = None,
    fewest: Fewest = None,
    processes: Processes = 1,
    settings: Settings = None,
    clips: Clips = None,
    clips_of: ClipsOf = None,
) -> None:
    """Render the objects of a model with ground truth: a sequence, or with --random training frames.

    A plain sequence has 5 to 9 instances, one class three times, partly hidden behind each other, some of them moving,
    seen by a moving camera.

    A stress sequence has three identical copies of each of the two objects most alike, and single ones, that cross,
    hide for up to 1 s, leave and come back; a copy that was away for 1 s or more comes back as a new instance. It lasts
    20 s and goes round again after that; the same seed shows the same world at any frame rate.

    Packed training frames are resumable: the same command goes on where it was stopped.

    With --clips it writes labelled clips of things (fell, knocked over, placed, carried, moved, still) and of a simple
    person (falling, running, walking, standing), which `train events` learns from.

    Each part of the training frames' randomisation can be switched off: jitter=0 (light and material), clutter=0,0,
    recorded=0 (backgrounds), camouflage=0 and dark=0, noise=0 (sensor), crowding=0 and thin=0 (occlusion), tables=0.
    """
    if clips is not None:
        if random or bag or format or frames or settings or preset != "plain" or fps is not None:
            raise ConfigError(
                "--clips are 16 frames of their own: only --model, --objects, --seed, --clips-of go with it"
            )
        _write_clips(model, objects, out, clips, clips_of, seed)
        return
    if clips_of:
        raise ConfigError("--clips-of needs --clips, the number of clips")
    kind = _kind(out, format, bag)
    if random and preset != "plain":
        raise ConfigError(f"--preset {preset} is a kind of sequence and contradicts --random")
    if random and kind == "mot":
        raise ConfigError("--format mot is for sequences and contradicts --random, whose frames are unrelated")
    if minutes is not None and not (random and kind == "packed"):
        raise ConfigError("--minutes is for packed --random frames; give the number of --frames")
    if fewest is not None and minutes is None:
        raise ConfigError("--fewest needs --minutes; give the number of --frames")

    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

    scene, count = _scene(random, preset, fps, frames, settings or [])
    known = ModelBundle.load(model, objects=objects, require_weights=False).objects
    known.require_meshes("to render")
    split = background_split or ("train" if random else "test")
    recorded = None if backgrounds is None else RecordedBackgrounds(backgrounds, split)
    if random and kind == "packed":
        from pose_tracking.datasets.packed import PackedDataset
        from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig
        from pose_tracking.training.packed_rendering import FEWEST_FRAMES, render_packed

        assert isinstance(scene, RandomSceneConfig)
        least = FEWEST_FRAMES if fewest is None else fewest
        render_packed(known, scene, seed, count, out, backgrounds, split, processes, minutes=minutes, fewest=least)
        count = len(PackedDataset(out))
    else:
        _write(known, recorded, out, kind, scene, seed, count)
    typer.echo(f"{out}: {count} frames ({kind})")


def _write_clips(model: str, objects: Path | None, out: Path, count: int, kinds: list[str] | None, seed: int) -> None:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.simulation.clips.writing import KINDS, write_clips

    if out.exists():
        raise OutputError(f"{out}: exists already: choose another name or remove it")
    wanted = list(dict.fromkeys(kinds or KINDS))
    known = None
    if "things" in wanted:
        known = ModelBundle.load(model, objects=objects, require_weights=False).objects
        known.require_meshes("to render")
    found = write_clips(out, known, wanted, count, seed)
    typer.echo(f"{out}: {count} clips: " + ", ".join(f"{number} {label}" for label, number in sorted(found.items())))


def _kind(out: Path, format: str | None, bag: bool) -> str:
    """What to write to `out`, one of `FORMATS`."""
    if bag and format not in (None, "bag"):
        raise ConfigError(f"--bag contradicts --format {format}")
    kind = "bag" if bag else format or ("packed" if out.suffix == ".zip" else "bop")
    if kind not in FORMATS:
        raise ConfigError(f"--format {kind!r} is not one of {', '.join(FORMATS)}")
    empty = kind != "packed" and out.is_dir() and not any(out.iterdir())
    if out.exists() and not empty:
        raise OutputError(f"{out}: exists already: choose another name or remove it")
    return kind


def _scene(
    random: bool, preset: str, rate: float | None, frames: int | None, settings: list[str]
) -> tuple[RandomSceneConfig | VideoConfig, int]:
    """What the frames look like, and how many there are."""
    from pose_tracking.core.settings import with_settings
    from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig
    from pose_tracking.simulation.sequences.presets import preset_config

    if random:
        return with_settings(RandomSceneConfig(), settings), 100 if frames is None else frames
    config = with_settings(preset_config(preset, rate, frames), settings)
    return config, config.frames


def _write(
    known: ObjectSet,
    recorded: RecordedBackgrounds | None,
    out: Path,
    kind: str,
    scene: RandomSceneConfig | VideoConfig,
    seed: int,
    frames: int,
) -> None:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from typing import Any

    from tqdm import tqdm

    from pose_tracking.datasets.bag.writer import BagWriter
    from pose_tracking.datasets.bop_writer import BopWriter
    from pose_tracking.datasets.mot_writer import MotWriter
    from pose_tracking.datasets.packed import PackedWriter
    from pose_tracking.datasets.sample import Sample
    from pose_tracking.evaluation.trackers.noisy_truth import NoisyTruthConfig, NoisyTruthDetector
    from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, random_frames
    from pose_tracking.simulation.sequences.presets import make_simulator

    def open_mot(path: Path) -> MotWriter:
        assert not isinstance(scene, RandomSceneConfig)
        names = {obj_id: each.name for obj_id, each in known.items()}
        noisy = NoisyTruthDetector(None, known, NoisyTruthConfig(seed=seed))
        return MotWriter(path, scene.fps, names, noisy.detect)

    # Opened first: an output that cannot be written shows at once, not after the scene has been laid out.
    open_writer: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
        "bop": BopWriter,
        "packed": PackedWriter,
        "bag": lambda path: BagWriter(path, objects=known),
        "mot": open_mot,
    }
    with open_writer[kind](out) as opened:
        samples: Iterable[Sample]
        if isinstance(scene, RandomSceneConfig):
            samples = random_frames(known, scene, seed, backgrounds=recorded, count=frames)
        else:
            samples = make_simulator(known, scene, seed, recorded)
        for sample in tqdm(samples, total=frames, desc=out.name, unit="frame", disable=None):
            opened.add(sample)

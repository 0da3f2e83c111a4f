"""Options that `evaluate` and `compare-trackers` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .sources import SOURCE_HELP

NOISY_GT = "noisy-gt"
GIVEN = "det"
YCBINEOAT = "ycbineoat"
MIN_VISIB = 0.3

Sources = Annotated[list[str], typer.Argument(help=f"{SOURCE_HELP} Several are pooled.", metavar="SOURCE...")]
Model = Annotated[str, typer.Option(help="Model bundle: a name or a folder.")]
Out = Annotated[Path, typer.Option(help="Folder of the report; made where needed.")]
Objects = Annotated[Path | None, typer.Option(help="Folder with the meshes, for bundles that do not ship them.")]
MinVisib = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Ignore ground truth less visible than this; unknown counts as 1.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Detections = Annotated[
    str | None,
    typer.Option(
        metavar=f"{NOISY_GT}|{GIVEN}",
        help=f"{GIVEN}: those that a folder in MOTChallenge's layout has. {NOISY_GT}: the ground truth with noise in "
        "place of the model's detections: by default boxes off by 2 px in "
        "each corner coordinate, poses by 5 mm along and 3 degrees about each axis (standard deviations), 3 % missed, "
        "0.05 false alarms a frame; drawn with --seed. Appearance features are the detector's at those boxes.",
    ),
]
CovarianceScale = Annotated[
    float | None,
    typer.Option(
        help=f"With --detections {NOISY_GT}: tell the tracker this times the covariance that the noise of the poses "
        "has, 0.04 to 25; default: 1, which no real pose stage knows so well.",
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar=YCBINEOAT,
        help="Score the published poses as that data set does, too: ADD and ADD-S AUC up to 0.1 m over all frames, "
        "misses as failures; and how long each object keeps its identity, and how much its pose jitters.",
    ),
]
SaveDetections = Annotated[
    Path | None, typer.Option(help=".npz file the detections are kept in, for `compare-trackers` without detecting.")
]
CameraMotion = Annotated[
    bool,
    typer.Option("--camera-motion/--no-camera-motion", help="Tell the tracker the camera's pose where it is known."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change an option of the bundle, or of the noise: tracking.max_age=60, pipeline.min_pose_confidence=0, "
        "segmentation.score_threshold=0.3, pose.depth_noise.model=stereo, inference.engine=torch, "
        "noisy_gt.miss_rate=0.1.",
    ),
]
MaxFrames = Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")]
Backgrounds = Annotated[Path | None, typer.Option(help="Recorded RGB-D stills in BOP layout, for simulated sequences.")]
Preset = Annotated[str, typer.Option(help="Kind of simulated sequences: plain or stress.")]
Rate = Annotated[
    float | None, typer.Option(min=0.1, help="Frame rate of simulated sequences in Hz; default: the preset's.")
]
Frames = Annotated[int | None, typer.Option(min=1, help="Length of each simulated sequence; default: the preset's.")]
Split = Annotated[
    str,
    typer.Option(help="Frames of a BOP scene to take: all, or the train or test split `simulate` makes of stills."),
]
Absent = Annotated[
    bool, typer.Option("--absent", help="No object of the model is in the source: every detection is false.")
]
Complete = Annotated[
    bool,
    typer.Option(
        "--complete",
        help="Every object of the model that is in view is annotated, so detections of classes that never occur in the "
        "ground truth are false too. Simulated and packed frames are always so.",
    ),
]
MotionWeight = Annotated[
    float | None,
    typer.Option("--lambda", min=0.0, max=1.0, help="Weight of motion against appearance; default: the bundle's."),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 takes the cores that this process may use.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that draws numbers.")]

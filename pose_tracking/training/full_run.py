"""All of a bundle's training in one go: the steps of docs/training.md, each a command of its own in its own process.

A step that is done leaves a marker in the work folder, and every step can be resumed, so the whole can be stopped at
any time and goes on where it was.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from pose_tracking.core.errors import ConfigError, PoseTrackingError
from pose_tracking.core.files import make_directory, write_json, write_text

# Shares of the time. Rendering pays until the trainers see every frame a few times; the two trainings run side by side
# on a CPU, and get about equal use of what they have.
RENDER_SHARE, TRAIN_SHARE = 0.3, 0.6
FRAME_SECONDS = 0.35  # to render and pack one training frame on one core
VALIDATION_FRAMES = 120
TRAIN_SEED, VALIDATION_SEED = 1, 777
PLAN_FILE = "plan.json"
PR_SET_PDEATHSIG = 1  # prctl(2)


class StepError(PoseTrackingError):
    """A step of the walk failed; its own message is above or in its log."""


@dataclass(frozen=True)
class FullRunPlan:
    """What a walk was started with; it must stay the same when it goes on.

    Attributes:
        model: bundle folder.
        minutes: time for everything.
        objects: folder of meshes, for bundles that do not ship them.
        backgrounds: recorded stills, or None.
        processes: processes that render.
        side_by_side: whether both trainings run at the same time, one thread each (best on a CPU with two cores).
        appearance: whether to train the appearance embedding too.
        device: as for the trainings.
        seed: of the trainings; the frames' seeds follow from it.
    """

    model: str
    minutes: float
    objects: str | None = None
    backgrounds: str | None = None
    processes: int = 1
    side_by_side: bool = False
    appearance: bool = True
    device: str = "auto"
    seed: int = 0

    @property
    def frames(self) -> int:
        """Training frames that can be rendered in `RENDER_SHARE` of the time."""
        seconds = RENDER_SHARE * self.minutes * 60 * self.processes
        return max(50, int(seconds / FRAME_SECONDS / 50) * 50)


@dataclass(frozen=True)
class Step:
    """One command: `arguments` of ``pose-tracking``, and the file that is there when it is done, if it makes one."""

    name: str
    arguments: tuple[str, ...]
    result: Path | None = None


def steps_of(plan: FullRunPlan, folder: Path, commands: Sequence[str] = ()) -> list[list[Step]]:
    """The steps in order; those of an inner list run side by side.

    Args:
        plan: what to do.
        folder: work folder: frames, runs and markers.
        commands: further commands that exist; "calibrate" is run last where it does, on simulated sequences.
    """
    model = ["--model", plan.model]
    objects = ["--objects", plan.objects] if plan.objects else []
    backgrounds = ["--backgrounds", plan.backgrounds] if plan.backgrounds else []
    train, val = folder / "train.zip", folder / "val.zip"

    def render(name: str, path: Path, count: int, seed: int, split: str) -> Step:
        more = ["--random", "--frames", str(count), "--seed", str(seed), "--background-split", split]
        more += ["--processes", str(plan.processes), "--out", str(path)]
        return Step(name, ("simulate", *model, *objects, *backgrounds, *more), path)

    share = TRAIN_SHARE * plan.minutes / (1 if plan.side_by_side else 2)
    common = ["--data", str(train), "--val", str(val), "--minutes", f"{share:g}", "--device", plan.device]
    common += ["--seed", str(plan.seed), "--resume", *(["--threads", "1"] if plan.side_by_side else [])]
    segmentation = Step(
        "segmentation", ("train", "segmentation", *model, *common, "--run-dir", str(folder / "segmentation"))
    )
    pose_dir = folder / "pose"
    pose = Step(
        "pose",
        ("train", "pose", *model, *objects, *common, "--run-dir", str(pose_dir)),
        pose_dir / "validation.json",
    )
    steps = [
        [render("validation frames", val, VALIDATION_FRAMES, VALIDATION_SEED + plan.seed, "test")],
        [render("training frames", train, plan.frames, TRAIN_SEED + 1000 * plan.seed, "train")],
        *([[segmentation, pose]] if plan.side_by_side else [[segmentation], [pose]]),
    ]
    if plan.appearance:
        more = ["--run-dir", str(folder / "appearance"), "--processes", str(plan.processes), "--device", plan.device]
        steps.append([Step("appearance", ("train", "appearance", *model, *objects, *backgrounds, *more, "--resume"))])
    if "calibrate" in commands:
        # Sequences of their own: neither frames of the trainings nor the seeds `evaluate` is usually given.
        more = ["--data", "simulated:70001-70006", "--device", plan.device, "--run-dir", str(folder / "calibration")]
        steps.append([Step("calibrate", ("calibrate", *model, *objects, *backgrounds, *more))])
    return steps


def load_plan(folder: Path, plan: FullRunPlan) -> FullRunPlan:
    """Write `plan` into the work folder, or check that it is the one there.

    Raises:
        ConfigError: the folder holds a walk with other settings; the message names the first.
    """
    path = folder / PLAN_FILE
    make_directory(folder)
    if path.is_file():
        try:
            known = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigError(f"{path}: cannot be read ({error}); remove the folder to start again") from error
        for name, value in asdict(plan).items():
            if known.get(name) != value:
                raise ConfigError(
                    f"{path}: was started with {name} = {known.get(name)!r}, not {value!r}: choose another --run-dir, "
                    "or repeat the settings to go on"
                )
    else:
        write_json(path, asdict(plan))
    return plan


def run_steps(steps: Sequence[Sequence[Step]], folder: Path) -> None:
    """Run what is not done yet.

    A step alone shows its own progress; steps side by side write to ``<name>.log``.

    Raises:
        StepError: a step failed, or ended without its result. What is done stays done.
    """
    for group in steps:
        waiting = [step for step in group if not _marker(folder, step).is_file()]
        with ExitStack() as stack:
            running = []
            for step in waiting:
                command = [sys.executable, "-m", "pose_tracking.cli", *step.arguments]
                log = folder / f"{step.name}.log"
                alone = len(waiting) == 1
                print(f"== {step.name}" + ("" if alone else f" (progress in {log})"), flush=True)
                output = None if alone else stack.enter_context(log.open("a"))
                process = subprocess.Popen(command, stdout=output, stderr=output, preexec_fn=_end_with_parent)
                stack.callback(_end, process)
                running.append((step, process, log if not alone else None))
            for step, process, log_path in running:
                code = process.wait()
                if code != 0 or (step.result is not None and not step.result.exists()):
                    where = "see above" if log_path is None else f"see {log_path}"
                    raise StepError(f"{step.name}: ended with status {code}, {where}; the same command goes on")
                write_text(_marker(folder, step), " ".join(step.arguments) + "\n")


def _end_with_parent() -> None:
    """Have Linux end this process when its parent is gone, killed too: a second run must not meet the first one's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a step that still runs save its state: the trainers do so at a SIGTERM."""
    if process.poll() is None:
        process.terminate()
        process.wait()


def _marker(folder: Path, step: Step) -> Path:
    return folder / f"{step.name.replace(' ', '_')}.done"

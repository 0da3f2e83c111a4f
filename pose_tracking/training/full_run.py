"""All of a bundle's training in one go: the steps of docs/training.md, each a command of its own in its own process.

Every stage gets its share of the time that is left when it begins. So a slow machine renders fewer frames and trains
for fewer steps, and there is always time for what comes last: the start of a program and the least that it does take
minutes where many others run, how many the frames have told.

A step that is done leaves a marker in the work folder, and every step can be resumed, so the whole can be stopped at
any time and goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import make_directory, write_json
from pose_tracking.datasets.packed import PackedDataset

from .packed_rendering import FEWEST_FRAMES
from .steps import Clock, Step, is_done, run_side_by_side

# Shares of the time. Rendering pays until the trainers see every frame a few times; on a CPU both trainings run side by
# side, and get about equal use of what they have.
VALIDATION_SHARE, RENDER_SHARE, TRAIN_SHARE, APPEARANCE_SHARE, CALIBRATION_SHARE = 0.03, 0.26, 0.53, 0.09, 0.09
TRAINING_ITSELF = 0.93  # of a training's time; the rest is its start and its last evaluation
# Seconds on an idle core that steps take whatever their minutes: a training to start and for its last evaluation, the
# last two to start and for the least that they do.
TRAINING_LEAST, APPEARANCE_LEAST, CALIBRATION_LEAST = 15.0, 35.0, 25.0
START = 6.0  # of these, to start
# Shares of the whole time that the least takes from which on what a bundle can do without is left out.
MOST_APPEARANCE, MOST_CALIBRATION = 0.18, 0.3
RENDERING_ITSELF = 0.9  # of the time for frames; the rest is the start of the processes and the packing
FRAME_SECONDS = 0.35  # to render and pack one frame on one core, as a rule
# Of the whole run: a detector on one core decodes about 100 frames a minute, and more than twice that is never seen.
MOST_FRAMES_A_MINUTE = 200
FEWEST_VALIDATION_FRAMES, MOST_VALIDATION_FRAMES = 20, 120
TRAIN_SEED, VALIDATION_SEED = 1, 777
PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class FullRunPlan:
    """What a full run was started with; it must stay the same when it goes on.

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


@dataclass(frozen=True)
class Stage:
    """Steps that run side by side.

    Attributes:
        name: under which its time is noted.
        share: of the time, relative to the other stages.
        steps: given the minutes it may take, what to run.
        least: seconds on an idle core that it takes whatever the minutes.
        most: share of the whole time that its least takes from which on a run goes without it; None: never.
    """

    name: str
    share: float
    steps: Callable[[float], list[Step]]
    least: float = 0.0
    most: float | None = None


class FullRun:
    """A plan in its work folder: frames, runs, markers and the time used.

    Args:
        plan: what to do.
        folder: work folder.
        commands: further commands that exist; "calibrate" is run last where it does, on simulated sequences.
    """

    def __init__(self, plan: FullRunPlan, folder: Path, commands: Sequence[str] = ()) -> None:
        self.plan, self.folder, self.clock = plan, folder, Clock(folder)
        self.train, self.val = folder / "train.zip", folder / "val.zip"
        self._slowness: float | None = None
        self.model = ["--model", plan.model]
        self.objects = ["--objects", plan.objects] if plan.objects else []
        self.backgrounds = ["--backgrounds", plan.backgrounds] if plan.backgrounds else []
        self.stages = [
            Stage("validation frames", VALIDATION_SHARE, self._validation_frames),
            Stage("training frames", RENDER_SHARE, self._training_frames),
        ]
        if plan.side_by_side:
            steps = lambda m: [self._segmentation(m), self._pose(m)]  # noqa: E731
            self.stages.append(Stage("segmentation and pose", TRAIN_SHARE, steps, TRAINING_LEAST))
        else:
            half = TRAIN_SHARE / 2
            self.stages.append(Stage("segmentation", half, lambda m: [self._segmentation(m)], TRAINING_LEAST))
            self.stages.append(Stage("pose", half, lambda m: [self._pose(m)], TRAINING_LEAST))
        if plan.appearance:
            self.stages.append(
                Stage("appearance", APPEARANCE_SHARE, self._appearance, APPEARANCE_LEAST, MOST_APPEARANCE)
            )
        if "calibrate" in commands:
            least = CALIBRATION_LEAST
            self.stages.append(Stage("calibrate", CALIBRATION_SHARE, self._calibrate, least, MOST_CALIBRATION))

    def run(self) -> list[str]:
        """Run what is not done yet.

        Returns:
            The names of the steps that failed, or had no time, and that a bundle can do without.

        Raises:
            StepError: another step failed, or ended without its result. What is done stays done.
        """
        failed = []
        for number, stage in enumerate(self.stages):
            if self._is_left_out(stage):
                takes, share = self._least_minutes(stage), stage.share * self.plan.minutes
                print(f"== {stage.name}: left out: on this machine it takes {takes:.0f} minutes, and has {share:.1f}")
                failed.append(stage.name)
                continue
            steps = stage.steps(self.minutes_of(number))
            failed += run_side_by_side(steps, self.folder, self.clock, stage.name)
        return failed

    def minutes_of(self, number: int) -> float:
        """Time for stage `number`: its share of what the stages before it have left, but for what later ones need.

        It is the same when the stage goes on after a stop, since its own time does not count.
        """
        left = self.plan.minutes
        for before in range(number):
            left -= self._used(before, left)
        return self._planned(number, max(left, 0.0))

    def _planned(self, number: int, left: float) -> float:
        """Minutes for stage `number` of those that are `left` for it and the later ones: half of its share at least."""
        later = [stage for stage in self.stages[number + 1 :] if not self._is_left_out(stage)]
        share = left / (self.stages[number].share + sum(stage.share for stage in later))
        needed = sum(max(stage.share * share, self._least_minutes(stage)) for stage in later)
        own = self.stages[number].share * share
        return max(min(own, left - needed), own / 2)

    def _used(self, number: int, left: float) -> float:
        """Minutes stage `number` took, or is to take. Version 0.1.0 noted no times: what it did counts as planned."""
        stage = self.stages[number]
        if self._is_left_out(stage):
            return 0.0
        planned = self._planned(number, max(left, 0.0))
        seconds = self.clock.seconds.get(stage.name)
        return planned if seconds is None or not is_done(self.folder, stage.steps(planned)) else seconds / 60

    def _without_start(self, minutes: float) -> float:
        return max(minutes - START * self.slowness / 60, 0.0)

    def _least_minutes(self, stage: Stage) -> float:
        return stage.least * self.slowness / 60

    def _is_left_out(self, stage: Stage) -> bool:
        return stage.most is not None and self._least_minutes(stage) > stage.most * self.plan.minutes

    @property
    def slowness(self) -> float:
        """How many times longer than on idle cores things take, by the training frames; 1 as long as there are none."""
        if self._slowness is None:
            seconds = self.clock.seconds.get(self.stages[1].name)
            if seconds is None or not self.train.is_file() or not is_done(self.folder, self._training_frames(1.0)):
                return 1.0
            frame_seconds = seconds * self.plan.processes / max(len(PackedDataset(self.train)), 1)
            self._slowness = max(frame_seconds / FRAME_SECONDS, 1.0)
        return self._slowness

    # -- the steps --------------------------------------------------------------------------------------------------

    def _render(self, name: str, path: Path, count: int, minutes: float, seed: int, split: str) -> Step:
        more = ["--random", "--frames", str(count), "--minutes", f"{RENDERING_ITSELF * minutes:g}"]
        more += ["--seed", str(seed), "--background-split", split]
        more += ["--fewest", str(min(FEWEST_VALIDATION_FRAMES if path == self.val else FEWEST_FRAMES, count))]
        more += ["--processes", str(self.plan.processes), "--out", str(path)]
        return Step(name, ("simulate", *self.model, *self.objects, *self.backgrounds, *more), path)

    @property
    def _validation_count(self) -> int:
        frames = self.minutes_of(0) * 60 * self.plan.processes / FRAME_SECONDS
        return int(min(max(frames, FEWEST_VALIDATION_FRAMES), MOST_VALIDATION_FRAMES))

    def _validation_frames(self, minutes: float) -> list[Step]:
        seed = VALIDATION_SEED + self.plan.seed
        return [self._render("validation frames", self.val, self._validation_count, minutes, seed, "test")]

    def _training_frames(self, minutes: float) -> list[Step]:
        """As many as can be rendered in the time: what a machine is good for changes while others use it too."""
        count = max(FEWEST_FRAMES, int(MOST_FRAMES_A_MINUTE * self.plan.minutes))
        seed = TRAIN_SEED + 1000 * self.plan.seed
        return [self._render("training frames", self.train, count, minutes, seed, "train")]

    def _training(self, name: str, minutes: float) -> list[str]:
        plan, least = self.plan, TRAINING_LEAST * self.slowness / 60
        minutes = max(min(TRAINING_ITSELF * minutes, minutes - least), minutes / 2, 0.1)
        common = ["--data", str(self.train), "--val", str(self.val), "--minutes", f"{minutes:g}"]
        common += ["--device", plan.device, "--seed", str(plan.seed), "--resume"]
        return [*common, *(["--threads", "1"] if plan.side_by_side else []), "--run-dir", str(self.folder / name)]

    def _segmentation(self, minutes: float) -> Step:
        more = self._training("segmentation", minutes)
        return Step("segmentation", ("train", "segmentation", *self.model, *more))

    def _pose(self, minutes: float) -> Step:
        more = self._training("pose", minutes)
        result = self.folder / "pose" / "validation.json"
        return Step("pose", ("train", "pose", *self.model, *self.objects, *more), result)

    def _appearance(self, minutes: float) -> list[Step]:
        more = ["--run-dir", str(self.folder / "appearance"), "--processes", str(self.plan.processes)]
        more += ["--device", self.plan.device, "--minutes", f"{self._without_start(minutes):g}"]
        more += ["--resume"]
        arguments = ("train", "appearance", *self.model, *self.objects, *self.backgrounds, *more)
        return [Step("appearance", arguments, optional=True)]

    def _calibrate(self, minutes: float) -> list[Step]:
        # Sequences of their own: neither frames of the trainings nor the seeds `evaluate` is usually given.
        more = ["--data", "simulated:70001-70006", "--device", self.plan.device]
        more += ["--minutes", f"{self._without_start(minutes):g}"]
        more += ["--run-dir", str(self.folder / "calibration")]
        arguments = ("calibrate", *self.model, *self.objects, *self.backgrounds, *more)
        return [Step("calibrate", arguments, optional=True)]


def load_plan(folder: Path, plan: FullRunPlan) -> FullRunPlan:
    """Write `plan` into the work folder, or check that it is the one there.

    Raises:
        ConfigError: the folder holds a run with other settings; the message names the first.
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

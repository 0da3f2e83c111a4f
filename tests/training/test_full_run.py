"""`train all`: what runs, in which order, and how the time is shared out."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from pose_tracking.cli.main import COMMANDS, build
from pose_tracking.core.errors import ConfigError
from pose_tracking.training import full_run
from pose_tracking.training.full_run import FullRun, FullRunPlan, load_plan
from pose_tracking.training.packed_rendering import FEWEST_FRAMES
from pose_tracking.training.steps import Clock, Step

PLAN = FullRunPlan("models/parts", 60.0, None, "stills", processes=2, side_by_side=True)


def arguments(step: Step) -> dict[str, str]:
    words = list(step.arguments)
    return {a: b for a, b in zip(words, words[1:], strict=False) if a.startswith("--") and not b.startswith("--")}


def planned(run: FullRun) -> list[list[Step]]:
    return [stage.steps(run.minutes_of(number)) for number, stage in enumerate(run.stages)]


class Machine:
    """Takes the time that steps would take on a machine that renders at some rate, instead of running them."""

    def __init__(
        self, frame_seconds: float, overhead: float = 20.0, sequence_stage: float = 1.0, busier: float = 1.0
    ) -> None:
        self.frame_seconds, self.overhead, self.late, self.busier = frame_seconds, overhead, sequence_stage, busier
        self.ran: list[Step] = []

    def __call__(self, steps: Sequence[Step], folder: Path, clock: Clock, name: str) -> list[str]:
        waiting = [step for step in steps if not (folder / f"{step.name.replace(' ', '_')}.done").is_file()]
        for step in waiting:
            (folder / f"{step.name.replace(' ', '_')}.done").touch()
        if waiting:
            clock.add(name, max(self.seconds(step) for step in waiting))
        self.ran += waiting
        return []

    def seconds(self, step: Step) -> float:
        given = arguments(step)
        if step.arguments[0] == "simulate":
            frame_seconds = self.frame_seconds * (self.busier if step.name == "training frames" else 1.0)
            rendering = int(given["--frames"]) * frame_seconds / int(given["--processes"])
            fewest = int(given["--fewest"]) * frame_seconds / int(given["--processes"])
            return self.overhead + max(min(rendering, 60 * float(given["--minutes"])), fewest)
        return self.overhead + 60 * float(given["--minutes"]) * self.late


def test_steps_come_in_order_and_share_the_time(tmp_path: Path) -> None:
    steps = planned(FullRun(PLAN, tmp_path, ["calibrate"]))
    names = [[step.name for step in group] for group in steps]
    assert names == [
        ["validation frames"], ["training frames"], ["segmentation", "pose"], ["appearance"], ["calibrate"]
    ]  # fmt: skip
    both = [float(arguments(s)["--minutes"]) for s in steps[2]]
    assert both[0] == both[1] == pytest.approx(0.93 * 0.53 * 60, abs=0.01)
    one_by_one = planned(FullRun(replace(PLAN, side_by_side=False), tmp_path))
    first, second = (float(arguments(s)["--minutes"]) for group in one_by_one[2:4] for s in group)
    assert first == pytest.approx(second)
    # Rendering takes its share of the hour, and is asked for more frames than that is good for.
    assert float(arguments(steps[1][0])["--minutes"]) == pytest.approx(0.9 * 0.26 * 60, abs=0.01)
    assert int(arguments(steps[1][0])["--frames"]) * 0.35 / 2 > 0.26 * 3600


@pytest.mark.parametrize("minutes", [20.0, 60.0, 110.0])
@pytest.mark.parametrize("frame_seconds", [0.1, 0.35, 1.5])
@pytest.mark.parametrize("side_by_side", [True, False])
def test_the_time_is_kept_on_fast_and_slow_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, frame_seconds: float, side_by_side: bool
) -> None:
    machine = Machine(frame_seconds)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    plan = replace(PLAN, minutes=minutes, side_by_side=side_by_side)
    run = FullRun(plan, tmp_path, ["calibrate"])
    run.run()
    assert sum(run.clock.seconds.values()) / 60 == pytest.approx(minutes, rel=0.15)
    trained = {step.name: float(arguments(step)["--minutes"]) for step in machine.ran[2:]}
    assert trained["segmentation"] == pytest.approx(trained["pose"], rel=0.1)
    assert trained["segmentation"] > (0.35 if side_by_side else 0.15) * minutes
    assert trained["appearance"] > 0.05 * minutes
    assert trained["calibrate"] > 0.05 * minutes


def test_a_machine_that_gets_busy_renders_less_and_trains_as_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one frame takes may change fivefold after the first of them."""
    machine = Machine(0.35, busier=5.0)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    run = FullRun(replace(PLAN, minutes=30.0), tmp_path, ["calibrate"])
    run.run()
    assert sum(run.clock.seconds.values()) / 60 == pytest.approx(30.0, rel=0.15)
    assert float(arguments(machine.ran[2])["--minutes"]) > 0.45 * 30.0


class SlowMachine(Machine):
    """Everything takes `slowness` times longer than on idle cores, what no minutes bound too."""

    LEAST = {"segmentation": 14.0, "pose": 12.0, "appearance": 36.0, "calibrate": 22.0}
    STARTS = {"appearance": 5.0, "calibrate": 5.0}

    def __init__(self, slowness: float) -> None:
        super().__init__(0.35 * slowness, overhead=4.0 * slowness)
        self.slowness = slowness

    def __call__(self, steps: Sequence[Step], folder: Path, clock: Clock, name: str) -> list[str]:
        for step in steps:
            if step.name == "training frames" and step.result is not None:
                taken = self.seconds(step) - self.overhead
                with zipfile.ZipFile(step.result, "w") as pack:
                    for k in range(int(taken / self.frame_seconds * int(arguments(step)["--processes"]))):
                        pack.writestr(f"{k:06d}/meta.json", "{}")
        return super().__call__(steps, folder, clock, name)

    def seconds(self, step: Step) -> float:
        if step.arguments[0] == "simulate":
            return super().seconds(step)
        least, given = self.LEAST[step.name] * self.slowness, 60 * float(arguments(step)["--minutes"])
        if step.name not in self.STARTS:
            return least + given
        return max(least, self.STARTS[step.name] * self.slowness + given)


@pytest.mark.parametrize("minutes", [20.0, 60.0])
@pytest.mark.parametrize("slowness", [1.0, 3.0, 9.0])
def test_the_time_is_kept_where_many_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, slowness: float
) -> None:
    """With a load of 30 on two cores, 20 minutes became 31."""
    machine = SlowMachine(slowness)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    run = FullRun(replace(PLAN, minutes=minutes), tmp_path, ["calibrate"])
    without = run.run()
    assert sum(run.clock.seconds.values()) / 60 == pytest.approx(minutes, rel=0.15)
    assert run.slowness == pytest.approx(slowness, rel=0.3)
    trained = {step.name: float(arguments(step)["--minutes"]) for step in machine.ran[2:]}
    assert trained["pose"] > 0.3 * minutes
    assert "calibrate" in trained
    # What it can do without it does without only where its start alone is much more than its share.
    assert without == (["appearance"] if slowness == 9.0 and minutes == 20.0 else [])
    assert ("appearance" in trained) == (not without)
    (tmp_path / "pose.done").unlink()
    again = FullRun(replace(PLAN, minutes=minutes), tmp_path, ["calibrate"])
    (stage,) = (s for s in planned(again) if len(s) == 2)
    assert stage[1].arguments == machine.ran[3].arguments


def test_a_machine_that_is_far_too_slow_trains_the_networks_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a load of 40 the calibration alone took more than the 20 minutes."""
    machine = SlowMachine(22.0)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    run = FullRun(replace(PLAN, minutes=20.0), tmp_path, ["calibrate"])
    assert run.run() == ["appearance", "calibrate"]
    assert [step.name for step in machine.ran] == ["validation frames", "training frames", "segmentation", "pose"]
    assert sum(run.clock.seconds.values()) / 60 == pytest.approx(20.0, rel=0.15)


def test_a_few_validation_frames_do_where_time_is_short(tmp_path: Path) -> None:
    validation, training = (group[0] for group in planned(FullRun(PLAN, tmp_path))[:2])
    assert int(arguments(validation)["--fewest"]) == 20
    assert int(arguments(training)["--fewest"]) == FEWEST_FRAMES


def test_what_a_bundle_can_do_without_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optional = [
        step.name for group in planned(FullRun(PLAN, tmp_path, ["calibrate"])) for step in group if step.optional
    ]
    assert optional == ["appearance", "calibrate"]
    monkeypatch.setattr(full_run, "run_side_by_side", lambda steps, *rest: [s.name for s in steps if s.optional])
    assert FullRun(PLAN, tmp_path, ["calibrate"]).run() == optional


def test_a_stage_that_takes_longer_leaves_time_for_the_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(0.35, sequence_stage=1.2)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    FullRun(PLAN, tmp_path, ["calibrate"]).run()
    assert 0 < float(arguments(machine.ran[-1])["--minutes"]) < 0.09 * 60


def test_a_run_that_goes_on_gives_the_same_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else frames would be rendered anew, or a training end early because it had been stopped."""
    machine = Machine(0.5)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    run = FullRun(PLAN, tmp_path, ["calibrate"])
    run.run()
    again = planned(FullRun(PLAN, tmp_path, ["calibrate"]))
    assert [step.arguments for group in again for step in group] == [step.arguments for step in machine.ran]
    (tmp_path / "pose.done").unlink()
    Clock(tmp_path).add("segmentation and pose", 100.0)
    (stage,) = (s for s in planned(FullRun(PLAN, tmp_path, ["calibrate"])) if len(s) == 2)
    assert stage[1].arguments == machine.ran[3].arguments


def test_a_run_of_version_0_1_0_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It left a plan and markers, and noted no times."""
    (tmp_path / "plan.json").write_text(
        '{"model": "models/parts", "minutes": 60.0, "objects": null, "backgrounds": "stills", "processes": 2, '
        '"side_by_side": true, "appearance": true, "device": "auto", "seed": 0}'
    )
    for name in ("validation_frames", "training_frames", "segmentation"):
        (tmp_path / f"{name}.done").touch()
    machine = Machine(0.35)
    monkeypatch.setattr(full_run, "run_side_by_side", machine)
    run = FullRun(load_plan(tmp_path, PLAN), tmp_path, ["calibrate"])
    run.run()
    assert [step.name for step in machine.ran] == ["pose", "appearance", "calibrate"]
    assert float(arguments(machine.ran[0])["--minutes"]) == pytest.approx(0.93 * 0.53 * 60, abs=0.01)


def test_training_never_sees_the_validation_frames(tmp_path: Path) -> None:
    for seed in range(5):
        (val,), (train,), *_ = planned(FullRun(replace(PLAN, seed=seed), tmp_path))
        assert arguments(val)["--background-split"] == "test"
        assert arguments(train)["--background-split"] == "train"
        assert arguments(val)["--seed"] != arguments(train)["--seed"]
        assert arguments(val)["--out"] != arguments(train)["--out"]


def test_every_option_exists(tmp_path: Path) -> None:
    """The commands are defined elsewhere; a renamed option must not show after an hour of rendering."""
    top = typer.main.get_command(build())
    for group in planned(FullRun(replace(PLAN, objects="meshes"), tmp_path, list(COMMANDS))):
        for step in group:
            command, words = top, list(step.arguments)
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known, step.name


def test_a_run_goes_on_with_the_same_settings_only(tmp_path: Path) -> None:
    load_plan(tmp_path, PLAN)
    assert load_plan(tmp_path, PLAN) == PLAN
    assert json.loads((tmp_path / "plan.json").read_text())["minutes"] == 60.0
    with pytest.raises(ConfigError, match=r"minutes = 60\.0, not 30\.0"):
        load_plan(tmp_path, replace(PLAN, minutes=30.0))

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from pose_tracking.cli.main import COMMANDS, build
from pose_tracking.core.errors import ConfigError
from pose_tracking.training.full_run import FullRunPlan, Step, StepError, load_plan, run_steps, steps_of

PLAN = FullRunPlan("models/parts", 60.0, None, "stills", processes=2, side_by_side=True)


def arguments(step: Step) -> dict[str, str]:
    words = list(step.arguments)
    return {a: b for a, b in zip(words, words[1:], strict=False) if a.startswith("--") and not b.startswith("--")}


def test_steps_come_in_order_and_share_the_time(tmp_path: Path) -> None:
    steps = steps_of(PLAN, tmp_path, ["calibrate"])
    names = [[step.name for step in group] for group in steps]
    assert names == [
        ["validation frames"], ["training frames"], ["segmentation", "pose"], ["appearance"], ["calibrate"]
    ]  # fmt: skip
    assert [arguments(s)["--minutes"] for s in steps[2]] == ["36", "36"]
    one_by_one = steps_of(replace(PLAN, side_by_side=False), tmp_path)
    assert [arguments(s)["--minutes"] for group in one_by_one[2:4] for s in group] == ["18", "18"]
    # Rendering with both cores takes its share of the hour.
    assert PLAN.frames * 0.35 / 2 == pytest.approx(0.3 * 3600, rel=0.05)


def test_training_never_sees_the_validation_frames(tmp_path: Path) -> None:
    for seed in range(5):
        (val,), (train,), *_ = steps_of(replace(PLAN, seed=seed), tmp_path)
        assert arguments(val)["--background-split"] == "test"
        assert arguments(train)["--background-split"] == "train"
        assert arguments(val)["--seed"] != arguments(train)["--seed"]
        assert arguments(val)["--out"] != arguments(train)["--out"]


def test_every_option_exists(tmp_path: Path) -> None:
    """The commands are other rooms'; a renamed option must not show after an hour of rendering."""
    top = typer.main.get_command(build())
    for group in steps_of(replace(PLAN, objects="meshes"), tmp_path, list(COMMANDS)):
        for step in group:
            command, words = top, list(step.arguments)
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known, step.name


def test_a_walk_goes_on_with_the_same_settings_only(tmp_path: Path) -> None:
    load_plan(tmp_path, PLAN)
    assert load_plan(tmp_path, PLAN) == PLAN
    with pytest.raises(ConfigError, match=r"minutes = 60\.0, not 30\.0"):
        load_plan(tmp_path, replace(PLAN, minutes=30.0))


def test_a_done_step_is_not_run_again_and_a_failed_one_is_named(tmp_path: Path) -> None:
    done = Step("version", ("--version",))
    run_steps([[done]], tmp_path)
    assert (tmp_path / "version.done").is_file()
    fails = Step("evaluation", ("evaluate", "--no-such-option"))
    # Were the first run again, its missing result would be the error.
    again = replace(done, result=tmp_path / "never")
    with pytest.raises(StepError, match="evaluation: ended with status 2"):
        run_steps([[again], [fails]], tmp_path)
    assert not (tmp_path / "evaluation.done").exists()


def test_steps_side_by_side_write_logs(tmp_path: Path) -> None:
    run_steps([[Step("one", ("--version",)), Step("two", ("--version",))]], tmp_path)
    assert "pose_tracking" in (tmp_path / "one.log").read_text()
    assert (tmp_path / "two.done").is_file()


def test_a_step_without_its_result_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="frames: ended with status 0"):
        run_steps([[Step("frames", ("--version",), tmp_path / "frames.zip")]], tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="a process learns of its parent's end on Linux only")
def test_a_step_ends_with_a_killed_walk() -> None:
    """Repeating the command must not meet a training that goes on in the same folder."""
    parent = (
        "import subprocess, time; from pose_tracking.training.full_run import _end_with_parent\n"
        "print(subprocess.Popen(['sleep', '60'], preexec_fn=_end_with_parent).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the step went on without its walk")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"

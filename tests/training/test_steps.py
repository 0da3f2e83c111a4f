"""Commands as steps: markers, logs, time, environment, and the end of a killed parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pose_tracking.training import steps as steps_module
from pose_tracking.training.steps import Clock, Step, StepError, is_done, run_side_by_side


def run(steps: Sequence[Step], folder: Path) -> list[str]:
    return run_side_by_side(steps, folder, Clock(folder), "steps")


def test_a_done_step_is_not_run_again_and_a_failed_one_is_named(tmp_path: Path) -> None:
    done = Step("version", ("--version",))
    run([done], tmp_path)
    assert (tmp_path / "version.done").is_file()
    fails = Step("evaluation", ("evaluate", "--no-such-option"))
    # Were the first run again, its missing result would be the error.
    again = replace(done, result=tmp_path / "never")
    run([again], tmp_path)
    with pytest.raises(StepError, match="evaluation: ended with status 2"):
        run([fails], tmp_path)
    assert not (tmp_path / "evaluation.done").exists()


def test_an_optional_step_that_fails_is_named_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Step("evaluation", ("evaluate", "--no-such-option"), optional=True)
    assert run([step], tmp_path) == ["evaluation"]
    assert "evaluation: ended with status 2, see above: left out" in capsys.readouterr().out
    assert not is_done(tmp_path, [step])
    # One that was stopped has not failed: what comes after it must wait until it goes on.
    start = subprocess.Popen
    stopped = [sys.executable, "-c", "raise SystemExit(130)"]
    monkeypatch.setattr(steps_module.subprocess, "Popen", lambda command, **more: start(stopped))
    with pytest.raises(StepError, match="status 130"):
        run([step], tmp_path)


def test_steps_side_by_side_write_logs(tmp_path: Path) -> None:
    run([Step("one", ("--version",)), Step("two", ("--version",))], tmp_path)
    assert "pose_tracking" in (tmp_path / "one.log").read_text()
    assert (tmp_path / "two.done").is_file()


def test_a_step_without_its_result_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="frames: ended with status 0"):
        run([Step("frames", ("--version",), tmp_path / "frames.zip")], tmp_path)


def test_time_adds_up_over_restarts(tmp_path: Path) -> None:
    step = Step("version", ("--version",))
    assert not is_done(tmp_path, [step])
    run([step], tmp_path)
    assert is_done(tmp_path, [step])
    first = Clock(tmp_path).seconds["steps"]
    assert first > 0
    run([Step("again", ("--version",))], tmp_path)
    assert Clock(tmp_path).seconds["steps"] > first


def test_a_damaged_clock_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "seconds.json").write_text('{"steps": 1')
    clock = Clock(tmp_path)
    clock.add("steps", 2.0)
    assert json.loads((tmp_path / "seconds.json").read_text()) == {"steps": 2.0}


@pytest.mark.parametrize("chosen", [None, "active"])
def test_steps_wait_passively_unless_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    if chosen is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    given: dict[str, str] = {}
    start = subprocess.Popen

    def popen(command: list[str], **more: object) -> object:
        given.update(more["env"])  # type: ignore[call-overload]
        return start([sys.executable, "-c", ""])

    monkeypatch.setattr(steps_module.subprocess, "Popen", popen)
    run([Step("any", ())], tmp_path)
    assert given["OMP_WAIT_POLICY"] == (chosen or "passive")
    assert given["PATH"] == os.environ["PATH"]


@pytest.mark.skipif(sys.platform != "linux", reason="a process learns of its parent's end on Linux only")
def test_a_step_ends_with_a_killed_run() -> None:
    """Repeating the command must not meet a training that goes on in the same folder."""
    parent = (
        "import subprocess, time; from pose_tracking.training.steps import _end_with_parent\n"
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
    pytest.fail("the step went on after its parent")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"

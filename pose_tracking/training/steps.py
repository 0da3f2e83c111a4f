"""Runs `pose-tracking` commands as steps of something longer, each in its own process, and goes on after a stop."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.core.files import write_json, write_text

from .processes import environment

CLOCK_FILE = "seconds.json"
POLL_SECONDS = 5.0  # between two notes of the time used: as much a kill may lose
PR_SET_PDEATHSIG = 1  # prctl(2)
STOPPED = 130  # status of a command that a signal asked to stop


class StepError(PoseTrackingError):
    """A step failed; its own message is above or in its log."""


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of its marker and its log.
        arguments: of ``pose-tracking``.
        result: the file that is there when it is done, if it makes one.
        optional: whether what comes after it can do without it.
    """

    name: str
    arguments: tuple[str, ...]
    result: Path | None = None
    optional: bool = False


class Clock:
    """Seconds that each named part took, over all restarts, kept in a work folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / CLOCK_FILE
        try:
            self.seconds: dict[str, float] = json.loads(self.path.read_text())
        except (OSError, ValueError):  # not there yet, or written by a version without it
            self.seconds = {}

    def add(self, name: str, seconds: float) -> None:
        """Note that `name` took so much longer."""
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 1)
        write_json(self.path, self.seconds)


def is_done(folder: Path, steps: Sequence[Step]) -> bool:
    """Whether all of `steps` have left their markers in `folder`."""
    return all(_marker(folder, step).is_file() for step in steps)


def run_side_by_side(steps: Sequence[Step], folder: Path, clock: Clock, name: str) -> list[str]:
    """Run those of `steps` that are not done yet, at the same time.

    A step alone shows its own progress; several write to ``<name>.log``.

    Args:
        steps: what to run.
        folder: for markers and logs.
        clock: where the time goes.
        name: under which name.

    Returns:
        The names of optional steps that failed; they leave no marker.

    Raises:
        StepError: a step failed that is not optional, or ended without its result. What is done stays done.
    """
    waiting = [step for step in steps if not _marker(folder, step).is_file()]
    failed = []
    with ExitStack() as stack:
        running = []
        for step in waiting:
            command = [sys.executable, "-m", "pose_tracking.cli", *step.arguments]
            log = folder / f"{step.name}.log" if len(waiting) > 1 else None
            print(f"== {step.name}" + ("" if log is None else f" (progress in {log})"), flush=True)
            output = None if log is None else stack.enter_context(log.open("a"))
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment(), preexec_fn=_end_with_parent
            )
            stack.callback(_end, process)
            running.append((step, process, log))
        for step, process, log in running:
            code = _wait(process, clock, name)
            if code != 0 or (step.result is not None and not step.result.exists()):
                where = "see above" if log is None else f"see {log}"
                message = f"{step.name}: ended with status {code}, {where}"
                if not step.optional or code < 0 or code == STOPPED:
                    raise StepError(f"{message}; the same command goes on")
                print(f"{message}: left out", flush=True)
                failed.append(step.name)
                continue
            write_text(_marker(folder, step), " ".join(step.arguments) + "\n")
    return failed


def _wait(process: subprocess.Popen[bytes], clock: Clock, name: str) -> int:
    """The exit status of `process`, once it ends; the time until then is noted."""
    noted = time.monotonic()
    while True:
        try:
            return process.wait(POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            now = time.monotonic()
            clock.add(name, now - noted)
            noted = now


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

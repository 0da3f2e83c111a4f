"""The log of a training."""

from __future__ import annotations

from pathlib import Path

from pose_tracking.training.log import TrainingLog, read_log


def test_steps_that_a_kill_threw_away_are_dropped(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    for step in (5, 10, 15):
        log.add({"step": step, "loss": 1.0})
    with log.path.open("a") as file:
        file.write('{"step": 20, "lo')  # cut short by the kill
    assert [record["step"] for record in read_log(log.path)] == [5, 10, 15]
    log.trim(10)
    log.add({"step": 11, "loss": 0.5})
    assert [record["step"] for record in read_log(log.path)] == [5, 10, 11]
    log.trim(0)
    assert read_log(log.path) == []


def test_losses_and_evaluations_are_drawn(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.add({"step": 5, "seconds": 1.0, "lr": 0.1, "loss": 2.0, "grad_norm": 1.0})
    log.add({"step": 5, "seconds": 1.0, "eval_recall": 0.5})
    log.plot()
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")

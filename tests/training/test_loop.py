"""The training loop: budget, signals, losses that are not finite, resuming."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from regression_run import Regression

from pose_tracking.core.errors import ConfigError
from pose_tracking.training.errors import TrainingError
from pose_tracking.training.log import read_log


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path, ema: float) -> None:
    whole = Regression(tmp_path / "whole", steps=40, ema=ema).run()
    killed = Regression(tmp_path / "killed", steps=40, ema=ema)
    killed.save_at, killed.kill_at = 17, 23  # dies without saving: the checkpoint after 17 steps is what is left
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    again = Regression(tmp_path / "killed", steps=40, ema=ema)
    assert again.loop.resume()
    assert again.loop.step == 17
    resumed = again.run()
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    steps = [r["step"] for r in read_log(tmp_path / "killed" / "log.jsonl")]
    assert steps == sorted(set(steps))
    assert steps[-1] == 40


def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    run = Regression(tmp_path, steps=1000)
    original = run.losses

    def ask_at_ten(batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        if step == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(batch, step)

    run.losses = ask_at_ten  # type: ignore[method-assign]
    run.run()
    assert run.loop.step == 11
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 11


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path: Path) -> None:
    run = Regression(tmp_path, steps=40)
    run.poison_at = 12
    with pytest.raises(TrainingError, match="not finite at step 12") as error:
        run.run()
    assert "\n" not in str(error.value)
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


def test_the_budget_ends_training(tmp_path: Path) -> None:
    run = Regression(tmp_path, minutes=0.003)
    run.run()
    assert run.loop.step > 0
    assert run.loop.seconds >= 0.18
    with pytest.raises(ConfigError, match="--steps or --minutes"):
        Regression(tmp_path)


@pytest.mark.parametrize("steps", [20, 1000])
def test_the_warm_up_is_at_most_a_tenth_of_the_minutes(tmp_path: Path, steps: int) -> None:
    """A slow machine gets through few steps in its minutes."""
    run = Regression(tmp_path, minutes=10, warmup_steps=60)
    rates: list[float] = []
    original = run.losses

    def noting(batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        rates.append(run.loop.optimizer.param_groups[0]["lr"])
        run.loop.seconds = 600 * (step + 1) / steps
        return original(batch, step)

    run.losses = noting  # type: ignore[method-assign]
    run.run()
    assert len(rates) == steps
    assert max(rates) > 0.9e-2
    assert rates.index(max(rates)) <= min(0.1 * steps, 60)


@pytest.mark.parametrize(("evaluate_at_end", "progress"), [(True, [0.4, 0.8, 1.0]), (False, [0.4, 0.8])])
def test_nothing_is_evaluated_just_before_the_end(tmp_path: Path, evaluate_at_end: bool, progress: list[float]) -> None:
    """On a slow machine an evaluation takes a minute that counts in a short training."""
    run = Regression(tmp_path, minutes=10, evaluate_minutes=3.1)
    original, seen = run.losses, []

    def a_minute_each(batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        run.loop.seconds = 60.0 * (step + 1)
        return original(batch, step)

    def evaluate(model: torch.nn.Module) -> dict[str, float]:
        seen.append(round(run.loop.progress, 2))
        return {"fit": 0.0}

    run.loop.run(run.batches, a_minute_each, evaluate, "fit", evaluate_at_end)
    assert seen == progress
    late = Regression(tmp_path / "late", minutes=10, evaluate_minutes=9.1)
    run, seen = late, []
    original = late.losses
    late.loop.run(late.batches, a_minute_each, evaluate, "fit")
    assert seen == [1.0]

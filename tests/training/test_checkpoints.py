"""Checkpoints: of today and of version 0.1.0, damaged ones, and exported weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from regression_run import Regression
from safetensors.torch import load_file

from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.errors import TrainingError

VERSION_0_1_0 = Path(__file__).parent / "checkpoint_0_1_0"


def test_a_corrupt_checkpoint_is_named(tmp_path: Path) -> None:
    assert not Regression(tmp_path, steps=5).loop.resume()
    Regression(tmp_path, steps=5).run()
    weights = next(tmp_path.glob("weights_*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(TrainingError, match="cannot be resumed"):
        Regression(tmp_path, steps=9).loop.resume()


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    Regression(tmp_path, steps=5, ema=0.5).run()
    again = Regression(tmp_path, steps=9, ema=0.5)
    again.loop.resume()
    again.run()
    assert {p.name for p in tmp_path.glob("*_0*")} == {
        "weights_00000009.safetensors",
        "average_00000009.safetensors",
        "optimizer_00000009.pt",
    }


def test_a_run_of_version_0_1_0_goes_on_to_the_same_average(tmp_path: Path) -> None:
    """The files were written by 0.1.0, which averaged weights with code of its own: 17 of 40 steps, and all of them."""
    run_dir = tmp_path / "run"
    shutil.copytree(VERSION_0_1_0, run_dir)
    again = Regression(run_dir, steps=40, ema=0.9)
    assert again.loop.resume()
    assert again.loop.step == 17
    torch.testing.assert_close(again.loop.final_weights(), load_file(run_dir / "average_00000017.safetensors"))
    whole = load_file(VERSION_0_1_0 / "average_of_a_whole_run.safetensors")
    torch.testing.assert_close(again.run(), whole, rtol=1e-4, atol=1e-5)


def test_weights_too_large_for_half_precision_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="half precision"):
        export_half({"w": torch.full((2,), 1e6)}, tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []

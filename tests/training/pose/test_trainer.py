"""Training of the pose networks: losses, export, resuming and stopping."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.training.errors import TrainingError
from pose_tracking.training.loop import TrainingLoop
from pose_tracking.training.pose.data import PoseBatch
from pose_tracking.training.pose.options import PoseTrainingOptions
from pose_tracking.training.pose.trainer import POSE_FILE, REPORT_FILE, PoseTrainer
from pose_tracking.training.pose.validation import FEWEST_BATCHES, PoseValidation

CONFIG = PoseConfig(crop=CropConfig(size=32, points=48), refine_points=32)
OPTIONS = PoseTrainingOptions(
    minutes=60.0, batch_size=4, crops_per_frame=2, min_points=32, head_points=16, model_points=24, imagenet=False,
    frozen_groups=0, validation_crops=4, evaluate_minutes=1000.0,
)  # fmt: skip


def _trainer(objects: ObjectSet, pack: PackedDataset, out: Path, steps: int, **changes: Any) -> PoseTrainer:
    """A trainer whose stages end after `steps` steps instead of minutes."""
    trainer = PoseTrainer(CONFIG, objects, [pack], [pack], out, replace(OPTIONS, **changes))
    make = trainer._loop

    def loop(*args: Any) -> TrainingLoop:
        made = make(*args)
        made.options = replace(made.options, minutes=None, steps=steps)
        return made

    trainer._loop = loop  # type: ignore[assignment,method-assign]
    return trainer


def test_perfect_poses_cost_nothing(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    trainer = _trainer(objects, pack, tmp_path, 1)
    batch = trainer.batches.batch(0)
    turned = batch.target[:, None] @ trainer.targets.symmetries_of(batch)
    for s in range(2):
        rotation, translation = turned[:, s : s + 1, :3, :3], turned[:, s : s + 1, :3, 3]
        assert float(trainer.targets.distances(batch, rotation, translation).max()) < 1e-4
    moved = translation + 0.2 * (trainer.targets.diameters[batch.object_index] / batch.scale)[
        :, None, None
    ] * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(
        trainer.targets.distances(batch, rotation, moved), torch.full((4, 1), 0.2), atol=1e-4, rtol=0
    )


def test_run_learns_exports_and_resumes(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    report = _trainer(objects, pack, tmp_path / "run", 3).run()
    assert report is not None
    assert set(report) >= {"mean", "mean_refined", "median", "block_1", "block_3_refined"}
    assert json.loads((tmp_path / "run" / REPORT_FILE).read_text()) == pytest.approx(report)
    weights = load_file(tmp_path / "run" / POSE_FILE)
    assert weights["out.weight"].dtype == torch.float16
    with pytest.raises(ConfigError, match="--resume"):
        _trainer(objects, pack, tmp_path / "run", 3).run()

    _trainer(objects, pack, tmp_path / "run", 5).run(resume=True)
    pointer = json.loads((tmp_path / "run" / "estimator" / "checkpoint.json").read_text())
    assert pointer["step"] == 5
    changed = load_file(tmp_path / "run" / POSE_FILE)
    assert not torch.equal(changed["out.weight"], weights["out.weight"])


def test_an_evaluation_ends_with_its_time(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    """500 crops take over a minute on a machine that others use too, and there are three evaluations."""
    trainer = _trainer(objects, pack, tmp_path, 1, batch_size=1, validation_crops=4)
    looked_at = []
    errors = type(trainer.validation)._errors

    def counting(validation: PoseValidation, batch: PoseBatch, *networks: Any) -> dict[str, torch.Tensor]:
        looked_at.append(batch)
        return errors(validation, batch, *networks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PoseValidation, "_errors", counting)
        trainer.validation.measure(trainer.estimator)
        assert len(looked_at) >= 4
        looked_at.clear()
        trainer.validation.measure(trainer.estimator, seconds=0.0)
        assert len(looked_at) == FEWEST_BATCHES
        looked_at.clear()
        trainer.options = replace(trainer.options, validation_share=0.0)
        assert trainer.run() is not None
        # At the end of the estimator, and of what is exported: the refiner's own end is that.
        assert len(looked_at) == 2 * FEWEST_BATCHES


def test_non_finite_loss_stops(
    objects: ObjectSet, pack: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(objects, pack, tmp_path, 3)
    with torch.no_grad():
        dict(trainer.estimator.named_parameters())["out.bias"][0] = torch.nan
    with pytest.raises(TrainingError, match="not finite at step 0"):
        trainer.run()
    assert not (tmp_path / POSE_FILE).exists()


def test_training_without_meshes_is_named(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    bare = ObjectSet({obj_id: replace(model, mesh_path=None) for obj_id, model in objects.items()})
    with pytest.raises(BundleError, match="--objects"):
        PoseTrainer(CONFIG, bare, [pack], [pack], tmp_path, OPTIONS)

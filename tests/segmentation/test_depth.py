"""Depth in the detector: its training data and its layers; see test_depth_channels for what goes in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from shape_scenes import shape_scene
from torchvision.models.detection import MaskRCNN

from pose_tracking.core.errors import BundleError
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.depth import DepthBranch, depth_channels
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn
from pose_tracking.segmentation.network_input import to_network_input
from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.segmentation.crops import CropBatches, CropOptions, change_depth, cut
from pose_tracking.training.segmentation.trainer import SegmentationTraining, build_training_model, losses
from pose_tracking.training.start import load_matching

COLOUR = SegmentationConfig(
    fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30, score_threshold=0.0, max_detections=12
)
RGBD = replace(COLOUR, depth=True)
OBJ_IDS = (2, 5, 7)
CROPS = CropOptions(width=160, height=128, batch=2, no_depth=0.0)


# -- training data --------------------------------------------------------------------------------------------------


def test_crops_take_depth_and_camera_along() -> None:
    sample = shape_scene(0)
    rng = np.random.default_rng(3)
    image, _, depth, camera = cut(
        sample, {2: 0, 5: 1, 7: 2}, replace(CROPS, color_jitter=0.0, noise=0.0, blur=0.0), rng
    )
    assert depth.shape == image.shape[:2] == (camera.height, camera.width)
    # The crop's pixels, seen through its own camera, hit the frame's pixels of the same depth and colour.
    points = camera.backproject(depth)[5:-5:9, 5:-5:9]
    seen = depth[5:-5:9, 5:-5:9] > 0
    pixels = np.round(sample.frame.intrinsics.project(points[seen])).astype(int)
    there = sample.frame.depth[pixels[:, 1], pixels[:, 0]]
    assert np.mean(np.abs(there - depth[5:-5:9, 5:-5:9][seen]) < 1e-3) > 0.9
    colours = sample.frame.color[pixels[:, 1], pixels[:, 0]].astype(float)
    assert np.median(np.abs(colours - image[5:-5:9, 5:-5:9][seen])) < 12


def test_images_are_the_same_with_and_without_depth() -> None:
    scenes = [shape_scene(i) for i in range(2)]
    classes = {2: 0, 5: 1, 7: 2}
    colour, both = (CropBatches(scenes, classes, CROPS, 3, depth)[5] for depth in (False, True))
    assert colour.depths == []
    assert [d.shape for d in both.depths] == [(6, 128, 160)] * 2
    for one, other in zip(colour.images, both.images, strict=True):
        np.testing.assert_array_equal(one, other)
    again = CropBatches(scenes, classes, CROPS, 3, True)[5]
    np.testing.assert_array_equal(both.depths[1], again.depths[1])


def test_depth_is_disturbed_as_asked() -> None:
    depth = np.full((120, 160), 2.0, np.float32)
    depth[:20] = 0
    assert not change_depth(depth, replace(CROPS, no_depth=1.0), np.random.default_rng(0)).any()
    still = replace(CROPS, depth_noise=0.0, depth_scale=0.0, depth_holes=0.0)
    np.testing.assert_array_equal(change_depth(depth, still, np.random.default_rng(0)), depth)
    holes = change_depth(depth, replace(still, depth_holes=1.0), np.random.default_rng(0))
    assert 0 < (holes[20:] == 0).mean() < 0.9
    assert set(np.unique(holes)) == {0.0, 2.0}
    noisy = [change_depth(depth, replace(still, depth_noise=0.002), np.random.default_rng(i)) for i in range(30)]
    spread = [float(image[20:].std()) for image in noisy]
    assert max(spread) < 0.002 * 4 * 1.05  # four times as much at 2 m
    assert max(spread) > 0.002 * 3
    assert not noisy[0][:20].any()


# -- network --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def colour_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    model = build_mask_rcnn(COLOUR, len(OBJ_IDS))
    for layer in (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_predictor.mask_fcn_logits):
        torch.nn.init.normal_(layer.weight, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "colour.safetensors"
    export_half(model.state_dict(), path)
    return path


def started(config: SegmentationConfig, weights: Path) -> MaskRCNN:
    torch.manual_seed(0)
    model = build_training_model(config, len(OBJ_IDS), SegmentationTraining(anchor_samples=32, region_samples=16))
    missing = load_matching(model, weights)
    assert all(name.startswith("backbone.depth.") for name in missing)
    assert bool(missing) == config.depth
    return model


def learn_depth(model: MaskRCNN) -> None:
    """Give the projections weights, as training does."""
    for parameter in model.backbone.depth.projections.parameters():
        torch.nn.init.normal_(parameter, std=0.2)


def test_colour_weights_start_a_depth_detector_with_equal_outputs(colour_weights: Path) -> None:
    frame = shape_scene(1).frame
    colour, both = (
        TorchvisionSegmenter(config, OBJ_IDS, started(config, colour_weights)).segment(frame)
        for config in (COLOUR, RGBD)
    )
    assert len(colour) > 0
    np.testing.assert_array_equal(colour.obj_ids, both.obj_ids)
    np.testing.assert_array_equal(colour.scores, both.scores)
    np.testing.assert_array_equal(colour.boxes, both.boxes)
    np.testing.assert_array_equal(colour.masks, both.masks)


def test_a_bundle_is_strict_about_its_own_weights(colour_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"lacks weight backbone\.depth"):
        TorchvisionSegmenter(RGBD, OBJ_IDS, colour_weights)
    model = started(RGBD, colour_weights)
    learn_depth(model)
    export_half(model.state_dict(), tmp_path / "rgbd.safetensors")
    with pytest.raises(BundleError, match=r"unexpected weight backbone\.depth"):
        TorchvisionSegmenter(COLOUR, OBJ_IDS, tmp_path / "rgbd.safetensors")
    frame = shape_scene(1).frame
    shipped = TorchvisionSegmenter(RGBD, OBJ_IDS, tmp_path / "rgbd.safetensors").segment(frame)
    own = TorchvisionSegmenter(RGBD, OBJ_IDS, model).segment(frame)
    np.testing.assert_allclose(shipped.scores[:5], own.scores[:5], atol=0.02)
    load_matching(build_mask_rcnn(COLOUR, 3), tmp_path / "rgbd.safetensors")  # and back to colour


def test_depth_reaches_the_outputs_and_may_be_missing(colour_weights: Path) -> None:
    model = started(RGBD, colour_weights)
    learn_depth(model)
    segmenter = TorchvisionSegmenter(RGBD, OBJ_IDS, model)
    frame = shape_scene(2).frame
    seen = segmenter.segment(frame)
    for depth in (np.zeros_like(frame.depth), np.full_like(frame.depth, np.nan)):
        blind = segmenter.segment(replace(frame, depth=depth))
        assert len(blind) > 0
        assert np.isfinite(blind.scores).all()
        assert not np.array_equal(seen.scores, blind.scores)


def test_images_too_large_for_the_network_are_shrunk_with_their_depth(colour_weights: Path) -> None:
    model = started(RGBD, colour_weights)
    inputs: list[torch.Tensor] = []
    hook = model.backbone.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    frame = shape_scene(1, 320, 240).frame
    TorchvisionSegmenter(RGBD, OBJ_IDS, model).segment(frame)
    TorchvisionSegmenter(replace(RGBD, max_width=160), OBJ_IDS, model).segment(frame)
    hook.remove()
    full, half = (x[0, 3:].numpy() for x in inputs)
    assert half.shape == (6, 128, 160)
    both = (full[5, :240:2, ::2] > 0) & (half[5, :120] > 0)
    # Half the pixels: each spans twice as much.
    difference = (half[0, :120] - full[0, :240:2, ::2])[both]
    assert np.median(difference) == pytest.approx(np.log(2) / 0.8, abs=0.01)


@pytest.mark.parametrize("frozen", [0, 2, 5])
def test_a_step_moves_the_projections_whatever_is_frozen(colour_weights: Path, frozen: int) -> None:
    model = started(RGBD, colour_weights).train()
    model.backbone.body.freeze(frozen, True)
    model.backbone.body.frozen_in_bf16 = frozen == 2
    batch = CropBatches([shape_scene(i) for i in range(2)], {2: 0, 5: 1, 7: 2}, CROPS, 0, True)[0]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for _ in range(2):  # the layers below the projections get no gradient while those are zero
        torch.manual_seed(0)
        optimizer.zero_grad()
        torch.stack(list(losses(model, batch, RGBD, torch.device("cpu")).values())).sum().backward()
        optimizer.step()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert {k for k in before if k.startswith("backbone.depth.")} <= moved
    assert ("backbone.body.stem.weight" in moved) == (frozen == 0)
    assert ("backbone.body.groups.4.0.layers.0.weight" in moved) == (frozen < 5)


def test_frozen_layers_give_the_same_maps_in_training_and_use(colour_weights: Path) -> None:
    model = started(RGBD, colour_weights)
    learn_depth(model)
    x = torch.randn(1, 9, 64, 96)
    with torch.no_grad():
        free = model.backbone(x)
        model.backbone.body.freeze(3)
        frozen = model.backbone(x)
    for level, features in free.items():
        torch.testing.assert_close(frozen[level], features)


def test_the_network_input_holds_colours_then_depth() -> None:
    frame = shape_scene(1, 100, 70).frame
    channels = depth_channels(frame.depth, frame.intrinsics)
    images = to_network_input([frame.color], RGBD, torch.device("cpu"), [channels])
    assert images.tensors.shape == (1, 9, 96, 128)
    np.testing.assert_array_equal(images.tensors[0, 3:, :70, :100].numpy(), channels)
    assert not images.tensors[0, :, 70:].any()
    colour = to_network_input([frame.color], COLOUR, torch.device("cpu")).tensors
    torch.testing.assert_close(images.tensors[:, :3], colour)


@pytest.mark.parametrize("changes", [{"backbone": "resnet50"}, {"strides": (4, 8)}])
def test_every_backbone_takes_depth(changes: dict) -> None:
    with torch.no_grad():
        model = build_mask_rcnn(replace(RGBD, **changes), 2).eval()
        x = torch.rand(1, 9, 64, 64)
        before = model.backbone(x)
        learn_depth(model)
        after = model.backbone(x)
    assert all(not torch.equal(before[level], after[level]) for level in before)


def test_the_branch_is_small() -> None:
    branch = DepthBranch({4: 24, 8: 40, 16: 112})
    assert sum(p.numel() for p in branch.parameters()) < 250_000
    x = torch.zeros(2, 6, 64, 96)
    assert {s: tuple(y.shape) for s, y in branch(x).items()} == {
        4: (2, 24, 16, 24), 8: (2, 40, 8, 12), 16: (2, 112, 4, 6)
    }  # fmt: skip

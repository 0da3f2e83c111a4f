"""The detector on other engines: what PyTorch gives, on the shipped weights, at every size of image."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core import workers
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.engine import Engine, TorchEngine
from pose_tracking.segmentation import SegmentationConfig, network_parts
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn
from pose_tracking.segmentation.network_parts import NetworkParts, PartSizes
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

SIZES = ((128, 160), (480, 640), (96, 96), (128, 160))  # back to one that was there before


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return ModelBundle.load("demo")


@pytest.fixture(scope="module")
def frames(bundle: ModelBundle) -> list[RGBDFrame]:
    """Two sizes of frames with the bundle's objects in view."""
    (sample,) = SequenceSimulator(bundle.objects, SequenceConfig(frames=1), 71001)
    frame = sample.frame
    part = replace(frame.intrinsics, width=560, height=400)
    return [frame, RGBDFrame(frame.color[:400, :560], frame.depth[:400, :560], part), frame]


def detector(bundle: ModelBundle, engine: Engine | None = None) -> TorchvisionSegmenter:
    return TorchvisionSegmenter(
        bundle.config.segmentation, tuple(bundle.objects), bundle.segmentation_weights, "cpu", engine
    )


@pytest.fixture(scope="module")
def on_torch(bundle: ModelBundle) -> TorchvisionSegmenter:
    return detector(bundle)


def engine_of(name: str, precision: str) -> Engine:
    """Skips where its packages, or the arithmetic, are not there."""
    for package in {"openvino": ["openvino"], "onnxruntime": ["onnxruntime", "onnx"]}.get(name, []):
        pytest.importorskip(package)
    if name == "openvino" and precision == "bf16":
        from pose_tracking.networks.engines.openvino_engine import computes_bf16

        if not computes_bf16():
            pytest.skip("this CPU has no bf16")
    return choose_engine(InferenceConfig(name, precision))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_fp32_finds_the_same_instances(
    name: str, bundle: ModelBundle, on_torch: TorchvisionSegmenter, frames: list[RGBDFrame]
) -> None:
    engine = engine_of(name, "fp32")
    segmenter = detector(bundle, engine)
    assert engine.on_torch == []
    for frame in frames:
        want, got = on_torch.segment(frame), segmenter.segment(frame)
        assert len(want) >= 4
        np.testing.assert_array_equal(got.obj_ids, want.obj_ids)
        np.testing.assert_allclose(got.scores, want.scores, atol=1e-3)
        np.testing.assert_allclose(got.boxes, want.boxes, atol=0.02)
        assert (got.masks != want.masks).mean() < 1e-5
        np.testing.assert_allclose(got.roi_features, want.roi_features, atol=0.02)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_bf16_finds_what_is_there(
    name: str, bundle: ModelBundle, on_torch: TorchvisionSegmenter, frames: list[RGBDFrame]
) -> None:
    segmenter = detector(bundle, engine_of(name, "bf16"))
    want, got = on_torch.segment(frames[0]), segmenter.segment(frames[0])
    sure = want.scores > 0.5
    assert sure.sum() >= 4
    for i in np.flatnonzero(sure):
        of_class = got.obj_ids == want.obj_ids[i]
        overlap = (got.masks & want.masks[i]).sum((1, 2)) / (got.masks | want.masks[i]).sum((1, 2)) * of_class
        assert overlap.max() > 0.95
        assert got.scores[overlap.argmax()] == pytest.approx(want.scores[i], abs=0.05)
    assert (got.scores > 0.5).sum() == sure.sum()


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_images_of_any_size_have_the_same_features(name: str, bundle: ModelBundle) -> None:
    model, config = detector(bundle).model, bundle.config.segmentation
    parts = NetworkParts(model, PartSizes.of(config), engine_of(name, "fp32"))
    for height, width in SIZES:
        images = torch.rand(1, 9, height, width)
        with torch.inference_mode():
            wanted, found = (
                NetworkParts(model, PartSizes.of(config), TorchEngine()).features(images),
                parts.features(images),
            )
        for stride, maps in wanted.maps.items():
            torch.testing.assert_close(found.maps[stride], maps, atol=2e-3, rtol=1e-3)
        for want, got in zip(wanted.logits + wanted.deltas, found.logits + found.deltas, strict=True):
            torch.testing.assert_close(got, want, atol=2e-3, rtol=1e-3)


def test_proposals_are_those_of_torchvision() -> None:
    config = SegmentationConfig(fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30)
    torch.manual_seed(1)
    model = build_mask_rcnn(config, 2).eval()
    images = ImageList(torch.rand(1, 3, 96, 128), [(90, 120)])
    parts = NetworkParts(model, PartSizes.of(config), TorchEngine())
    with torch.inference_mode():
        features = parts.features(images.tensors)
        (found,) = parts.proposals(images, features)
        (wanted,) = model.rpn(images, model.backbone(images.tensors))[0]
    assert len(found) == 30
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-5)


def test_the_bundle_hands_its_options_on(bundle: ModelBundle) -> None:
    segmenter = bundle.build_segmenter("cpu", InferenceConfig("torch", "fp32"))
    assert str(segmenter.engine) == "torch fp32"  # type: ignore[attr-defined]
    pytest.importorskip("openvino")
    segmenter = bundle.build_segmenter("cpu", InferenceConfig("openvino", "fp32"))
    assert str(segmenter.engine) == "openvino fp32"  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [0, 1, 40, 150])
def test_boxes_that_threads_share_have_the_same_features(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SegmentationConfig()
    torch.manual_seed(0)
    parts = NetworkParts(build_mask_rcnn(config, 2).eval(), PartSizes.of(config), TorchEngine())
    maps = OrderedDict((str(s), torch.rand(1, config.fpn_channels, 480 // s, 640 // s)) for s in config.strides)
    corners = torch.rand(count, 2) * torch.tensor([600.0, 440.0])
    boxes = torch.cat([corners, corners + 2 + 100 * torch.rand(count, 2)], 1)
    features = []
    for threads in (1, 3, 3):
        monkeypatch.setattr(network_parts, "compute_threads", lambda threads=threads: threads)
        monkeypatch.setattr(workers, "compute_threads", lambda threads=threads: threads)
        with torch.inference_mode():
            features.append(parts.box_features(maps, boxes, [(480, 640)]))
    assert features[0].shape == (count, config.fpn_channels, config.roi_size, config.roi_size)
    assert torch.equal(features[0], features[1])
    assert torch.equal(features[0], features[2])

"""Appearance of detectors that give none: colours, or a re-identification network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pose_tracking.core.errors import BundleError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.config import ReidConfig
from pose_tracking.segmentation.external.identity import ColorHistogram, ReidNetwork, WithFeatures
from pose_tracking.segmentation.segmenter import Segmenter


def person(rng: np.random.Generator, coat: tuple[int, int, int], legs: tuple[int, int, int]) -> np.ndarray:
    """A noisy (128, 64, 3) figure in front of a background of any colour, in some light."""
    crop = np.empty((128, 64, 3))
    crop[:] = rng.integers(0, 255, 3)
    crop[15:70, 12:52], crop[70:125, 16:48] = coat, legs
    light = rng.uniform(0.9, 1.1)
    return np.clip(light * (crop + rng.normal(0, 10, crop.shape)), 0, 255).astype(np.uint8)


def test_colours_tell_clothes_from_each_other() -> None:
    rng = np.random.default_rng(0)
    coats = [((200, 30, 30), (30, 30, 40)), ((40, 60, 180), (190, 180, 160)), ((60, 160, 60), (30, 30, 160))]
    crops = [person(rng, *coats[i % 3]) for i in range(30)]
    frame = RGBDFrame.of_color(np.concatenate(crops, 1))
    boxes = np.array([[64 * i, 0, 64 * i + 64, 128] for i in range(30)], np.float32)
    masks = np.zeros((30, *frame.color.shape[:2]), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0 + 15 : y1 - 3, x0 + 16 : x1 - 16] = True
    features = ColorHistogram()(frame, boxes, masks)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    distance = 1 - features @ features.T
    same = np.arange(30)[:, None] % 3 == np.arange(30)[None] % 3
    assert distance[same].max() < 0.2 < distance[~same].min()


def test_colours_see_the_mask_alone() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 20:80, 40:60] = True
    image[20:80, 40:60] = (180, 20, 20)
    other = image.copy()
    other[~mask[0]] = (10, 200, 10)
    box = np.array([[10, 10, 90, 90]], np.float32)
    one, two = (ColorHistogram()(RGBDFrame.of_color(picture), box, mask) for picture in (image, other))
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert one.max() > 0


def test_boxes_at_the_border_and_of_one_pixel() -> None:
    frame = RGBDFrame.of_color(np.zeros((50, 60, 3), np.uint8))
    boxes = np.array([[59.2, 49.5, 60, 50], [0, 0, 60, 50], [0, 0, 1, 1]], np.float32)
    features = ColorHistogram()(frame, boxes, np.zeros((3, 50, 60), bool))
    assert features.shape == (3, ColorHistogram.dimensions)
    assert np.isfinite(features).all()
    assert ColorHistogram()(frame, boxes[:0], np.zeros((0, 50, 60), bool)).shape == (0, ColorHistogram.dimensions)


class MeanColor(nn.Module):
    """An embedding that can be worked out by hand: the mean of each normalised channel."""

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        return crop.mean((2, 3))


def reid_file(path: Path, batch: int = 1) -> Path:
    torch.onnx.export(
        MeanColor(), (torch.rand(batch, 3, 64, 32),), str(path), input_names=["crop"], opset_version=17, dynamo=False
    )
    return path


@pytest.mark.parametrize("batch", [1, 4])
def test_reid_network_gives_the_features(tmp_path: Path, batch: int) -> None:
    pytest.importorskip("onnx")
    config = ReidConfig(width=32, height=64)
    network = ReidNetwork(config, reid_file(tmp_path / "reid.onnx", batch), InferenceConfig())
    image = np.zeros((80, 120, 3), np.uint8)
    image[:, :60], image[:, 60:] = (250, 10, 10), (10, 10, 250)
    boxes = np.array([[0, 0, 60, 80], [60, 0, 120, 80]], np.float32)
    features = network(RGBDFrame.of_color(image), boxes, np.ones((2, 80, 120), bool))
    wanted = (np.array([[250, 10, 10], [10, 10, 250]]) - np.array(config.mean)) / np.array(config.std)
    np.testing.assert_allclose(features, wanted, rtol=1e-4)


def test_features_become_descriptors_of_unit_length(tmp_path: Path) -> None:
    pytest.importorskip("onnx")

    class Whole(Segmenter):
        """The whole picture is found."""

        config = SegmentationConfig()

        def segment(self, frame: RGBDFrame) -> Instances:
            mask = np.ones((1, *frame.color.shape[:2]), bool)
            box = np.array([[0, 0, frame.color.shape[1], frame.color.shape[0]]], np.float32)
            return Instances(np.array([1]), np.ones(1, np.float32), box, mask, np.zeros((1, 1, 1, 1), np.float32))

    network = ReidNetwork(ReidConfig(width=32, height=64), reid_file(tmp_path / "reid.onnx"), InferenceConfig())
    found = WithFeatures(Whole(), network).segment(RGBDFrame.of_color(np.full((60, 80, 3), 90, np.uint8)))
    feature = descriptors(found)
    assert feature.shape == (1, 3)
    assert np.linalg.norm(feature) == pytest.approx(1, abs=1e-5)


def test_a_network_without_a_vector_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")

    class Total(nn.Module):
        def forward(self, crop: torch.Tensor) -> torch.Tensor:
            return crop.mean((1, 2, 3))

    path = tmp_path / "total.onnx"
    torch.onnx.export(Total(), (torch.rand(1, 3, 64, 32),), str(path), opset_version=17, dynamo=False)
    with pytest.raises(BundleError, match=r"total.onnx: gives \[1\] for a crop; a re-ID network gives a vector"):
        ReidNetwork(ReidConfig(width=32, height=64), path, InferenceConfig())

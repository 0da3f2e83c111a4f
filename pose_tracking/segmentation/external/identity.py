"""Appearance features of detectors that give none, or in place of their own: a re-identification network, or colours.

Both are vectors of a crop, handed on as RoI features with a grid of a single cell.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float32, UInt8
from pose_tracking.core.errors import BundleError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import open_graph, run_graph
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter

from .config import ReidConfig
from .image_input import to_array

_HUES, _GREYS, _PARTS = 12, 5, 3
# Pixels of a crop that are looked at; more say nothing new of its colours.
_MOST_PIXELS = 64 * 128
# Half axes, in half sides of a box, of the ellipse that stands for an object that fills its box: its corners are
# background.
_ELLIPSE = 0.8


class Extractor(Protocol):
    """Makes one vector an instance."""

    def __call__(self, frame: RGBDFrame, boxes: Float32, masks: Bool) -> Float32:
        """(N, D) float32 of (N, 4) boxes and (N, H, W) masks."""
        ...


class WithFeatures:
    """A segmenter whose instances get the features of an extractor; implements `Segmenter`.

    Args:
        segmenter: finds the instances.
        extractor: makes their features.
    """

    def __init__(self, segmenter: Segmenter, extractor: Extractor) -> None:
        self.segmenter, self.extractor = segmenter, extractor

    @property
    def config(self) -> SegmentationConfig:
        """Options of the segmenter."""
        return self.segmenter.config

    @config.setter
    def config(self, config: SegmentationConfig) -> None:
        self.segmenter.config = config

    @property
    def engine(self) -> object:
        """What runs the segmenter."""
        return getattr(self.segmenter, "engine", "its own")

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in `frame`, best score first."""
        return self._featured(frame, self.segmenter.segment(frame))

    def instances_at(self, frame: RGBDFrame, boxes: NDArray[np.floating], obj_ids: NDArray[np.integer]) -> Instances:
        """What the detector would say of given boxes; see `Segmenter`."""
        return self._featured(frame, self.segmenter.instances_at(frame, boxes, obj_ids))

    def _featured(self, frame: RGBDFrame, found: Instances) -> Instances:
        return replace(found, roi_features=self.extractor(frame, found.boxes, found.masks)[:, :, None, None])


class ColorHistogram:
    """Colours of the masked crop, of all of it and of its upper, middle and lower third.

    Of each a histogram of hue, weighted by saturation, and one of brightness; its square root, so that the cosine of
    two is their Bhattacharyya coefficient (Comaniciu et al., 2003). Tells red from blue, not one person from another
    in the same clothes.
    """

    dimensions = (1 + _PARTS) * (_HUES + _GREYS)

    def __call__(self, frame: RGBDFrame, boxes: Float32, masks: Bool) -> Float32:
        """(N, D) features; see `Extractor`."""
        rows = [_histograms(frame.color, box, mask) for box, mask in zip(boxes, masks, strict=True)]
        return np.stack(rows) if rows else np.zeros((0, self.dimensions), np.float32)


class ReidNetwork:
    """A re-identification network of a graph file: a crop in, a vector out.

    Args:
        config: its input.
        path: the graph.
        inference: what runs it.
        device: where.

    Raises:
        BundleError, ConfigError: it cannot be loaded, or is no such network.
    """

    def __init__(
        self, config: ReidConfig, path: Path, inference: InferenceConfig, device: str | torch.device = "cpu"
    ) -> None:
        self.config, self.path = config, path
        self.graph = open_graph(path, inference, device)
        if len(self.graph.inputs) != 1 or len(self.graph.inputs[0].shape) != 4:
            described = ", ".join(map(str, self.graph.inputs))
            raise BundleError(f"{path}: its inputs are {described}; a re-ID network has one, (1, 3, height, width)")
        blank = np.zeros((config.height, config.width, 3), np.uint8)
        self.dimensions = len(self._embed(blank))

    def __call__(self, frame: RGBDFrame, boxes: Float32, masks: Bool) -> Float32:
        """(N, D) features; see `Extractor`."""
        rows = [self._embed(_crop(frame.color, box)) for box in boxes]
        return np.stack(rows) if rows else np.zeros((0, self.dimensions), np.float32)

    def _embed(self, crop: UInt8) -> Float32:
        config, port = self.config, self.graph.inputs[0]
        resized = np.asarray(cv2.resize(crop, (config.width, config.height), interpolation=cv2.INTER_LINEAR), np.uint8)
        array = to_array(resized, port, config.mean, config.std, config.bgr)
        # Some exports have a fixed batch: all places of it get the crop, the first answer counts.
        batch = port.shape[0] or 1
        outputs = run_graph(self.graph, [np.repeat(array, batch, 0)], self.path)
        vector = outputs[0].reshape(len(outputs[0]), -1)[0] if outputs[0].ndim else np.zeros(0)
        if len(vector) < 2:
            raise BundleError(f"{self.path}: gives {list(outputs[0].shape)} for a crop; a re-ID network gives a vector")
        return np.asarray(vector, np.float32)


def _crop(color: UInt8, box: Float32) -> UInt8:
    height, width = color.shape[:2]
    x0, y0 = (max(int(v), 0) for v in np.floor(box[:2]))
    x1, y1 = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
    return np.ascontiguousarray(color[min(y0, height - 1) : max(y1, y0 + 1), min(x0, width - 1) : max(x1, x0 + 1)])


def _histograms(color: UInt8, box: Float32, mask: Bool) -> Float32:
    crop, covered = _crop(color, box), _crop(mask.view(np.uint8), box).astype(np.float32)
    height, width = covered.shape
    if covered.all():
        down, across = (np.linspace(-1, 1, n, dtype=np.float32) / _ELLIPSE for n in (height, width))
        covered = (down[:, None] ** 2 + across[None] ** 2 <= 1).astype(np.float32)
    step = max(int(np.sqrt(height * width / _MOST_PIXELS)), 1)
    hsv = cv2.cvtColor(np.ascontiguousarray(crop[::step, ::step]), cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
    covered = covered[::step, ::step]
    if not covered.any():
        covered = np.ones_like(covered)
    edges = np.linspace(0, len(covered), _PARTS + 1).round().astype(int)
    parts = [slice(None), *(slice(a, b) for a, b in zip(edges, edges[1:], strict=False))]
    return np.concatenate([_histogram(hsv[part], covered[part]) for part in parts])


def _histogram(hsv: Float32, weights: Float32) -> Float32:
    """(hues + greys,) square roots of shares that sum to 1; zeros of nothing."""
    hue, saturation, value = (hsv[..., i].ravel() for i in range(3))
    weight = weights.ravel()
    total = weight.sum()
    if total == 0:
        return np.zeros(_HUES + _GREYS, np.float32)
    vivid = weight * saturation / 255 * value / 255
    hues = _soft(hue / 256 * _HUES, vivid, _HUES, circular=True)
    greys = _soft(value / 255 * (_GREYS - 1), weight - vivid, _GREYS, circular=False)
    return np.sqrt(np.maximum(np.concatenate([hues, greys]), 0) / total).astype(np.float32)


def _soft(
    position: NDArray[np.floating], weight: NDArray[np.floating], bins: int, circular: bool
) -> NDArray[np.floating]:
    """(bins,) sums in which each value is shared out between the two bins beside it: light may shift it a little."""
    low = np.floor(position).astype(int)
    share = position - low
    high = (low + 1) % bins if circular else np.minimum(low + 1, bins - 1)
    counted = np.bincount(low % bins, weight * (1 - share), bins) + np.bincount(high, weight * share, bins)
    return np.asarray(counted, np.float32)

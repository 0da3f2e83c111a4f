"""The embedding of a crop: the detector's features of it, before grey, averaged over the mask.

A crop is shown to the detector by itself: so a picture that someone sends, a crop that came over the network and one
cut from a frame are described alike, whatever stood around the thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.segmentation.appearance import descriptors

from .color_transform import COLOR_DIMENSIONS, COLOR_WEIGHT, WITH_COLORS, color_features, with_colors
from .model_colors import CopyColors, ModelColors
from .store import EmbeddingKind

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.pipeline import PoseTracker
    from pose_tracking.segmentation.embedding import AppearanceEmbedding
    from pose_tracking.segmentation.segmenter import Segmenter

CANVAS = 224  # px
SHOWN = 112  # px, longer side of the crop on it
GREY = 128
POOLED_GATE = (
    0.2  # 95 % of the views of one thing lie within 0.14 of each other, of things of other classes 1 % in 0.36
)
COPY_GATE = 0.3  # where the colours of copies are compared, too, beside pooled features
COLOR_GATE = 0.08  # of colour histograms, as of a tracker's detector that goes by them
MIN_COVER = 0.02  # of a crop must be opaque


class CropEmbedder:
    """Describes crops by the features of a bundle's detector, and its identity embedding where it has one.

    Args:
        bundle: whose weights.
        segmenter: its detector.
        embedding: its identity embedding, or None; one of crops, where the bundle has it, goes before it.

    Attributes:
        kind: what comes out.
        compares_colors: whether the second part of a vector says how the thing differs from its model in colour: where
            the bundle's meshes have colours.

    A detector that cannot describe given boxes, as one without a network, leaves the colours of the crop.
    """

    def __init__(self, bundle: ModelBundle, segmenter: Segmenter, embedding: AppearanceEmbedding | None) -> None:
        from pose_tracking.networks.weights import fingerprint

        of_crops = bundle.build_crop_embedding()
        self._segmenter, self._embedding = segmenter, of_crops or embedding
        # Which class the boxes are said to have changes the masks alone, and those are given.
        self._obj_id = next(iter(bundle.objects))
        name, gate, files = "pooled detector features", POOLED_GATE, [bundle.segmentation_weights]
        if of_crops is not None:
            from pose_tracking.segmentation.embedding import noted

            name, gate = "embedding of crops", float(noted(bundle.crop_weights).get("gate", POOLED_GATE))
            files.append(bundle.crop_weights)
        elif embedding is not None:
            name, gate = "identity embedding", bundle.config.tracking.embedding_gate
            files.append(bundle.appearance_weights)
        self.compares_colors = False
        probe, self._colors = np.full((SHOWN, SHOWN, 4), 255, np.uint8), None
        try:
            dimensions = self.embed([probe]).shape[1]
        except ConfigError:
            from pose_tracking.segmentation.external.identity import ColorHistogram

            # A detector without a network has no features, but the picture has colours.
            self._colors = ColorHistogram()
            self.kind = EmbeddingKind("colour histogram", self._colors.dimensions, "none", COLOR_GATE)
            return
        self.compares_colors = ModelColors.are_known(bundle.objects)
        if self.compares_colors:
            name, dimensions = name + WITH_COLORS, dimensions + COLOR_DIMENSIONS
            # The looks keep their gate, by their share of the distance.
            gate = COPY_GATE + (1 - COLOR_WEIGHT) * (gate - POOLED_GATE)
        self.kind = EmbeddingKind(name, dimensions, "+".join(fingerprint(file) for file in files), gate)

    @classmethod
    def of(cls, tracker: PoseTracker) -> CropEmbedder:
        """That of a tracker's bundle, with its detector."""
        return cls(tracker.bundle, tracker.segmenter, tracker.embedding)

    def embed(self, crops: list[UInt8], colors: Sequence[CopyColors] | None = None) -> Float32:
        """(N, D) unit vectors.

        Args:
            crops: N crops, (h, w, 4) RGBA of any size.
            colors: of each, where `compares_colors`; None for pictures of which nothing else is known: the part of
                their vectors that stands for it is 0.

        Raises:
            ConfigError: a crop is transparent all over.
        """
        if not crops:
            return np.zeros((0, self.kind.dimensions), np.float32)
        vectors = np.stack([self._embed(crop) for crop in crops])
        if not self.compares_colors:
            return vectors
        features = None
        if colors is not None:
            features = np.stack([color_features(each.class_name, each.transform) for each in colors])
        return with_colors(vectors, features)

    def _embed(self, crop: UInt8) -> Float32:
        if self._colors is not None:
            canvas, mask, box, _ = _before_grey(crop)
            found = self._colors(RGBDFrame.of_color(canvas), box.astype(np.float32), mask[None])[0]
            return np.asarray(found / max(float(np.linalg.norm(found)), 1e-12), np.float32)
        return descriptors(shown_alone(self._segmenter, self._obj_id, crop), self._embedding)[0]


def shown_alone(segmenter: Segmenter, obj_id: int, crop: UInt8) -> Instances:
    """What a detector says of a crop, (h, w, 4) RGBA, that it is shown alone before grey: one instance of its mask.

    Raises:
        ConfigError: the crop is transparent all over, or the detector cannot describe given boxes.
    """
    canvas, mask, box, middle = _before_grey(crop)
    # Of the focal length that the detector was trained at: pictures of others are scaled.
    focal = segmenter.config.focal_length
    frame = RGBDFrame.of_color(canvas, intrinsics=CameraIntrinsics(CANVAS, CANVAS, focal, focal, middle, middle))
    found = segmenter.instances_at(frame, box, np.array([obj_id]))
    found.masks[0] = mask
    return found


def _before_grey(crop: UInt8) -> tuple[UInt8, Bool, Float, float]:
    """A crop in the middle of a grey picture; its mask there, its (1, 4) box, and the middle of the picture (px)."""
    opaque = crop[..., 3] > 127
    if opaque.mean() < MIN_COVER:
        raise ConfigError("the picture is transparent all over: nothing shows")
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    part = crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = SHOWN / max(part.shape[:2])
    size = [max(1, round(side * scale)) for side in part.shape[1::-1]]
    color = np.where(part[..., 3:] > 127, part[..., :3], GREY).astype(np.uint8)
    shown = cv2.resize(color, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    inside = cv2.resize((part[..., 3] > 127).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    canvas, mask = np.full((CANVAS, CANVAS, 3), GREY, np.uint8), np.zeros((CANVAS, CANVAS), bool)
    (height, width), x, y = shown.shape[:2], (CANVAS - size[0]) // 2, (CANVAS - size[1]) // 2
    canvas[y : y + height, x : x + width], mask[y : y + height, x : x + width] = shown, inside
    return canvas, mask, np.array([[x, y, x + width, y + height]], float), CANVAS / 2 - 0.5

"""The parts of Mask R-CNN that are plain graphs, for an engine to run; what lies between them stays in PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

from pose_tracking.core.workers import compute_threads, map_at_once
from pose_tracking.networks.engines.engine import Engine, Part, Run

from .config import SegmentationConfig
from .depth import DEPTH_CHANNELS

TRUNK = "detector's trunk"
_FEWEST_BOXES = 16  # that are worth a thread


@dataclass(frozen=True)
class Features:
    """What the trunk says of a batch of images.

    Attributes:
        maps: (B, C, H / s, W / s) of the pyramid by stride s as text, finest first.
        logits, deltas: of the region proposal head, (B, A, H / s, W / s) and (B, 4 A, H / s, W / s) a level.
    """

    maps: OrderedDict[str, Tensor]
    logits: list[Tensor]
    deltas: list[Tensor]


@dataclass(frozen=True)
class PartSizes:
    """Sizes of what goes through the parts of a network.

    Attributes:
        levels: names of the levels of its pyramid, as the trunk gives them.
        image_channels: of its image.
        channels: of each level.
        roi, mask_roi: sides of the RoIAlign grids of the box head and of the mask head.
        side: of an image that all levels divide.
    """

    levels: tuple[str, ...]
    image_channels: int
    channels: int
    roi: int
    mask_roi: int
    side: int

    @classmethod
    def of(cls, config: SegmentationConfig) -> PartSizes:
        """Those of the networks of this package."""
        strides = config.strides
        channels = 3 + DEPTH_CHANNELS if config.depth else 3
        return cls(
            tuple(map(str, strides)),
            channels,
            config.fpn_channels,
            config.roi_size,
            config.mask_roi_size,
            4 * max(strides),
        )


class NetworkParts:
    """A detector's network, its graphs run by an engine.

    Args:
        model: the network with its weights, in evaluation mode; one without masks has no mask head.
        sizes: of what goes through it.
        engine: what runs the graphs; PyTorch follows weights that change, others do not.

    Attributes:
        trunk: backbone, pyramid and proposal head as a graph.
    """

    def __init__(self, model: GeneralizedRCNN, sizes: PartSizes, engine: Engine) -> None:
        self._model, self._levels = model, list(sizes.levels)
        self._anchors: tuple[Any, list[Tensor]] | None = None
        box_input = torch.rand(2, sizes.channels, sizes.roi, sizes.roi)
        image = torch.rand(1, sizes.image_channels, sizes.side, sizes.side)
        self.trunk = Part(TRUNK, _Trunk(model), (image,), ((2, 3),))
        self._trunk: Run = engine.compile(self.trunk)
        self._box_head: Run = engine.compile(Part("box head", _BoxHead(model), (box_input,), ((0,),)))
        if model.roi_heads.has_mask():
            mask_input = torch.rand(2, sizes.channels, sizes.mask_roi, sizes.mask_roi)
            self._mask_head: Run = engine.compile(Part("mask head", _MaskHead(model), (mask_input,), ((0,),)))

    def features(self, images: Tensor) -> Features:
        """Pyramid and proposal head of (B, C, H, W) images, see `network_input`."""
        outputs, levels = self._trunk(images), len(self._levels)
        maps = OrderedDict(zip(self._levels, outputs[:levels], strict=True))
        return Features(maps, list(outputs[levels : 2 * levels]), list(outputs[2 * levels :]))

    def proposals(self, images: ImageList, features: Features) -> list[Tensor]:
        """(N, 4) boxes for each image, as `RegionProposalNetwork.forward` finds them."""
        rpn, anchors = self._model.rpn, self._anchors_of(images, features)
        counts = [level[0].numel() for level in features.logits]
        objectness, deltas = concat_box_prediction_layers(features.logits, features.deltas)
        boxes = rpn.box_coder.decode(deltas, anchors).view(len(anchors), -1, 4)
        return list(rpn.filter_proposals(boxes, objectness, images.image_sizes, counts)[0])

    def _anchors_of(self, images: ImageList, features: Features) -> list[Tensor]:
        """(A, 4) anchors for each image, in network pixels; made anew only for images of another size."""
        maps = list(features.maps.values())
        key = images.tensors.shape, tuple(level.shape[-2:] for level in maps), maps[0].device
        if self._anchors is None or self._anchors[0] != key:
            self._anchors = key, self._model.rpn.anchor_generator(images, maps)
        return self._anchors[1]

    def box_features(self, maps: OrderedDict[str, Tensor], boxes: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """(N, C, S, S) RoIAlign features of the box head, of (N, 4) boxes in the one image.

        PyTorch's RoIAlign computes on one thread: each of ours takes a part of the boxes.
        """
        pool, parts = self._model.roi_heads.box_roi_pool, min(compute_threads(), len(boxes) // _FEWEST_BOXES)
        if parts < 2 or pool.scales is None or boxes.is_cuda:  # the first call finds out the strides of the levels
            return pool(maps, [boxes], sizes)
        return torch.cat(map_at_once(lambda some: pool(maps, [some], sizes), torch.chunk(boxes, parts)))

    def classify(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, S, S) RoIAlign features to class logits (N, K + 1) and box regression (N, 4 (K + 1))."""
        logits, regression = self._box_head(pooled)
        return logits, regression

    def mask_logits(self, pooled: Tensor) -> Tensor:
        """(N, C, M, M) RoIAlign features to (N, K + 1, 2 M, 2 M) logits."""
        (logits,) = self._mask_head(pooled)
        return logits


class _Trunk(nn.Module):
    """Backbone, pyramid and proposal head: the maps, then the logits, then the deltas of all levels."""

    def __init__(self, model: GeneralizedRCNN) -> None:
        super().__init__()
        self.backbone, self.head = model.backbone, model.rpn.head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = list(self.backbone(images).values())
        logits, deltas = self.head(maps)
        return (*maps, *logits, *deltas)


class _BoxHead(nn.Module):
    def __init__(self, model: GeneralizedRCNN) -> None:
        super().__init__()
        self.head, self.predictor = model.roi_heads.box_head, model.roi_heads.box_predictor

    def forward(self, pooled: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.predictor(self.head(pooled)))


class _MaskHead(nn.Module):
    def __init__(self, model: GeneralizedRCNN) -> None:
        super().__init__()
        self.head, self.predictor = model.roi_heads.mask_head, model.roi_heads.mask_predictor

    def forward(self, pooled: Tensor) -> tuple[Tensor]:
        return (self.predictor(self.head(pooled)),)

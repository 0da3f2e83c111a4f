"""Torchvision's published detectors (Mask R-CNN, Faster R-CNN): told by their weights, built without them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.ops.misc import FrozenBatchNorm2d

from .config import NETWORKS, ZooConfig

_CLASSIFIER = "roi_heads.box_predictor.cls_score.weight"
# Frozen batch norms of torchvision's COCO_V1 ResNets add nothing to the variance, those of its MobileNet this.
_MOBILE_EPSILON = 1e-5


def build_network(config: ZooConfig, num_labels: int) -> FasterRCNN:
    """The network with random weights, in evaluation mode.

    Args:
        config: which, and how it scales images.
        num_labels: labels of its box head, the background among them.
    """
    build = getattr(detection, config.network)
    sizes = {"min_size": config.min_size, "max_size": config.max_size}
    model: FasterRCNN = build(weights=None, weights_backbone=None, num_classes=num_labels, **sizes)
    if config.frozen_norm:
        _freeze(model.backbone.body, config.norm_epsilon)
    return model.eval()


def recognise(weights: Mapping[str, Tensor]) -> tuple[ZooConfig, int] | None:
    """Which network weights by name are of, and its number of labels; None where they are of none of `NETWORKS`."""
    classifier = weights.get(_CLASSIFIER)
    if classifier is None or classifier.dim() != 2:
        return None
    labels = len(classifier)
    for name in NETWORKS:
        # Batch norms that learn count their steps, frozen ones do not: so the names tell which.
        for frozen in (True, False):
            epsilon = 0.0 if "resnet" in name else _MOBILE_EPSILON
            config = ZooConfig(network=name, frozen_norm=frozen, norm_epsilon=epsilon)
            with torch.device("meta"):
                expected = build_network(config, labels).state_dict()
            if _shapes(expected) == _shapes(weights):
                return config, labels
    return None


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def _freeze(module: nn.Module, epsilon: float) -> None:
    """Put frozen batch norms in the place of those in `module`."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, eps=epsilon))
        else:
            _freeze(child, epsilon)

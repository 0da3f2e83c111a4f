"""Torchvision's published detectors as a `Segmenter`: the instances are those of torchvision's own inference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNN
from torchvision.models.detection.roi_heads import maskrcnn_inference

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.engine import Engine, TorchEngine
from pose_tracking.networks.weights import load_weights
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import suppress_across_classes
from pose_tracking.segmentation.network_parts import Features, NetworkParts, PartSizes

from .box_masks import box_masks
from .labels import IGNORED, Labels
from .zoo import build_network

_SIDE = 128  # divided by all levels


class ZooSegmenter:
    """Inference with one of torchvision's detectors; implements `Segmenter`.

    The steps are those of `GeneralizedRCNN.forward`, taken apart so that the RoI features of the final boxes come from
    the same pass, and an engine can run what is a plain graph.

    Attributes:
        config: `score_threshold`, `nms_iou`, `max_detections`, `cross_class_iou` and `mask_threshold` count and may be
            replaced between two frames.

    Args:
        config: options; `config.zoo` says which network it is.
        names: the bundle's object names by id; classes are matched by name.
        weights: safetensors file, or a built model, which is used as it is.
        device: torch device.
        engine: what runs the network; PyTorch without.

    Raises:
        BundleError: the weights cannot be used, or a class is missing.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        names: Mapping[int, str],
        weights: str | Path | FasterRCNN,
        device: torch.device | str = "cpu",
        engine: Engine | None = None,
    ) -> None:
        self.config, self.device = config, torch.device(device)
        self.engine = engine or TorchEngine()
        self._labels = Labels(config.zoo.labels, names, 1, "segmentation.zoo.labels")
        if isinstance(weights, FasterRCNN):
            self.model = weights.eval()
        else:
            self.model = build_network(config.zoo, len(config.zoo.labels) + 1)
            load_weights(self.model, weights)
        self.model.to(self.device, memory_format=torch.channels_last)
        levels = len(self.model.rpn.anchor_generator.sizes)
        self._channels, self._grid = self.model.backbone.out_channels, 7
        sizes = PartSizes((*map(str, range(levels - 1)), "pool"), 3, self._channels, self._grid, 14, _SIDE)
        self._parts = NetworkParts(self.model, sizes, self.engine)
        if self.engine.has_copies and not isinstance(weights, FasterRCNN):
            self.model.to("meta")  # lets go of weights that nothing computes with

    @torch.inference_mode()
    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in the colour image of `frame`, best score first."""
        config, heads = self.config, self.model.roi_heads
        heads.score_thresh, heads.nms_thresh = config.score_threshold, config.nms_iou
        suppresses = config.cross_class_iou < 1
        # Near-duplicates of two classes are thinned out below, so that as many may still be dropped.
        heads.detections_per_img = config.max_detections * (2 if suppresses else 1)
        images, features = self._features(frame)
        proposals = self._parts.proposals(images, features)
        pooled = heads.box_roi_pool(features.maps, proposals, images.image_sizes)
        found = heads.postprocess_detections(*self._parts.classify(pooled), proposals, images.image_sizes)
        boxes, scores, labels = (each[0] for each in found)
        if suppresses:
            keep = suppress_across_classes(boxes, labels, config.cross_class_iou)[: config.max_detections]
            boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        wanted = torch.from_numpy(self._labels.ids_of(labels.cpu().numpy()) != IGNORED).to(self.device)
        return self._instances(frame, images, features, boxes[wanted], scores[wanted], labels[wanted])

    @torch.inference_mode()
    def instances_at(self, frame: RGBDFrame, boxes: NDArray[np.floating], obj_ids: NDArray[np.integer]) -> Instances:
        """What the detector would say of given boxes: masks and RoIAlign features, without detecting anything itself.

        Args:
            frame: the frame.
            boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels of the frame.
            obj_ids: (N,) object of each box, whose mask is wanted.

        Returns:
            N instances in the order of `boxes`, all with score 1.
        """
        images, features = self._features(frame)
        height, width = frame.color.shape[:2]
        rows, columns = images.image_sizes[0]
        ratio = np.array([columns / width, rows / height] * 2)
        scaled = np.clip(np.asarray(boxes, float).reshape(-1, 4), 0, [width, height] * 2) * ratio
        labels = torch.from_numpy(self._labels.label_of(obj_ids)).to(self.device)
        ones = torch.ones(len(labels), device=self.device)
        return self._instances(
            frame, images, features, torch.as_tensor(scaled, dtype=torch.float32).to(self.device), ones, labels
        )

    def _features(self, frame: RGBDFrame) -> tuple[ImageList, Features]:
        image = torch.from_numpy(np.array(frame.color, order="C")).to(self.device).permute(2, 0, 1).float() / 255
        images, _ = self.model.transform([image])
        return images, self._parts.features(images.tensors)

    def _instances(
        self, frame: RGBDFrame, images: ImageList, features: Features, boxes: Tensor, scores: Tensor, labels: Tensor
    ) -> Instances:
        """Features and masks of boxes (N, 4) in network pixels with scores (N,) and labels (N,)."""
        height, width = frame.color.shape[:2]
        if len(boxes) == 0:
            return Instances.empty(height, width, self._channels, self._grid)
        heads, result = self.model.roi_heads, {"boxes": boxes, "scores": scores, "labels": labels}
        has_masks = isinstance(self.model, MaskRCNN)
        if has_masks:
            pooled = heads.mask_roi_pool(features.maps, [boxes], images.image_sizes)
            result["masks"] = maskrcnn_inference(self._parts.mask_logits(pooled), [labels])[0]
        roi = heads.box_roi_pool(features.maps, [boxes], images.image_sizes)
        (full,) = self.model.transform.postprocess([result], images.image_sizes, [(height, width)])
        in_frame = full["boxes"].cpu().numpy().astype(np.float32)
        if has_masks:
            masks = (full["masks"][:, 0] > self.config.mask_threshold).cpu().numpy()
        else:
            masks = box_masks(frame, in_frame)
        return Instances(
            self._labels.ids_of(labels.cpu().numpy()),
            scores.float().cpu().numpy(),
            in_frame,
            masks,
            roi.float().cpu().numpy(),
        )

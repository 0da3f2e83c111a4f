"""Mask R-CNN on torchvision's detector: building it, loading its weights and running it on a frame."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.ops import MultiScaleRoIAlign, box_iou

from pose_tracking.core.arrays import Bool, Float32, Int
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.backbone import FrozenNormConv
from pose_tracking.networks.engines.engine import Engine, Part, TorchEngine
from pose_tracking.networks.weights import load_weights

from .config import SegmentationConfig
from .network_input import to_network_input
from .network_parts import Features, NetworkParts, PartSizes
from .network_view import NetworkView
from .pyramid import NORMALIZATION, PyramidBackbone


def build_mask_rcnn(config: SegmentationConfig, num_classes: int, **training: Any) -> MaskRCNN:
    """Mask R-CNN with random weights.

    Args:
        config: sizes of the network.
        num_classes: object classes, background not counted; class c of the bundle is label c + 1.
        training: further keyword arguments of torchvision's `MaskRCNN`, e.g. sampling sizes.
    """
    channels, levels = config.fpn_channels, len(config.strides)
    names = [str(s) for s in config.strides]
    per_level = len(config.anchor_sizes) // levels
    sizes = tuple(tuple(config.anchor_sizes[i * per_level : (i + 1) * per_level]) for i in range(levels))
    mask_channels = config.mask_head_channels
    mean, std = NORMALIZATION[config.backbone]
    model = MaskRCNN(
        PyramidBackbone(config.backbone, config.strides, channels),
        image_mean=[v / 255 for v in mean],
        image_std=[v / 255 for v in std],
        min_size=config.max_height,
        max_size=config.max_width,
        rpn_anchor_generator=AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * levels),
        rpn_pre_nms_top_n_test=4 * config.proposals,
        rpn_post_nms_top_n_test=config.proposals,
        box_roi_pool=MultiScaleRoIAlign(names, config.roi_size, 2),
        box_head=TwoMLPHead(channels * config.roi_size**2, config.box_head_size),
        box_predictor=FastRCNNPredictor(config.box_head_size, num_classes + 1),
        box_score_thresh=config.score_threshold,
        box_nms_thresh=config.nms_iou,
        box_detections_per_img=config.max_detections,
        # One sample a cell: a mask cell is finer than a pyramid pixel, and the backward pass on a CPU is slow.
        mask_roi_pool=MultiScaleRoIAlign(names, config.mask_roi_size, 1),
        mask_head=MaskRCNNHeads(channels, mask_channels, 1),
        mask_predictor=MaskRCNNPredictor(mask_channels[-1], mask_channels[-1], num_classes + 1),
        **training,
    )
    if config.depth:
        # After everything else, so that the colour layers start with the same random weights with and without it.
        model.backbone.add_depth()
    # Near-zero outputs at the start (as in Detectron): the default ones begin with a mask loss far above ln 2.
    heads = model.roi_heads
    for layer, deviation in (
        (heads.box_predictor.cls_score, 0.01),
        (heads.box_predictor.bbox_pred, 0.001),
        (heads.mask_predictor.mask_fcn_logits, 0.001),
    ):
        nn.init.normal_(layer.weight, std=deviation)
        nn.init.zeros_(layer.bias)
    # Boxes need float32: under autocast only what lies between the feature maps and these outputs is bfloat16.
    for module in (model.rpn.head, model.roi_heads.box_predictor, model.roi_heads.mask_predictor):
        module.register_forward_hook(_to_float)
    return model


def _to_float(module: nn.Module, inputs: Any, output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    return type(output)(_to_float(module, inputs, item) for item in output)


class TorchvisionSegmenter:
    """Mask R-CNN inference; implements `Segmenter`.

    Args:
        config: options; those marked `runtime` may be replaced later through the attribute `config`.
        obj_ids: BOP object id of each class, in the order of the class indices.
        weights: safetensors file, or a built model (used as it is) to run, e.g. one in training.
        device: torch device.
        engine: what runs the network; PyTorch without. It takes the weights as they are now.

    Raises:
        BundleError: the weights cannot be used.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        obj_ids: Sequence[int],
        weights: str | Path | MaskRCNN,
        device: torch.device | str = "cpu",
        engine: Engine | None = None,
    ) -> None:
        self.config, self.device = config, torch.device(device)
        self.engine = engine or TorchEngine()
        self.obj_ids = np.asarray(list(obj_ids), np.int64)
        if isinstance(weights, MaskRCNN):
            self.model = weights
        else:
            self.model = build_mask_rcnn(config, len(self.obj_ids))
            load_weights(self.model, weights)
            for module in self.model.modules():
                if isinstance(module, FrozenNormConv):
                    module.fuse()
            self.model.to(self.device, memory_format=torch.channels_last)
        self.model.eval()
        self._parts = NetworkParts(self.model, PartSizes.of(config), self.engine)
        if self.engine.has_copies and not isinstance(weights, MaskRCNN):
            self.model.to("meta")  # lets go of weights that nothing computes with

    @torch.inference_mode()
    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in the colour image of `frame`, best score first."""
        view, images, features = self._features(frame)
        proposals = self._parts.proposals(images, features)
        boxes, labels, scores = self._classify(features.maps, proposals, images.image_sizes)
        return self._instances(view, frame.depth.shape, images, features.maps, boxes, labels, scores)

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
        view, images, features = self._features(frame)
        scaled = torch.as_tensor(view.to_network(boxes), dtype=torch.float32).to(self.device)
        index = {int(obj_id): i for i, obj_id in enumerate(self.obj_ids)}
        labels = torch.tensor([index[int(i)] + 1 for i in obj_ids], dtype=torch.long, device=self.device)
        ones = torch.ones(len(labels))
        return self._instances(view, frame.depth.shape, images, features.maps, scaled, labels, ones)

    @property
    def trunk(self) -> Part:
        """Backbone, pyramid and proposal head, as they go to the engine: nine tenths of the arithmetic."""
        return self._parts.trunk

    def trunk_input(self, frame: RGBDFrame) -> Tensor:
        """(1, C, H, W) what the trunk sees of a frame."""
        return self._input(frame)[1].tensors

    def _features(self, frame: RGBDFrame) -> tuple[NetworkView, ImageList, Features]:
        view, images = self._input(frame)
        return view, images, self._parts.features(images.tensors)

    def _input(self, frame: RGBDFrame) -> tuple[NetworkView, ImageList]:
        view = NetworkView.of(frame, self.config)
        on_torch = isinstance(self.engine, TorchEngine)
        images = to_network_input([view.color(frame)], self.config, self.device, channels_last=on_torch)
        if self.config.depth:
            rows, columns = images.image_sizes[0]
            channels = images.tensors[0, 3:, :rows, :columns]
            out = None if channels.is_cuda or not channels.is_contiguous() else channels.numpy()
            depth = view.depth_channels(frame, out)
            if out is None:
                channels.copy_(torch.from_numpy(depth))
        return view, images

    def _instances(
        self,
        view: NetworkView,
        shape: tuple[int, ...],
        images: ImageList,
        maps: OrderedDict[str, Tensor],
        boxes: Tensor,
        labels: Tensor,
        scores: Tensor,
    ) -> Instances:
        """Features and masks, of the frame's `shape`, of boxes (N, 4) in network pixels with labels (N,) from 1."""
        height, width = shape
        if len(boxes) == 0:
            return Instances.empty(height, width, self.config.fpn_channels, self.config.roi_size)
        heads = self.model.roi_heads
        pooled = heads.box_roi_pool(maps, [boxes], images.image_sizes)
        logits = self._parts.mask_logits(heads.mask_roi_pool(maps, [boxes], images.image_sizes))
        small = maskrcnn_inference(logits, [labels])[0][:, 0].cpu().numpy()
        full = view.to_frame(boxes.cpu().numpy())
        masks = paste_masks(small, full, height, width, self.config.mask_threshold)
        return Instances(
            self.obj_ids[labels.cpu().numpy() - 1],
            scores.float().cpu().numpy(),
            full,
            masks,
            pooled.float().cpu().numpy(),
        )

    def _classify(
        self, maps: OrderedDict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, 4) in network pixels, labels (N,) from 1 and scores (N,), best first."""
        config, heads = self.config, self.model.roi_heads
        heads.score_thresh, heads.nms_thresh = config.score_threshold, config.nms_iou
        # Near-duplicates of two classes are thinned out below, so that as many may still be dropped.
        heads.detections_per_img = 2 * config.max_detections
        class_logits, regression = self._parts.classify(self._parts.box_features(maps, proposals[0], sizes))
        all_boxes, all_scores, all_labels = heads.postprocess_detections(class_logits, regression, proposals, sizes)
        boxes, scores, labels = all_boxes[0], all_scores[0], all_labels[0]
        order = torch.argsort(scores, descending=True, stable=True)
        boxes, scores, labels = boxes[order], scores[order], labels[order]
        keep = suppress_across_classes(boxes, labels, config.cross_class_iou)[: config.max_detections]
        return boxes[keep], labels[keep], scores[keep]


def suppress_across_classes(boxes: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Indices of (N, 4) boxes, best first, less those that overlap a better one of another class by more than `iou`."""
    overlaps = (box_iou(boxes, boxes) > iou) & (labels[:, None] != labels[None, :])
    rivals = overlaps.cpu().numpy()
    keep: list[int] = []
    for i in range(len(rivals)):
        if not rivals[i, keep].any():
            keep.append(i)
    return torch.tensor(keep, dtype=torch.long, device=boxes.device)


def paste_masks(probabilities: Float32, boxes: Float32, height: int, width: int, threshold: float) -> Bool:
    """Resample (N, M, M) mask probabilities onto their boxes in a full image, bilinearly.

    Args:
        probabilities: masks over the boxes; cell centres lie at (i + 0.5) / M of the box.
        boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels.
        height, width: image size.
        threshold: least probability.

    Returns:
        (N, H, W) bool masks, false outside of their boxes.
    """
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, probability, (x0, y0, x1, y1) in zip(masks, probabilities, boxes, strict=True):
        columns = np.arange(max(int(np.ceil(x0 - 0.5)), 0), min(int(np.floor(x1 - 0.5)) + 1, width))
        rows = np.arange(max(int(np.ceil(y0 - 0.5)), 0), min(int(np.floor(y1 - 0.5)) + 1, height))
        if len(columns) == 0 or len(rows) == 0:
            continue
        across = _interpolation(columns, x0, x1, probability.shape[1])
        down = _interpolation(rows, y0, y1, probability.shape[0])
        mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = down @ probability @ across.T >= threshold
    return masks


def _interpolation(pixels: Int, low: float, high: float, cells: int) -> Float32:
    """(P, cells) weights that interpolate cell values at the centres of `pixels`, constant beyond the outer cells."""
    position = np.clip((pixels + 0.5 - low) / (high - low) * cells - 0.5, 0, cells - 1)
    return np.maximum(1 - np.abs(position[:, None] - np.arange(cells)), 0).astype(np.float32)

"""A detector that comes as a graph file (ONNX, OpenVINO) as a `Segmenter`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms

from pose_tracking.core.arrays import Bool, Float32, Int
from pose_tracking.core.errors import BundleError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import open_graph, run_graph
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import suppress_across_classes

from .box_masks import box_masks
from .image_input import check_image_input, to_array
from .labels import IGNORED, Labels
from .letterbox import Letterbox
from .outputs import UNSUPPRESSED, Found, decode

LOGGER = logging.getLogger(__name__)
# Boxes that are looked at for suppression; the better ones are among them, and the matrix of all would not end.
_MOST_CANDIDATES = 3000


class GraphSegmenter:
    """Inference with a detector's graph; implements `Segmenter`.

    Its instances have a feature of one zero: it gives none (see `identity.WithFeatures`).

    Attributes:
        config: `score_threshold`, `nms_iou`, `max_detections`, `cross_class_iou` and `mask_threshold` count and may be
            replaced between two frames.
        engine: what runs the graph.

    Args:
        config: options; `config.graph` says what the graph's input and outputs are.
        names: the bundle's object names by id; classes are matched by name.
        path: the graph.
        inference: what is to run it.
        device: where.

    Raises:
        BundleError, ConfigError: the graph cannot be loaded or run, is no detector, or lacks a class.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        names: Mapping[int, str],
        path: str | Path,
        inference: InferenceConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.config, self.path = config, Path(path)
        self._graph = open_graph(self.path, inference or InferenceConfig(), device)
        self.engine = self._graph.engine
        self._port = check_image_input(self._graph.inputs, str(self.path))
        self._told_beyond = False
        self._labels = Labels(config.graph.labels, names, config.graph.first_label, f"{self.path.name}")

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in the colour image of `frame`, best score first."""
        options, graph = self.config, self.config.graph
        height, width = frame.color.shape[:2]
        box = Letterbox.of((width, height), (graph.width, graph.height), graph.letterbox)
        array = to_array(box.picture(frame.color), self._port, graph.mean, graph.std, graph.bgr)
        outputs = run_graph(self._graph, [array], self.path)
        try:
            found = decode(graph.layout, self._graph.outputs, outputs, (box.width, box.height))
        except BundleError as error:
            raise BundleError(f"{self.path}: {error}") from error
        boxes = np.clip(box.to_picture(found.boxes), 0, [width, height] * 2).astype(np.float32)
        obj_ids = self._labels.ids_of(found.labels)
        self._check_labels(found.labels[found.scores >= options.score_threshold])
        keep = _chosen(found, boxes, obj_ids, options)
        masks = self._masks(frame, found, boxes, keep, box)
        features = np.zeros((len(keep), 1, 1, 1), np.float32)
        return Instances(obj_ids[keep], np.clip(found.scores[keep], 0, 1), boxes[keep], masks, features)

    def _check_labels(self, labels: Int) -> None:
        """Say once that the detector has labels beyond those that were named: its outputs do not tell how many."""
        beyond = labels[labels >= len(self._labels.obj_ids)]
        if self._told_beyond or not len(beyond):
            return
        self._told_beyond = True
        count, first = len(self.config.graph.labels), self.config.graph.first_label
        LOGGER.warning(
            "%s gives label %d, but its labels were named from %d to %d: it has other classes than was said, so the "
            "names may be wrong; make the bundle again with --names, one a class in the order of its training",
            self.path.name, beyond.max(), first, first + count - 1,
        )  # fmt: skip

    def instances_at(self, frame: RGBDFrame, boxes: NDArray[np.floating], obj_ids: NDArray[np.integer]) -> Instances:
        """Given boxes as instances: the graph says nothing of them, their masks are those of `box_masks`.

        Args:
            frame: the frame.
            boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels of the frame.
            obj_ids: (N,) object of each box.

        Returns:
            N instances in the order of `boxes`, all with score 1.
        """
        height, width = frame.color.shape[:2]
        clipped = np.clip(np.asarray(boxes, np.float32).reshape(-1, 4), 0, [width, height] * 2).astype(np.float32)
        ones, features = np.ones(len(clipped), np.float32), np.zeros((len(clipped), 1, 1, 1), np.float32)
        return Instances(np.asarray(obj_ids, np.int64), ones, clipped, box_masks(frame, clipped), features)

    def _masks(self, frame: RGBDFrame, found: Found, boxes: Float32, keep: Int, box: Letterbox) -> Bool:
        if found.mask_of is None:
            return box_masks(frame, boxes[keep])
        threshold = self.config.mask_threshold
        if found.logits:
            threshold = float(np.log(max(threshold, 1e-9) / max(1 - threshold, 1e-9)))
        masks = np.zeros((len(keep), *frame.color.shape[:2]), bool)
        for mask, i in zip(masks, keep, strict=True):
            mask[:] = box.mask(found.mask_of(int(i)), threshold, boxes[i], mask.shape)
        return masks


def _chosen(found: Found, boxes: Float32, obj_ids: Int, config: SegmentationConfig) -> Int:
    """(N,) indices of what is believed, best first."""
    sides = boxes[:, 2:] - boxes[:, :2]
    usable = np.isfinite(found.boxes).all(1) & np.isfinite(found.scores) & (sides > 0).all(1)
    keep = np.flatnonzero(usable & (obj_ids != IGNORED) & (found.scores >= config.score_threshold))
    keep = keep[np.argsort(-found.scores[keep], kind="stable")][:_MOST_CANDIDATES]
    tensors = torch.from_numpy(boxes[keep]), torch.from_numpy(found.scores[keep]), torch.from_numpy(found.labels[keep])
    if config.graph.layout in UNSUPPRESSED:
        left = batched_nms(*tensors, config.nms_iou)
        tensors, keep = (tensors[0][left], tensors[1][left], tensors[2][left]), keep[left.numpy()]
    if config.cross_class_iou < 1:
        left = suppress_across_classes(tensors[0], tensors[2], config.cross_class_iou)
        keep = keep[left.numpy()]
    return keep[: config.max_detections]

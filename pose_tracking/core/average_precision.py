"""Average precision of instance masks, as COCO defines it (pycocotools)."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from .regions import Region


class MaskAveragePrecision:
    """Collects the masks of a sequence, run-length encoded, and computes their average precision at the end.

    Ground truth that is ignored enters as COCO crowd: it is no miss, and estimates on it are not counted. Classes
    without ground truth do not enter the mean.
    """

    def __init__(self) -> None:
        self._images: list[dict[str, int]] = []
        self._truths: list[dict[str, Any]] = []
        self._estimates: list[dict[str, Any]] = []
        self._complete = True

    def add(self, estimates: Sequence[Region], truths: Sequence[Region]) -> None:
        """Add one annotated frame; a frame where a mask is missing makes the result None."""
        if any(region.mask is None for region in (*estimates, *truths)):
            self._complete = False
            return
        masks = [region.mask for region in (*estimates, *truths) if region.mask is not None]
        height, width = masks[0].shape if masks else (1, 1)
        self._images.append({"id": len(self._images) + 1, "height": height, "width": width})
        for truth in truths:
            rle = self._encode(truth)
            self._truths.append(rle | {"id": len(self._truths) + 1, "iscrowd": int(truth.ignored)})
        for estimate in estimates:
            self._estimates.append(self._encode(estimate) | {"score": float(estimate.score)})

    def _encode(self, region: Region) -> dict[str, Any]:
        from pycocotools import mask as coco_mask

        rle = coco_mask.encode(np.asfortranarray(region.mask, np.uint8))
        area, box = float(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist()
        return {
            "image_id": len(self._images),
            "category_id": region.obj_id,
            "segmentation": rle,
            "area": area,
            "bbox": box,
        }

    def result(self) -> dict[str, float | None]:
        """``map`` (mean over IoU 0.5:0.05:0.95 and classes) and ``map50``; None where masks or instances lack."""
        nothing: dict[str, float | None] = {"map": None, "map50": None}
        if not self._complete or all(truth["iscrowd"] for truth in self._truths):
            return nothing
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        classes = sorted({a["category_id"] for a in (*self._truths, *self._estimates)})
        categories = [{"id": c} for c in classes]
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            truth, estimated = COCO(), COCO()
            truth.dataset = {
                "images": self._images,
                "categories": categories,
                "annotations": [t.copy() for t in self._truths],
            }
            estimated.dataset = {
                "images": self._images,
                "categories": categories,
                "annotations": [e | {"id": i + 1, "iscrowd": 0} for i, e in enumerate(self._estimates)],
            }
            truth.createIndex()
            estimated.createIndex()
            evaluation = COCOeval(truth, estimated, "segm")
            evaluation.params.areaRng = [[0, 1e10]]
            evaluation.params.areaRngLbl = ["all"]
            evaluation.evaluate()
            evaluation.accumulate()
        # (IoU thresholds, recalls, classes): COCO marks classes without ground truth by -1.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        precision = precision[:, :, (precision > -1).all((0, 1))]
        if precision.size == 0:
            return nothing
        return {"map": float(precision.mean()), "map50": float(precision[0].mean())}

"""Detectors for tests that find coloured squares by real arithmetic, in the layouts in which others export theirs."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_tracking.core.arrays import Float, UInt8
from pose_tracking.core.frame import RGBDFrame

NAMES = ("red", "green", "blue")
COLORS = ((230, 30, 30), (30, 200, 40), (40, 60, 235))
SIDE = 320  # of the networks' input
SQUARE = 48  # of a square in the input
_STRIDE = 16


class SquareDetector(nn.Module):
    """Scores of a 1 x 1 convolution over the colours, averaged over cells; boxes of one size around the cells."""

    def __init__(self, layout: str, masks: bool = False, nhwc: bool = False) -> None:
        super().__init__()
        self.layout, self.masks, self.nhwc = layout, masks, nhwc
        self.match = nn.Conv2d(3, len(NAMES), 1)
        with torch.no_grad():
            # One channel high and the others low: 0.9 - 0.1 - 0.1 there, below 0 on grey.
            self.match.weight[:] = (1.5 * torch.eye(3) - 0.5)[:, :, None, None] * 2
            nn.init.constant_(self.match.bias, -0.8)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.nhwc:
            image = image.permute(0, 3, 1, 2).float() / 255
        if self.layout == "torchvision":
            image = image[None]
        logits = 12 * self.match(image)
        rows, columns = image.shape[2] // _STRIDE, image.shape[3] // _STRIDE
        pooled = F.avg_pool2d(logits, SQUARE - 1, _STRIDE, SQUARE // 2 - _STRIDE // 2)[:, :, :rows, :columns]
        scores = torch.sigmoid(pooled.flatten(2) - 5)  # (1, C, N)
        down, across = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = (torch.stack([across, down]).flatten(1).float()[None] + 0.5) * _STRIDE
        boxes = torch.cat([centres, torch.full_like(centres, SQUARE)], 1)  # (1, 4, N)
        protos = F.avg_pool2d(logits, 4)
        if self.layout == "yolo":
            table = torch.cat([boxes, scores, *([scores] if self.masks else [])], 1)
            return (table, protos) if self.masks else (table,)
        if self.layout == "yolo_objectness":
            best = scores.amax(1, keepdim=True)
            return (torch.cat([boxes, best, scores], 1).transpose(1, 2),)
        return self._final(boxes, scores, (image.shape[3], image.shape[2]), torch.sigmoid(logits))

    def _final(self, boxes: Tensor, scores: Tensor, size: tuple[int, int], shown: Tensor) -> tuple[Tensor, ...]:
        """The layouts that suppress: of the best cells each that no better neighbour overlaps."""
        best, label = scores[0].max(0)
        best, order = best.topk(60)
        corners = torch.cat([boxes[0, :2] - boxes[0, 2:] / 2, boxes[0, :2] + boxes[0, 2:] / 2]).T[order]
        label = label[order]
        centre = (corners[:, :2] + corners[:, 2:]) / 2
        apart = (centre[:, None] - centre[None]).abs().amax(2) >= SQUARE * 0.9
        earlier = torch.ones(60, 60).tril(-1).bool()
        alone = (apart | ~earlier | (label[:, None] != label[None])).all(1)
        best = best * alone
        if self.layout == "end_to_end":
            return (torch.cat([corners, best[:, None], label[:, None].float()], 1)[None],)
        scale = torch.tensor([*size, *size], dtype=torch.float32)
        if self.layout == "tensorflow":
            return (corners / scale)[None][:, :, [1, 0, 3, 2]], label[None].float() + 1, best[None]
        if self.layout == "ssd":
            columns = [torch.zeros(60, 1), label[:, None].float() + 1, best[:, None], corners / scale]
            return (torch.cat(columns, 1)[None, None],)
        masks = shown[0, label][:, None]
        return corners, label + 1, best, masks


OUTPUTS = {
    "tensorflow": ["detection_boxes", "detection_classes", "detection_scores"],
    "torchvision": ["boxes", "labels", "scores", "masks"],
}


def export(path: Path, layout: str, *, masks: bool = False, names: bool = True, dynamic: bool = False) -> Path:
    """Write the detector as ONNX; `names` are put into the metadata as Ultralytics' exporter does."""
    import onnx

    nhwc = layout == "tensorflow"
    example = torch.rand(1, 3, SIDE, SIDE)
    if nhwc:
        example = (255 * example.permute(0, 2, 3, 1)).to(torch.uint8)
    elif layout == "torchvision":
        example = example[0]
    axes = {"image": {1: "height", 2: "width"}} if nhwc or layout == "torchvision" else {"image": {2: "h", 3: "w"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            SquareDetector(layout, masks, nhwc).eval(), (example,), str(path), input_names=["image"],
            output_names=OUTPUTS.get(layout), opset_version=17, dynamo=False, dynamic_axes=axes if dynamic else None,
        )  # fmt: skip
    if names:
        model = onnx.load(str(path))
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", str(dict(enumerate(NAMES)))
        onnx.save(model, str(path))
    return path


def squares(
    places: list[tuple[int, int, int]], size: tuple[int, int] = (640, 480), side: int = 96
) -> tuple[UInt8, Float]:
    """A grey (H, W, 3) picture with squares of (x, y, class) and their (N, 4) boxes."""
    rng = np.random.default_rng(3)
    picture = np.full((size[1], size[0], 3), 120, np.uint8)
    boxes = []
    for x, y, label in places:
        cv2.rectangle(picture, (x, y), (x + side - 1, y + side - 1), COLORS[label], -1)
        boxes.append([x, y, x + side, y + side])
    noisy = picture + rng.normal(0, 4, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), np.array(boxes, float)


def square_frame(places: list[tuple[int, int, int]], stamp_ns: int = 0) -> tuple[RGBDFrame, Float]:
    """A frame without depth of `squares`, and their boxes."""
    picture, boxes = squares(places)
    return RGBDFrame.of_color(picture, stamp_ns), boxes


def lively(model: nn.Module, spread: float) -> nn.Module:
    """A detection network of torchvision with random weights that finds something: varied classes and masks."""
    generator = torch.Generator().manual_seed(4)
    for name, parameter in model.named_parameters():
        if name.endswith("cls_score.weight"):
            parameter.data.normal_(0, spread, generator=generator)
        elif name.endswith("mask_fcn_logits.weight"):
            parameter.data.normal_(0, 1, generator=generator)
    return model.eval()

"""What the outputs of detector graphs mean: which of the usual layouts they have, and boxes, labels and masks of each.

Layouts, of one image, N boxes, C classes, M mask coefficients:

=================  ========================================================================================
yolo               (1, 4 + C (+ M), N): centre, size, class scores; YOLOv8 and later. With masks a second
                   output (1, M, h, w), whose combinations are the masks
yolo_objectness    (1, N, 5 + C (+ M)): the same with the chance of an object before the classes; YOLOv5, v7
end_to_end         (1, N, 6 (+ M)): corners, score, label; no suppression is left to do
torchvision        boxes (N, 4) in corners, labels (N,), scores (N,), masks (N, 1, H, W), in any order
tensorflow         detection_boxes (1, N, 4) as (y, x, y, x) of 0 to 1, detection_classes, detection_scores
ssd                (1, 1, N, 7): image, label, score, corners of 0 to 1
=================  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float32, Int
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.engines.graph_file import Port

Outputs = Sequence[NDArray[Any]]

# An end-to-end head has a few hundred boxes, one of anchors thousands: that tells (1, 300, 6) from (1, 25200, 6).
_MOST_FINAL_BOXES = 1000
# Labels from 1, 0 being the background.
FROM_ONE = ("torchvision", "tensorflow", "ssd")
_TENSORFLOW = ("detection_boxes", "detection_classes", "detection_scores")
# Boxes of which several may be of one thing.
UNSUPPRESSED = ("yolo", "yolo_objectness")


@dataclass
class Found:
    """What a detector says of an image, in pixels of its input.

    Attributes:
        boxes: (N, 4) (x_min, y_min, x_max, y_max), unclipped.
        scores: (N,) 0 to 1.
        labels: (N,) as the detector numbers them.
        mask_of: the mask of one of them as (h, w) values over the whole input, or None where it has no masks.
        logits: whether those values are logits, not probabilities.
    """

    boxes: Float32
    scores: Float32
    labels: Int
    mask_of: Callable[[int], Float32] | None = None
    logits: bool = False


@dataclass(frozen=True)
class Layout:
    """A layout that was recognised.

    Attributes:
        name: as in `GraphConfig.layout`.
        classes: how many classes the outputs have, None where they do not tell.
        masks: whether they have masks.
    """

    name: str
    classes: int | None
    masks: bool


def recognise(ports: Sequence[Port], outputs: Outputs, classes: int | None) -> Layout:
    """The layout of a detector's outputs.

    Args:
        ports: the graph's outputs.
        outputs: what it gave for some image.
        classes: how many classes it has, where known: with it one-stage layouts are told from each other.

    Raises:
        BundleError: it is none that is known here.
    """
    shapes = [output.shape for output in outputs]
    protos = [shape for shape in shapes if len(shape) == 4 and shape[0] == 1 and shape[1] > 1]
    tables = [shape for shape in shapes if len(shape) == 3 and shape[0] == 1 and min(shape[1:]) >= 5]
    extra = protos[0][1] if len(protos) == 1 else 0
    if len(tables) == 1 and len(shapes) == 1 + len(protos) and len(protos) <= 1:
        return _one_table(*tables[0][1:], extra, classes)
    if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][:2] == (1, 1) and shapes[0][3] == 7:
        return Layout("ssd", None, False)
    if set(_TENSORFLOW) <= set(_by_name(ports, outputs)):
        return Layout("tensorflow", None, False)
    roles = _roles(ports, outputs)
    if roles is not None:
        return Layout("torchvision", None, "masks" in roles)
    raise BundleError(
        f"its outputs ({', '.join(_described(ports, outputs))}) are of no layout that is known: (1, 4 + classes, N) or "
        "(1, N, 5 + classes) of YOLO, (1, N, 6) of end-to-end detectors, boxes, labels and scores as torchvision's, "
        "detection_boxes ... as TensorFlow's, (1, 1, N, 7) of SSD; export it to one of them"
    )


def decode(layout: str, ports: Sequence[Port], outputs: Outputs, size: tuple[int, int]) -> Found:
    """Boxes, scores, labels and masks of the outputs of one image.

    Args:
        layout: as in `GraphConfig.layout`.
        ports: the graph's outputs.
        outputs: what it gave.
        size: width and height of the input, pixels.

    Raises:
        BundleError: the outputs are not of that layout.
    """
    try:
        return _DECODERS[layout](ports, outputs, np.array([*size, *size], np.float32))
    except (IndexError, KeyError, StopIteration, ValueError) as error:
        raise BundleError(
            f"the outputs ({', '.join(_described(ports, outputs))}) are not of the layout {layout!r}: make the bundle "
            "again with new-model --from-detector"
        ) from error


def _one_table(rows: int, columns: int, extra: int, classes: int | None) -> Layout:
    """The layout of a single table of boxes beside mask prototypes of `extra` channels."""
    if columns == 6 + extra and rows <= _MOST_FINAL_BOXES and classes != columns - 5 - extra:
        return Layout("end_to_end", None, extra > 0)
    if rows < columns:
        return Layout("yolo", rows - 4 - extra, extra > 0)
    return Layout("yolo_objectness", columns - 5 - extra, extra > 0)


def _yolo(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    table, protos = _table_and_protos(outputs)
    return _from_anchors(table.T, None, protos)


def _yolo_objectness(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    table, protos = _table_and_protos(outputs)
    return _from_anchors(np.delete(table, 4, 1), table[:, 4], protos)


def _from_anchors(table: Float32, objectness: Float32 | None, protos: Float32 | None) -> Found:
    """Found of (N, 4 + C + M) centre, size, scores, coefficients."""
    classes = table.shape[1] - 4 - (0 if protos is None else len(protos))
    by_class = table[:, 4 : 4 + classes]
    labels = by_class.argmax(1)
    scores = by_class[np.arange(len(table)), labels]
    if objectness is not None:
        scores = scores * objectness
    centre, half = table[:, :2], table[:, 2:4] / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    return _with_protos(boxes, scores, labels, table[:, 4 + classes :], protos)


def _end_to_end(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    table, protos = _table_and_protos(outputs)
    return _with_protos(table[:, :4], table[:, 4], table[:, 5].round(), table[:, 6:], protos)


def _with_protos(
    boxes: Float32, scores: Float32, labels: NDArray[Any], coefficients: Float32, protos: Float32 | None
) -> Found:
    found = Found(boxes, scores, labels.astype(np.int64))
    if protos is not None:
        if coefficients.shape[1] != len(protos):
            raise ValueError("as many coefficients as prototypes")
        found.mask_of = lambda i: np.tensordot(coefficients[i], protos, 1).astype(np.float32)
        found.logits = True
    return found


def _table_and_protos(outputs: Outputs) -> tuple[Float32, Float32 | None]:
    table = next(output for output in outputs if output.ndim == 3)
    protos = next((output for output in outputs if output.ndim == 4), None)
    return table[0].astype(np.float32), None if protos is None else protos[0].astype(np.float32)


def _torchvision(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    roles = _roles(ports, outputs)
    if roles is None:
        raise ValueError("boxes, labels and scores")
    boxes, scores, labels = (roles[name] for name in ("boxes", "scores", "labels"))
    found = Found(boxes.astype(np.float32), scores.astype(np.float32), labels.round().astype(np.int64))
    if "masks" in roles:
        masks = roles["masks"]
        found.mask_of = lambda i: np.asarray(masks[i], np.float32)
    return found


def _tensorflow(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    by_name = _by_name(ports, outputs)
    boxes, labels, scores = (by_name[name][0] for name in _TENSORFLOW)
    boxes = boxes.astype(np.float32)[:, [1, 0, 3, 2]] * size
    return Found(boxes, scores.astype(np.float32), labels.round().astype(np.int64))


def _ssd(ports: Sequence[Port], outputs: Outputs, size: Float32) -> Found:
    table = outputs[0][0, 0].astype(np.float32)
    table = table[table[:, 0] >= 0]  # the list ends where the number of the image is -1
    return Found(table[:, 3:7] * size, table[:, 2], table[:, 1].round().astype(np.int64))


_DECODERS: dict[str, Callable[[Sequence[Port], Outputs, Float32], Found]] = {
    "yolo": _yolo,
    "yolo_objectness": _yolo_objectness,
    "end_to_end": _end_to_end,
    "torchvision": _torchvision,
    "tensorflow": _tensorflow,
    "ssd": _ssd,
}


def _roles(ports: Sequence[Port], outputs: Outputs) -> dict[str, NDArray[Any]] | None:
    """(N, 4) boxes, (N,) scores and labels, perhaps (N, H, W) masks among outputs in any order; None where not."""
    found: dict[str, NDArray[Any]] = {}
    for port, output in zip(ports, outputs, strict=True):
        role = _role(port, output)
        if role is None:
            continue
        if role in found:
            return None
        # Exports with a batch of one image have it in front, torchvision's own have none.
        batched = output.ndim == {"boxes": 3, "masks": 5}.get(role, 2)
        found[role] = output[0] if batched else output
    if not {"boxes", "scores", "labels"} <= set(found):
        return None
    count = len(found["boxes"])
    if any(len(array) != count for array in found.values()):
        return None
    if "masks" in found:
        masks = found["masks"]
        found["masks"] = masks[:, 0] if masks.ndim == 4 else masks
    return found


def _role(port: Port, output: NDArray[Any]) -> str | None:
    name, whole = " ".join(port.names).lower(), np.issubdtype(output.dtype, np.integer)
    if output.ndim in (2, 3) and output.shape[-1] == 4 and not whole and (output.ndim == 2 or output.shape[0] == 1):
        return "boxes"
    if "mask" in name or (output.ndim >= 4 and not whole):
        return "masks"
    if output.ndim == 1 or (output.ndim == 2 and output.shape[0] == 1):
        if "num" in name:
            return None
        if whole or "label" in name or "class" in name:
            return "labels"
        return "scores"
    return None


def _by_name(ports: Sequence[Port], outputs: Outputs) -> dict[str, NDArray[Any]]:
    """Outputs by each of their names, without TensorFlow's number of the output."""
    return {name.split(":")[0]: o for port, o in zip(ports, outputs, strict=True) for name in port.names}


def _described(ports: Sequence[Port], outputs: Outputs) -> list[str]:
    return [f"{p.name} {list(o.shape)} {o.dtype}" for p, o in zip(ports, outputs, strict=True)]

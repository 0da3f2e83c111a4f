"""What a bundle from somebody else's detector is made of: what is asked for, and what was found in its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.config import GraphConfig, ReidConfig, ZooConfig
from pose_tracking.segmentation.segmenter import Segmenter

KINDS = ("torchvision", "detectron2", "onnx", "openvino")
# Thresholds of torchvision's and detectron2's own inference; `pipeline.min_unchecked_score` sorts out afterwards.
THRESHOLDS = {"score_threshold": 0.05, "nms_iou": 0.5, "max_detections": 100}
NO_MASKS = (
    "it gives no masks: with depth what stands as far away as the middle of a box is taken, without depth the whole box"
)


@dataclass(frozen=True)
class DetectorRequest:
    """What is asked for.

    Attributes:
        kind: one of `KINDS`.
        file: checkpoint, graph, or detectron2's ``config.yaml``.
        weights: detectron2's checkpoint; None takes the one beside its config.
        names: class names in the order of the detector's labels, or a file of them; none takes those in its file, or
            COCO's.
        classes: names of the classes that are wanted; none takes all.
        reid: a re-identification network in ONNX for the appearance, or None.
        description: what the bundle is for.
    """

    kind: str
    file: Path
    weights: Path | None = None
    names: Sequence[str] = ()
    classes: Sequence[str] = ()
    reid: Path | None = None
    description: str = ""


@dataclass
class DetectorModel:
    """A bundle in the making.

    Attributes:
        segmentation: its options that are not the defaults.
        labels: the detector's class names, empty ones where a label has no class.
        what: the detector for people, e.g. ``maskrcnn_resnet50_fpn``.
        appearance: what identity goes by, for people.
        write: writes the detector's files into the bundle's folder.
        build: the detector as it will be, from the user's own files, to try it; None where it cannot be tried here.
        notes: what the user should know.
    """

    segmentation: dict[str, Any]
    labels: list[str]
    what: str
    appearance: str
    write: Callable[[Path], None]
    build: Callable[[SegmentationConfig, dict[int, str]], Segmenter] | None
    notes: list[str] = field(default_factory=list)


def changed_options(config: GraphConfig | ZooConfig | ReidConfig) -> dict[str, Any]:
    """The options of a config that are not the defaults."""
    usual = type(config)()
    values = {
        f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != getattr(usual, f.name)
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

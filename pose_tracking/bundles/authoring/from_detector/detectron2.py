"""Reads a network of detectron2's model zoo or of a training with it, without detectron2."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.core.files import write_text
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.detectron2.files import read_checkpoint, read_complete_config, save_checkpoint
from pose_tracking.segmentation.segmenter import Segmenter

from .names import label_names, parse_names
from .request import DetectorModel, DetectorRequest

_CONFIG, _WEIGHTS = "config.yaml", "model_final.safetensors"
_COCO_CLASSES = 80  # detectron2's default of NUM_CLASSES
_SUFFIXES = (".pth", ".pkl", ".safetensors")


def read_detectron2(request: DetectorRequest) -> DetectorModel:
    """A Mask R-CNN of detectron2: its config, whole or built on others, and its weights.

    Raises:
        BundleError, ConfigError: a file cannot be read, or the classes are not named.
    """
    config_file = request.file / _CONFIG if request.file.is_dir() else request.file
    values = read_complete_config(config_file)
    weights = request.weights or _weights_beside(config_file)
    state = read_checkpoint(weights)
    heads = values["MODEL"].get("ROI_HEADS") or {}
    labels = label_names(parse_names(request.names), heads.get("NUM_CLASSES", _COCO_CLASSES), False, str(config_file))
    segmentation: dict[str, Any] = {
        "backend": "detectron2",
        "detectron2": {"config": _CONFIG, "weights": _WEIGHTS, "thing_classes": labels},
    }

    def write(folder: Path) -> None:
        write_text(folder / _CONFIG, yaml.safe_dump(_without_weights(values)))
        save_checkpoint(state, folder / _WEIGHTS)

    def build(config: SegmentationConfig, names: dict[int, str]) -> Segmenter:
        from pose_tracking.segmentation.detectron2.segmenter import Detectron2Segmenter

        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            try:
                return Detectron2Segmenter(config, names, Path(folder) / _CONFIG, Path(folder) / _WEIGHTS)
            except BundleError as error:
                text = str(error).replace(str(Path(folder) / _CONFIG), str(config_file))
                raise BundleError(text.replace(str(Path(folder) / _WEIGHTS), str(weights))) from error

    is_there = importlib.util.find_spec("detectron2") is not None
    notes = [] if is_there else ["detectron2 is not installed here: the bundle needs it and has not been tried"]
    what = f"detectron2's {values['MODEL'].get('META_ARCHITECTURE', 'GeneralizedRCNN')} of {config_file.name}"
    appearance = "the detector's RoIAlign features"
    return DetectorModel(segmentation, labels, what, appearance, write, build if is_there else None, notes)


def _weights_beside(config_file: Path) -> Path:
    """The only checkpoint beside a config."""
    found = sorted(path for path in config_file.parent.glob("*") if path.suffix in _SUFFIXES)
    if len(found) != 1:
        listing = ", ".join(path.name for path in found) or "none"
        raise ConfigError(f"{config_file}: name its checkpoint with --weights (beside it: {listing})")
    return found[0]


def _without_weights(values: Mapping[str, Any]) -> dict[str, Any]:
    """The config without the place its weights came from, which the bundle has."""
    return {**values, "MODEL": {name: value for name, value in values["MODEL"].items() if name != "WEIGHTS"}}

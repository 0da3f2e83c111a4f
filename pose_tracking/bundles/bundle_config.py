"""What ``bundle.yaml`` says: the options of a whole bundle, and how they are read, also from older files."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pose_tracking.core.config import from_mapping, option
from pose_tracking.core.errors import ConfigError
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.pose.config import PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.tracking.config import TrackingConfig

from .finding import CONFIG_FILE
from .objects_config import ObjectsConfig
from .pipeline_config import PipelineConfig

LOGGER = logging.getLogger(__name__)

SCHEMA = 1


@dataclass(frozen=True)
class BundleConfig:
    """The whole of ``bundle.yaml``."""

    schema: int = option(SCHEMA, "version of this layout", range=(SCHEMA, SCHEMA))
    name: str = option("", "name of the bundle")
    description: str = option("", "what it is for and what it was trained on")
    objects: ObjectsConfig = field(default_factory=ObjectsConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    pose: PoseConfig = field(default_factory=PoseConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)


def read_options(values: Mapping[str, Any], path: Path) -> BundleConfig:
    """The checked options of the contents of ``bundle.yaml`` in folder `path`.

    Raises:
        ConfigError: an option is unknown or out of range.
    """
    return from_mapping(BundleConfig, _with_depth_noise(_with_segmenter(values, path), path), str(path / CONFIG_FILE))


def _with_segmenter(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Contents of ``bundle.yaml`` with the short form ``segmenter: NAME`` and the backend's own defaults filled in.

    A detectron2 config has its own thresholds; they hold wherever the bundle states none.
    """
    values, file = dict(values), path / CONFIG_FILE
    section = values.get("segmentation", {})
    if not isinstance(section, Mapping):
        return values
    if "segmenter" in values:
        name = values.pop("segmenter")
        if section.get("backend", name) != name:
            raise ConfigError(
                f"{file}: segmenter = {name!r} but segmentation: backend = {section['backend']!r}: state one of them"
            )
        section = {**section, "backend": name}
    if section.get("backend") == "detectron2":
        from pose_tracking.segmentation.detectron2.files import inference_options

        backend = from_mapping(SegmentationConfig, section, f"{file}.segmentation").detectron2
        section = {**inference_options(path / backend.config), **section}
    return {**values, "segmentation": section}


def _with_depth_noise(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Contents of ``bundle.yaml`` with the sensor's noise where it is today; before 0.2.0 the pose check had it."""
    pose = values.get("pose")
    if not isinstance(pose, Mapping):
        return values
    check, noise = pose.get("verification"), pose.get("depth_noise", {})
    if not isinstance(check, Mapping) or not isinstance(noise, Mapping):
        return values
    moved = {f"noise_{name}": name for name in ("floor", "quadratic") if f"noise_{name}" in check}
    for old, new in moved.items():
        former, current, file = f"verification.{old}", f"depth_noise.{new}", path / CONFIG_FILE
        if new in noise:
            raise ConfigError(f"{file}: pose: {former!r} is the former name of {current!r}: state one of them")
        LOGGER.warning("%s: option %r is now called %r; the old name goes with the next version", file, former, current)
        noise = {**noise, new: check[old]}
    check = {name: value for name, value in check.items() if name not in moved}
    return {**values, "pose": {**pose, "verification": check, "depth_noise": noise}} if moved else values

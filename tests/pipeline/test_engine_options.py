"""Which engine a pipeline runs on: the bundle says, the caller goes first, given stages go their own way."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ball_scene import ball_tracker

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.pipeline import PoseTracker
from pose_tracking.segmentation import SegmentationConfig


class Finds:
    """A segmenter of one's own, which finds nothing."""

    config = SegmentationConfig()

    def segment(self, frame: RGBDFrame) -> Instances:
        return Instances.empty(480, 640, 8, 7)

    def instances_at(self, frame: RGBDFrame, boxes: Any, obj_ids: Any) -> Instances:
        return Instances.empty(480, 640, 8, 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the demo bundle that asks for PyTorch."""
    path = tmp_path / "copy"
    shutil.copytree(ModelBundle.load("demo").path, path)
    with (path / "bundle.yaml").open("a") as file:
        file.write("inference: {engine: torch, precision: fp32}\n")
    return path


def test_the_bundle_says_what_runs_its_networks(folder: Path) -> None:
    bundle = ModelBundle.load(folder)
    assert bundle.config.inference == InferenceConfig("torch", "fp32")
    assert PoseTracker(bundle).engines == {"segmentation": "torch fp32", "pose": "torch fp32"}


def test_what_the_caller_says_goes_first(folder: Path) -> None:
    pytest.importorskip("openvino")
    tracker = PoseTracker(ModelBundle.load(folder), engine="openvino")
    assert tracker.engines == {"segmentation": "openvino fp32", "pose": "openvino fp32"}


def test_openvino_is_taken_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino")
    engines = PoseTracker(ModelBundle.load("demo")).engines
    assert {text.split()[0] for text in engines.values()} == {"openvino"}
    assert "torch" not in caplog.text


@pytest.mark.parametrize(("option", "value"), [("engine", "tensorrt"), ("precision", "int4")])
def test_an_unknown_value_is_named(folder: Path, option: str, value: str) -> None:
    bundle = ModelBundle.load(folder)
    with pytest.raises(ConfigError, match=f"inference: {option} = '{value}' is not one of auto"):
        PoseTracker(bundle, **{option: value})  # type: ignore[arg-type]
    text = (folder / "bundle.yaml").read_text().replace("engine: torch", f"{option}: {value}", 1)
    (folder / "bundle.yaml").write_text(text.replace(", precision: fp32", "", 1))
    with pytest.raises(ConfigError, match=rf"bundle.yaml.inference: {option} = '{value}'"):
        ModelBundle.load(folder)


def test_stages_that_are_handed_over_run_as_they_are(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = PoseTracker(ModelBundle.load(folder), segmenter=Finds())
    assert tracker.engines == {"segmentation": "its own", "pose": "torch fp32"}
    assert caplog.text == ""
    pytest.importorskip("openvino")
    PoseTracker(ModelBundle.load(folder), engine="openvino", segmenter=Finds())
    assert "they run as they are" in caplog.text
    assert ball_tracker().engines == {"segmentation": "its own", "pose": "its own"}

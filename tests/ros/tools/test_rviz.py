"""What RViz shows is what the node was told to listen to."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.paths import share_file
from pose_tracking.ros.tools.process import camera_preset, camera_presets
from pose_tracking.ros.tools.rviz import node_values, rviz_file

ROOT = Path(__file__).resolve().parents[3]


def shown(path: Path) -> dict[str, Any]:
    """Topics, hints and frames of a configuration of RViz."""
    manager = yaml.safe_load(path.read_text())["Visualization Manager"]
    displays = {display["Class"].partition("/")[2]: display for display in manager["Displays"]}
    cloud = displays["DepthCloud"]
    return {
        "camera": displays["Camera"]["Topic"]["Value"],
        "color": cloud["Color Image Topic"],
        "depth": cloud["Depth Map Topic"],
        "hints": (cloud["Color Transport Hint"], cloud["Depth Map Transport Hint"]),
        "fixed": manager["Global Options"]["Fixed Frame"],
        "target": manager["Views"]["Current"]["Target Frame"],
        "objects": displays["MarkerArray"]["Topic"]["Value"],
        "annotated": displays["Image"]["Topic"]["Value"],
    }


def test_the_topics_are_those_of_the_camera() -> None:
    seen = shown(rviz_file(camera_preset("realsense"), {}))
    assert seen["camera"] == seen["color"] == "/camera/camera/color/image_raw"
    assert seen["depth"] == "/camera/camera/aligned_depth_to_color/image_raw"
    assert seen["hints"] == ("raw", "raw")
    assert seen["fixed"] == seen["target"] == "camera_color_optical_frame"
    assert (seen["objects"], seen["annotated"]) == ("/tracker/markers", "/tracker/image_annotated")


def test_the_frame_is_that_of_the_driver_or_the_one_that_is_stated() -> None:
    assert shown(rviz_file(camera_preset("azure_kinect"), {}))["fixed"] == "rgb_camera_link"
    stated = shown(rviz_file(camera_preset("azure_kinect"), {"fixed_frame": "map"}, "eye"))
    assert (stated["fixed"], stated["target"]) == ("map", "eye")


def test_what_is_given_goes_before_the_file_and_compressed_images_are_named_so(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    topics = {"camera": "/eye", "color_topic": "rgb", "depth_topic": "/z", "color_transport": "compressed"}
    mine.write_text(yaml.safe_dump({"tracker": {"ros__parameters": {**topics, "output_frame": "table"}}}))
    seen = shown(rviz_file(mine, {}))
    assert (seen["camera"], seen["color"], seen["depth"]) == ("/eye/rgb/compressed", "/eye/rgb", "/z")
    assert seen["hints"] == ("compressed", "raw")
    assert (seen["fixed"], seen["target"]) == ("table", "camera_color_optical_frame")
    seen = shown(rviz_file(mine, {"camera": "/other", "depth_transport": "compressedDepth"}))
    assert (seen["color"], seen["depth"]) == ("/other/rgb", "/z")
    assert seen["hints"] == ("compressed", "compressedDepth")


def test_with_the_default_camera_it_is_the_file_that_we_ship() -> None:
    written = yaml.safe_load(rviz_file(camera_preset("default"), {}).read_text())
    assert written == yaml.safe_load(share_file("rviz", "tracker.rviz").read_text())


@pytest.mark.parametrize("name", sorted(camera_presets()))
def test_every_preset_can_be_shown(name: str) -> None:
    assert node_values(camera_preset(name), {})["camera_info_topic"].endswith("camera_info")
    assert shown(rviz_file(camera_preset(name), {}))["color"].endswith("image_raw")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- 1", "mine.yaml: not a file of ROS parameters"),
        ("tracker: [", "mine.yaml: not a file of ROS parameters"),
        ("tracker: 3", "mine.yaml: not a file of ROS parameters"),
        ("/**: {ros__parameters: {camera: 3}}", "camera"),
    ],
)
def test_a_file_of_no_parameters_is_named(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        rviz_file(path, {})


class Made:
    """An action of a launch description: what it was made of."""

    def __init__(self, *args: Any, **named: Any) -> None:
        self.args, self.named = args, named


@pytest.fixture
def launch_file(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names in the launch file; its library, which is not on PyPI, is replaced by records of what is made."""
    contents: dict[str, dict[str, Any]] = {
        "launch": {"LaunchDescription": Made},
        "launch.actions": dict.fromkeys(
            ("DeclareLaunchArgument", "EmitEvent", "ExecuteProcess", "OpaqueFunction", "SetEnvironmentVariable"), Made
        ),
        "launch.events": {"Shutdown": Made},
        "launch.substitutions": {"LaunchConfiguration": Argument},
        "launch_ros": {},
        "launch_ros.actions": {"Node": Made},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(str(ROOT / "launch" / "tracker.launch.py"))


class Argument:
    """The value of an argument, in a context that holds them as a dictionary."""

    def __init__(self, name: str) -> None:
        self.name = name

    def perform(self, context: Any) -> str:
        return str(context.values[self.name])


def started(launch_file: dict[str, Any], **given: str) -> dict[str, Made]:
    """The nodes that are started, by package."""
    defaults = {name: default for name, default, _ in launch_file["ARGUMENTS"]}
    actions = launch_file["start"](SimpleNamespace(values=defaults | given))
    return {action.named["package"]: action for action in actions if "package" in action.named}


def test_rviz_is_started_with_the_topics_of_the_camera(launch_file: dict[str, Any]) -> None:
    assert set(started(launch_file)) == {"pose_tracking"}
    nodes = started(launch_file, camera="realsense", rviz="true", fixed_frame="map", camera_frame="eye")
    option, path = nodes["rviz2"].named["arguments"]
    seen = shown(Path(path))
    assert option == "-d"
    assert seen["camera"] == "/camera/camera/color/image_raw"
    assert (seen["fixed"], seen["target"]) == ("map", "eye")
    assert nodes["pose_tracking"].named["parameters"][0] == str(camera_preset("realsense"))

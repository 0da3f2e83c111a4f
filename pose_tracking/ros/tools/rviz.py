"""What RViz is to show: our configuration with the topics and frames of the camera at hand. No rclpy here."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.paths import share_file
from pose_tracking.ros.node.parameters import PARAMETERS, camera_topics

# Optical frames of the colour images of the presets' drivers, under their default names.
CAMERA_FRAME = "camera_color_optical_frame"
CAMERA_FRAMES = {"azure_kinect": "rgb_camera_link"}
# Names under which a parameter file speaks of the node.
_NODE_KEYS = ("/**", "tracker", "/tracker")


def rviz_file(preset: Path, parameters: Mapping[str, Any], camera_frame: str = "") -> Path:
    """Write a configuration of RViz for a node; it is removed when this process ends.

    Args:
        preset: parameter file of the camera.
        parameters: values given to the node over those of `preset`.
        camera_frame: frame of the colour image; empty: that of the driver which the preset is for.

    Raises:
        ConfigError: `preset` is no parameter file, or a value in it of the wrong type.
    """
    frame = camera_frame or CAMERA_FRAMES.get(preset.stem, CAMERA_FRAME)
    template = yaml.safe_load(share_file("rviz", "tracker.rviz").read_text())
    content = yaml.safe_dump(with_camera(template, node_values(preset, parameters), frame), sort_keys=False)
    with tempfile.NamedTemporaryFile("w", prefix="pose_tracking_", suffix=".rviz", delete=False) as file:
        file.write(content)
    path = Path(file.name)
    atexit.register(path.unlink, missing_ok=True)
    return path


def node_values(preset: Path, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values that all parameters of a node have with a parameter file and others given over it.

    Raises:
        ConfigError: see `rviz_file`.
    """
    try:
        sections = yaml.safe_load(preset.read_text()) or {}
        given = [(sections.get(key) or {}).get("ros__parameters") or {} for key in _NODE_KEYS]
        stated = {name: value for each in given for name, value in each.items()} | dict(parameters)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"{preset}: not a file of ROS parameters ({str(error).splitlines()[0]})") from error
    known = {name: PARAMETERS[name].coerce(value) for name, value in stated.items() if name in PARAMETERS}
    return {name: parameter.default for name, parameter in PARAMETERS.items()} | known


def with_camera(config: dict[str, Any], values: Mapping[str, Any], camera_frame: str) -> dict[str, Any]:
    """A configuration of RViz whose displays show what a node with these parameter values sees and tells.

    Args:
        config: of RViz; it is changed.
        values: of all parameters of the node.
        camera_frame: frame of the colour image.
    """
    topics = camera_topics(dict(values))
    raw = camera_topics({**values, "color_transport": "raw", "depth_transport": "raw"})
    manager = config["Visualization Manager"]
    for display in manager["Displays"]:
        if display["Class"] == "rviz_default_plugins/Camera":
            display["Topic"]["Value"] = topics["color"]
        elif display["Class"] == "rviz_default_plugins/DepthCloud":
            display["Color Image Topic"], display["Depth Map Topic"] = raw["color"], raw["depth"]
            display["Color Transport Hint"] = values["color_transport"]
            display["Depth Map Transport Hint"] = values["depth_transport"]
    # What is in a frame that RViz cannot turn into this one is not shown.
    manager["Global Options"]["Fixed Frame"] = values["fixed_frame"] or values["output_frame"] or camera_frame
    manager["Views"]["Current"]["Target Frame"] = camera_frame
    return config

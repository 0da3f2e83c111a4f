"""Camera presets, and the arguments that a node is started with."""

from __future__ import annotations

import pytest
import yaml

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.paths import share_file
from pose_tracking.ros.node.parameters import PARAMETERS, camera_topics
from pose_tracking.ros.tools.process import camera_preset, camera_presets, node_arguments, replay_command


def defaults(**changes):
    return {name: parameter.default for name, parameter in PARAMETERS.items()} | changes


def test_presets_set_only_parameters_that_exist():
    assert {"realsense", "azure_kinect", "orbbec", "default"} <= set(camera_presets())
    for name in camera_presets():
        values = yaml.safe_load(camera_preset(name).read_text())["/**"]["ros__parameters"]
        for parameter, value in values.items():
            PARAMETERS[parameter].coerce(value)
        assert len(set(camera_topics(defaults(**values)).values())) == 3
        assert (PARAMETERS["pose.depth_noise.model"].name in values) == (name != "default")
    assert (
        camera_topics(defaults(**yaml.safe_load(camera_preset("realsense").read_text())["/**"]["ros__parameters"]))[
            "depth"
        ]
        == "/camera/camera/aligned_depth_to_color/image_raw"
    )


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(ConfigError, match="unknown camera 'kinect7'.*realsense"):
        camera_preset("kinect7")
    with pytest.raises(ConfigError, match="no/such"):
        share_file("no", "such")


def test_arguments_keep_their_type():
    arguments = node_arguments({"model": "1", "lambda": 1.0, "autostart": True, "classes": ()})
    values = {a.split(":=")[0]: yaml.safe_load(a.split(":=")[1]) for a in arguments if ":=" in a}
    assert values == {"model": "1", "lambda": 1.0, "autostart": True, "classes": [""]}


def test_a_bag_is_played_once_the_node_listens():
    command = replay_command("some/bag", "2.0")
    assert command[1:6] == ["-m", "pose_tracking.cli", "replay", "some/bag", "--rate"]
    assert "--wait-for-subscribers" in command

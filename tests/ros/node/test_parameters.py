"""The parameter table."""

from __future__ import annotations

import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.pipeline import PoseTracker
from pose_tracking.ros.node.parameters import GROUPS, PARAMETERS, RUNTIME, camera_topics


def defaults(**changes):
    return {name: parameter.default for name, parameter in PARAMETERS.items()} | changes


def test_every_parameter_is_documented_and_its_default_is_allowed():
    assert sum(len(group) for group in GROUPS.values()) == len(PARAMETERS)
    for parameter in PARAMETERS.values():
        assert parameter.coerce(parameter.default) == parameter.default
        assert len(parameter.help) > 10
        if parameter.kind in ("integer", "double"):
            assert parameter.range is not None, parameter.name


def test_every_run_time_option_of_the_pipeline_is_a_parameter():
    assert {p.option for p in PARAMETERS.values() if p.option} == set(PoseTracker.RUNTIME_OPTIONS)
    assert PARAMETERS["lambda"].option == "motion_weight"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lambda", "1", 1.0),
        ("lambda", "0.25", 0.25),
        ("qos_depth", "3", 3),
        ("publish_tf", "false", False),
        ("model", "123", "123"),
        ("classes", "[cat, duck]", ("cat", "duck")),
        ("classes", "['']", ()),
        ("qos_reliability", "reliable", "reliable"),
    ],
)
def test_values_are_parsed_to_their_type(name, text, value):
    parsed = PARAMETERS[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "culprit"),
    [
        ("lambda", "1.5", "outside 0 to 1"),
        ("lambda", "high", "not of type double"),
        ("lambda", "{", "not of type double"),
        ("lambda", ".nan", "outside"),
        ("qos_depth", "2.5", "not of type integer"),
        ("qos_depth", "true", "not of type integer"),
        ("publish_tf", "1", "not of type bool"),
        ("classes", "[1, 2]", "not a list of strings"),
        ("color_transport", "theora", "not one of raw, compressed"),
    ],
)
def test_bad_values_are_refused_by_name(name, text, culprit):
    with pytest.raises(ConfigError, match=f"parameter {name} = .*{culprit}"):
        PARAMETERS[name].parse(text)


def test_topics_are_relative_to_the_camera_unless_they_are_absolute():
    assert camera_topics(defaults())["depth"] == "/camera/depth/image_raw"
    topics = camera_topics(
        defaults(
            camera="/left/", color_topic="/rgb/image", color_transport="compressed", depth_transport="compressedDepth"
        )
    )
    assert topics == {
        "color": "/rgb/image/compressed",
        "depth": "/left/depth/image_raw/compressedDepth",
        "camera_info": "/left/color/camera_info",
    }
    assert camera_topics(defaults(camera=""))["color"] == "color/image_raw"


def test_the_thresholds_may_change_at_any_time():
    runtime = {name for name, parameter in PARAMETERS.items() if parameter.change == RUNTIME}
    assert {"lambda", "score_threshold", "min_pose_confidence", "refine_iterations"} <= runtime

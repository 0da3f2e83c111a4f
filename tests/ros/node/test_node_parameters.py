"""The parameters of a real node: what it is given at the start, and former names."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import rclpy
from ball_scene import ball_tracker
from node_harness import own_domain
from rclpy.lifecycle import TransitionCallbackReturn

from pose_tracking.core.errors import ConfigError
from pose_tracking.ros.node.tracker_node import TrackerNode
from pose_tracking.segmentation.config import SegmentationConfig


def test_parameters_at_the_start_are_checked_and_widened():
    context = rclpy.Context()
    domain, lock = own_domain()
    with lock:
        rclpy.init(context=context, domain_id=domain)
        try:
            for text in ("qos_reliability:=perhaps", "sync_queue:=x", "classes:=[1, 2]", "sync_slop:=.nan"):
                with pytest.raises(ConfigError, match=f"parameter {text.split(':=')[0]} = "):
                    TrackerNode(context=context, cli_args=["--ros-args", "-p", text])
            arguments = ["--ros-args", "-p", "lambda:=1", "-p", "classes:=[red_ball]"]
            node = TrackerNode(lambda *_: ball_tracker(), context=context, cli_args=arguments)
            # An integer will do for a double, and what nobody has set is what the bundle says.
            assert node.get_parameter("lambda").value == 1.0
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.get_parameter("lambda").value == 1.0
            assert node.get_parameter("score_threshold").value == SegmentationConfig().score_threshold
            assert list(node.get_parameter("classes").value) == ["red_ball"]
            node.close()
        finally:
            rclpy.shutdown(context=context)


@pytest.mark.parametrize("way", ["argument", "file"])
def test_a_former_name_still_works_and_is_told(way, tmp_path):
    arguments = ["--ros-args", "-p", "carry_missed:=false"]
    if way == "file":
        (tmp_path / "parameters.yaml").write_text("/**:\n  ros__parameters:\n    carry_missed: false\n")
        arguments = ["--ros-args", "--params-file", str(tmp_path / "parameters.yaml")]
    context = rclpy.Context()
    domain, lock = own_domain()
    with lock:
        rclpy.init(context=context, domain_id=domain)
        try:
            twice = ["--ros-args", "-p", "carry_missed:=false", "-p", "recover_missed:=true"]
            with pytest.raises(ConfigError, match="parameter carry_missed is now called recover_missed.*one of"):
                TrackerNode(context=context, cli_args=twice)
            tracker = ball_tracker()
            node = TrackerNode(lambda *_: tracker, context=context, cli_args=arguments)
            assert node.get_parameter("recover_missed").value is False
            assert not node.has_parameter("carry_missed")
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert tracker.option("recover_missed") is False
            node.close()
        finally:
            rclpy.shutdown(context=context)


def test_a_word_stands_for_a_number_at_the_start_and_later():
    context = rclpy.Context()
    domain, lock = own_domain()
    with lock:
        rclpy.init(context=context, domain_id=domain)
        try:
            tracker = ball_tracker()
            arguments = ["--ros-args", "-p", "segment_every:=auto"]
            node = TrackerNode(lambda *_: tracker, context=context, cli_args=arguments)
            assert node.get_parameter("segment_every").value == 0
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert tracker.option("segment_every") == 0
            for value, number in ((3, 3), ("auto", 0)):
                (result,) = node.set_parameters([rclpy.Parameter("segment_every", value=value)])
                assert result.successful, result.reason
                assert node.get_parameter("segment_every").value == number
            (refused,) = node.set_parameters([rclpy.Parameter("segment_every", value="often")])
            assert not refused.successful
            node.close()
        finally:
            rclpy.shutdown(context=context)

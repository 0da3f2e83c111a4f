"""A bundle whose objects have no shape, through DDS: place, box and size come out of the same topics and messages."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from node_harness import Harness
from visualization_msgs.msg import Marker


@pytest.fixture(scope="module")
def harness():
    harness = Harness({"model": "shapeless balls"})
    harness.wait_active()
    yield harness
    assert harness.close() == 0


def test_a_box_and_its_size_are_published_and_shown(harness):
    for index in range(6):
        message = harness.play(index, (index + 1) * ball_scene.PERIOD_NS)
    assert [o.class_name for o in message.objects] == ["red_ball", "blue_ball"]
    for thing in message.objects:
        assert thing.has_pose
        # One side of a ball is seen: across the view it is 8 cm, and so it is taken to be behind.
        size = np.array([thing.size.x, thing.size.y, thing.size.z])
        assert (size > 0.05).all()
        assert (size < 0.12).all()
        assert sorted(size)[1:] == pytest.approx([0.08, 0.08], rel=0.25)
        p = thing.pose.pose.position
        centre = ball_scene.positions(5)[thing.obj_id]
        assert np.linalg.norm(np.array([p.x, p.y, p.z]) - centre) < 0.03
        covariance = np.array(thing.pose.covariance).reshape(6, 6)
        assert np.linalg.eigvalsh(covariance).min() > 0
        # Nothing tells the turn of a ball.
        assert covariance[3:, 3:].trace() > 1.0
    assert harness.spin(lambda: any(m.header.stamp == message.header.stamp for m in harness.markers[-1].markers))
    body = next(m for m in harness.markers[-1].markers if m.ns == "mesh" and m.id == message.objects[0].track_id)
    assert body.type == Marker.CUBE
    assert body.scale.x == pytest.approx(message.objects[0].size.x)


def test_nobody_is_asked_for_meshes_that_there_are_not(harness):
    assert harness.spin(lambda: harness.status("tracking") is not None, 5)
    assert "meshes" not in harness.status("tracking").message

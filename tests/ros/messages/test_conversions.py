"""Messages made of tracked objects, and back."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_tracking.msg import TrackedObject as TrackedObjectMsg
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from track_samples import a_track

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackState
from pose_tracking.ros.messages.conversions import (
    from_tracked_object,
    make_header,
    to_duration,
    to_time,
    tracked_object,
    tracked_object_array,
    transforms,
)

HEADER = make_header(1_234_567_890, "camera")


@settings(deadline=None)
@given(st.integers(1, 1000), st.sampled_from(list(TrackState)), st.booleans())
def test_a_tracked_object_survives_the_wire(track_id, state, has_pose):
    thing = a_track(track_id, state, has_pose)
    raw = serialize_message(tracked_object(thing))
    back = from_tracked_object(deserialize_message(raw, TrackedObjectMsg))
    for name in ("track_id", "obj_id", "class_name", "state", "age_frames", "hits", "is_observed", "is_confirmed"):
        assert getattr(back, name) == getattr(thing, name)
    for name in ("size", "score", "pose_confidence", "box", "age_seconds", "seconds_since_seen"):
        assert np.allclose(getattr(back, name), getattr(thing, name))
    for name in ("pose", "covariance", "velocity"):
        if has_pose:
            assert np.allclose(getattr(back, name), getattr(thing, name))
        else:
            assert getattr(back, name) is None


def test_each_of_many_has_its_own_pose():
    things = [a_track(k, has_pose=k != 2) for k in (1, 2, 3)]
    for k, thing in enumerate(things):
        if thing.pose is not None:
            thing.pose = make_transform(Rotation.from_euler("xyz", [0.3 * k, 1.0, -k]).as_matrix(), [0.1 * k, 0, 1])
    message = tracked_object_array(HEADER, things, 0.1)
    assert [each.has_pose for each in message.objects] == [True, False, True]
    for thing, each in zip(things, message.objects, strict=True):
        assert (thing.pose is None) == (not each.has_pose)
        if thing.pose is not None:
            received = from_tracked_object(each).pose
            assert received is not None
            assert np.allclose(received, thing.pose)
    assert tracked_object_array(HEADER, [], 0.1).objects == []


def test_the_deviation_of_a_measured_size_survives_the_wire_and_that_of_a_mesh_is_none():
    measured, meshed = a_track(1), a_track(2)
    measured.size_sigma = np.array([0.004, 0.003, 0.012])
    raw = [serialize_message(tracked_object(thing)) for thing in (measured, meshed)]
    back = [from_tracked_object(deserialize_message(each, TrackedObjectMsg)) for each in raw]
    assert back[0].size_sigma is not None
    assert np.allclose(back[0].size_sigma, [0.004, 0.003, 0.012])
    assert back[1].size_sigma is None
    measured.size_sigma = np.full(3, np.nan)  # never measured
    assert tracked_object(measured).size_sigma.x == 0


def test_times():
    assert (HEADER.stamp.sec, HEADER.stamp.nanosec) == (1, 234567890)
    assert to_duration(2.5).nanosec == 500_000_000
    assert to_duration(-1.0).sec == 0  # float noise must not make a duration negative


def test_tf_only_of_what_is_confirmed_and_seen():
    tracks = [
        a_track(1),
        a_track(2, TrackState.TENTATIVE),
        a_track(3, TrackState.COASTING),
        a_track(4, has_pose=False),
    ]
    (only,) = transforms(HEADER, tracks)
    assert only.child_frame_id == "cat_1"
    assert only.header == HEADER
    q = only.transform.rotation
    rotation = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    assert tracks[0].pose is not None
    assert np.allclose(rotation, tracks[0].pose[:3, :3])


@pytest.mark.parametrize(
    ("stamp_ns", "expected"),
    [(2**31 * 10**9 + 5, (2**31 - 1, 5)), (-(2**40) * 10**9, (-(2**31), 0)), (-1, (-1, 999_999_999))],
)
def test_a_time_that_no_message_holds_becomes_the_nearest(stamp_ns, expected):
    stamp = to_time(stamp_ns)
    assert (stamp.sec, stamp.nanosec) == expected
    assert to_duration(2.0**40).sec == 2**31 - 1

"""Messages, markers and diagnostics made of tracked objects."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_tracking.msg import TrackedObject as TrackedObjectMsg
from rclpy.serialization import deserialize_message, serialize_message
from scipy.spatial.transform import Rotation
from visualization_msgs.msg import Marker

from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.ros.messages.conversions import (
    from_tracked_object,
    make_header,
    to_duration,
    tracked_object,
    transforms,
)
from pose_tracking.ros.messages.markers import MarkerBuilder
from pose_tracking.ros.node.diagnostics import diagnostic_array
from pose_tracking.ros.node.monitor import Monitor
from pose_tracking.ros.node.outputs import to_image

HEADER = make_header(1_234_567_890, "camera")


def a_track(track_id: int = 3, state: TrackState = TrackState.CONFIRMED, has_pose: bool = True) -> TrackedObject:
    rng = np.random.default_rng(track_id)
    root = rng.normal(size=(6, 6))
    return TrackedObject(
        track_id=track_id,
        obj_id=6,
        class_name="cat",
        state=state,
        pose=make_transform(Rotation.random(random_state=track_id).as_matrix(), rng.normal(size=3))
        if has_pose
        else None,
        covariance=root @ root.T if has_pose else None,
        velocity=rng.normal(size=6) if has_pose else None,
        size=np.array([0.1, 0.2, 0.3]),
        score=0.75,
        pose_confidence=0.5,
        box=np.array([1.0, 2.0, 30.0, 40.0]),
        age_frames=12,
        age_seconds=1.25,
        frames_since_seen=0 if state != TrackState.COASTING else 2,
        seconds_since_seen=0.0 if state != TrackState.COASTING else 0.2,
        hits=10,
    )


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
    assert np.allclose(rotation, tracks[0].pose[:3, :3])


def test_image_message_holds_the_pixels():
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for array in (pixels, pixels[:, ::-1]):  # contiguous or not
        message = to_image(array, HEADER)
        assert (message.height, message.width, message.step, message.encoding) == (4, 6, 18, "rgb8")
        assert np.array_equal(np.frombuffer(message.data, np.uint8).reshape(4, 6, 3), array)


def object_set(mesh_path=None) -> ObjectSet:
    size = np.array([0.1, 0.2, 0.3])
    model = ObjectModel(6, "cat", 0.37, np.array([-0.05, -0.1, 0.0]), size, np.eye(4)[None], mesh_path, "mm")
    return ObjectSet({6: model})


def by_namespace(array):
    return {marker.ns: marker for marker in array.markers}


def test_markers_show_the_mesh_or_a_box_in_its_place(tmp_path):
    thing = a_track()
    mesh = by_namespace(MarkerBuilder(object_set(tmp_path / "a cat.ply"), 5).build(HEADER, [thing]))["mesh"]
    assert mesh.type == Marker.MESH_RESOURCE
    assert mesh.mesh_resource == f"{tmp_path.resolve().as_uri()}/a%20cat.ply"
    assert mesh.scale.x == 0.001  # millimetres
    assert np.allclose([mesh.pose.position.x, mesh.pose.position.y, mesh.pose.position.z], thing.pose[:3, 3])
    box = by_namespace(MarkerBuilder(object_set(), 5).build(HEADER, [thing]))["mesh"]
    assert box.type == Marker.CUBE
    centre = thing.pose @ [0.0, 0.0, 0.15, 1.0]
    assert np.allclose([box.pose.position.x, box.pose.position.y, box.pose.position.z], centre[:3])


def test_trails_grow_to_their_length_and_begin_anew_in_another_frame():
    builder = MarkerBuilder(object_set(), trail_length=3)
    lengths = []
    for _ in range(5):
        markers = by_namespace(builder.build(HEADER, [a_track()]))
        lengths.append(len(markers["trail"].points) if "trail" in markers else 0)
    assert lengths == [0, 2, 3, 3, 3]
    assert "trail" not in by_namespace(builder.build(make_header(0, "map"), [a_track()]))
    assert "trail" not in by_namespace(MarkerBuilder(object_set(), 0).build(HEADER, [a_track()]))


def test_vanished_tracks_are_taken_out_once():
    builder = MarkerBuilder(object_set(), 5)
    builder.build(HEADER, [a_track(1), a_track(2)])
    markers = builder.build(HEADER, [a_track(2)]).markers
    deleted = [(m.ns, m.id) for m in markers if m.action == Marker.DELETE]
    assert sorted(deleted) == [("axes", 1), ("label", 1), ("mesh", 1), ("trail", 1)]
    assert not [m for m in builder.build(HEADER, [a_track(2)]).markers if m.action == Marker.DELETE]
    assert [m.action for m in builder.clear(HEADER).markers] == [Marker.DELETEALL]


def test_tentative_tracks_are_not_shown_and_coasting_ones_are_faint():
    builder = MarkerBuilder(object_set(), 5)
    assert not builder.build(HEADER, [a_track(1, TrackState.TENTATIVE)]).markers
    seen = by_namespace(builder.build(HEADER, [a_track(1)]))["mesh"]
    coasting = by_namespace(builder.build(HEADER, [a_track(1, TrackState.COASTING)]))["mesh"]
    assert coasting.color.a < seen.color.a


def levels(monitor, silent=None, state="active", notes=()):
    message = diagnostic_array(HEADER, "tracker", state, monitor.snapshot(), silent or {}, notes)
    return {status.name.split(": ")[1]: status for status in message.status}


def test_diagnostics_rise_and_fall_with_what_goes_wrong():
    monitor = Monitor()
    monitor.watch(["/c"])
    monitor.processed({"pose": 0.25}, {"no_pose": 3})
    status = levels(monitor)
    assert {s.level for s in status.values()} == {DiagnosticStatus.OK}
    values = {v.key: v.value for v in status["tracking"].values}
    assert values["latency_ms.pose"] == "250.0"
    assert values["detections_rejected.no_pose"] == "3"
    monitor.dropped("overtaken")
    assert levels(monitor)["drops"].level == DiagnosticStatus.OK  # that is how a slow machine keeps up
    monitor.dropped("depth_empty", "no valid reading")
    assert levels(monitor)["drops"].level == DiagnosticStatus.WARN
    status = levels(monitor)["drops"]
    assert status.level == DiagnosticStatus.OK
    assert {v.key: v.value for v in status.values}["dropped.depth_empty.last"] == "no valid reading"
    monitor.dropped("internal_error", "x")
    assert levels(monitor)["drops"].level == DiagnosticStatus.ERROR
    inputs = levels(monitor, {"/c": "nobody publishes it"})["inputs"]
    assert inputs.level == DiagnosticStatus.WARN
    assert inputs.message == "/c is silent: nobody publishes it"
    assert levels(monitor, notes=["no meshes"])["tracking"].level == DiagnosticStatus.WARN

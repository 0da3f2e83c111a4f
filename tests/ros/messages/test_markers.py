"""RViz markers of tracked objects."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import numpy as np
from scipy.spatial.transform import Rotation
from track_samples import a_track
from visualization_msgs.msg import Marker

from pose_tracking.core.results import TrackState
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.ros.messages.conversions import make_header
from pose_tracking.ros.messages.markers import MarkerBuilder

HEADER = make_header(1_234_567_890, "camera")


def object_set(mesh_path=None) -> ObjectSet:
    size = np.array([0.1, 0.2, 0.3])
    model = ObjectModel(6, "cat", 0.37, np.array([-0.05, -0.1, 0.0]), size, np.eye(4)[None], mesh_path, "mm")
    return ObjectSet({6: model})


def by_namespace(array):
    return {marker.ns: marker for marker in array.markers}


def test_markers_show_the_mesh_or_a_box_in_its_place(tmp_path):
    thing = a_track()
    assert thing.pose is not None
    mesh = by_namespace(MarkerBuilder(object_set(tmp_path / "a cat.ply"), 5).build(HEADER, [thing]))["mesh"]
    assert mesh.type == Marker.MESH_RESOURCE
    assert mesh.mesh_resource == f"{tmp_path.resolve().as_uri()}/a%20cat.ply"
    assert mesh.scale.x == 0.001  # millimetres
    assert np.allclose([mesh.pose.position.x, mesh.pose.position.y, mesh.pose.position.z], thing.pose[:3, 3])
    box = by_namespace(MarkerBuilder(object_set(), 5).build(HEADER, [thing]))["mesh"]
    assert box.type == Marker.CUBE
    centre = thing.pose @ [0.0, 0.0, 0.15, 1.0]
    assert np.allclose([box.pose.position.x, box.pose.position.y, box.pose.position.z], centre[:3])


def test_a_thing_without_a_mesh_is_shown_as_the_box_that_was_measured():
    unknown = np.full(3, np.nan)
    shapeless = ObjectSet({6: ObjectModel(6, "cat", np.nan, unknown, unknown, np.eye(4)[None])})
    thing = a_track()
    assert thing.pose is not None
    thing.size, thing.size_sigma = np.array([0.3, 0.2, 0.5]), np.full(3, 0.01)
    markers = by_namespace(MarkerBuilder(shapeless, 5).build(HEADER, [thing]))
    box = markers["mesh"]
    assert box.type == Marker.CUBE
    assert [box.scale.x, box.scale.y, box.scale.z] == pytest.approx([0.3, 0.2, 0.5])
    # The origin of its pose is the middle of the box, as is that of a cube.
    p, q = box.pose.position, box.pose.orientation
    assert np.allclose([p.x, p.y, p.z], thing.pose[:3, 3])
    assert np.allclose(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), thing.pose[:3, :3])
    assert markers["label"].text.startswith("cat 3")
    thing.size = unknown  # nothing is known yet: no box can be drawn
    assert not [m for m in MarkerBuilder(shapeless, 5).build(HEADER, [thing]).markers if m.type == Marker.CUBE]


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


def test_trails_grow_while_nobody_looks():
    seen, unseen = MarkerBuilder(object_set(), 5), MarkerBuilder(object_set(), 5)
    for _ in range(3):
        seen.build(HEADER, [a_track(1), a_track(2)])
        assert unseen.follow(HEADER, [a_track(1), a_track(2)]) == []
    seen.build(HEADER, [a_track(2)])
    assert unseen.follow(HEADER, [a_track(2)]) == [1]
    assert unseen.build(HEADER, [a_track(2)]) == seen.build(HEADER, [a_track(2)])


def test_tentative_tracks_are_not_shown_and_coasting_ones_are_faint():
    builder = MarkerBuilder(object_set(), 5)
    assert not builder.build(HEADER, [a_track(1, TrackState.TENTATIVE)]).markers
    seen = by_namespace(builder.build(HEADER, [a_track(1)]))["mesh"]
    coasting = by_namespace(builder.build(HEADER, [a_track(1, TrackState.COASTING)]))["mesh"]
    assert coasting.color.a < seen.color.a

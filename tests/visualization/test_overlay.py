"""The overlay changes the picture where the objects are, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.objects import Mesh, ObjectModel, ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.visualization import OverlayPainter, color_of, draw
from pose_tracking.visualization.overlay import box_corners, draw_segment, label_of

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 160.0, 120.0)
SIZE = np.array([0.10, 0.08, 0.06])
NOTHING = {"masks": False, "outlines": False, "boxes": False, "axes": False, "labels": False, "trails": False}


@pytest.fixture(scope="module")
def objects(tmp_path_factory) -> ObjectSet:
    import open3d as o3d

    path = tmp_path_factory.mktemp("mesh") / "brick.ply"
    box = o3d.geometry.TriangleMesh.create_box(*SIZE).translate(-SIZE / 2)
    box.compute_vertex_normals()
    vertices = np.asarray(box.vertices, np.float32)
    mesh = Mesh(
        vertices, np.asarray(box.triangles, np.int32), np.asarray(box.vertex_normals, np.float32),
        np.full(vertices.shape, 128, np.uint8),
    )  # fmt: skip
    save_mesh(mesh, path)
    model = ObjectModel(1, "brick", float(np.linalg.norm(SIZE)), -SIZE / 2, SIZE, np.eye(4)[None], path)
    return ObjectSet({1: model})


def frame() -> RGBDFrame:
    return RGBDFrame(np.full((240, 320, 3), 60, np.uint8), np.ones((240, 320), np.float32), CAMERA)


def tracked(x: float = 0.0, z: float = 0.6, **fields: Any) -> TrackedObject:
    thing = TrackedObject(
        track_id=3, obj_id=1, class_name="brick", state=TrackState.CONFIRMED,
        pose=make_transform(np.eye(3), [x, 0, z]), covariance=None, velocity=None, size=SIZE,
        score=0.92, pose_confidence=0.8, box=np.array([130.0, 95, 190, 145]), age_frames=3,
        age_seconds=0.3, frames_since_seen=0, seconds_since_seen=0.0, hits=3,
    )  # fmt: skip
    return replace(thing, **fields)


def changed(image: np.ndarray) -> np.ndarray:
    return (image != 60).any(2)


def test_nothing_to_draw_leaves_the_picture(objects):
    image = draw(frame(), [], objects)
    assert not changed(image).any()


def test_input_is_not_written_to(objects):
    given_frame = frame()
    draw(given_frame, [tracked()], objects)
    assert (given_frame.color == 60).all()


def test_mask_is_tinted_in_the_tracks_colour(objects):
    mask = np.zeros((240, 320), bool)
    mask[50:90, 60:120] = True
    image = OverlayPainter(objects, **NOTHING | {"masks": True}).draw(frame(), [tracked(mask=mask)])
    np.testing.assert_array_equal(changed(image), mask)
    expected = 60 * 0.65 + 0.35 * np.array(color_of(3))
    np.testing.assert_allclose(image[60, 70], expected, atol=1)


def test_outline_follows_the_silhouette(objects):
    image = OverlayPainter(objects, **NOTHING | {"outlines": True}).draw(frame(), [tracked()])
    rows, cols = np.nonzero(changed(image))
    # The front face, 10 x 8 cm at 0.57 m, projects to 52.6 x 42.1 px around the centre.
    assert (cols.min(), cols.max()) == (pytest.approx(160 - 26.3, abs=2.5), pytest.approx(160 + 26.3, abs=2.5))
    assert (rows.min(), rows.max()) == (pytest.approx(120 - 21.1, abs=2.5), pytest.approx(120 + 21.1, abs=2.5))
    assert not changed(image)[105:135, 140:180].any()  # hollow


def test_box_joins_the_projected_corners(objects):
    image = OverlayPainter(objects, **NOTHING | {"boxes": True}).draw(frame(), [tracked()])
    near = changed(cv2.dilate(image, np.ones((3, 3), np.uint8)))
    for u, v in CAMERA.project(box_corners(objects[1]) + [0, 0, 0.6]).round().astype(int):
        assert near[v, u]
    assert not changed(image)[:90].any()


def test_axes_start_at_the_origin_and_are_red_green_blue(objects):
    image = OverlayPainter(objects, **NOTHING | {"axes": True}).draw(frame(), [tracked(x=0.05)])
    center = int(160 + 0.05 / 0.6 * 300)
    red, green, _ = image[120, center + 12].astype(int)  # x points right
    assert red > 150 > green
    red, green, _ = image[132, center].astype(int)  # y points down
    assert green > 150 > red
    assert not changed(image)[:, : center - 5].any()


def test_label_lies_above_the_box_and_inside_the_picture(objects):
    painter = OverlayPainter(objects, **NOTHING | {"labels": True})
    rows, cols = np.nonzero(changed(painter.draw(frame(), [tracked()])))
    assert rows.max() < 95 + 2
    assert cols.min() == 130
    rows, cols = np.nonzero(changed(painter.draw(frame(), [tracked(box=np.array([310.0, -20, 400, 50]))])))
    assert (rows.min(), cols.max()) >= (0, 300)


def test_labels_do_not_cover_each_other(objects):
    painter = OverlayPainter(objects, **NOTHING | {"labels": True})
    one = changed(painter.draw(frame(), [tracked()])).sum()
    both = changed(painter.draw(frame(), [tracked(), tracked(track_id=4)])).sum()
    assert both >= 1.9 * one


def test_label_text():
    assert label_of(tracked()) == "brick #3 0.92"
    assert label_of(tracked(state=TrackState.TENTATIVE)) == "brick #3? 0.92"
    assert label_of(tracked(state=TrackState.COASTING)) == "brick #3 ... 0.92"


def test_trail_follows_the_track_and_ends_with_it(objects):
    painter = OverlayPainter(objects, **NOTHING | {"trails": True})
    for x in (-0.1, -0.05, 0.0):
        image = painter.draw(frame(), [tracked(x)])
    trail = changed(image)
    assert trail[118:123, 112:158].any(0).all()  # from 110 px to 160 px
    assert not trail[:, 165:].any()
    assert not changed(painter.draw(frame(), [])).any()
    assert not changed(painter.draw(frame(), [tracked(0.0)])).any()


def test_trail_of_a_still_object_moves_with_the_camera(objects):
    """The camera moves 5 cm to the right: what was drawn at the object's place stays with the object."""
    painter = OverlayPainter(objects, **NOTHING | {"trails": True})
    still = frame()
    painter.draw(RGBDFrame(still.color, still.depth, CAMERA, camera_pose=np.eye(4)), [tracked(0.1)])
    moved = make_transform(np.eye(3), [0.05, 0, 0])
    image = painter.draw(RGBDFrame(still.color, still.depth, CAMERA, camera_pose=moved), [tracked(0.05)])
    _, cols = np.nonzero(changed(image))
    assert np.ptp(cols) <= 6  # 25 px if it stayed with the picture


def test_without_pose_the_2d_box_is_drawn(objects):
    image = draw(frame(), [tracked(pose=None)], objects)
    assert changed(image)[145, 135:185].all()


def test_without_meshes_it_still_draws(objects):
    bare = ObjectSet({1: ObjectModel(1, "brick", 0.14, -SIZE / 2, SIZE, np.eye(4)[None])})
    assert changed(draw(frame(), [tracked()], bare)).sum() > 300


@settings(max_examples=40, deadline=None)
@given(*[st.tuples(*[st.floats(-3, 3)] * 3)] * 2)
def test_no_segment_breaks_the_drawing(start, end):
    """Behind the camera, through it, far outside: never an error, and nothing is drawn for what is behind."""
    image = np.zeros((240, 320, 3), np.uint8)
    draw_segment(image, CAMERA, np.array(start), np.array(end), (255, 255, 255), 1)
    if start[2] < 0 and end[2] < 0:
        assert not image.any()


@settings(max_examples=25, deadline=None)
@given(st.floats(-1, 1), st.floats(-0.2, 2))
def test_any_pose_can_be_drawn(objects, x, z):
    image = draw(frame(), [tracked(x, z)], objects)
    assert image.shape == (240, 320, 3)
    assert image.dtype == np.uint8


def test_colours_stay_and_differ():
    colors = [color_of(i) for i in range(1, 13)]
    assert colors == [color_of(i) for i in range(1, 13)]
    distance = np.linalg.norm(np.diff(np.array(colors, float), axis=0), axis=1)
    assert distance.min() > 100

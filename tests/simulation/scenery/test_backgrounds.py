from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.planes import find_plane
from pose_tracking.simulation.rendering.planes import on_plane, plane_depth
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.scenery.rooms import Room, draw_room, looking_at

CAMERA = CameraIntrinsics(160, 120, 131.0, 131.0, 80.0, 60.0)
PLANE = np.array([0.0, -0.6, -0.8, 0.7])


@pytest.fixture
def stills(tmp_path):
    """Eleven frames of a plane, frame k in grey level 20 k."""
    scene = tmp_path / "still" / "000000"
    for kind in ("rgb", "depth"):
        (scene / kind).mkdir(parents=True)
    depth = (plane_depth(PLANE, CAMERA) * 1000).astype(np.uint16)
    cameras = {}
    for index in range(11):
        cv2.imwrite(str(scene / f"rgb/{index:06d}.png"), np.full((120, 160, 3), 20 * index, np.uint8))
        cv2.imwrite(str(scene / f"depth/{index:06d}.png"), depth)
        cameras[str(index)] = {"cam_K": CAMERA.matrix.ravel().tolist(), "depth_scale": 1.0}
    (scene / "scene_camera.json").write_text(json.dumps(cameras))
    return tmp_path / "still"


def levels(backgrounds):
    return {round(float(backgrounds.recording(i)[0].mean()) / 20) for i in range(len(backgrounds))}


def test_held_out_frames_never_reach_training(stills):
    train, test = levels(RecordedBackgrounds(stills, "train")), levels(RecordedBackgrounds(stills, "test"))
    assert test == {0, 5, 10}
    assert train == set(range(11)) - test
    assert levels(RecordedBackgrounds(stills, "all")) == set(range(11))


def test_a_scene_folder_does_as_well_as_its_parent(stills):
    assert len(RecordedBackgrounds(stills / "000000", "all")) == 11


@pytest.mark.parametrize("focal", [131.0, 150.0])
def test_geometry_survives_another_camera_mirroring_and_scaling(stills, focal):
    backgrounds = RecordedBackgrounds(stills, "all")
    camera = CameraIntrinsics(160, 120, focal, focal, 82.0, 57.0)
    rng = np.random.default_rng(0)
    for _ in range(6):
        sample = backgrounds.sample(camera, rng)
        assert sample.plane is not None
        expected = plane_depth(sample.plane, camera)
        known = sample.recorded
        assert known.mean() > 0.5
        np.testing.assert_allclose(sample.surface.depth[known], expected[known], rtol=0.01)
        assert sample.plane[:3] @ np.array([0, 0, 1.0]) < 0  # towards the camera


def test_missing_and_empty_folders_are_one_line_errors(tmp_path, stills):
    with pytest.raises(DatasetError, match="no RGB-D backgrounds") as error:
        RecordedBackgrounds(tmp_path / "nowhere")
    assert "\n" not in str(error.value)
    with pytest.raises(DatasetError, match="split"):
        RecordedBackgrounds(stills, "validation")
    (stills / "000000/scene_camera.json").write_text("{")
    with pytest.raises(DatasetError, match="scene_camera"):
        RecordedBackgrounds(stills)


def test_the_plane_of_a_depth_image_is_found():
    depth = plane_depth(PLANE, CAMERA)
    depth[40:60, 40:60] = 0.4
    found = find_plane(depth, CAMERA)
    assert found is not None
    np.testing.assert_allclose(found, PLANE, atol=0.01)
    assert not on_plane(depth, found, CAMERA)[50, 50]
    assert find_plane(np.zeros((120, 160), np.float32), CAMERA) is None


@pytest.mark.filterwarnings("error")
def test_infinite_depth_is_none_of_a_plane():
    """As a simulator publishes what is out of range (REP 118)."""
    depth = plane_depth(PLANE, CAMERA)
    depth[:30] = np.inf
    depth[:, :20] = np.nan
    found = find_plane(depth, CAMERA)
    assert found is not None
    np.testing.assert_allclose(found, PLANE, atol=0.01)


def test_a_room_looks_alike_from_two_places():
    room = Room(np.random.default_rng(3), calm=True)
    camera = CameraIntrinsics(320, 240, 262.0, 262.0, 160.0, 120.0)
    poses = [looking_at(np.zeros(3), angle, 0.8, 0.8) for angle in (0.3, 0.5)]
    views = [room.render(pose, camera) for pose in poses]
    # The table's colour at a point is the same in both pictures.
    points = np.array([[x, y, 0.0] for x in np.linspace(-0.1, 0.1, 9) for y in np.linspace(-0.1, 0.1, 9)])
    colors = []
    for pose, view in zip(poses, views, strict=True):
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        u, v = np.round(camera.project(local)).astype(int).T
        assert view.support[v, u].all()
        np.testing.assert_allclose(view.surface.depth[v, u], local[:, 2], atol=0.01)
        colors.append(view.surface.albedo[v, u])
    assert np.median(np.abs(colors[0] - colors[1])) < 6


def test_drawn_rooms_have_a_table_before_the_camera():
    for seed in range(5):
        view = draw_room(CAMERA, np.random.default_rng(seed))
        centre = view.surface.depth[60, 80]
        assert view.support[60, 80]
        assert 0.5 < centre < 1.35
        assert (view.surface.depth > 0).mean() > 0.95

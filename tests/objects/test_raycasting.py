"""Ray casting against shapes whose intersections are known in closed form."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster

CAMERA = CameraIntrinsics(160, 120, 150.0, 155.0, 80.0, 60.0)


def mesh_of(raw: o3d.geometry.TriangleMesh) -> Mesh:
    raw.compute_vertex_normals()
    vertices = np.asarray(raw.vertices, dtype=np.float32)
    low, high = vertices.min(0), vertices.max(0)
    colors = (255 * (vertices - low) / (high - low)).astype(np.uint8)  # colour is position
    return Mesh(
        vertices,
        np.asarray(raw.triangles, dtype=np.int32),
        np.asarray(raw.vertex_normals, dtype=np.float32),
        colors,
    )


@pytest.fixture(scope="module")
def sphere() -> MeshRaycaster:
    return MeshRaycaster(mesh_of(o3d.geometry.TriangleMesh.create_sphere(0.1, 80)))


@pytest.fixture(scope="module")
def box() -> MeshRaycaster:
    return MeshRaycaster(mesh_of(o3d.geometry.TriangleMesh.create_box(0.2, 0.1, 0.06).translate((-0.1, -0.05, -0.03))))


def rays(pixels: np.ndarray) -> np.ndarray:
    return np.stack(
        [(pixels[:, 0] - CAMERA.cx) / CAMERA.fx, (pixels[:, 1] - CAMERA.cy) / CAMERA.fy, np.ones(len(pixels))], 1
    )


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(0.4, 2.0), st.integers(0, 1000))
def test_depth_and_normals_of_a_sphere(sphere: MeshRaycaster, x: float, y: float, z: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.uniform([0, 0], [160, 120], (300, 2))
    centre = np.array([x, y, z])
    pose = make_transform(Rotation.random(random_state=seed).as_matrix(), centre)
    hits = sphere.cast(pose, CAMERA, pixels)
    # |s d - c|^2 = r^2 with d of unit z, so that s is the depth.
    d = rays(pixels)
    a, b, c = (d * d).sum(1), d @ centre, centre @ centre - 0.1**2
    discriminant = b * b - a * c
    inside = discriminant > 2e-4 * a  # clear of the outline, where the facets differ from the sphere
    expected = (b[inside] - np.sqrt(discriminant[inside])) / a[inside]
    np.testing.assert_allclose(hits.depth[inside], expected, atol=1e-3)
    outward = (expected[:, None] * d[inside] - centre) / 0.1
    assert ((hits.normals[inside] * outward).sum(1) > 0.98).all()
    missed = discriminant < 0
    assert (hits.depth[missed] == 0).all()
    assert (hits.face[missed] == -1).all()


def test_the_face_of_a_box_is_a_plane(box: MeshRaycaster) -> None:
    pixels = np.array([[80.0, 60.0], [90.0, 66.0], [75.0, 54.0]])
    hits = box.cast(make_transform(np.eye(3), [0, 0, 1.0]), CAMERA, pixels)
    np.testing.assert_allclose(hits.depth, 1.0 - 0.03, atol=1e-6)
    np.testing.assert_allclose(hits.normals, np.broadcast_to([0, 0, -1.0], (3, 3)), atol=1e-6)


def test_colours_are_interpolated_between_the_corners(box: MeshRaycaster) -> None:
    pixels = np.array([[80.0, 60.0], [90.0, 66.0], [0.0, 0.0]])
    hits = box.cast(make_transform(np.eye(3), [0, 0, 1.0]), CAMERA, pixels)
    points = rays(pixels) * hits.depth[:, None]
    expected = 255 * (points[:2, :2] + [0.1, 0.05]) / [0.2, 0.1]
    colors = box.colors(hits)
    np.testing.assert_allclose(colors[:2, :2], expected, atol=1.0)
    np.testing.assert_array_equal(colors[2], 0)
    np.testing.assert_allclose(hits.barycentric[:2].sum(1), 1, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_no_ray_outside_the_region_hits(box: MeshRaycaster, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = make_transform(
        Rotation.random(random_state=seed).as_matrix(), [*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.2, 2)]
    )
    x0, y0, x1, y1 = box.region(pose, CAMERA)
    assert 0 <= x0 <= x1 <= CAMERA.width
    assert 0 <= y0 <= y1 <= CAMERA.height
    cols, rows = (a.ravel() for a in np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height)))
    hit = box.cast(pose, CAMERA, np.stack([cols, rows], 1)).depth > 0
    assert (cols[hit] >= x0).all()
    assert (cols[hit] < x1).all()
    assert (rows[hit] >= y0).all()
    assert (rows[hit] < y1).all()


def test_render_covers_the_region_row_by_row(box: MeshRaycaster) -> None:
    pose = make_transform(np.eye(3), [0.05, 0.02, 0.8])
    (x0, y0, x1, y1), hits = box.render(pose, CAMERA)
    image = hits.depth.reshape(y1 - y0, x1 - x0)
    assert (image > 0).mean() > 0.8
    (_, coarse) = box.render(pose, CAMERA, step=3)
    np.testing.assert_array_equal(coarse.depth, image[::3, ::3].ravel())


def test_an_object_behind_the_camera_has_no_region(box: MeshRaycaster) -> None:
    assert box.region(make_transform(np.eye(3), [0, 0, -1.0]), CAMERA) == (0, 0, 0, 0)
    _, hits = box.render(make_transform(np.eye(3), [0, 0, -1.0]), CAMERA)
    assert len(hits.depth) == 0


def test_an_object_around_the_camera_may_be_anywhere(box: MeshRaycaster) -> None:
    assert box.region(make_transform(np.eye(3), [0, 0, 0.0]), CAMERA) == (0, 0, 160, 120)


def test_an_object_beside_the_image_has_an_empty_region(box: MeshRaycaster) -> None:
    x0, y0, x1, y1 = box.region(make_transform(np.eye(3), [3.0, 0, 1.0]), CAMERA)
    assert (x1 - x0) * (y1 - y0) == 0


def test_render_agrees_with_real_depth(data_dir, linemod_objects) -> None:
    import json

    import cv2

    scene = data_dir / "linemod" / "test" / "000006"
    camera = json.loads((scene / "scene_camera.json").read_text())["0"]
    truth = json.loads((scene / "scene_gt.json").read_text())["0"][0]
    steps = present(cv2.imread(str(scene / "depth" / "000000.png"), cv2.IMREAD_UNCHANGED))
    depth = steps * camera["depth_scale"] / 1000
    mask = present(cv2.imread(str(scene / "mask_visib" / "000000_000000.png"), cv2.IMREAD_GRAYSCALE)) > 0
    pose = make_transform(np.reshape(truth["cam_R_m2c"], (3, 3)), np.array(truth["cam_t_m2c"]) / 1000)
    rows, cols = np.nonzero(mask)
    intrinsics = CameraIntrinsics.from_matrix(camera["cam_K"], 640, 480)
    hits = MeshRaycaster(linemod_objects[6].mesh).cast(pose, intrinsics, np.stack([cols, rows], 1))
    seen = (hits.depth > 0) & (depth[rows, cols] > 0)
    assert seen.mean() > 0.9
    assert np.median(np.abs(hits.depth[seen] - depth[rows, cols][seen])) < 0.004

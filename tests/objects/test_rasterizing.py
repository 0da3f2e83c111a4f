"""Grids of rays are what rays cast one by one are."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import Mesh, raycasting
from pose_tracking.objects.raycasting import MeshRaycaster, RayHits

CAMERA = CameraIntrinsics(160, 120, 150.0, 155.0, 80.0, 60.0)
SHAPES = o3d.geometry.TriangleMesh
RAW = {
    "torus": SHAPES.create_torus(0.08, 0.03),
    "box": SHAPES.create_box(0.2, 0.1, 0.06).translate((-0.1, -0.05, -0.03)),
    "sheet": SHAPES.create_box(0.2, 0.15, 1e-7),
    "ball": SHAPES.create_sphere(0.1, 60),
}


def caster(name: str) -> MeshRaycaster:
    vertices, faces = np.asarray(RAW[name].vertices, np.float32), np.asarray(RAW[name].triangles, np.int32)
    return MeshRaycaster(Mesh(vertices, faces, np.zeros_like(vertices), np.zeros((len(vertices), 3), np.uint8)))


CASTERS = {name: caster(name) for name in RAW}


def by_rays(mesh: MeshRaycaster, pose: Float, region: tuple[int, int, int, int], step: int) -> tuple[Int, Int, RayHits]:
    """The hits of `cast` on the same grid."""
    x0, y0, x1, y1 = region
    cols, rows = (a.ravel() for a in np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step)))
    hits = mesh.cast(pose, CAMERA, np.stack([cols, rows], 1))
    hit = hits.depth > 0
    return rows[hit], cols[hit], RayHits(hits.depth[hit], hits.face[hit], hits.barycentric[hit], hits.normals[hit])


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(RAW)),
    seed=st.integers(0, 10**6),
    distance=st.floats(0.03, 2.0),
    step=st.integers(1, 7),
    whole=st.booleans(),
)
def test_a_grid_hits_what_its_rays_hit(name: str, seed: int, distance: float, step: int, whole: bool) -> None:
    """Also from so near, or from within, that a part of the mesh lies behind the camera."""
    rng = np.random.default_rng(seed)
    pose = make_transform(Rotation.random(random_state=seed).as_matrix(), [*rng.uniform(-0.3, 0.3, 2), distance])
    region = (3, 5, 160, 117) if whole else CASTERS[name].region(pose, CAMERA)
    rows, cols, hits = CASTERS[name].cast_grid(pose, CAMERA, region, step)
    expected_rows, expected_cols, expected = by_rays(CASTERS[name], pose, region, step)
    found = dict(zip(zip(rows.tolist(), cols.tolist(), strict=True), range(len(rows)), strict=True))
    wanted = dict(zip(zip(expected_rows.tolist(), expected_cols.tolist(), strict=True), range(len(rows)), strict=False))
    # Open3D's rays are in single precision: one that grazes an outline may go either way.
    assert len(found.keys() ^ wanted.keys()) <= 0.01 * max(len(wanted), 100)
    assert list(found) == sorted(found)
    both = found.keys() & wanted.keys()
    own, other = [found[pixel] for pixel in both], [wanted[pixel] for pixel in both]
    depth, wanted_depth = hits.depth[own], expected.depth[other]
    near = np.abs(depth - wanted_depth) < 1e-5 + 1e-4 * wanted_depth
    assert (~near).sum() <= 0.01 * max(len(near), 100)
    same = near & (hits.face[own] == expected.face[other])
    assert same.sum() >= 0.9 * len(same) - 3 or name == "sheet"  # whose two sides lie in one place
    np.testing.assert_allclose(hits.normals[own][same], expected.normals[other][same], atol=1e-4)
    np.testing.assert_allclose(hits.barycentric.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("distance", [1.03, 0.53])
def test_no_ray_slips_between_two_faces(distance: float) -> None:
    """The diagonal and the rim of the front side lie exactly on pixels."""
    camera = CameraIntrinsics(160, 120, 100.0, 100.0, 80.0, 60.0)
    pose = make_transform(np.eye(3), [0, 0, distance])
    box = SHAPES.create_box(0.2, 0.2, 0.06).translate((-0.1, -0.1, -0.03))
    vertices = np.asarray(box.vertices, np.float32)
    mesh = Mesh(vertices, np.asarray(box.triangles, np.int32), vertices, np.zeros((8, 3), np.uint8))
    rows, cols, hits = MeshRaycaster(mesh).cast_grid(pose, camera, (0, 0, 160, 120))
    half = round(10 / (distance - 0.03))
    assert len(rows) >= (2 * half - 1) ** 2
    inner = (np.abs(rows - 60) < half) & (np.abs(cols - 80) < half)
    assert inner.sum() == (2 * half - 1) ** 2
    np.testing.assert_allclose(hits.depth[inner], distance - 0.03, rtol=1e-6)


def test_meshes_of_many_faces_are_cast_ray_by_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pose = make_transform(Rotation.random(random_state=1).as_matrix(), [0.02, 0.01, 0.6])
    region = CASTERS["torus"].region(pose, CAMERA)
    rows, cols, hits = CASTERS["torus"].cast_grid(pose, CAMERA, region, 2)
    monkeypatch.setattr(raycasting, "FACES_RASTERIZED", -1)
    monkeypatch.setattr(raycasting, "FACES_PER_RAY", 0)
    monkeypatch.setattr(raycasting, "cast_faces", None)
    other_rows, other_cols, others = CASTERS["torus"].cast_grid(pose, CAMERA, region, 2)
    np.testing.assert_array_equal(other_rows, rows)
    np.testing.assert_array_equal(other_cols, cols)
    np.testing.assert_allclose(others.depth, hits.depth, atol=1e-5)


@pytest.mark.parametrize("region", [(0, 0, 0, 0), (10, 10, 10, 50), (20, 20, 10, 10)])
def test_an_empty_region_has_no_hits(region: tuple[int, int, int, int]) -> None:
    rows, cols, hits = CASTERS["box"].cast_grid(make_transform(np.eye(3), [0, 0, 1.0]), CAMERA, region)
    assert len(rows) == len(cols) == len(hits.depth) == 0


def test_a_pose_that_is_not_finite_covers_nothing() -> None:
    pose = np.full((4, 4), np.nan)
    assert CASTERS["box"].region(pose, CAMERA) == (0, 0, 0, 0)
    assert len(CASTERS["box"].cast_grid(pose, CAMERA, (0, 0, 160, 120))[0]) == 0

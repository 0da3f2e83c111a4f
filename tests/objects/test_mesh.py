from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.errors import MeshError
from pose_tracking.objects.mesh import Mesh, diameter, load_mesh, save_mesh


def box(size: tuple[float, float, float] = (0.1, 0.06, 0.04)) -> Mesh:
    raw = o3d.geometry.TriangleMesh.create_box(*size).translate(-np.array(size) / 2)
    raw.compute_vertex_normals()
    colors = np.random.default_rng(0).integers(0, 256, (8, 3)).astype(np.uint8)
    return Mesh(
        np.asarray(raw.vertices, dtype=np.float32),
        np.asarray(raw.triangles, dtype=np.int32),
        np.asarray(raw.vertex_normals, dtype=np.float32),
        colors,
    )


@pytest.mark.parametrize("unit", ["mm", "m"])
def test_saved_and_read_meshes_are_equal(tmp_path: Path, unit: str) -> None:
    mesh, path = box(), tmp_path / "box.ply"
    save_mesh(mesh, path, unit)
    back = load_mesh(path, unit)
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-7)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    np.testing.assert_allclose(back.normals, mesh.normals, atol=1e-6)
    np.testing.assert_array_equal(back.colors, mesh.colors)


def test_the_file_is_in_the_unit_asked_for(tmp_path: Path) -> None:
    save_mesh(box(), tmp_path / "box.ply", "mm")
    raw = o3d.io.read_triangle_mesh(tmp_path / "box.ply")
    assert np.ptp(np.asarray(raw.vertices), axis=0) == pytest.approx([100, 60, 40])


@pytest.mark.parametrize(("written", "read", "fix"), [("m", "mm", "unit: m)"), ("mm", "m", "unit: mm)")])
def test_the_wrong_unit_is_noticed(tmp_path: Path, written: str, read: str, fix: str) -> None:
    path = tmp_path / "box.ply"
    save_mesh(box(), path, written)
    with pytest.raises(MeshError) as caught:
        load_mesh(path, read)
    assert str(path) in str(caught.value)
    assert fix in str(caught.value)


def test_an_unknown_unit_is_named(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="'inch' is not one of m, mm"):
        load_mesh(tmp_path / "box.ply", "inch")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"gone\.ply: no such mesh"):
        load_mesh(tmp_path / "gone.ply")


@pytest.mark.parametrize("content", [b"", b"not a mesh", b"ply\nformat ascii 1.0\nelement vertex 3\n"])
def test_a_corrupt_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.ply"
    path.write_bytes(content)
    with pytest.raises(MeshError, match=r"bad\.ply: no triangles"):
        load_mesh(path)


def test_points_without_faces_are_no_mesh(tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        "0 0 0\n100 0 0\n0 100 0\n"
    )
    with pytest.raises(MeshError, match="no triangles"):
        load_mesh(path)


def test_vertices_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.ply"
    path.write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n100 0 0\nnan 100 0\n3 0 1 2\n"
    )
    with pytest.raises(MeshError, match="not finite"):
        load_mesh(path)


def test_a_mesh_without_colour_is_grey_and_gets_normals(tmp_path: Path) -> None:
    path = tmp_path / "plain.obj"
    o3d.io.write_triangle_mesh(
        path, o3d.geometry.TriangleMesh.create_box(100, 60, 40), write_vertex_normals=False, write_vertex_colors=False
    )
    mesh = load_mesh(path)
    assert (mesh.colors == 128).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)


def test_samples_lie_on_the_surface_with_outward_normals() -> None:
    half = np.array([0.05, 0.03, 0.02])
    points, normals = box().sample_surface(5000)
    assert points.shape == normals.shape == (5000, 3)
    assert (np.abs(points) <= half + 1e-6).all()
    np.testing.assert_allclose(np.min(half - np.abs(points), axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert ((points * normals).sum(1) > 0).all()


def test_samples_are_uniform_over_the_area() -> None:
    _, normals = box().sample_surface(20000)
    areas = np.array([0.06 * 0.04, 0.1 * 0.04, 0.1 * 0.06])
    share = np.bincount(np.argmax(np.abs(normals), axis=1), minlength=3) / len(normals)
    np.testing.assert_allclose(share, areas / areas.sum(), atol=0.015)


def test_samples_repeat_by_seed() -> None:
    mesh = box()
    np.testing.assert_array_equal(mesh.sample_surface(50, seed=3)[0], mesh.sample_surface(50, seed=3)[0])
    assert not np.array_equal(mesh.sample_surface(50, seed=3)[0], mesh.sample_surface(50, seed=4)[0])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_diameter_is_the_largest_distance(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    brute = np.linalg.norm(points[:, None] - points[None], axis=2).max()
    assert diameter(points) == pytest.approx(brute)


def test_diameter_of_flat_and_single_points() -> None:
    flat = np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.4, 0], [0.3, 0.4, 0], [0.1, 0.1, 0]])
    assert diameter(flat) == pytest.approx(0.5)
    assert diameter(np.zeros((1, 3))) == 0


@pytest.mark.parametrize("axes", [(1.0, 1.0, 1.0), (0.5, 1.0, 0.98)])
def test_diameter_of_a_fine_ball_needs_no_table_of_all_pairs(axes: tuple[float, float, float]) -> None:
    """All its vertices are on the hull: 100,000 of them have 5e9 pairs, 37 GiB."""
    i = np.arange(100_000) + 0.5
    z, turn = 1 - 2 * i / len(i), np.pi * (1 + 5**0.5) * i
    ball = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
    assert diameter(ball * axes) == pytest.approx(2, rel=1e-4)


def test_diameter_of_a_fine_sheet_looks_at_all_of_it() -> None:
    sheet = np.random.default_rng(0).random((8000, 3)) * (0.1, 0.1, 0.0)
    sheet[17] = (0.5, 0.1, 0.0)
    expected = np.linalg.norm(sheet - sheet[17], axis=1).max()
    assert diameter(sheet) == pytest.approx(expected)


def test_diameters_of_real_meshes_are_those_of_models_info(linemod_objects) -> None:
    for model in linemod_objects.values():
        assert diameter(model.mesh.vertices) == pytest.approx(model.diameter, rel=0.02)


@pytest.mark.parametrize("color", [(128, 128, 128), (255, 255, 255), (200, 203, 201), (0, 0, 0)])
def test_one_grey_all_over_is_no_colour(color: tuple[int, int, int]) -> None:
    mesh = box()
    grey = np.tile(np.array(color, np.uint8), (len(mesh.vertices), 1))
    assert not replace(mesh, colors=grey).colored
    spotted = grey.copy()
    spotted[0] = (120, 30, 30)
    assert replace(mesh, colors=spotted).colored
    assert replace(mesh, colors=np.tile(np.array([180, 60, 50], np.uint8), (len(grey), 1))).colored


def test_a_mesh_without_colour_stays_one_when_saved(tmp_path: Path) -> None:
    mesh = box()
    save_mesh(replace(mesh, colors=np.full_like(mesh.colors, 128)), tmp_path / "grey.ply")
    assert not load_mesh(tmp_path / "grey.ply").colored

from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
from mesh_samples import box, mesh_of

from pose_tracking.core.errors import MeshError
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.mesh_checks import (
    check_diameter,
    decimate,
    origin_distance,
    same_colors,
    same_geometry,
    surface_change,
    to_mesh,
    topology,
)
from pose_tracking.objects.mesh_files import RawMesh


def raw_of(mesh: Mesh) -> RawMesh:
    return RawMesh(mesh.vertices.astype(float), mesh.faces.astype(np.int64), mesh.colors, True)


def test_a_closed_box_is_watertight_and_a_hole_is_counted() -> None:
    raw = raw_of(mesh_of(box()))
    assert topology(raw).watertight
    raw.faces = raw.faces[2:]  # one side
    found = topology(raw)
    assert (found.boundary_edges, found.non_manifold_edges) == (4, 0)
    assert not found.watertight


def test_a_colour_seam_is_no_hole() -> None:
    raw = raw_of(mesh_of(box()))
    corners = raw.vertices[raw.faces].reshape(-1, 3)
    split = RawMesh(corners, np.arange(len(corners)).reshape(-1, 3), np.zeros((len(corners), 3), np.uint8), True)
    assert topology(split).watertight


@pytest.mark.parametrize(
    ("scale", "unit", "advice"),
    [
        (1.0, "mm", "it looks like metres, pass --unit m"),
        (1000.0, "m", "it looks like millimetres, pass --unit mm"),
        (1e6, "m", "scale the mesh to m or mm"),
    ],
)
def test_the_wrong_unit_is_named(scale: float, unit: str, advice: str) -> None:
    raw = raw_of(mesh_of(box()))
    raw.vertices = raw.vertices * scale
    with pytest.raises(MeshError, match=advice):
        check_diameter(raw, unit, "box.stl")


def test_a_right_unit_gives_the_diameter_in_metres() -> None:
    raw = raw_of(mesh_of(box()))
    expected = np.linalg.norm([0.12, 0.08, 0.05])
    assert check_diameter(raw, "m", "x") == pytest.approx(expected)
    raw.vertices = raw.vertices * 1000
    assert check_diameter(raw, "mm", "x") == pytest.approx(expected)


def test_the_distance_of_the_origin_is_in_diameters() -> None:
    vertices = mesh_of(box((0.03, 0.04, 0.0001))).vertices + np.array([0.1, 0, 0], np.float32)
    middle, away = origin_distance(vertices)
    np.testing.assert_allclose(middle, [0.1, 0, 0], atol=1e-6)
    assert away == pytest.approx(2.0, rel=1e-3)


def test_a_mesh_that_is_inside_out_is_turned() -> None:
    raw = raw_of(mesh_of(box()))
    raw.faces = raw.faces[:, ::-1]
    mesh = to_mesh(raw, "m")
    points, normals = mesh.sample_surface(200)
    assert ((points * normals).sum(1) > 0).all()
    assert raw.notes == ["faces were inside out: turned"]


def test_a_fine_mesh_is_decimated_without_moving_its_surface() -> None:
    fine = mesh_of(o3d.geometry.TriangleMesh.create_torus(0.05, 0.02, 120, 60))
    small, change = decimate(fine)
    assert len(small.faces) <= 5000 < len(fine.faces)
    assert change <= 0.003
    assert surface_change(small, fine)[0] < 0.0005


def test_a_picture_on_a_flat_side_survives_decimation() -> None:
    raw = box().subdivide_midpoint(5)
    colors = np.where((np.asarray(raw.vertices) // 0.01).sum(1, keepdims=True) % 2 == 0, 240, 10).repeat(3, 1)
    fine = mesh_of(raw, colors.astype(np.uint8))
    assert len(fine.faces) == 12288
    small, _ = decimate(fine)
    assert surface_change(fine, small)[1] < 6


def test_a_coarse_mesh_stays_as_it_is() -> None:
    mesh = mesh_of(box())
    assert decimate(mesh)[0] is mesh


def test_duplicates_are_found_whatever_their_triangles_and_place() -> None:
    a = mesh_of(box())
    b = mesh_of(box().translate([0.3, 0, 0]), subdivide=2)
    assert same_geometry(a, b)
    assert same_colors(a, b)
    assert not same_colors(a, mesh_of(box(), (200, 30, 30)))
    assert not same_geometry(a, mesh_of(box((0.12, 0.08, 0.06))))
    # The same diameter is not the same shape.
    assert not same_geometry(a, mesh_of(box((0.08, 0.12, 0.05))))

"""The space an object takes, and how far two posed objects share it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import open3d as o3d
import pytest
from mesh_samples import box, mesh_of
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import Mesh, ObjectSet
from pose_tracking.objects.solid import CAVITY, MATERIAL, Solid, overlap

Float = NDArray[np.float64]


def lathe(profile: list[tuple[float, float]], segments: int = 48) -> Mesh:
    """The surface that (radius, height) points, metres, sweep about z."""
    angle = np.arange(segments) * 2 * np.pi / segments
    rings = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(segments, z)], 1) for r, z in profile]
    k, after = np.arange(segments), (np.arange(segments) + 1) % segments
    lower, upper = np.stack([k, after, segments + k], 1), np.stack([after, segments + after, segments + k], 1)
    faces = [i * segments + np.concatenate([lower, upper]) for i in range(len(profile) - 1)]
    vertices, triangles = o3d.utility.Vector3dVector(np.concatenate(rings)), np.concatenate(faces)
    return mesh_of(o3d.geometry.TriangleMesh(vertices, o3d.utility.Vector3iVector(triangles)))


OUTSIDE = [(0.08 * np.sin(t), 0.08 - 0.08 * np.cos(t)) for t in np.linspace(1e-3, 1.3, 12)]
INSIDE = [(0.076 * np.sin(t), 0.08 - 0.076 * np.cos(t)) for t in np.linspace(1.3, 1e-3, 12)]
SHAPES = {
    "bowl": lathe(OUTSIDE + INSIDE),
    "bowl of one sheet": lathe(OUTSIDE),
    "cup": lathe([(1e-4, 0), (0.03, 0), (0.04, 0.1), (0.038, 0.1), (0.028, 0.003), (1e-4, 0.003)]),
    "can": lathe([(1e-4, 0), (0.025, 0), (0.025, 0.09), (1e-4, 0.09)]),
    "can without bottom": lathe([(0.025, 0), (0.025, 0.09), (1e-4, 0.09)]),
    "apple": mesh_of(o3d.geometry.TriangleMesh.create_sphere(0.03)),
    "lid": lathe([(1e-4, 0), (0.036, 0), (0.036, 0.008), (1e-4, 0.008)]),
    "bar": mesh_of(box((0.02, 0.02, 0.16))),
    "box": mesh_of(box((0.12, 0.1, 0.16))),
}


@cache
def solid(name: str) -> Solid:
    return Solid.of_mesh(SHAPES[name])


def shifted(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Float:
    return make_transform(np.eye(3), [x, y, z])


def shared(a: str, b: str, pose_b: Float) -> float:
    return overlap(solid(a), np.eye(4), solid(b), pose_b)


@pytest.mark.parametrize("name", SHAPES)
def test_an_object_shares_all_of_its_space_with_itself_wherever_it_is(name: str) -> None:
    pose = make_transform(Rotation.from_rotvec([0.3, -1.0, 2.0]).as_matrix(), [0.1, -0.2, 0.9])
    assert overlap(solid(name), pose, solid(name), pose) == 1.0
    assert overlap(solid(name), pose, solid(name), shifted(z=1.2)) == 0.0


@pytest.mark.parametrize("name", ["can", "can without bottom", "apple", "box", "bar", "lid"])
def test_the_material_has_the_volume_of_the_body(name: str) -> None:
    """A missing bottom too: what sees little of the outside is taken for inside."""
    one = solid(name)
    full = np.count_nonzero(one.cells >= CAVITY) * np.prod(one.cell)
    mesh = SHAPES["can" if name.startswith("can") else name]
    corners = mesh.vertices[mesh.faces].astype(float)
    volume = abs(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6
    assert full == pytest.approx(volume, rel=0.12)
    assert one.hollow == (name == "can without bottom")
    if not one.hollow:
        assert np.count_nonzero(one.cells == MATERIAL) * np.prod(one.cell) == pytest.approx(volume, rel=0.12)


@pytest.mark.parametrize("name", ["bowl", "bowl of one sheet", "cup"])
def test_what_is_open_is_hollow(name: str) -> None:
    assert solid(name).hollow


def test_the_share_is_that_of_the_shift() -> None:
    for part in (0.25, 0.5, 0.75):
        assert shared("box", "box", shifted(x=0.12 * part)) == pytest.approx(1 - part, abs=0.08)
        assert shared("bar", "bar", shifted(y=0.02 * part)) == pytest.approx(1 - part, abs=0.1)


def test_a_small_thing_cannot_be_within_a_massive_one() -> None:
    assert shared("box", "apple", shifted(0.02, 0.01, 0.0)) == 1.0
    assert overlap(solid("apple"), shifted(0.02), solid("box"), np.eye(4)) == 1.0


@pytest.mark.parametrize(
    ("outer", "inner", "height"),
    [
        ("bowl", "apple", 0.037),
        ("bowl of one sheet", "apple", 0.034),
        ("cup", "can", 0.006),
        ("cup", "lid", 0.094),
        ("bowl", "cup", 0.012),
    ],
)
def test_a_hollow_thing_can_hold_another(outer: str, inner: str, height: float) -> None:
    for wrong in (shifted(), shifted(0.004), shifted(0, -0.003, 0.003)):  # poses are
        assert shared(outer, inner, wrong @ shifted(z=height)) < 0.4


@pytest.mark.parametrize("name", ["bowl", "bowl of one sheet", "cup"])
def test_walls_thinner_than_the_error_of_poses_still_are_one_thing(name: str) -> None:
    for way in ([1, 0, 0], [0, 0, 1], [0, 0.6, -0.8]):
        assert shared(name, name, shifted(*(0.005 * np.array(way)))) > 0.6
    tilted = make_transform(Rotation.from_rotvec([0.06, 0.06, 1.0]).as_matrix(), [0.003, 0.0, 0.003])
    assert shared(name, name, tilted) > 0.6


def test_stacked_copies() -> None:
    """Kept where their walls come apart by more than poses are exact: bowls from 2 cm on, steep cups from 6 cm on."""
    for name in ("bowl", "bowl of one sheet"):
        assert shared(name, name, shifted(z=0.02)) < 0.3
    assert shared("cup", "cup", shifted(z=0.015)) > 0.6
    assert shared("cup", "cup", shifted(z=0.06)) < 0.45


def test_a_sheet_has_a_solid() -> None:
    sheet = mesh_of(o3d.geometry.TriangleMesh.create_box(0.2, 0.1, 1e-6))
    flat = Mesh(sheet.vertices * np.array([1, 1, 0], np.float32), sheet.faces, sheet.normals, sheet.colors)
    for mesh in (sheet, flat):
        one = Solid.of_mesh(mesh)
        assert overlap(one, np.eye(4), one, np.eye(4)) == 1.0
        assert overlap(one, np.eye(4), one, shifted(x=0.05)) == pytest.approx(0.75, abs=0.08)


def test_without_a_mesh_the_box_is_the_solid(demo_objects: ObjectSet) -> None:
    truck = replace(demo_objects[4], mesh_path=None)
    inside = np.count_nonzero(truck.solid.cells == MATERIAL) * np.prod(truck.solid.cell)
    assert inside == pytest.approx(np.prod(truck.size), rel=1e-6)
    middle = truck.solid.points.mean(0)
    np.testing.assert_allclose(middle, truck.box_min + truck.size / 2, atol=0.01)
    beside = shifted(*(np.eye(3)[1] * truck.size))
    assert overlap(truck.solid, np.eye(4), truck.solid, beside) < 0.1

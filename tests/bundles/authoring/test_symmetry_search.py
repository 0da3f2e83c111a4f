from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_samples import box, mesh_of
from presence import present
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.authoring.symmetry_axis import (
    CONTINUOUS,
    SymmetryAxis,
    SymmetryProposal,
    models_info_symmetries,
)
from pose_tracking.bundles.authoring.symmetry_choice import SymmetryChoice, chosen_symmetries, parse_choice
from pose_tracking.bundles.authoring.symmetry_search import find_symmetries
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects import ObjectSet, symmetry_transforms
from pose_tracking.objects.mesh import load_mesh

DEMO = Path(__file__).resolve().parents[3] / "models" / "demo"


def cylinder(radius: float = 0.03, height: float = 0.1):
    return o3d.geometry.TriangleMesh.create_cylinder(radius, height, 48, 24)


def folds(axes: tuple[SymmetryAxis, ...]) -> dict[str, int]:
    return {"xyz"[int(np.argmax(np.abs(a.axis)))]: a.fold for a in axes}


def test_a_box_has_three_half_turns() -> None:
    found = find_symmetries(mesh_of(box()), colored=False)
    assert folds(found.axes) == {"x": 2, "y": 2, "z": 2}
    assert found.shape_only == ()
    info = found.models_info()
    assert len(info["symmetries_discrete"]) == 3
    assert "symmetries_continuous" not in info


def test_a_square_prism_has_a_quarter_turn_and_the_flips() -> None:
    found = find_symmetries(mesh_of(box((0.06, 0.06, 0.11))), colored=False)
    assert folds(found.axes)["z"] == 4
    assert len(found.models_info()["symmetries_discrete"]) == 7


def test_a_cylinder_turns_freely_and_flips() -> None:
    found = find_symmetries(mesh_of(cylinder()), colored=False)
    assert sorted(a.fold for a in found.axes) == [CONTINUOUS, 2]
    info = found.models_info()
    assert info["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]
    assert len(info["symmetries_discrete"]) == 1


def test_a_cone_turns_freely_only() -> None:
    found = find_symmetries(mesh_of(o3d.geometry.TriangleMesh.create_cone(0.04, 0.1, 48, 8)), colored=False)
    assert [(a.fold, str(a)) for a in found.axes] == [(CONTINUOUS, "continuous about z")]


def test_a_moved_and_turned_noisy_box_keeps_its_symmetry_where_it_is() -> None:
    """A scan is neither aligned with its coordinate axes nor exact."""
    rng = np.random.default_rng(1)
    raw = box((0.12, 0.07, 0.04)).subdivide_midpoint(4)
    # A ridge along one edge leaves the half turn about x only.
    wedge = box((0.12, 0.01, 0.02)).subdivide_midpoint(2)
    raw += wedge.translate([0, 0.03, 0.03])
    raw += box((0.12, 0.01, 0.02)).subdivide_midpoint(2).translate([0, -0.03, -0.03])
    rotation, shift = Rotation.from_euler("xyz", [20, 35, -50], degrees=True).as_matrix(), np.array([0.02, 0.05, -0.03])
    vertices = np.asarray(raw.vertices) @ rotation.T + shift
    raw.vertices = o3d.utility.Vector3dVector(vertices + rng.normal(0, 0.0004, vertices.shape))
    found = find_symmetries(mesh_of(raw), colored=False)
    assert [a.fold for a in found.axes] == [2]
    assert abs(found.axes[0].axis @ rotation[:, 0]) > np.cos(np.radians(1.5))
    moved = transform_points(found.axes[0].transforms()[0], shift[None])
    np.testing.assert_allclose(moved[0], shift, atol=0.002)


def test_a_handle_breaks_the_symmetry() -> None:
    raw = cylinder()
    raw += box((0.04, 0.01, 0.05)).translate([0.045, 0, 0])
    found = find_symmetries(mesh_of(raw), colored=False)
    assert "z" not in folds(found.axes)


@pytest.mark.parametrize(("patches", "fold"), [(1, None), (2, 2), (4, 4)])
def test_colour_breaks_the_symmetry_of_the_shape(patches: int, fold: int | None) -> None:
    raw = o3d.geometry.TriangleMesh.create_cone(0.05, 0.1, 64, 32)
    vertices = np.asarray(raw.vertices)
    turn = np.degrees(np.arctan2(vertices[:, 1], vertices[:, 0])) % (360 / patches)
    colors = np.where((turn < 120 / patches)[:, None], (200, 30, 30), (240, 240, 240)).astype(np.uint8)
    found = find_symmetries(mesh_of(raw, colors))
    assert [a.fold for a in found.shape_only] == [CONTINUOUS]
    assert [a.fold for a in found.axes] == ([] if fold is None else [fold])
    if patches == 1:  # the same shape without its colours is a solid of revolution
        assert [a.fold for a in find_symmetries(mesh_of(raw, colors), colored=False).axes] == [CONTINUOUS]


@settings(max_examples=25, deadline=None)
@given(
    fold=st.integers(2, 12),
    direction=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1),
    offset=st.tuples(*[st.floats(-0.1, 0.1)] * 3),
)
def test_written_transforms_form_the_group_of_the_axis(fold: int, direction: tuple, offset: tuple) -> None:
    axis = np.array(direction) / np.linalg.norm(direction)
    point = np.array(offset) - (np.array(offset) @ axis) * axis
    info = models_info_symmetries((SymmetryAxis(axis, point, fold, 0, 0, 0, 0),))
    transforms = symmetry_transforms(info, 1e-3)
    assert len(transforms) == fold
    moved = transform_points(transforms, point[None])[:, 0]
    np.testing.assert_allclose(moved, np.tile(point, (fold, 1)), atol=1e-7)
    for t in transforms:
        np.testing.assert_allclose(np.linalg.matrix_power(t, fold), np.eye(4), atol=1e-5)


def test_products_of_symmetries_are_written_too() -> None:
    """Two half turns across each other make a third."""
    axes = tuple(SymmetryAxis(np.eye(3)[i], np.zeros(3), 2, 0, 0, 0, 0) for i in (0, 1))
    transforms = symmetry_transforms(models_info_symmetries(axes))
    assert len(transforms) == 4
    assert any(np.allclose(t[:3, :3], np.diag([-1, -1, 1]), atol=1e-9) for t in transforms)


@pytest.mark.parametrize("obj_id", [1, 3, 4, 6])
def test_proposals_for_the_demo_objects_are_their_known_symmetries(obj_id: int) -> None:
    known = json.loads((DEMO / "models_info.json").read_text())[str(obj_id)]
    found = find_symmetries(load_mesh(DEMO / "meshes" / f"obj_{obj_id:06d}.ply")).models_info()
    for key in ("symmetries_continuous", "symmetries_discrete"):
        assert found.get(key) == known.get(key)


# Both with a symmetry, one that is nearly a solid of revolution, and a figure that is far from symmetric.
@pytest.mark.parametrize("name", ["can", "cat", "eggbox", "glue"])
def test_proposals_for_linemod_are_those_annotated(linemod_objects: ObjectSet, name: str) -> None:
    model = linemod_objects.by_name(name)
    mesh = present(model.mesh)
    found = find_symmetries(mesh)
    if not model.is_symmetric:
        assert found.axes == ()
        return
    assert [(a.fold, folds((a,))) for a in found.axes] == [(2, {"z": 2})]
    proposed = symmetry_transforms(found.models_info())[1]
    moved = transform_points(proposed, mesh.vertices) - transform_points(model.symmetries[1], mesh.vertices)
    assert np.linalg.norm(moved, axis=1).mean() < 0.03 * model.diameter


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("none", SymmetryChoice("none")),
        ("proposed", SymmetryChoice("proposed")),
        ("continuous:x", SymmetryChoice("continuous", axis="x")),
        ("discrete:4:z", SymmetryChoice("discrete", 4, "z")),
    ],
)
def test_a_choice_is_read_and_written(text: str, choice: SymmetryChoice) -> None:
    assert parse_choice(text) == choice
    assert str(choice) == text


@pytest.mark.parametrize(
    "text", ["", "yes", "continuous", "continuous:w", "discrete:1:z", "discrete:z", "discrete:x:2"]
)
def test_another_choice_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="discrete:N:"):
        parse_choice(text)


def test_an_axis_by_hand_goes_through_the_middle() -> None:
    mesh = mesh_of(box().translate([0.05, 0.01, 0.02]))
    (axis,) = chosen_symmetries(parse_choice("discrete:2:z"), mesh, SymmetryProposal())
    np.testing.assert_allclose(axis.offset, [0.05, 0.01, 0], atol=1e-6)
    assert axis.mean < 1e-4
    assert chosen_symmetries(parse_choice("none"), mesh, SymmetryProposal((axis,))) == ()
    assert chosen_symmetries(None, mesh, SymmetryProposal((axis,))) == (axis,)

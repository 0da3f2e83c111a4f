from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from pose_tracking.objects import load_mesh
from pose_tracking.simulation.scenery.demo_objects import DEMO_NAMES, write_demo_objects

DEMO = Path(__file__).resolve().parents[3] / "models" / "demo"


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo_objects(folder)
    return folder


def test_shipped_meshes_are_those_the_code_makes(regenerated):
    for obj_id in DEMO_NAMES:
        name = f"meshes/obj_{obj_id:06d}.ply"
        shipped, made = load_mesh(DEMO / name), load_mesh(regenerated / name)
        assert len(shipped.faces) == len(made.faces)
        # Rounding may order or merge vertices otherwise on another machine; what they look like may not differ.
        for a, b in ((shipped, made), (made, shipped)):
            features = [np.hstack([m.vertices * 1000, m.normals, m.colors.astype(float)]) for m in (a, b)]
            assert cKDTree(features[0]).query(features[1])[0].max() < 0.01


def test_shipped_models_info_is_what_the_code_makes(regenerated):
    shipped, made = (json.loads((f / "models_info.json").read_text()) for f in (DEMO, regenerated))
    assert shipped.keys() == made.keys() == {str(i) for i in DEMO_NAMES}
    for obj_id, entry in made.items():
        assert shipped[obj_id].get("symmetries_continuous") == entry.get("symmetries_continuous")
        for key in ("diameter", "min_x", "size_z"):
            assert shipped[obj_id][key] == pytest.approx(entry[key], abs=1e-3)


def test_meshes_are_small_centred_and_table_top_sized(demo_objects):
    assert sum(f.stat().st_size for f in (DEMO / "meshes").glob("*.ply")) <= 600_000
    assert len(demo_objects) >= 5
    for model in demo_objects.values():
        vertices = model.mesh.vertices
        np.testing.assert_allclose(vertices.min(0) + vertices.max(0), 0, atol=1e-5)
        assert 0.06 <= model.diameter <= 0.21


def test_look_alikes_differ_in_colour_alone(demo_objects):
    one, other = demo_objects.by_name("mug_blue").mesh, demo_objects.by_name("mug_red").mesh
    # The colour is a sort key of the vertices, so the sets are compared, not the order.
    assert cKDTree(one.vertices).query(other.vertices)[0].max() < 1e-6
    assert sorted(map(tuple, one.colors)) != sorted(map(tuple, other.colors))


def _colour_change(mesh, turn):
    """Mean distance in shape (m) and colour (0 to 255) of a mesh from itself, turned by a (3, 3) rotation."""
    points, _ = mesh.sample_surface(4000)
    tree = cKDTree(mesh.vertices)
    colors = mesh.colors.astype(float)
    dense = cKDTree(points)
    distance, nearest = dense.query(points @ turn.T)
    at = colors[tree.query(points)[1]]
    return distance.mean(), np.abs(at[nearest] - at).mean()


def test_the_top_looks_the_same_turned_about_its_axis(demo_objects):
    top = demo_objects.by_name("top")
    assert top.is_symmetric
    turn = Rotation.from_euler("z", 70, degrees=True).as_matrix()
    distance, _ = _colour_change(top.mesh, turn)
    assert distance < 0.002


@pytest.mark.parametrize("name", ["mug_blue", "mug_red", "truck", "house", "hammer"])
def test_no_other_object_has_a_symmetry(demo_objects, name):
    model = demo_objects.by_name(name)
    assert not model.is_symmetric
    turns = [Rotation.from_euler(axis, angle, degrees=True) for axis in "xyz" for angle in (90, 180, 270)]
    for turn in turns:
        distance, color = _colour_change(model.mesh, turn.as_matrix())
        assert distance > 0.004 or color > 8, turn.as_euler("xyz", degrees=True)

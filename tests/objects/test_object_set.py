from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from presence import present

from pose_tracking.core.errors import BundleError, ConfigError, MeshError
from pose_tracking.objects import ObjectSet

ENTRY = {
    "diameter": 123.3,
    "min_x": -50.0,
    "min_y": -30.0,
    "min_z": -20.0,
    "size_x": 100.0,
    "size_y": 60.0,
    "size_z": 40.0,
}


def write(
    folder: Path, info: object, box: tuple[float, float, float] = (100, 60, 40), ids: tuple[int, ...] = (2, 7)
) -> Path:
    folder.mkdir(exist_ok=True)
    for obj_id in ids:
        mesh = o3d.geometry.TriangleMesh.create_box(*box).translate(-np.array(box) / 2)
        o3d.io.write_triangle_mesh(folder / f"obj_{obj_id:06d}.ply", mesh)
    path = folder / "models_info.json"
    path.write_text(info if isinstance(info, str) else json.dumps(info))
    return path


def test_objects_are_read_in_metres_and_in_order(tmp_path: Path) -> None:
    path = write(tmp_path, {"7": ENTRY, "2": ENTRY})
    objects = ObjectSet.load(path, tmp_path)
    assert list(objects) == [2, 7]
    assert len(objects) == 2
    assert objects.has_meshes
    assert objects[7].name == "obj_000007"
    assert objects[7].diameter == pytest.approx(0.1233)
    np.testing.assert_allclose(objects[7].box_min, [-0.05, -0.03, -0.02])
    np.testing.assert_allclose(objects[7].size, [0.1, 0.06, 0.04])
    np.testing.assert_allclose(np.ptp(present(objects[7].mesh).vertices, axis=0), [0.1, 0.06, 0.04], atol=1e-6)
    assert not objects[7].is_symmetric


def test_names_choose_the_objects(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"7": ENTRY, "2": ENTRY}), names={7: "brick"})
    assert list(objects) == [7]
    assert objects.by_name("brick").obj_id == 7
    with pytest.raises(KeyError):
        objects.by_name("stone")


def test_missing_meshes_are_said_with_what_brings_them(tmp_path: Path) -> None:
    file = write(tmp_path, {"7": ENTRY})
    ObjectSet.load(file, tmp_path).require_meshes("to render")
    with pytest.raises(ConfigError, match="the model has no meshes to render: give their folder with --objects$"):
        ObjectSet.load(file).require_meshes("to render")
    with pytest.raises(ConfigError, match=r"--objects \(`pose-tracking download lm_models` brings them\)"):
        ObjectSet.load(file, download="lm_models").require_meshes("to render")


def test_names_become_ids_or_are_named(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"7": ENTRY, "2": ENTRY}), names={7: "brick", 2: "stone"})
    assert objects.ids_of(["brick", "stone"]) == [7, 2]
    assert objects.ids_of([]) == []
    with pytest.raises(ConfigError, match="class 'ston' is not one of the bundle's: stone, brick"):
        objects.ids_of(["brick", "ston"])


def test_index_of_is_the_position_in_the_set(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"7": ENTRY, "2": ENTRY}))
    assert [objects.index_of(o) for o in (2, 7)] == [0, 1]
    with pytest.raises(ValueError, match="3"):
        objects.index_of(3)


def test_without_meshes(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"2": ENTRY}, ids=()))
    assert not objects.has_meshes
    assert objects[2].mesh is None


def test_symmetric_objects(tmp_path: Path) -> None:
    entry = {**ENTRY, "symmetries_discrete": [[-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]}
    assert ObjectSet.load(write(tmp_path, {"2": entry}))[2].is_symmetric


def test_lookalikes_are_no_symmetries_but_an_uncertainty(tmp_path: Path) -> None:
    """Half a turn about z through a point 10 mm beside the origin: half of the poses may be off by it."""
    half_turn = [-1, 0, 0, 20, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    objects = ObjectSet.load(write(tmp_path, {"2": {**ENTRY, "lookalikes_discrete": [half_turn]}, "7": ENTRY}))
    assert not objects[2].is_symmetric
    assert not objects[7].ambiguity.any()
    expected = np.zeros((6, 6))
    expected[np.ix_([0, 5], [0, 5])] = np.array([[0.02**2, 0.02 * np.pi], [0.02 * np.pi, np.pi**2]]) / 2
    np.testing.assert_allclose(np.abs(objects[2].ambiguity), expected, atol=1e-9)
    turning = {**ENTRY, "lookalikes_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}]}
    sigma = np.sqrt(np.diag(ObjectSet.load(write(tmp_path, {"2": turning}))[2].ambiguity))
    np.testing.assert_allclose(sigma, [0, 0, 0, 0, 0, np.pi / np.sqrt(3)], rtol=0.01, atol=1e-9)


def test_missing_models_info(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"models_info\.json"):
        ObjectSet.load(tmp_path / "models_info.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"cat": {}}'])
def test_malformed_models_info(tmp_path: Path, content: str) -> None:
    with pytest.raises(BundleError, match=r"models_info\.json: models_info cannot be read"):
        ObjectSet.load(write(tmp_path, content))


def test_no_objects(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no objects"):
        ObjectSet.load(write(tmp_path, {}))


@pytest.mark.parametrize("key", ["diameter", "min_y", "size_z"])
def test_an_incomplete_entry_is_named(tmp_path: Path, key: str) -> None:
    entry = {k: v for k, v in ENTRY.items() if k != key}
    with pytest.raises(BundleError, match=f"object 2 .*{key}"):
        ObjectSet.load(write(tmp_path, {"2": entry}))


def test_an_entry_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="object 2"):
        ObjectSet.load(write(tmp_path, {"2": {**ENTRY, "diameter": "wide"}}))


def test_an_unknown_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no object 9 \(cup\)"):
        ObjectSet.load(write(tmp_path, {"2": ENTRY}), names={9: "cup"})


def test_a_missing_mesh_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"2": ENTRY}, ids=())
    with pytest.raises(BundleError, match=r"obj_000002\.ply"):
        ObjectSet.load(path, tmp_path)


def test_a_diameter_in_the_wrong_unit(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="object 2 .*123.3 m"):
        ObjectSet.load(write(tmp_path, {"2": ENTRY}), unit="m")


def test_a_mesh_of_another_object_is_noticed(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"2": ENTRY}, box=(100, 90, 40), ids=(2,)), tmp_path)
    with pytest.raises(MeshError, match="does not fit models_info"):
        _ = objects[2].mesh


def test_a_mesh_in_the_wrong_unit_is_noticed(tmp_path: Path) -> None:
    objects = ObjectSet.load(write(tmp_path, {"2": ENTRY}, box=(0.1, 0.06, 0.04), ids=(2,)), tmp_path)
    with pytest.raises(MeshError, match="is the file in m"):
        _ = objects[2].mesh


def test_the_real_set(linemod_objects: ObjectSet) -> None:
    assert len(linemod_objects) == 8
    assert linemod_objects.by_name("cat").obj_id == 6
    assert linemod_objects.has_meshes

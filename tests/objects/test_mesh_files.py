from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open3d as o3d
import pytest
from mesh_samples import box, write_glb

from pose_tracking.core.errors import MeshError
from pose_tracking.objects.mesh_checks import topology
from pose_tracking.objects.mesh_files import read_mesh_file

RED, BLUE = (220, 20, 20), (20, 20, 220)


def half_picture() -> np.ndarray:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32], image[32:] = RED, BLUE  # the first row is the upper border
    return image


def glb_box() -> dict[str, np.ndarray]:
    raw = box()
    vertices = np.asarray(raw.vertices)
    low, size = vertices.min(0), np.ptp(vertices, axis=0)
    # In glTF v runs down the picture: the low z is red.
    uv = ((vertices - low) / size)[:, [0, 2]]
    return {"v": vertices, "f": np.asarray(raw.triangles), "uv": uv}


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl"])
def test_formats_give_the_same_solid(tmp_path: Path, suffix: str) -> None:
    raw = box().subdivide_midpoint(1)
    raw.compute_vertex_normals()
    raw.compute_triangle_normals()
    o3d.io.write_triangle_mesh(tmp_path / f"box.{suffix}", raw)
    read = read_mesh_file(tmp_path / f"box.{suffix}")
    assert (len(read.vertices), len(read.faces)) == (26, 48)  # STL's 144 corners are welded
    np.testing.assert_allclose(np.ptp(read.vertices, axis=0), [0.12, 0.08, 0.05], atol=1e-6)
    assert topology(read).watertight
    assert not read.colored
    assert (read.colors == 128).all()


def test_vertex_colours_of_a_ply_are_kept(tmp_path: Path) -> None:
    raw = box()
    raw.vertex_colors = o3d.utility.Vector3dVector(np.tile([1.0, 0.5, 0.0], (8, 1)))
    o3d.io.write_triangle_mesh(tmp_path / "box.ply", raw)
    read = read_mesh_file(tmp_path / "box.ply")
    assert read.colored
    assert set(map(tuple, read.colors.tolist())) <= {(255, 127, 0), (255, 128, 0)}


def test_a_texture_in_a_glb_becomes_vertex_colours(tmp_path: Path) -> None:
    write_glb(tmp_path / "box.glb", [glb_box()], half_picture())
    read = read_mesh_file(tmp_path / "box.glb")
    assert read.colored
    assert any("baked" in note for note in read.notes)
    z = read.vertices[:, 2]
    assert np.abs(read.colors[z < -0.006] - np.array(RED)).max() <= 2
    assert np.abs(read.colors[z > 0.006] - np.array(BLUE)).max() <= 2
    assert topology(read).watertight


def test_a_texture_of_an_obj_becomes_vertex_colours(tmp_path: Path) -> None:
    part = glb_box()
    lines = ["mtllib box.mtl", "usemtl paint", *("v {} {} {}".format(*v) for v in part["v"])]
    lines += ["vt {} {}".format(*uv) for uv in part["uv"]]  # in OBJ v runs up the picture: the low z is blue
    lines += ["f " + " ".join(f"{i + 1}/{i + 1}" for i in face) for face in part["f"]]
    (tmp_path / "box.obj").write_text("\n".join(lines) + "\n")
    (tmp_path / "box.mtl").write_text("newmtl paint\nKd 1 1 1\nmap_Kd box.png\n")
    cv2.imwrite(str(tmp_path / "box.png"), half_picture()[:, :, ::-1])
    read = read_mesh_file(tmp_path / "box.obj")
    z = read.vertices[:, 2]
    assert np.abs(read.colors[z < -0.006] - np.array(BLUE)).max() <= 2
    assert np.abs(read.colors[z > 0.006] - np.array(RED)).max() <= 2


def test_parts_of_a_glb_keep_place_and_material(tmp_path: Path) -> None:
    plain: dict[str, Any] = {k: v for k, v in glb_box().items() if k != "uv"}
    parts = [plain | {"base": [1, 0, 0, 1]}, plain | {"base": [0, 1, 0, 1], "translation": [0, 0, 0.1]}]
    write_glb(tmp_path / "two.glb", parts)
    read = read_mesh_file(tmp_path / "two.glb")
    assert len(read.faces) == 24
    upper = read.vertices[:, 2] > 0.05
    assert (read.colors[~upper] == (255, 0, 0)).all()
    assert (read.colors[upper] == (0, 255, 0)).all()


def test_vertex_colours_of_a_glb_are_kept(tmp_path: Path) -> None:
    part = {k: v for k, v in glb_box().items() if k != "uv"} | {"color": np.tile([0.0, 0.0, 1.0, 1.0], (8, 1))}
    write_glb(tmp_path / "box.glb", [part])
    assert (read_mesh_file(tmp_path / "box.glb").colors == (0, 0, 255)).all()


def test_a_white_glb_has_no_colour(tmp_path: Path) -> None:
    write_glb(tmp_path / "box.glb", [{k: v for k, v in glb_box().items() if k != "uv"}])
    assert not read_mesh_file(tmp_path / "box.glb").colored


def test_faces_without_area_are_dropped(tmp_path: Path) -> None:
    raw = box()
    faces = np.concatenate([np.asarray(raw.triangles), [[0, 0, 1], [2, 2, 2]]])
    raw.triangles = o3d.utility.Vector3iVector(faces.astype(np.int32))
    o3d.io.write_triangle_mesh(tmp_path / "box.ply", raw)
    read = read_mesh_file(tmp_path / "box.ply")
    assert len(read.faces) == 12
    assert any("without area" in note for note in read.notes)


def test_a_mesh_of_slivers_only_is_refused(tmp_path: Path) -> None:
    raw = box()
    raw.triangles = o3d.utility.Vector3iVector(np.array([[0, 1, 1], [2, 2, 3]], np.int32))
    o3d.io.write_triangle_mesh(tmp_path / "flat.ply", raw)
    with pytest.raises(MeshError, match=r"flat\.ply: all 2 triangles have no area"):
        read_mesh_file(tmp_path / "flat.ply")


def test_faces_of_missing_vertices_are_refused(tmp_path: Path) -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "cut.ply").write_text(head + "0 0 0\n0.1 0 0\n0 0.1 0\n3 0 1 2\n3 0 1 7\n")
    with pytest.raises(MeshError, match=r"cut\.ply: has faces with vertices that are not there"):
        read_mesh_file(tmp_path / "cut.ply")


@pytest.mark.parametrize("name", ["rubbish.ply", "rubbish.obj", "rubbish.stl", "rubbish.glb"])
def test_rubbish_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a mesh at all" * 9)
    with pytest.raises(MeshError, match=name):
        read_mesh_file(tmp_path / name)


def test_other_formats_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match=r"gone\.ply: no such mesh file"):
        read_mesh_file(tmp_path / "gone.ply")
    with pytest.raises(MeshError, match=r"part\.step: format is not one of PLY, OBJ, STL, GLB"):
        read_mesh_file(tmp_path / "part.step")

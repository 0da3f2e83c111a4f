from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import open3d as o3d
import pytest
from mesh_samples import box, write_glb

from pose_tracking.core.errors import MeshError
from pose_tracking.objects.mesh import load_mesh
from pose_tracking.objects.mesh_checks import topology
from pose_tracking.objects.mesh_files import read_mesh_file
from pose_tracking.objects.ply_texture import read_ply_texture

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
    read = read_mesh_file(write_obj(tmp_path, "newmtl paint\nKd 1 1 1\nmap_Kd box.png\n"))
    z = read.vertices[:, 2]
    assert np.abs(read.colors[z < -0.006] - np.array(BLUE)).max() <= 2  # in OBJ v runs up the picture
    assert np.abs(read.colors[z > 0.006] - np.array(RED)).max() <= 2


def write_obj(folder: Path, mtl: str, picture: str = "box.png") -> Path:
    part = glb_box()
    lines = ["mtllib box.mtl", "usemtl paint", *("v {} {} {}".format(*v) for v in part["v"])]
    lines += ["vt {} {}".format(*uv) for uv in part["uv"]]
    lines += ["f " + " ".join(f"{i + 1}/{i + 1}" for i in face) for face in part["f"]]
    (folder / "box.obj").write_text("\n".join(lines) + "\n")
    (folder / "box.mtl").write_text(mtl)
    cv2.imwrite(str(folder / picture), half_picture()[:, :, ::-1])
    return folder / "box.obj"


def test_a_grey_that_an_exporter_writes_beside_a_picture_does_not_darken_it(tmp_path: Path) -> None:
    path = write_obj(tmp_path, "newmtl paint\nKa 0.4 0.4 0.4\nKd 0.4 0.4 0.4\nmap_Kd box.png\n")
    assert read_mesh_file(path).colors.max() >= max(RED) - 2


def test_a_picture_that_an_obj_names_and_has_not_is_told(tmp_path: Path) -> None:
    path = write_obj(tmp_path, "newmtl paint\nmap_Kd -s 1 1 1 cover.jpg\n")
    read = read_mesh_file(path)
    assert not read.colored
    assert read.notes == ["cover.jpg, which has its colour, is missing or cannot be read"]
    (tmp_path / "box.mtl").unlink()
    assert read_mesh_file(path).notes == ["box.mtl, which has its colour, is missing or cannot be read"]


def test_a_factor_of_a_glb_is_of_linear_light(tmp_path: Path) -> None:
    part = {k: v for k, v in glb_box().items() if k != "uv"} | {"base": [0.5, 0.0, 0.0033, 1.0]}
    write_glb(tmp_path / "box.glb", [part])
    assert (read_mesh_file(tmp_path / "box.glb").colors == (188, 0, 11)).all()


def write_ply(path: Path, form: str, at: str, texture: str = "box.png", faces: int = 12) -> None:
    """A box with a picture on it: its coordinates at the vertices, as BOP's, or at the corners, as MeshLab's."""
    part = glb_box()
    uv = part["uv"] * (1, -1) + (0, 1)  # in PLY v runs up the picture: the low z is red here, too
    names = ["x", "y", "z", *(["texture_u", "texture_v"] if at == "vertices" else [])]
    head = ["ply", f"format {form} 1.0", f"comment TextureFile {texture}", f"element vertex {len(uv)}"]
    head += [f"property float {name}" for name in names]
    head += [f"element face {faces}", "property list uchar int vertex_indices"]
    head += ["property list uchar float texcoord"] * (at == "corners") + ["end_header", ""]
    rows = np.concatenate([part["v"], uv], 1)[:, : len(names)].astype("f4")
    corners = uv[part["f"]].reshape(-1, 6)
    if form == "ascii":
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist())
        for face, at_corner in zip(part["f"].tolist(), corners.tolist(), strict=True):
            body += " ".join(map(str, [3, *face, *([6, *at_corner] if at == "corners" else [])])) + "\n"
        path.write_bytes("\n".join(head).encode() + body.encode())
        return
    order = ">" if form == "binary_big_endian" else "<"
    data = rows.astype(order + "f4").tobytes()
    for face, at_corner in zip(part["f"], corners, strict=True):
        data += b"\3" + face.astype(order + "i4").tobytes()
        data += b"\6" + at_corner.astype(order + "f4").tobytes() if at == "corners" else b""
    path.write_bytes("\n".join(head).encode() + data)


@pytest.mark.parametrize("at", ["vertices", "corners"])
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_a_picture_on_a_ply_becomes_vertex_colours(tmp_path: Path, form: str, at: str) -> None:
    write_ply(tmp_path / "box.ply", form, at)
    cv2.imwrite(str(tmp_path / "box.png"), half_picture()[:, :, ::-1])
    read = read_mesh_file(tmp_path / "box.ply")
    z = read.vertices[:, 2]
    assert np.abs(read.colors[z < -0.006] - np.array(RED)).max() <= 2
    assert np.abs(read.colors[z > 0.006] - np.array(BLUE)).max() <= 2
    assert any("baked" in note for note in read.notes)
    loaded = load_mesh(tmp_path / "box.ply", "m")  # as it is, of an object set: colours at its own vertices
    assert loaded.colored
    assert np.abs(loaded.colors[loaded.vertices[:, 2] < 0] - np.array(RED)).max() <= 2


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("missing", "its texture box.png is missing"),
        ("rubbish", "its texture box.png is no picture"),
        ("no coordinates", r"its texture box.png cannot be laid on it \(no texture coordinates\)"),
        ("cut", "ends early"),
    ],
)
def test_a_picture_on_a_ply_that_cannot_be_used_is_told(tmp_path: Path, case: str, said: str, caplog: Any) -> None:
    write_ply(tmp_path / "box.ply", "ascii", "none" if case == "no coordinates" else "corners")
    if case == "rubbish":
        (tmp_path / "box.png").write_bytes(b"no picture")
    elif case != "missing":
        cv2.imwrite(str(tmp_path / "box.png"), half_picture())
    if case == "cut":
        text = (tmp_path / "box.ply").read_text()
        (tmp_path / "box.ply").write_text(text.replace("property list uchar float", "property list uchar int", 1)[:-30])
        with pytest.raises(MeshError, match=said):
            read_ply_texture(tmp_path / "box.ply")
        return
    read = read_mesh_file(tmp_path / "box.ply")
    assert not read.colored
    assert re.search(said, " ".join(read.notes))
    assert not load_mesh(tmp_path / "box.ply", "m").colored
    assert re.search(said, caplog.text)


def test_points_without_faces_are_told_from_rubbish(tmp_path: Path) -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "cloud.ply").write_text(head + "0 0 0\n1 1 1\n")
    with pytest.raises(MeshError, match=r"cloud\.ply: has 2 points and no triangles: make a mesh"):
        read_mesh_file(tmp_path / "cloud.ply")


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

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import typer
from presence import objects_of
from typer.testing import CliRunner

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.new_model import new_model
from pose_tracking.core.errors import ConfigError, MeshError, OutputError, PoseTrackingError

SIZE = (120.0, 80.0, 50.0)


def solid(size: tuple[float, float, float] = SIZE, shift: tuple[float, float, float] = (0, 0, 0)):
    raw = o3d.geometry.TriangleMesh.create_box(*size).translate(-np.array(size) / 2 + shift)
    raw.compute_vertex_normals()
    raw.compute_triangle_normals()
    return raw


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "cad"
    folder.mkdir()
    o3d.io.write_triangle_mesh(folder / "brick.stl", solid())
    wedge = solid((60, 60, 60))
    wedge += solid((20, 30, 40), (30, 15, 45))
    wedge.vertex_colors = o3d.utility.Vector3dVector(np.tile([0.8, 0.1, 0.1], (len(wedge.vertices), 1)))
    o3d.io.write_triangle_mesh(folder / "wedge.ply", wedge)
    (folder / "readme.txt").write_text("not a mesh")
    return folder


def run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(new_model)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def make(meshes: Path, out: Path, *more: object) -> ModelBundle:
    run("--meshes", meshes, "--unit", "mm", "--out", out, *more)
    return ModelBundle.load(out, require_weights=False)


def test_without_training_no_weights_are_missed(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    text = run("--meshes", meshes, "--unit", "mm", "--out", out, "--no-training", "--no-preview")
    assert "works without training" in text
    assert (out / "templates.safetensors").stat().st_mode & 0o777 == (out / "bundle.yaml").stat().st_mode & 0o777
    bundle = ModelBundle.load(out)  # raises where weights are missing
    assert bundle.config.segmentation.backend == "depth_segments"
    assert bundle.config.pose.proposed_by == "templates"


def test_a_folder_an_object_is_named_by_its_folders(tmp_path: Path) -> None:
    for name in ("002_can", "größere Dose"):
        (tmp_path / "ycb" / name).mkdir(parents=True)
        o3d.io.write_triangle_mesh(tmp_path / "ycb" / name / "textured.stl", solid())
    (tmp_path / "ycb" / "doc").mkdir()
    (tmp_path / "ycb" / "doc" / "readme.txt").write_text("not a mesh")
    bundle = make(tmp_path / "ycb", tmp_path / "parts", "--no-preview", "--names", "002_can=can")
    assert [(i, m.name) for i, m in bundle.objects.items()] == [(1, "can"), (2, "größere Dose")]
    o3d.io.write_triangle_mesh(tmp_path / "ycb" / "002_can" / "poisson.stl", solid())
    with pytest.raises(MeshError, match=r"002_can: has 2 meshes \(poisson\.stl, textured\.stl\): keep one"):
        make(tmp_path / "ycb", tmp_path / "other")


def test_files_of_other_formats_are_named(tmp_path: Path) -> None:
    (tmp_path / "part.STEP").write_text("ISO-10303-21;")
    with pytest.raises(MeshError, match=r"has no mesh \(PLY.*\); export what is in \.step as one of these"):
        make(tmp_path, tmp_path / "parts")


def test_what_may_be_in_centimetres_is_told(tmp_path: Path) -> None:
    (tmp_path / "cad").mkdir()
    o3d.io.write_triangle_mesh(tmp_path / "cad" / "brick.stl", solid((12.0, 8.0, 5.0)))
    text = run("--meshes", tmp_path / "cad", "--unit", "mm", "--out", tmp_path / "parts", "--no-preview")
    assert "only 15.3 mm large" in text
    assert "in centimetres, it would be 153 mm, in inches 388 mm" in text


def test_a_folder_of_meshes_becomes_a_bundle(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    text = run("--meshes", meshes, "--unit", "mm", "--out", out)
    assert "brick" in text
    assert "2-fold about x" in text
    bundle = ModelBundle.load(out, require_weights=False)
    assert [(i, m.name) for i, m in bundle.objects.items()] == [(1, "brick"), (2, "wedge")]
    assert bundle.config.segmentation.depth
    brick, wedge = bundle.objects[1], bundle.objects[2]
    assert brick.diameter == pytest.approx(np.linalg.norm(SIZE) / 1e3, rel=1e-4)
    assert (len(brick.symmetries), len(wedge.symmetries)) == (4, 1)
    assert brick.mesh is not None
    np.testing.assert_allclose(np.ptp(brick.mesh.vertices, axis=0), np.array(SIZE) / 1e3, atol=1e-6)
    assert wedge.mesh is not None
    assert (np.abs(wedge.mesh.colors.astype(int) - (204, 26, 26)) <= 1).all()
    assert sorted(p.name for p in (out / "preview").iterdir()) == ["index.html", "obj_000001.png", "obj_000002.png"]
    report = json.loads((out / "new_model.json").read_text())["objects"]
    assert [o["watertight"] for o in report] == [True, True]
    assert any("no colour" in note for note in report[0]["notes"])


def test_an_annotation_without_the_symmetry_of_a_grey_mesh_is_kept_and_said(meshes: Path, tmp_path: Path) -> None:
    (meshes / "wedge.ply").unlink()
    (meshes / "models_info.json").write_text(json.dumps({"1": {"diameter": 1}}))
    text = run("--meshes", meshes, "--unit", "mm", "--out", tmp_path / "parts", "--no-preview")
    brick = ModelBundle.load(tmp_path / "parts", require_weights=False).objects[1]
    assert not brick.is_symmetric
    assert len(brick.lookalikes) == 4  # so that the covariance says it, too
    assert "--symmetry brick=proposed" in " ".join(text.split())
    again = make(meshes, tmp_path / "again", "--no-preview", "--symmetry", "brick=proposed")
    assert again.objects[1].is_symmetric
    assert not again.objects[1].ambiguity.any()


def test_names_symmetries_and_origin_are_the_users(meshes: Path, tmp_path: Path) -> None:
    o3d.io.write_triangle_mesh(meshes / "brick.stl", solid(shift=(400, 0, 0)))
    bundle = make(
        meshes, tmp_path / "parts", "--no-preview", "--centre", "--names", "brick=block", "--symmetry", "block=none",
        "--symmetry", "wedge=discrete:4:z",
    )  # fmt: skip
    block, wedge = bundle.objects[1], bundle.objects[2]
    assert block.name == "block"
    assert not block.is_symmetric
    assert len(wedge.symmetries) == 4
    np.testing.assert_allclose(block.box_min, -np.array(SIZE) / 2e3, atol=1e-6)
    report = json.loads((bundle.path / "new_model.json").read_text())["objects"][0]
    assert report["shift_mm"] == pytest.approx([-400, 0, 0], abs=1e-3)
    assert not (bundle.path / "preview").exists()


def test_ids_come_from_bop_names_and_annotations_are_kept(meshes: Path, tmp_path: Path) -> None:
    (meshes / "brick.stl").unlink()
    (meshes / "wedge.ply").rename(meshes / "obj_000007.ply")
    flip = np.diag([-1.0, -1.0, 1.0, 1.0]).ravel().tolist()
    (meshes / "models_info.json").write_text(json.dumps({"7": {"diameter": 1, "symmetries_discrete": [flip]}}))
    bundle = make(meshes, tmp_path / "parts", "--no-preview")
    assert list(bundle.objects) == [7]
    assert len(bundle.objects[7].symmetries) == 2
    np.testing.assert_allclose(bundle.objects[7].symmetries[1], np.diag([-1, -1, 1, 1]), atol=1e-9)


@pytest.mark.parametrize("text", ["{", "[]", '{"1": {"symmetries_discrete": [[1, 0]]}}', '{"1": 3}'])
def test_annotations_that_cannot_be_read_are_named(meshes: Path, tmp_path: Path, text: str) -> None:
    (meshes / "models_info.json").write_text(text)
    with pytest.raises(MeshError, match=r"models_info\.json: models_info cannot be read") as caught:
        make(meshes, tmp_path / "parts", "--no-preview")
    assert "\n" not in str(caught.value)


def test_the_origin_and_equal_objects_are_pointed_out(meshes: Path, tmp_path: Path) -> None:
    (meshes / "wedge.ply").unlink()
    o3d.io.write_triangle_mesh(meshes / "copy.stl", solid(shift=(400, 0, 0)))
    text = run("--meshes", meshes, "--unit", "mm", "--out", tmp_path / "parts", "--no-preview")
    assert "same as brick: they cannot be told apart" in text
    assert "--centre puts it in the middle" in text


def test_an_origin_too_far_to_learn_about_is_refused(meshes: Path, tmp_path: Path) -> None:
    (meshes / "wedge.ply").unlink()
    o3d.io.write_triangle_mesh(meshes / "brick.stl", solid(shift=(1500, 0, 0)))
    with pytest.raises(MeshError, match=r"brick\.stl: the origin is 10 diameters .* pass --centre"):
        make(meshes, tmp_path / "parts", "--no-preview")
    bundle = make(meshes, tmp_path / "parts", "--no-preview", "--centre")
    assert bundle.objects[1].box_min == pytest.approx([-0.06, -0.04, -0.025], abs=1e-4)


def test_an_existing_folder_is_kept_unless_told(meshes: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="--overwrite"):
        make(meshes, out)
    with pytest.raises(OutputError, match=r"is no bundle \(no bundle\.yaml\), so it is not replaced"):
        make(meshes, out, "--overwrite")
    assert (out / "mine.txt").read_text() == "keep"
    (out / "bundle.yaml").touch()
    make(meshes, out, "--no-preview", "--overwrite")
    assert not (out / "mine.txt").exists()
    assert (out / "bundle.yaml").is_file()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("--unit", "m"), MeshError, "looks like millimetres, pass --unit mm"),
        (("--unit", "inch"), ConfigError, "'inch' is not one of m, mm"),
        (("--names", "a"), ConfigError, "1 names for 2 meshes"),
        (("--names", "a,a"), ConfigError, "two objects have one name"),
        (("--names", "cup=a"), ConfigError, "'cup=a'"),
        (("--symmetry", "brick=perhaps"), ConfigError, "brick=perhaps"),
        (("--symmetry", "cup=none"), ConfigError, "cup=none"),
    ],
)
def test_bad_options_are_named_and_leave_nothing(
    meshes: Path, tmp_path: Path, options: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run("--meshes", meshes, "--unit", "mm", "--out", tmp_path / "parts", *options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cad"]


def test_two_files_of_one_name_and_an_empty_folder_are_refused(meshes: Path, tmp_path: Path) -> None:
    o3d.io.write_triangle_mesh(meshes / "brick.obj", solid())
    with pytest.raises(MeshError, match=r"brick\.obj, brick\.stl have one name"):
        make(meshes, tmp_path / "parts")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeshError, match="has no mesh"):
        make(tmp_path / "empty", tmp_path / "parts")
    with pytest.raises(MeshError, match="no such folder"):
        make(tmp_path / "gone", tmp_path / "parts")


def test_frames_can_be_rendered_at_once(meshes: Path, tmp_path: Path) -> None:
    from pose_tracking.simulation.frames.random_scenes import random_frames

    bundle = make(meshes, tmp_path / "parts", "--no-preview")
    (sample,) = random_frames(bundle.objects, None, 3, count=1)
    assert {entry.obj_id for entry in objects_of(sample)} <= {1, 2}
    assert len(objects_of(sample)) >= 2

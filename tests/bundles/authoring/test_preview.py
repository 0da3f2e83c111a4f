"""The page that shows the objects of a new model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mesh_samples import box

from pose_tracking.bundles.authoring import preview
from pose_tracking.bundles.authoring.new_model import new_model
from pose_tracking.bundles.authoring.new_object import NewObject
from pose_tracking.bundles.authoring.prepare import prepare_object
from pose_tracking.bundles.authoring.preview import write_preview
from pose_tracking.bundles.authoring.symmetry_axis import CONTINUOUS, SymmetryAxis


@pytest.fixture(scope="module")
def brick(tmp_path_factory: pytest.TempPathFactory) -> NewObject:
    import open3d as o3d

    path = tmp_path_factory.mktemp("cad") / "brick.stl"
    raw = box((0.12, 0.08, 0.05))
    raw.compute_triangle_normals()
    o3d.io.write_triangle_mesh(path, raw)
    return prepare_object(1, "<b>brick</b>", path, "m")


def test_the_page_shows_every_object_and_escapes_what_users_wrote(brick: NewObject, tmp_path: Path) -> None:
    brick.notes.append("a <script> in a note & more")
    write_preview([brick], tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "1 &lt;b&gt;brick&lt;/b&gt;" in page
    assert "a &lt;script&gt; in a note &amp; more" in page
    assert "<b>" not in page
    assert "<script>" not in page
    assert 'src="obj_000001.png"' in page
    sheet = cv2.imread(str(tmp_path / "obj_000001.png"))
    assert sheet is not None
    assert sheet.shape[1] > 1000  # six views side by side
    assert len(np.unique(sheet)) > 20


def test_a_sheet_without_thickness_is_shown(tmp_path: Path) -> None:
    """Seen edge on there is nothing to colour."""
    import open3d as o3d

    corners = np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.06, 0], [0, 0.06, 0]])
    raw = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(corners), o3d.utility.Vector3iVector(np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    )
    o3d.io.write_triangle_mesh(tmp_path / "sheet.ply", raw)
    sheet = prepare_object(1, "sheet", tmp_path / "sheet.ply", "m")
    assert len(sheet.proposal.axes) == 3
    write_preview([sheet], tmp_path / "preview")
    assert (tmp_path / "preview" / "obj_000001.png").is_file()


def test_a_solid_of_revolution_is_shown_in_a_few_of_its_rotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """All 71 in all maps took half a minute a ball."""
    shown: list[int] = []
    monkeypatch.setattr(preview, "_tile", lambda title, image: image)
    views = SimpleNamespace(
        pose=lambda direction: np.eye(4),
        picture=lambda pose: None,
        with_axis=lambda image, pose, axis: None,
        deviation=lambda pose, moves: shown.append(len(moves)),
        color_difference=lambda pose, moves: shown.append(len(moves)),
    )
    for fold in (CONTINUOUS, 4):
        axis = SymmetryAxis(np.array([0, 0, 1.0]), np.zeros(3), fold, 0.0, 0.0, 0.0, 0.0)
        preview._symmetry_row(views, axis, "proposed")  # type: ignore[arg-type]
    assert shown == [12, 12, 12, 3, 3, 3]


def test_the_preview_is_written_by_what_is_handed_in(brick: NewObject, tmp_path: Path) -> None:
    shown: list[list[str]] = []

    def note(objects, folder: Path) -> None:
        assert not folder.exists()
        shown.append([new.name for new in objects])

    new_model(brick.source.parent, "m", tmp_path / "parts", names=["brick"], write_preview=note)
    assert shown == [["brick"]]
    assert not (tmp_path / "parts" / "preview").exists()

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from block_scenes import CAMERA, LAMP, POST, STEPS, random_pose, render, write_objects
from safetensors.torch import load_file
from scipy.spatial.transform import Rotation
from template_scenes import block_objects, block_search, block_templates

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects import ObjectSet
from pose_tracking.templates import templates as stored
from pose_tracking.templates.alignment_kernels import rotation_of, solve_symmetric
from pose_tracking.templates.rotations import symmetric_angles
from pose_tracking.templates.segments import MEASURED, cut, segment_of
from pose_tracking.templates.surface import surface_of
from pose_tracking.templates.templates import load_templates, save_templates
from pose_tracking.templates.views import SIDE, WINDOW, render_views


def test_a_view_shows_the_near_side_of_the_object() -> None:
    model = block_objects()[STEPS]
    views = render_views(model, 24)
    assert len(views) == 24
    for k in range(len(views)):
        rows, cols = np.nonzero(np.isfinite(views.depth[k]))
        lateral = (np.stack([cols, rows], 1) - (SIDE - 1) / 2) * WINDOW / SIDE
        seen = np.column_stack([lateral, views.depth[k][rows, cols].astype(float)]) + views.centres[k]
        points = seen @ views.rotations[k].astype(float) * model.diameter  # in the object's frame
        inside = (points > model.box_min - 0.012) & (points < model.box_min + model.size + 0.012)
        assert inside.all(1).mean() > 0.97  # within a sample's side of 7 mm, and perspective
        assert (views.normals[k][rows, cols, 2] < 0.3).all()  # towards the camera


def test_views_that_a_symmetry_makes_equal_count_once() -> None:
    objects = block_objects()
    assert len(render_views(objects[POST], 300)) < 120
    assert len(render_views(objects[STEPS], 300)) == 300


@pytest.mark.parametrize("obj_id", [STEPS, LAMP, POST])
def test_the_templates_alike_lie_near_the_truth_and_aligning_brings_them_there(obj_id: int) -> None:
    rng, search, near = np.random.default_rng(obj_id), block_search(), []
    model = search.objects[obj_id]
    points = model.mesh.sample_surface(200, 0)[0]  # type: ignore[union-attr]
    for seed in range(6):
        pose = random_pose(rng)
        frame, (mask,) = render([(obj_id, pose)], seed=seed)
        surface = search.surface(frame)
        segment = segment_of(surface, mask[:: surface.step, :: surface.step])
        assert segment is not None
        which, ids = np.array([0]), np.array([obj_id])
        matches = search.matcher.match(surface, [segment], which, ids, keep=16)
        (found,) = search.candidates(surface, [segment], which, ids, matches)
        apart = np.linalg.norm(transform_points(found.poses[0], points) - transform_points(pose, points), axis=1)
        if model.is_symmetric:  # a post, whose ends are the same, too
            near.append(abs(found.poses[0][:3, 2] @ pose[:3, 2]) > 0.95)
        else:
            near.append(apart.mean() < 0.1 * model.diameter)
        assert found.fits[0] > 0.6
        assert (np.diff(found.fits) <= 0).all()
        for k in range(1, len(found.poses)):  # all in other rotations
            others = symmetric_angles(found.poses[:k, :3, :3], found.poses[k, :3, :3], model.symmetries)
            assert (others > 0.3).all()
    assert sum(near) >= 5


def test_the_right_object_is_the_most_alike() -> None:
    rng, search, right = np.random.default_rng(3), block_search(), 0
    ids = np.array([STEPS, LAMP, POST])
    for obj_id in [*ids, *ids]:
        frame, (mask,) = render([(int(obj_id), random_pose(rng))])
        surface = search.surface(frame)
        segment = segment_of(surface, mask[:: surface.step, :: surface.step])
        assert segment is not None
        for coarse in (True, False):
            likeness = search.matcher.match(surface, [segment], np.zeros(3, int), ids, coarse=coarse).likeness[:, 0]
            assert (likeness <= 1.0001).all()
            right += int(ids[likeness.argmax()] == obj_id)
    assert right >= 11


def test_a_cut_is_the_same_near_and_far() -> None:
    """What is compared is in diameters: the distance of the camera changes little."""
    pose = random_pose(np.random.default_rng(0), 0.6)
    far = pose.copy()
    far[:3, 3] *= 1.5
    cuts = []
    for where in (pose, far):
        frame, (mask,) = render([(STEPS, where)], noise=0.0, wall=1.4)
        surface = surface_of(frame)
        segment = segment_of(surface, mask[:: surface.step, :: surface.step])
        assert segment is not None
        cuts.append(cut(surface, [segment], np.array([0]), np.array([block_objects()[STEPS].diameter])))
    both = cuts[0].inside & cuts[1].inside
    assert both.sum() > 0.85 * cuts[0].inside.sum()
    assert np.median(np.abs(cuts[0].depth - cuts[1].depth)[both]) < 0.03


def test_a_segment_is_measured_by_some_of_its_points() -> None:
    """So that large ones take no longer; the place and size of one near by are those of one far away."""
    pose, sizes = random_pose(np.random.default_rng(0), 0.9), []
    for nearer in (0.4, 1.4):
        where = pose.copy()
        where[:3, 3] *= nearer
        frame, (mask,) = render([(STEPS, where)], noise=0.0, wall=1.4)
        surface = surface_of(frame)
        segment = segment_of(surface, mask[:: surface.step, :: surface.step])
        assert segment is not None
        assert segment.pixels == np.count_nonzero(segment.mask)
        points = surface.points[segment.mask]
        low, high = np.percentile(points, (2, 98), axis=0)
        assert segment.extent == pytest.approx(np.linalg.norm(high - low), rel=0.02)
        assert np.linalg.norm(segment.centre) == pytest.approx(np.median(points @ segment.turn[:, 2]), rel=0.005)
        sizes.append(segment.pixels)
    assert sizes[0] > 2 * MEASURED > 2 * sizes[1]


def test_kernels_of_the_alignment_solve_and_turn() -> None:
    rng = np.random.default_rng(0)
    half, right, out = rng.normal(size=(6, 6)), rng.normal(size=6), np.empty(6)
    system = half @ half.T + 0.1 * np.eye(6)
    solve_symmetric(np.tril(system), right, out)
    np.testing.assert_allclose(system @ out, right, atol=1e-9)
    turn = np.empty((3, 3))
    for vector in (np.zeros(3), rng.normal(size=3)):
        rotation_of(vector, turn)
        np.testing.assert_allclose(turn, Rotation.from_rotvec(vector).as_matrix(), atol=1e-9)


def test_nothing_read_is_no_segment() -> None:
    frame, (mask,) = render([(STEPS, random_pose(np.random.default_rng(0)))])
    frame.depth[mask] = np.nan
    surface = surface_of(frame)
    assert np.isfinite(surface.points).all()
    assert segment_of(surface, mask[:: surface.step, :: surface.step]) is None
    assert segment_of(surface, np.zeros(surface.valid.shape, bool)) is None


def test_points_are_those_of_the_pixels() -> None:
    frame, _ = render([], noise=0.0)
    surface = surface_of(frame)
    rows, cols = np.array([3, 50]), np.array([7, 90])
    expected = CAMERA.backproject_pixels(
        rows * surface.step, cols * surface.step, frame.depth[rows * surface.step, cols * surface.step]
    )
    np.testing.assert_allclose(surface.points[rows, cols], expected, atol=1e-5)


@pytest.mark.parametrize("side", [(480, 640), (481, 639)])
def test_scattered_holes_do_not_take_the_surface_apart(side: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    depth = np.full(side, 0.8, np.float32)
    depth[rng.random(side) < 0.4] = 0
    camera = CameraIntrinsics(side[1], side[0], 570.0, 570.0, side[1] / 2, side[0] / 2)
    surface = surface_of(RGBDFrame(np.zeros((*side, 3), np.uint8), depth, camera))
    assert surface.step == 2
    assert surface.valid.shape == depth[::2, ::2].shape == surface.color.shape[:2]  # as masks are thinned
    assert surface.valid.mean() > 0.95
    assert surface.has_normal[surface.valid].mean() > 0.95
    np.testing.assert_allclose(surface.normals[surface.has_normal], [[0, 0, -1]] * surface.has_normal.sum(), atol=0.05)


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def objects(tmp_path: Path) -> ObjectSet:
    return write_objects(tmp_path)


def test_templates_are_stored_and_read(tmp_path: Path, objects: ObjectSet, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "templates.safetensors"
    save_templates(objects, block_templates(), path)
    with caplog.at_level(logging.WARNING):
        read = load_templates(objects, path)
    assert not caplog.records
    for obj_id, templates in block_templates().items():
        for name, tensor in vars(templates).items():
            assert torch.equal(getattr(read[obj_id], name), tensor), name


@pytest.mark.parametrize("spoiled", ["missing", "torn", "other_mesh", "other_version"])
def test_what_the_file_lacks_is_rendered(
    tmp_path: Path, objects: ObjectSet, spoiled: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "templates.safetensors"
    save_templates(objects, block_templates(), path)
    if spoiled == "missing":
        path.unlink()
    elif spoiled == "torn":
        path.write_bytes(path.read_bytes()[:1000])
    elif spoiled == "other_mesh":
        mesh = tmp_path / f"obj_{LAMP:06d}.ply"
        mesh.write_bytes(mesh.read_bytes() + b" ")
    else:
        monkeypatch.setattr(stored, "VERSION", "of another time")
    rendered: list[int] = []

    def render_few(model: object, count: int = 0) -> object:
        rendered.append(model.obj_id)  # type: ignore[attr-defined]
        return block_templates()[model.obj_id]  # type: ignore[attr-defined]

    monkeypatch.setattr(stored, "make_templates", render_few)
    with caplog.at_level(logging.WARNING):
        read = load_templates(objects, path)
    assert sorted(read) == [STEPS, LAMP, POST]
    assert rendered == ([LAMP] if spoiled == "other_mesh" else [STEPS, LAMP, POST])
    assert "lamp" in caplog.text
    assert str(path) in caplog.text


def test_the_file_is_in_half_precision(tmp_path: Path, objects: ObjectSet) -> None:
    path = tmp_path / "templates.safetensors"
    save_templates(objects, block_templates(), path)
    assert {tensor.dtype for tensor in load_file(path).values()} == {torch.float16}

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, meshes, moved, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets.bop import BopScene
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.picture_edge import cut_fraction
from pose_tracking.pose.fitting.scoring import FEATURES, Verifier, score_features

FRACTIONS = (
    "inlier_fraction",
    "violated_fraction",
    "coverage",
    "blind_fraction",
    "visible_fraction",
    "occluded_fraction",
)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


@pytest.fixture(scope="module")
def verifier(objects: ObjectSet) -> Verifier:
    return Verifier(VerificationConfig(), objects)


@pytest.mark.parametrize("obj_id", [STEPS, LAMP, POST])
def test_right_poses_score_high_and_wrong_ones_low(verifier: Verifier, obj_id: int) -> None:
    rng = np.random.default_rng(obj_id)
    for seed in range(5):
        pose = random_pose(rng)
        frame, (mask,) = render([(obj_id, pose)], seed=seed)
        view = verifier.view(frame, mask)
        right = verifier.verify(view, obj_id, pose)
        assert right.score > 0.8
        assert right.features["inlier_fraction"] > 0.9
        assert right.features["coverage"] > 0.9
        assert verifier.verify(view, obj_id, moved(pose, 0, 0.05, rng)).score < 0.3
        other = {STEPS: LAMP, LAMP: POST, POST: STEPS}[obj_id]
        assert verifier.verify(view, other, pose).score < 0.5


def test_an_absent_object_scores_low(verifier: Verifier) -> None:
    """A patch of bare wall, taken for the object."""
    frame, _ = render([])
    mask = np.zeros(frame.depth.shape, bool)
    mask[100:140, 140:190] = True
    rng = np.random.default_rng(0)
    view = verifier.view(frame, mask)
    for distance in (0.9, 1.04, 1.07, 1.1):
        assert verifier.verify(view, STEPS, random_pose(rng, distance)).score < 0.2


def test_the_wrong_colour_lowers_the_score(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(1))
    frame, (mask,) = render([(STEPS, pose)])
    swapped = replace(frame, color=frame.color[:, :, [2, 0, 1]].copy())
    right = verifier.verify(verifier.view(frame, mask), STEPS, pose)
    wrong = verifier.verify(verifier.view(swapped, mask), STEPS, pose)
    assert wrong.features["chroma_error"] > 2 * right.features["chroma_error"]
    assert wrong.score < 0.5 * right.score


def test_brightness_hardly_matters(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(2))
    frame, (mask,) = render([(STEPS, pose)])
    dim = replace(frame, color=(frame.color * 0.6).astype(np.uint8))
    scores = [verifier.verify(verifier.view(f, mask), STEPS, pose).score for f in (frame, dim)]
    assert scores[1] > 0.8 * scores[0]


def test_an_occluder_is_not_held_against_the_pose(verifier: Verifier) -> None:
    pose = make_transform(random_pose(np.random.default_rng(3))[:3, :3], [0.0, 0.0, 0.7])
    frame, (mask,) = render([(STEPS, pose)])
    depth, color = frame.depth.copy(), frame.color.copy()
    depth[:, :150] = 0.5
    color[:, :150] = 90
    covered = mask.copy()
    covered[:, :150] = False
    result = verifier.verify(verifier.view(replace(frame, depth=depth, color=color), covered), STEPS, pose)
    assert result.features["occluded_fraction"] > 0.15
    assert result.features["inlier_fraction"] > 0.9
    assert result.score > 0.7


def test_measurements_behind_the_model_contradict_it(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(4))
    frame, (mask,) = render([(STEPS, pose)])
    nearer = pose.copy()
    nearer[:3, 3] *= 0.9
    features = verifier.verify(verifier.view(frame, mask), STEPS, nearer).features
    assert features["violated_fraction"] > 0.9
    assert features["inlier_fraction"] < 0.1


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -1.0])
def test_missing_depth_is_missing_however_it_is_written(verifier: Verifier, bad: float) -> None:
    pose = random_pose(np.random.default_rng(5))
    frame, (mask,) = render([(STEPS, pose)])
    depth = frame.depth.copy()
    depth[np.random.default_rng(0).random(depth.shape) < 0.5] = bad
    result = verifier.verify(verifier.view(replace(frame, depth=depth), mask), STEPS, pose)
    assert 0.35 < result.features["blind_fraction"] < 0.65
    assert result.features["violated_fraction"] < 0.1
    assert np.isfinite([result.features[name] for name in FEATURES]).all()


def test_no_depth_at_all_scores_nothing(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(5))
    frame, (mask,) = render([(STEPS, pose)])
    blind = replace(frame, depth=np.full_like(frame.depth, np.nan))
    assert verifier.verify(verifier.view(blind, mask), STEPS, pose).score == 0


@pytest.mark.parametrize(("unread", "believed"), [(0.5, True), (0.85, False)])
def test_what_was_hardly_measured_is_not_believed(verifier: Verifier, unread: float, believed: bool) -> None:
    """However well the few readings fit: nothing is hidden, and still nothing is known of most of it."""
    pose = random_pose(np.random.default_rng(5))
    frame, (mask,) = render([(STEPS, pose)])
    rows = np.flatnonzero(mask.any(1))
    depth = frame.depth.copy()
    depth[: int(np.quantile(np.nonzero(mask)[0], unread))] = 0.0
    assert rows[0] < np.quantile(np.nonzero(mask)[0], unread) < rows[-1]
    result = verifier.verify(verifier.view(replace(frame, depth=depth), mask), STEPS, pose)
    assert result.features["blind_fraction"] == pytest.approx(unread, abs=0.08)
    assert result.features["inlier_fraction"] > 0.9
    assert (result.score > 0.5) if believed else (result.score == 0.0)
    mild = Verifier(replace(verifier.config, max_blind=1.0), verifier.objects)
    assert mild.verify(mild.view(replace(frame, depth=depth), mask), STEPS, pose).score > 0


def flat_scene(offset: float) -> tuple[RGBDFrame, Bool, Float]:
    """The staircase's flat bottom seen square on, `offset` metres before a wall of its colour; its mask and pose."""
    pose = make_transform(np.eye(3), [0.0, 0.0, 0.7])
    frame, (mask,) = render([(STEPS, pose)])
    depth, color = frame.depth.copy(), frame.color.copy()
    depth[~mask] = np.median(depth[mask]) + offset
    color[~mask] = color[mask].mean(0)
    return replace(frame, depth=depth, color=color), mask, pose


def test_a_side_that_goes_on_where_the_object_ends_is_not_believed(verifier: Verifier) -> None:
    """A flat side fits anywhere on a larger flat thing of its colour: only its outline is not there."""
    lying, mask, pose = flat_scene(0.0)
    standing, _, _ = flat_scene(0.03)
    on_something = verifier.verify(verifier.view(lying, mask), STEPS, pose)
    in_front = verifier.verify(verifier.view(standing, mask), STEPS, pose)
    assert on_something.features["inlier_fraction"] > 0.9
    assert on_something.features["continued_fraction"] > 0.9
    assert on_something.score == 0.0
    assert in_front.features["continued_fraction"] < 0.1
    assert in_front.score > 0.5
    mild = Verifier(replace(verifier.config, max_continued=1.0), verifier.objects)
    assert mild.verify(mild.view(lying, mask), STEPS, pose).score > 0.5


@pytest.mark.parametrize("light", [1.0, 0.4, 0.25])
def test_a_change_of_colour_ends_a_surface_however_dark_the_picture(verifier: Verifier, light: float) -> None:
    lying, mask, pose = flat_scene(0.0)
    color = np.where(mask[..., None], 70, 110).repeat(3, 2)
    frame = replace(lying, color=(color * light).astype(np.uint8))
    assert verifier.verify(verifier.view(frame, mask), STEPS, pose).features["continued_fraction"] < 0.1
    noise = np.random.default_rng(1).normal(0, 1.0, color.shape)
    frame = replace(lying, color=(110 * light + noise).astype(np.uint8))
    assert verifier.verify(verifier.view(frame, mask), STEPS, pose).features["continued_fraction"] > 0.9


def test_an_outline_that_goes_on_in_part_counts_against_a_pose(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(7))
    frame, (mask,) = render([(STEPS, pose)])
    features = verifier.verify(verifier.view(frame, mask), STEPS, pose).features
    strict = replace(verifier.config, continued_weight=6.0)

    def logit(config: VerificationConfig, continued: float) -> float:
        score = score_features(config, {**features, "continued_fraction": continued})
        return float(np.log(score / (1 - score)))

    assert logit(strict, 0.1) == pytest.approx(logit(verifier.config, 0.3), abs=1e-6)  # as much is usual
    assert logit(strict, 0.3) == pytest.approx(logit(strict, 0.0) - 6.0 * 0.2, abs=1e-6)


def test_what_the_edge_of_the_picture_cuts_off_counts_against_a_pose(verifier: Verifier) -> None:
    model, turn = verifier.objects[STEPS], random_pose(np.random.default_rng(7))[:3, :3]
    cut, logits = [], []
    strict = Verifier(replace(verifier.config, cut_weight=5.0), verifier.objects)
    for x in (0.0, (CAMERA.width - 1 - CAMERA.cx) / CAMERA.fx * 0.7):  # in the middle of the picture, on its right edge
        pose = make_transform(turn, np.array([x, 0.0, 0.7]) - turn @ (model.box_min + model.size / 2))
        frame, (mask,) = render([(STEPS, pose)])
        both = [each.verify(each.view(frame, mask), STEPS, pose) for each in (verifier, strict)]
        cut.append(both[0].features["cut_fraction"])
        logits.append([np.log(each.score / (1 - each.score)) for each in both])
    assert cut[0] == 0.0
    assert cut[1] == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose([a - b for a, b in logits], 5.0 * np.array(cut), atol=1e-6)
    behind = make_transform(turn, [0.0, 0.0, 0.02])
    assert cut_fraction(CAMERA, model, behind, (0, 0, CAMERA.width, CAMERA.height)) == 1.0


def test_what_hides_the_outline_says_nothing_of_it(verifier: Verifier) -> None:
    frame, mask, pose = flat_scene(0.0)
    depth = frame.depth.copy()
    depth[~mask] -= 0.1
    result = verifier.verify(verifier.view(replace(frame, depth=depth), mask), STEPS, pose)
    assert result.features["continued_fraction"] == 0.0
    assert result.score > 0.5


def test_of_a_thing_as_thin_as_the_noise_the_outline_says_nothing(objects: ObjectSet) -> None:
    frame, mask, pose = flat_scene(0.0)
    noisy = Verifier(VerificationConfig(noise_sigmas=20.0), objects)
    assert noisy.verify(noisy.view(frame, mask), STEPS, pose).features["continued_fraction"] == 0.0


def test_a_pose_out_of_view_scores_nothing(verifier: Verifier) -> None:
    frame, (mask,) = render([(STEPS, random_pose(np.random.default_rng(6)))])
    view = verifier.view(frame, mask)
    for translation in ([5.0, 0, 0.7], [0, 0, -0.7]):
        assert verifier.verify(view, STEPS, make_transform(np.eye(3), translation)).score == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.15, 2.0))
def test_features_are_in_range_for_any_pose(verifier: Verifier, seed: int, distance: float) -> None:
    rng = np.random.default_rng(seed)
    frame, (mask,) = render([(LAMP, make_transform(np.eye(3), [0, 0, 0.7]))], seed=0)
    result = verifier.verify(verifier.view(frame, mask), STEPS, random_pose(rng, distance))
    assert 0 <= result.score <= 1
    for name in FRACTIONS:
        if name in result.features:
            assert 0 <= result.features[name] <= 1
    assert np.isfinite([result.features[name] for name in FEATURES]).all()


def test_cost_does_not_grow_with_the_image(verifier: Verifier) -> None:
    """A close object is sampled as often as a far one, and gives the same fractions."""
    near, far = make_transform(np.eye(3), [0, 0, 0.3]), make_transform(np.eye(3), [0, 0, 0.9])
    pixels = []
    for pose in (near, far):
        frame, (mask,) = render([(POST, pose)])
        features = verifier.verify(verifier.view(frame, mask), POST, pose).features
        assert features["visible_px"] == pytest.approx(mask.sum(), rel=0.25)
        pixels.append(features["visible_px"])
    assert pixels[0] > 5 * pixels[1]


def test_how_much_is_seen_does_not_depend_on_the_resolution(verifier: Verifier) -> None:
    pose = make_transform(np.eye(3), [0, 0, 0.5])
    frame, (mask,) = render([(POST, pose)])
    camera = frame.intrinsics
    larger = replace(
        camera, width=4 * camera.width, height=4 * camera.height, fx=4 * camera.fx, fy=4 * camera.fy,
        cx=4 * camera.cx + 1.5, cy=4 * camera.cy + 1.5,
    )  # fmt: skip
    color, depth = frame.color.repeat(4, 0).repeat(4, 1), frame.depth.repeat(4, 0).repeat(4, 1)
    fine = replace(frame, color=color, depth=depth, intrinsics=larger)
    large_mask = mask.repeat(4, 0).repeat(4, 1)
    one = verifier.verify(verifier.view(frame, mask), POST, pose).features
    other = verifier.verify(verifier.view(fine, large_mask), POST, pose).features
    assert other["visible_px"] > 10 * one["visible_px"]
    assert other["log_visible"] == pytest.approx(one["log_visible"], abs=0.1)


def test_each_feature_pushes_the_way_it_should(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(7))
    frame, (mask,) = render([(STEPS, pose)])
    features = verifier.verify(verifier.view(frame, mask), STEPS, pose).features
    config = VerificationConfig()
    base = score_features(config, features)
    for name, change in (
        ("coverage", -0.5),
        ("violated_fraction", 0.5),
        ("chroma_error", 0.5),
        ("inlier_fraction", -0.5),
    ):
        assert score_features(config, {**features, name: features[name] + change}) < base


def test_the_wrong_number_of_weights_is_refused() -> None:
    features = dict.fromkeys((*FEATURES, "visible_px"), 1.0)
    with pytest.raises(ConfigError, match="2 entries"):
        score_features(VerificationConfig(weights=(1.0, 2.0)), features)


def test_an_object_without_mesh_cannot_be_verified(tmp_path) -> None:
    verifier = Verifier(VerificationConfig(), write_objects(tmp_path, with_meshes=False))
    frame, (mask,) = render([(STEPS, random_pose(np.random.default_rng(0)))])
    with pytest.raises(ValueError, match="no mesh"):
        verifier.verify(verifier.view(frame, mask), STEPS, np.eye(4))


def test_a_thin_mask_keeps_its_pixels(verifier: Verifier) -> None:
    frame, _ = render([])
    mask = np.zeros((CAMERA.height, CAMERA.width), bool)
    mask[50:90, 100:102] = True
    assert verifier.view(frame, mask).core_px == mask.sum()


def test_a_pose_sunk_into_the_table_is_told_from_a_hidden_one(verifier: Verifier) -> None:
    """Half of the object behind something near to it, or far before it."""
    pose = random_pose(np.random.default_rng(8))
    frame, (mask,) = render([(STEPS, pose)])
    rows, cols = np.nonzero(mask)
    hidden = mask & (np.arange(mask.shape[1]) > np.median(cols))
    scores = {}
    for gap in (0.012, 0.15):
        depth = frame.depth.copy()
        depth[hidden] -= gap
        result = verifier.verify(verifier.view(replace(frame, depth=depth), mask & ~hidden), STEPS, pose)
        scores[gap] = result.score
        assert 0.35 < result.features["occluded_fraction"] < 0.65
        assert (result.features["sunken_fraction"] > 0.3) == (gap < 0.1)
    assert scores[0.012] < scores[0.15]


def test_smooth_shading_is_no_texture_error(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(9))
    frame, (mask,) = render([(STEPS, pose)])
    patched = frame.color.copy()
    patch = mask & (np.arange(mask.shape[1]) > np.median(np.nonzero(mask)[1]))
    patched[patch] = np.roll(patched[patch], 1, axis=1)
    errors = [
        verifier.verify(verifier.view(replace(frame, color=color), mask), STEPS, pose).features["texture_error"]
        for color in (frame.color, patched)
    ]
    assert errors[0] < 0.1 < 0.2 < errors[1]


@pytest.fixture(scope="module")
def colorless(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    folder = tmp_path_factory.mktemp("colorless")
    objects = write_objects(folder)
    for obj_id, mesh in meshes().items():
        save_mesh(replace(mesh, colors=np.full_like(mesh.colors, 128)), folder / f"obj_{obj_id:06d}.ply")
    assert objects.colorless == ["steps", "lamp", "post"]
    return Verifier(VerificationConfig(), objects)


@pytest.mark.parametrize("obj_id", [STEPS, LAMP, POST])
def test_a_mesh_without_colour_is_told_by_shape_alone(colorless: Verifier, obj_id: int) -> None:
    """Whatever colours and patterns the thing has: a right pose is believed, a wrong one and an absent one are not."""
    rng = np.random.default_rng(obj_id)
    empty, _ = render([])
    for seed in range(5):
        pose = random_pose(rng)
        frame, (mask,) = render([(obj_id, pose)], seed=seed)
        pattern = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        painted = np.kron(pattern, np.ones((20, 20, 1), np.uint8))
        frame = replace(frame, color=np.where(mask[..., None], painted, frame.color))
        view = colorless.view(frame, mask)
        assert colorless.verify(view, obj_id, pose).score > 0.8
        assert colorless.verify(view, obj_id, moved(pose, 0, 0.05, rng)).score < 0.3
        assert colorless.verify(colorless.view(replace(frame, depth=empty.depth), mask), obj_id, pose).score < 0.05


def test_a_coloured_mesh_is_told_by_its_colour(objects: ObjectSet, verifier: Verifier) -> None:
    assert objects.colorless == []
    pose = random_pose(np.random.default_rng(3))
    frame, (mask,) = render([(STEPS, pose)])
    painted = replace(frame, color=np.where(mask[..., None], np.array([20, 200, 220], np.uint8), frame.color))
    assert verifier.verify(verifier.view(painted, mask), STEPS, pose).score < 0.3


def test_published_poses_of_a_real_object_without_colour_are_believed(data_dir: Path) -> None:
    """Development data: the first frames of a real recording, whose pixels are not square."""
    folder = data_dir / "mustard"
    if not folder.is_dir():
        pytest.skip(f"no recording at {folder}")
    objects = ObjectSet.load(folder / "models" / "models_info.json", folder / "models")
    verifier = Verifier(VerificationConfig(), objects)
    scene = BopScene(folder / "test" / "000000")
    scores = []
    for k in range(0, 60, 3):
        (truth,) = scene[k].objects or []
        assert truth.mask is not None
        scores.append(verifier.verify(verifier.view(scene[k].frame, truth.mask), truth.obj_id, truth.pose).score)
    assert np.mean(np.array(scores) > PipelineConfig().min_pose_confidence) >= 0.95


def test_an_instance_may_be_given_by_a_part_of_the_frame(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(1))
    frame, (mask,) = render([(STEPS, pose)])
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = max(rows[0] - 5, 0), max(cols[0] - 5, 0)
    part = mask[top : rows[-1] + 6, left : cols[-1] + 6]
    whole, cut_out = verifier.view(frame, mask), verifier.view(frame, part, (int(top), int(left)))
    assert cut_out.core.size < whole.core.size
    beside = pose.copy()
    beside[0, 3] += 0.03  # reaches out of the part
    for each in (pose, beside):
        assert verifier.verify(cut_out, STEPS, each) == verifier.verify(whole, STEPS, each)


@pytest.mark.parametrize("at", [(0, 0), (40, 60), (200, 290)])
def test_the_core_of_a_mask_is_the_same_wherever_it_lies(verifier: Verifier, at: tuple[int, int]) -> None:
    """The rim is taken off where the mask ends, but not where the image does."""
    frame, _ = render([])
    mask = np.zeros(frame.depth.shape, bool)
    mask[at[0] : at[0] + 40, at[1] : at[1] + 30] = True
    eroded = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    view = verifier.view(frame, mask)
    np.testing.assert_array_equal(view.core, eroded & (frame.depth > 0))
    assert view.core_px == view.core.sum() > 0
    assert verifier.view(frame, np.zeros_like(mask)).core_px == 0

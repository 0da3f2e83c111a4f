"""Objects looked for at their predicted poses: found, or lost for the reason that holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, moved, random_pose, render, write_objects
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, rotation_angle
from pose_tracking.core.regions import mask_iou
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import IcpConfig, PoseConfig
from pose_tracking.pose.depth_tracking_config import DepthTrackingConfig
from pose_tracking.pose.fitting.depth_tracking import DepthTrackedPose, DepthTracker
from pose_tracking.pose.fitting.icp import IcpPoses, IcpRefiner
from pose_tracking.pose.fitting.reasons import GONE, HIDDEN, MOVED, NO_DEPTH, OUT_OF_VIEW, SCORE
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.pose.fitting.search_around import flush_share

CERTAIN = 0.2


def depth_tracker_of(objects: ObjectSet, icp: IcpConfig | None = None) -> DepthTracker:
    config = PoseConfig()
    return DepthTracker(
        DepthTrackingConfig(),
        config.covariance,
        IcpRefiner(icp or config.icp, objects),
        Verifier(config.verification, objects),
    )


@pytest.fixture(scope="module")
def depth_tracker(tmp_path_factory: pytest.TempPathFactory) -> DepthTracker:
    return depth_tracker_of(write_objects(tmp_path_factory.mktemp("objects")))


def spread(metres: float = 0.003, radians: float = 0.03) -> np.ndarray:
    return np.diag([metres**2] * 3 + [radians**2] * 3)


def found(result: DepthTrackedPose | str) -> DepthTrackedPose:
    assert isinstance(result, DepthTrackedPose), result
    return result


def upright(x: float = 0.0, y: float = 0.0, turn: float = 0.5) -> np.ndarray:
    """An object seen from above and one side."""
    tilt = Rotation.from_euler("zx", [turn, -2.2]).as_matrix()
    return make_transform(tilt, [x, y, 0.7])


@given(st.integers(0, 2**16), st.sampled_from([STEPS, LAMP]), st.floats(0, 0.004), st.floats(0, 4))
@settings(max_examples=15, deadline=None)
def test_a_slightly_wrong_prediction_is_put_right(
    depth_tracker: DepthTracker, seed: int, obj_id: int, metres: float, degrees: float
) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-0.08, 0.08, 2)
    truth = upright(x, y, turn=rng.uniform(0, 6))
    frame, masks = render([(obj_id, truth)], seed=seed)
    result = found(depth_tracker.track(frame, obj_id, moved(truth, degrees, metres, rng), spread(), CERTAIN))
    assert np.linalg.norm(result.estimate.pose[:3, 3] - truth[:3, 3]) < 0.006
    assert rotation_angle(result.estimate.pose[:3, :3] @ truth[:3, :3].T) < np.radians(5)
    assert result.estimate.confidence >= CERTAIN
    assert np.linalg.eigvalsh(result.estimate.covariance).min() > 0
    assert np.count_nonzero(result.mask & masks[0]) > 0.8 * np.count_nonzero(result.mask | masks[0])
    rows, cols = np.nonzero(result.mask)
    np.testing.assert_allclose(result.box, [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], atol=8)


def test_a_shift_that_flat_sides_do_not_bind_is_put_right(depth_tracker: DepthTracker) -> None:
    """A plate seen from below slides within itself: ICP alone leaves it where it was predicted."""
    truth = make_transform(np.eye(3), [0.0, 0.0, 0.7])
    frame, _ = render([(LAMP, truth)])
    predicted = truth.copy()
    predicted[0, 3] += 0.014
    result = found(depth_tracker.track(frame, LAMP, predicted, spread(), CERTAIN))
    assert np.linalg.norm(result.estimate.pose[:3, 3] - truth[:3, 3]) < 0.006


def test_a_side_that_has_slid_under_a_neighbour_is_pulled_out(depth_tracker: DepthTracker) -> None:
    """What lies closely behind a neighbour's surface looks hidden, as a part that cannot be seen."""
    truth = make_transform(np.eye(3), [0.0, 0.0, 0.7])
    frame, (mask,) = render([(LAMP, truth)])
    beside = np.zeros_like(mask)
    beside[:, np.flatnonzero(mask.any(0))[-1] + 1 :] = True
    depth = np.where(beside, frame.depth[mask].mean() - 0.02, frame.depth).astype(np.float32)
    frame = replace(frame, depth=depth)
    predicted = truth.copy()
    predicted[0, 3] += 0.014
    result = found(depth_tracker.track(frame, LAMP, predicted, spread(), CERTAIN))
    assert np.linalg.norm(result.estimate.pose[:3, 3] - truth[:3, 3]) < 0.006


def test_a_prediction_known_to_be_poor_may_be_farther_off(depth_tracker: DepthTracker) -> None:
    truth = upright()
    frame, _ = render([(STEPS, truth)])
    predicted = moved(truth, 8, 0.018, np.random.default_rng(1))
    result = found(depth_tracker.track(frame, STEPS, predicted, spread(0.01, 0.1), CERTAIN))
    assert np.linalg.norm(result.estimate.pose[:3, 3] - truth[:3, 3]) < 0.006


def test_a_turn_that_no_depth_binds_stays_as_predicted(depth_tracker: DepthTracker) -> None:
    truth = upright()
    frame, _ = render([(POST, truth)])
    turned = truth @ make_transform(Rotation.from_euler("z", 1.0).as_matrix(), np.zeros(3))
    result = found(depth_tracker.track(frame, POST, turned, spread(), CERTAIN))
    assert rotation_angle(result.estimate.pose[:3, :3] @ turned[:3, :3].T) < np.radians(5)
    axis = result.estimate.pose[:3, 2]
    assert axis @ result.estimate.covariance[3:, 3:] @ axis > 1.0


def test_nothing_drifts_over_many_frames(depth_tracker: DepthTracker) -> None:
    """Each frame starts from the last one's answer alone, while the object moves on."""
    pose = truth = upright(-0.05)
    for k in range(25):
        truth = truth.copy()
        truth[:3, 3] += [0.003, 0.001, 0.0]
        truth[:3, :3] = Rotation.from_rotvec([0, 0.01, 0.01]).as_matrix() @ truth[:3, :3]
        frame, _ = render([(STEPS, truth)], seed=k)
        pose = found(depth_tracker.track(frame, STEPS, pose, spread(), CERTAIN)).estimate.pose
    assert np.linalg.norm(pose[:3, 3] - truth[:3, 3]) < 0.005
    assert rotation_angle(pose[:3, :3] @ truth[:3, :3].T) < np.radians(4)


def hole(frame: RGBDFrame, value: float) -> RGBDFrame:
    return replace(frame, depth=np.full_like(frame.depth, value))


def test_what_is_not_there_is_not_found(depth_tracker: DepthTracker) -> None:
    pose = upright()
    frame, _ = render([(STEPS, pose)])
    empty, _ = render([])
    outside = pose.copy()
    outside[0, 3] = 0.7
    assert depth_tracker.track(empty, STEPS, pose, spread(), CERTAIN) == GONE
    assert depth_tracker.track(hole(frame, 0.4), STEPS, pose, spread(), CERTAIN) == HIDDEN
    assert depth_tracker.track(hole(frame, 0.0), STEPS, pose, spread(), CERTAIN) == NO_DEPTH
    assert depth_tracker.track(hole(frame, np.nan), STEPS, pose, spread(), CERTAIN) == NO_DEPTH
    assert depth_tracker.track(frame, STEPS, outside, spread(), CERTAIN) == OUT_OF_VIEW


@pytest.mark.parametrize("seed", range(4))
def test_another_object_in_its_place_is_not_taken_for_it(depth_tracker: DepthTracker, seed: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    frame, _ = render([(LAMP, pose)])
    assert depth_tracker.track(frame, STEPS, pose, spread(0.01, 0.1), CERTAIN) in (GONE, MOVED, SCORE)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_hidden_object_is_found_as_long_as_enough_of_it_is_seen(depth_tracker: DepthTracker, share: float) -> None:
    """A board before the left of the staircase, in the colour of the wall."""
    pose = upright()
    frame, masks = render([(STEPS, pose)])
    cols = np.sort(np.nonzero(masks[0])[1])
    edge = int(cols[int(share * len(cols))])
    depth, color = frame.depth.copy(), frame.color.copy()
    depth[:, :edge], color[:, :edge] = 0.5, 110
    result = depth_tracker.track(replace(frame, depth=depth, color=color), STEPS, pose, spread(), CERTAIN)
    if share > 0.9:
        assert result == HIDDEN
    else:
        seen = found(result)
        assert np.linalg.norm(seen.estimate.pose[:3, 3] - pose[:3, 3]) < 0.01
        assert seen.box[0] >= edge
        assert not seen.mask[:, :edge].any()


def test_the_box_ends_at_the_border_of_the_image(depth_tracker: DepthTracker) -> None:
    pose = upright(x=0.36)
    frame, masks = render([(STEPS, pose)])
    assert masks[0][:, -1].any()
    result = found(depth_tracker.track(frame, STEPS, pose, spread(), CERTAIN))
    assert result.box[2] == CAMERA.width


@pytest.mark.parametrize("left", [0, 160])
def test_the_visible_part_is_what_is_seen(depth_tracker: DepthTracker, left: int) -> None:
    """A board before the image up to column `left` hides a part of the object, or nothing."""
    truth = upright()
    frame, masks = render([(STEPS, truth)])
    visible = masks[0].copy()
    depth = frame.depth.copy()
    depth[:, :left], visible[:, :left] = 0.4, False
    rows, cols = np.nonzero(visible)
    expected = [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
    assert len(rows) > 200
    part = depth_tracker.visible_part(replace(frame, depth=depth), STEPS, truth)
    assert part is not None
    box, mask, unread = part
    assert box == pytest.approx(expected, abs=3)
    assert mask_iou(mask, visible) > 0.9
    assert not unread.any()


@pytest.mark.parametrize(
    ("option", "pixels", "seen"), [(60, 30, True), (60, 12, False), (300, 40, False), (300, 110, True)]
)
def test_few_pixels_of_a_camera_with_few_are_enough(
    depth_tracker: DepthTracker, option: int, pixels: int, seen: bool
) -> None:
    """The test camera has a quarter of the pixels on an object that the option is about."""
    truth = upright()
    frame, (mask,) = render([(STEPS, truth)])
    depth = np.zeros_like(frame.depth)
    rows, cols = np.nonzero(cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8)))
    middle = len(rows) // 2
    rows, cols = rows[middle : middle + pixels], cols[middle : middle + pixels]
    depth[rows, cols] = frame.depth[rows, cols]
    tracker = depth_tracker_of(depth_tracker.objects)
    tracker.config = replace(tracker.config, min_visible_px=option)
    part = tracker.visible_part(replace(frame, depth=depth), STEPS, truth)
    assert (part is not None) == seen


def test_what_is_not_seen_has_no_visible_part(depth_tracker: DepthTracker) -> None:
    frame, _ = render([])
    near = replace(frame, depth=np.full_like(frame.depth, 0.3))
    assert depth_tracker.visible_part(near, STEPS, upright()) is None


def test_without_mesh_or_icp_nothing_can_be_tracked(
    depth_tracker: DepthTracker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert depth_tracker.can_track(STEPS)
    bare = write_objects(tmp_path_factory.mktemp("bare"), with_meshes=False)
    assert not depth_tracker_of(bare).can_track(STEPS)
    assert not depth_tracker_of(depth_tracker.objects, IcpConfig(enabled=False)).can_track(STEPS)


def test_what_has_set_off_is_searched_for(depth_tracker: DepthTracker) -> None:
    """At 5 frames a second a hand carries an object farther than ICP reaches between two of them."""
    rng = np.random.default_rng(5)
    for seed in range(4):
        expected = upright()
        truth = moved(expected, 4, 0.05, rng)
        frame, _ = render([(STEPS, truth)], seed=seed)
        near = depth_tracker.track(frame, STEPS, expected, spread(), CERTAIN)
        assert isinstance(near, str) or np.linalg.norm(near.estimate.pose[:3, 3] - truth[:3, 3]) > 0.01
        result = found(depth_tracker.track(frame, STEPS, expected, spread(), CERTAIN, manoeuvre=0.03))
        assert np.linalg.norm(result.estimate.pose[:3, 3] - truth[:3, 3]) < 0.004


def half_hidden(truth: np.ndarray, depth_m: float = 0.5) -> RGBDFrame:
    """STEPS behind a board that hides its left half."""
    frame, masks = render([(STEPS, truth)])
    cols = np.sort(np.nonzero(masks[0])[1])
    depth = frame.depth.copy()
    depth[:, : int(cols[len(cols) // 2])] = depth_m
    return replace(frame, depth=depth)


def test_a_prediction_is_held_where_what_is_fitted_from_it_slips_off(
    depth_tracker: DepthTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, refine = upright(), depth_tracker.icp.refine
    frame = half_hidden(truth)

    def slip(*arguments: Any) -> IcpPoses:
        fitted = refine(*arguments)
        fitted.poses[:, :3, 3] += [0.0, 0.012, 0.0]
        return fitted

    monkeypatch.setattr(depth_tracker.icp, "refine", slip)
    slipped = depth_tracker.track(frame, STEPS, truth, spread(), CERTAIN)
    assert slipped in (HIDDEN, SCORE)
    held = found(depth_tracker.track(frame, STEPS, truth, spread(), CERTAIN, hold=True))
    assert held.estimate.pose == pytest.approx(truth)
    assert held.estimate.confidence > 0.5


def test_a_prediction_that_the_frame_contradicts_is_not_held(depth_tracker: DepthTracker) -> None:
    truth = upright()
    wrong = truth.copy()
    wrong[:3, 3] += [0.0, 0.05, 0.0]
    empty, _ = render([])
    for frame, pose in ((half_hidden(truth), wrong), (empty, truth), (half_hidden(truth, 0.3), wrong)):
        assert isinstance(depth_tracker.track(frame, STEPS, pose, spread(), CERTAIN, hold=True), str)


def test_a_fit_that_convinces_is_not_doubted(depth_tracker: DepthTracker) -> None:
    truth = upright()
    frame = half_hidden(truth)
    plain = found(
        depth_tracker.track(frame, STEPS, moved(truth, 1, 0.002, np.random.default_rng(1)), spread(), CERTAIN)
    )
    again = found(
        depth_tracker.track(
            frame, STEPS, moved(truth, 1, 0.002, np.random.default_rng(1)), spread(), CERTAIN, hold=True
        )
    )
    assert plain.estimate.confidence > 0.5
    assert np.array_equal(plain.estimate.pose, again.estimate.pose)


def test_a_search_does_not_believe_what_is_mostly_hidden(depth_tracker: DepthTracker) -> None:
    """At its prediction the same view is enough; of many places one fits so little by chance."""
    truth = upright()
    frame, masks = render([(STEPS, truth)])
    cols = np.sort(np.nonzero(masks[0])[1])
    depth = frame.depth.copy()
    depth[:, : int(cols[len(cols) // 2])] = 0.5
    hidden = replace(frame, depth=depth)
    seen = found(depth_tracker.track(hidden, STEPS, truth, spread(), CERTAIN))
    assert np.linalg.norm(seen.estimate.pose[:3, 3] - truth[:3, 3]) < 0.01
    expected = truth.copy()
    expected[:3, 3] += [0.05, 0.0, 0.0]
    result = depth_tracker.track(hidden, STEPS, expected, spread(), CERTAIN, manoeuvre=0.03)
    assert isinstance(result, str)


def test_a_search_finds_nothing_where_nothing_is(depth_tracker: DepthTracker) -> None:
    """Neither in the empty air nor in a wall, which flat sides fit."""
    for wall in (0.68, 0.7, 0.72, 1.1):
        frame, _ = render([], wall=wall)
        for obj_id in (STEPS, LAMP):
            flat = make_transform(np.eye(3), [0.0, 0.0, 0.7])
            assert isinstance(depth_tracker.track(frame, obj_id, flat, spread(), CERTAIN, manoeuvre=0.03), str)


def test_a_side_flush_with_a_wall_does_not_stand_out(depth_tracker: DepthTracker) -> None:
    verifier = depth_tracker.verifier
    flat = make_transform(np.diag([1.0, -1.0, -1.0]), [0.0, 0.0, 0.7])
    before, _ = render([(LAMP, flat)], wall=1.1)
    assert flush_share(before, verifier.compare(before, LAMP, flat)) < 0.05
    wall = 0.7 + 0.5 * float(verifier.objects[LAMP].size[2]) - 0.02
    within, _ = render([], wall=wall)
    assert flush_share(within, verifier.compare(within, LAMP, flat)) > 0.5

"""What is tried first, when it is enough, and what a budget of time leaves for the next frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, moved, random_pose, render, write_objects
from option_scenes import Known, Masks
from scipy.spatial.transform import Rotation

from pose_tracking.core import workers
from pose_tracking.core.geometry import rotation_angle
from pose_tracking.core.results import PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.attempts import explaining, is_near
from pose_tracking.pose.config import PoseConfig, SearchConfig
from pose_tracking.pose.estimator import HOPELESS, PoseEstimator

NO_SEARCH = PoseConfig(search=SearchConfig(enabled=False))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


class Stairs:
    """A staircase in a frame, and an estimator whose network proposes given poses of it."""

    def __init__(self, objects: ObjectSet, seed: int = 0) -> None:
        self.objects = objects
        self.truth = random_pose(np.random.default_rng(seed))
        self.frame, self.masks = render([(STEPS, self.truth)], seed=seed)
        self.refined = 0

    def off(self, angle: float, distance: float = 0.005, seed: int = 0) -> np.ndarray:
        """The true pose, turned by degrees about some axis and shifted by metres."""
        return moved(self.truth, angle, distance, np.random.default_rng(seed))

    def estimator(self, *proposed: np.ndarray, config: PoseConfig = NO_SEARCH) -> PoseEstimator:
        estimator = PoseEstimator(config, self.objects, Known(*proposed))
        refine = estimator.icp.refine

        def counting(*args, **kwargs):
            self.refined += 1
            return refine(*args, **kwargs)

        estimator.icp.refine = counting  # type: ignore[method-assign]
        return estimator

    def estimate(self, estimator: PoseEstimator, *predicted: np.ndarray, obj_id: int = STEPS) -> PoseEstimate:
        self.refined = 0
        seen = Masks(self.masks, [STEPS]).segment(self.frame)
        (estimate,) = estimator.estimate(self.frame, seen, {obj_id: np.array(predicted)} if predicted else None)
        assert estimate is not None
        return estimate

    def is_right(self, estimate: PoseEstimate) -> bool:
        turn = rotation_angle(estimate.pose[:3, :3] @ self.truth[:3, :3].T)
        return bool(np.linalg.norm(estimate.pose[:3, 3] - self.truth[:3, 3]) < 0.008 and turn < np.radians(6))


def test_hypotheses_of_which_the_frame_says_too_little_are_left_out(objects: ObjectSet) -> None:
    stairs = Stairs(objects)
    config = replace(NO_SEARCH, refine_from=0.01)
    hopeless = stairs.truth.copy()
    hopeless[:3, 3] += (0.0, 0.0, 0.3)
    estimate = stairs.estimate(stairs.estimator(hopeless, stairs.truth, config=config))
    assert not stairs.is_right(estimate)
    assert stairs.refined == 0
    # Those after one that is refined have their turn, and where a track expects it is always looked at.
    assert stairs.is_right(stairs.estimate(stairs.estimator(stairs.off(10), hopeless, config=config)))
    assert stairs.is_right(stairs.estimate(stairs.estimator(hopeless, config=config), stairs.off(5)))
    assert stairs.is_right(stairs.estimate(stairs.estimator(hopeless, stairs.truth)))


def test_a_prediction_that_convinces_and_the_network_agrees_with_is_all_that_is_tried(objects: ObjectSet) -> None:
    stairs = Stairs(objects)
    estimator = stairs.estimator(stairs.off(10), stairs.off(150), stairs.off(90))
    from_network = stairs.estimate(estimator)
    tried = stairs.refined
    estimate = stairs.estimate(estimator, stairs.off(4, seed=1))
    assert stairs.is_right(from_network)
    assert (from_network.origin, tried) == ("network", 2)
    assert stairs.is_right(estimate)
    assert (estimate.origin, stairs.refined) == ("track", 1)
    assert estimate.icp_pose is None
    assert estimate.confidence == pytest.approx(from_network.confidence, abs=0.02)


def test_a_right_prediction_wins_where_the_network_is_wrong(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 1)
    estimator = stairs.estimator(stairs.off(150), stairs.off(120, seed=2))
    assert not stairs.is_right(stairs.estimate(estimator))
    estimate = stairs.estimate(estimator, stairs.off(5, seed=1))
    assert stairs.is_right(estimate)
    assert estimate.origin == "track"


@pytest.mark.parametrize("angle", [60, 120, 180])
@pytest.mark.parametrize("seed", range(3))
def test_a_wrong_prediction_loses_against_the_network(objects: ObjectSet, seed: int, angle: float) -> None:
    stairs = Stairs(objects, seed)
    estimate = stairs.estimate(stairs.estimator(stairs.off(8)), stairs.off(angle, seed=seed + 1))
    assert stairs.is_right(estimate)
    assert estimate.confidence > 0.7


def test_a_wrong_prediction_that_convinces_does_not_keep_the_network_from_being_tried(objects: ObjectSet) -> None:
    """A track has settled in a wrong pose, and every pose is said to convince: the better one wins even so."""
    stairs = Stairs(objects, 2)
    wrong = stairs.off(150)
    easily = replace(NO_SEARCH, accept=0.0)
    assert not stairs.is_right(stairs.estimate(stairs.estimator(wrong, config=easily)))
    estimate = stairs.estimate(stairs.estimator(stairs.off(8), config=easily), wrong)
    assert stairs.is_right(estimate)
    assert estimate.origin == "network"


def test_where_neither_convinces_the_others_are_tried(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 3)
    estimator = stairs.estimator(stairs.off(150), stairs.off(90), stairs.off(6))
    estimate = stairs.estimate(estimator, stairs.off(120, seed=5))
    assert stairs.is_right(estimate)
    assert estimate.origin == "network"


def explained(objects: ObjectSet, obj_id: int, *predicted: np.ndarray) -> np.ndarray | None:
    truth = random_pose(np.random.default_rng(0))
    frame, (mask,) = render([(obj_id, truth)])
    rows, cols = np.nonzero(mask)
    points = frame.intrinsics.backproject_pixels(rows, cols, frame.depth[rows, cols].astype(float))
    box = np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1], float)
    return explaining(list(predicted), objects[obj_id], points, box, CAMERA)


def shifted(pose: np.ndarray, by: tuple[float, float, float]) -> np.ndarray:
    out = pose.copy()
    out[:3, 3] += by
    return out


def test_a_prediction_explains_what_lies_where_it_is(objects: ObjectSet) -> None:
    truth = random_pose(np.random.default_rng(0))
    near, far = shifted(truth, (0.02, 0, 0)), shifted(truth, (0.05, 0, 0.01))
    found = explained(objects, STEPS, far, near)
    assert found is not None
    np.testing.assert_array_equal(found, near)
    elsewhere = [shifted(truth, by) for by in ((0.3, 0, 0), (0, 0, 0.4), (0, 0, -2.0))]
    assert explained(objects, STEPS, *elsewhere) is None
    assert explained(objects, STEPS, np.full((4, 4), np.nan)) is None
    assert explained(objects, STEPS) is None


def test_a_prediction_of_another_object_is_not_tried(objects: ObjectSet) -> None:
    stairs = Stairs(objects)
    estimator = stairs.estimator(stairs.off(10))
    alone = stairs.estimate(estimator)
    tried = stairs.refined
    other = stairs.estimate(estimator, stairs.truth, obj_id=LAMP)
    assert other.origin == "network"
    assert stairs.refined == tried
    np.testing.assert_allclose(other.pose, alone.pose, atol=1e-7)


def test_poses_that_a_symmetry_makes_one_are_near(objects: ObjectSet) -> None:
    pose = random_pose(np.random.default_rng(0))
    turned = pose.copy()
    turned[:3, :3] = pose[:3, :3] @ Rotation.from_euler("z", 2.0).as_matrix()
    assert is_near(turned, pose, objects[POST], PoseConfig())
    assert not is_near(turned, pose, objects[STEPS], PoseConfig())
    assert not is_near(shifted(pose, (0.05, 0, 0)), pose, objects[POST], PoseConfig())


def test_a_budget_bounds_what_is_tried_and_the_next_frames_go_on(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With more threads as many more are begun before the time is over.
    monkeypatch.setattr("pose_tracking.pose.trials.compute_threads", lambda: 1)
    stairs = Stairs(objects, 3)
    proposed = [stairs.off(angle, seed=k) for k, angle in enumerate((150, 120, 90, 170, 6))]
    whole = stairs.estimate(stairs.estimator(*proposed))
    assert stairs.is_right(whole)
    assert not whole.cut_short
    at_once = stairs.refined

    estimator = stairs.estimator(*proposed, config=replace(NO_SEARCH, time_budget=0.001))
    estimates = []
    for _ in range(4):
        estimates.append(stairs.estimate(estimator))
        last = estimates[-1].confidence >= HOPELESS
        assert stairs.refined == 2 + last < at_once  # the first, one more, and the last ICP of the best
    assert [each.cut_short for each in estimates] == [True, True, True, False]
    assert [stairs.is_right(each) for each in estimates] == [False, False, False, True]


def test_the_search_waits_for_its_turn_too(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 4)
    config = PoseConfig(time_budget=0.001)
    estimator = stairs.estimator(stairs.off(150), stairs.off(120, seed=1), config=config)
    estimates = [stairs.estimate(estimator) for _ in range(6)]
    assert estimates[0].cut_short
    found = [each for each in estimates if each.origin == "search"]
    assert found
    assert stairs.is_right(found[0])


def searched(stairs: Stairs, estimator: PoseEstimator) -> list[int]:
    """How many poses the search has found each time it is asked from now on; it goes on as it is."""
    finds: list[int] = []
    search = estimator.search.candidates

    def counting(*args, **kwargs):
        poses = search(*args, **kwargs)
        finds.append(len(poses))
        return poses

    estimator.search.candidates = counting  # type: ignore[method-assign]
    return finds


IN_VAIN = PoseConfig(search=SearchConfig(below=1.0, every=4), accept=1.01)  # nothing convinces


def test_a_search_in_vain_is_not_run_again_at_once(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 4)
    estimator = stairs.estimator(stairs.off(150), stairs.off(120, seed=1), stairs.off(90, seed=2), config=IN_VAIN)
    finds, tried = searched(stairs, estimator), []
    for _ in range(9):
        stairs.estimate(estimator)
        tried.append(stairs.refined)
    assert len(finds) == 3  # in the first frame, the fifth and the ninth
    # Between them two hypotheses; hopeless as they are, none gets a last ICP.
    assert tried == [4 + finds[0], 2, 2, 2, 4 + finds[1], 2, 2, 2, 4 + finds[2]]


def test_a_surer_detection_or_another_place_is_searched_at_once(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 4)
    estimator = stairs.estimator(stairs.off(150), stairs.off(120, seed=1), config=IN_VAIN)
    finds = searched(stairs, estimator)
    seen = Masks(stairs.masks, [STEPS]).segment(stairs.frame)
    for score in (0.5, 0.55, 0.65, 0.65):  # in a row
        seen.scores[:] = score
        estimator.estimate(stairs.frame, seen)
    assert len(finds) == 2  # at 0.5, and at 0.65
    elsewhere = Stairs(objects, 5)
    elsewhere.estimate(estimator)
    assert len(finds) == 3
    stairs.estimate(estimator)
    assert len(finds) == 3  # the first place is not forgotten for that
    estimator.reset()
    stairs.estimate(estimator)
    assert len(finds) == 4


def test_a_search_that_finds_it_is_run_again(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 4)
    estimator = stairs.estimator(stairs.off(150), stairs.off(120, seed=1), config=PoseConfig())
    finds = searched(stairs, estimator)
    estimates = [stairs.estimate(estimator) for _ in range(3)]
    assert all(stairs.is_right(each) and each.origin == "search" for each in estimates)
    assert len(finds) == 3


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing_but_the_time(objects: ObjectSet, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    places = [random_pose(np.random.default_rng(k)) for k in (5, 6, 7)]
    for place, x in zip(places, (-0.14, 0.0, 0.14), strict=True):
        place[0, 3] = x
    frame, masks = render([(obj_id, pose) for obj_id, pose in zip((STEPS, LAMP, STEPS), places, strict=True)], seed=5)
    seen = Masks(masks, [STEPS, LAMP, STEPS]).segment(frame)
    rng = np.random.default_rng(0)
    outcomes = []
    for count in (1, threads):
        monkeypatch.setattr(workers, "compute_threads", lambda count=count: count)
        monkeypatch.setattr("pose_tracking.pose.trials.compute_threads", lambda count=count: count)
        rng = np.random.default_rng(0)
        estimator = PoseEstimator(PoseConfig(), objects, Known(*(moved(places[0], a, 0.01, rng) for a in (150, 8, 90))))
        first = estimator.estimate(frame, seen)
        starts = [each.pose if each else None for each in first]
        outcomes.append([*first, *estimator.estimate(frame, seen), *estimator.follow(frame, seen, starts)])
    for alone, beside in zip(*outcomes, strict=True):
        assert (alone is None) == (beside is None)
        if alone is not None and beside is not None:
            np.testing.assert_array_equal(alone.pose, beside.pose)
            np.testing.assert_array_equal(alone.covariance, beside.covariance)
            assert (alone.origin, alone.fit) == (beside.origin, beside.fit)


def test_time_to_spare_leaves_nothing(objects: ObjectSet) -> None:
    stairs = Stairs(objects, 3)
    proposed = [stairs.off(angle, seed=k) for k, angle in enumerate((150, 120, 90, 6))]
    estimate = stairs.estimate(stairs.estimator(*proposed, config=replace(NO_SEARCH, time_budget=60000.0)))
    assert stairs.is_right(estimate)
    assert not estimate.cut_short


@pytest.mark.parametrize(("per_frame", "is_tracked"), [(0, True), (1, True), (1, False)])
def test_searches_of_a_frame_with_tracks_are_limited_and_the_others_have_their_turn_next(
    objects: ObjectSet, per_frame: int, is_tracked: bool
) -> None:
    left, right = (random_pose(np.random.default_rng(k)) for k in (5, 6))
    left[0, 3], right[0, 3] = -0.12, 0.12
    frame, masks = render([(STEPS, left), (LAMP, right)], seed=5)
    rng = np.random.default_rng(0)
    poses = np.array([[moved(t, 150, 0.02, rng), moved(t, 100, 0.02, rng)] for t in (left, right)])
    predictor = Known(*poses[0])
    proposed = predictor.predict(frame, Masks(masks, [STEPS, LAMP]).segment(frame))
    proposed.poses, proposed.raw_poses = poses, poses
    predictor.predict = lambda frame, instances: proposed  # type: ignore[method-assign]
    # Nothing convinces, and what was searched is left alone for the next frames.
    search = SearchConfig(below=1.0, every=10, per_frame=per_frame)
    estimator = PoseEstimator(PoseConfig(search=search, accept=1.01), objects, predictor)
    asked: list[int] = []
    candidates = estimator.search.candidates

    def asking(obj_id, *args):
        asked.append(obj_id)
        return candidates(obj_id, *args)

    estimator.search.candidates = asking  # type: ignore[method-assign]
    seen, cut_short = [], []
    for _ in range(3):
        predicted = {STEPS: left[None]} if is_tracked else None
        estimates = estimator.estimate(frame, Masks(masks, [STEPS, LAMP]).segment(frame), predicted)
        seen.append(sorted(asked))
        cut_short.append([each is not None and each.cut_short for each in estimates])
        asked.clear()
    if per_frame and is_tracked:
        assert sorted(seen[0] + seen[1]) == sorted([STEPS, LAMP])
        assert [len(each) for each in seen] == [1, 1, 0]
        assert [sum(each) for each in cut_short] == [1, 0, 0]
    else:
        assert seen == [sorted([STEPS, LAMP]), [], []]
        assert not np.any(cut_short)


def test_who_has_waited_goes_first(objects: ObjectSet) -> None:
    """Two objects whose later hypotheses are the right ones: with time for one pose a frame both get there."""
    left, right = (random_pose(np.random.default_rng(k)) for k in (5, 6))
    left[0, 3], right[0, 3] = -0.12, 0.12
    frame, masks = render([(STEPS, left), (LAMP, right)], seed=5)
    rng = np.random.default_rng(0)
    poses = np.array(
        [[moved(t, 150, 0.02, rng), moved(t, 100, 0.02, rng), moved(t, 5, 0.002, rng)] for t in (left, right)]
    )
    predictor = Known(*poses[0])
    proposed = predictor.predict(frame, Masks(masks, [STEPS, LAMP]).segment(frame))
    proposed.poses, proposed.raw_poses = poses, poses
    predictor.predict = lambda frame, instances: proposed  # type: ignore[method-assign]
    estimator = PoseEstimator(replace(NO_SEARCH, time_budget=0.001), objects, predictor)
    right_ones: set[int] = set()
    for _ in range(4):
        for k, estimate in enumerate(estimator.estimate(frame, Masks(masks, [STEPS, LAMP]).segment(frame))):
            assert estimate is not None
            if rotation_angle(estimate.pose[:3, :3] @ (left, right)[k][:3, :3].T) < np.radians(6):
                right_ones.add(k)
    assert right_ones == {0, 1}

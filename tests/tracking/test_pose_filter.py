"""Smoothed 6D pose: stillness, motion, symmetry, outliers, camera motion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import invert_transform, make_transform, nearest_equivalent, rotation_angle
from pose_tracking.tracking import TrackingConfig, pose_filter

NO_SYMMETRY = np.eye(4)[None]
COVARIANCE = np.diag([0.003**2] * 3 + [0.03**2] * 3)


class PoseFilter:
    """One filter, moved by the functions for many."""

    def __init__(
        self, pose: np.ndarray, covariance: np.ndarray, symmetries: np.ndarray, config: TrackingConfig
    ) -> None:
        self.state = pose_filter.PoseFilter.start(pose, covariance)
        self.symmetries, self.config = symmetries, config

    def predict(self, dt: float) -> None:
        pose_filter.predict([self.state], dt, self.config)

    def move_camera(self, motion: np.ndarray) -> None:
        pose_filter.move_camera([self.state], motion)

    def update(self, pose: np.ndarray, covariance: np.ndarray) -> bool:
        used = pose_filter.update([self.state], pose[None], covariance[None], self.symmetries, self.config)
        return bool(used[0])

    @property
    def pose(self) -> np.ndarray:
        return self.state.pose

    @property
    def covariance(self) -> np.ndarray:
        return self.state.pose_covariance

    @property
    def velocity(self) -> np.ndarray:
        return self.state.velocity


def noisy(pose: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    error = rng.multivariate_normal(np.zeros(6), COVARIANCE)
    turn = Rotation.from_rotvec(error[3:]).as_matrix()
    return make_transform(turn @ pose[:3, :3], pose[:3, 3] + error[:3])


def test_still_object_is_steadier_than_its_measurements() -> None:
    rng = np.random.default_rng(0)
    truth = make_transform(Rotation.random(random_state=1).as_matrix(), [0.1, 0.0, 0.8])
    config = TrackingConfig(acceleration_noise=0.02, angular_acceleration_noise=0.2)
    track = PoseFilter(truth, COVARIANCE, NO_SYMMETRY, config)
    raw, smooth = [], []
    for _ in range(200):
        track.predict(0.1)
        measured = noisy(truth, rng)
        track.update(measured, COVARIANCE)
        raw.append(np.linalg.norm(measured[:3, 3] - truth[:3, 3]))
        smooth.append(np.linalg.norm(track.pose[:3, 3] - truth[:3, 3]))
    assert np.mean(smooth[20:]) < 0.7 * np.mean(raw[20:])


def test_constant_velocity_is_followed_without_lag() -> None:
    rotation = Rotation.random(random_state=2).as_matrix()
    turn = np.array([0.0, 0.5, 0.2])
    track = PoseFilter(make_transform(rotation, [0, 0, 0.8]), COVARIANCE, NO_SYMMETRY, TrackingConfig())
    for k in range(1, 60):
        truth = make_transform(Rotation.from_rotvec(turn * 0.1 * k).as_matrix() @ rotation, [0.02 * k, 0, 0.8])
        track.predict(0.1)
        track.update(truth, COVARIANCE)
    assert np.linalg.norm(track.pose[:3, 3] - truth[:3, 3]) < 1e-3
    assert rotation_angle(track.pose[:3, :3].T @ truth[:3, :3]) < 0.02
    assert track.velocity[:3] == pytest.approx([0.2, 0, 0], abs=0.01)
    assert track.velocity[3:] == pytest.approx(turn, abs=0.05)


def test_equivalent_pose_of_a_symmetric_object_is_no_jump() -> None:
    half_turn = make_transform(Rotation.from_rotvec([0, 0, np.pi]).as_matrix(), np.zeros(3))
    symmetries = np.stack([np.eye(4), half_turn])
    truth = make_transform(np.eye(3), [0, 0, 0.8])
    track = PoseFilter(truth, COVARIANCE, symmetries, TrackingConfig())
    for k in range(10):
        track.predict(0.1)
        assert track.update(truth @ symmetries[k % 2], COVARIANCE)
    assert rotation_angle(track.pose[:3, :3]) < 1e-6


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_nearest_equivalent_is_the_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    quarter = Rotation.from_rotvec([[0, 0, a * np.pi / 2] for a in range(4)]).as_matrix()
    symmetries = make_transform(quarter, np.zeros((4, 3)))
    pose, reference = (make_transform(Rotation.random(random_state=rng.integers(2**31)).as_matrix(), rng.normal(size=3))
                       for _ in range(2))  # fmt: skip
    chosen = nearest_equivalent(pose, reference, symmetries)
    angles = [rotation_angle((pose @ s)[:3, :3].T @ reference[:3, :3]) for s in symmetries]
    assert rotation_angle(chosen[:3, :3].T @ reference[:3, :3]) == pytest.approx(min(angles))


def test_one_outlier_is_left_out_but_a_repeated_one_wins() -> None:
    truth = make_transform(np.eye(3), [0, 0, 0.8])
    wrong = make_transform(np.eye(3), [0.3, 0, 0.8])
    track = PoseFilter(truth, COVARIANCE, NO_SYMMETRY, TrackingConfig())
    for _ in range(20):
        track.predict(0.1)
        track.update(truth, COVARIANCE)
    track.predict(0.1)
    assert not track.update(wrong, COVARIANCE)
    assert track.pose[0, 3] == pytest.approx(0, abs=1e-3)
    track.predict(0.1)
    assert track.update(wrong, COVARIANCE)
    assert track.pose[0, 3] == pytest.approx(0.3, abs=1e-3)


def test_a_manoeuvre_of_which_neither_part_alone_contradicts_is_no_outlier() -> None:
    """Position and rotation each within what chance does, both together beyond the gate."""
    truth = make_transform(np.eye(3), [0, 0, 0.8])
    track = PoseFilter(truth, COVARIANCE, NO_SYMMETRY, TrackingConfig())
    for _ in range(20):
        track.predict(0.1)
        track.update(truth, COVARIANCE)
    track.predict(0.1)
    spread = track.covariance[:6, :6] + COVARIANCE
    shift, turn = 4.1 * np.sqrt(spread[0, 0]), 4.1 * np.sqrt(spread[4, 4])
    moved = make_transform(Rotation.from_rotvec([0, turn, 0]).as_matrix(), [shift, 0, 0.8])
    assert track.update(moved, COVARIANCE)
    assert np.linalg.norm(track.pose[:3, 3] - moved[:3, 3]) < 0.3 * shift
    assert rotation_angle(track.pose[:3, :3].T @ moved[:3, :3]) < 0.3 * turn


def test_known_camera_motion_is_no_object_motion() -> None:
    fixed = make_transform(Rotation.random(random_state=4).as_matrix(), [0.2, 0.1, 1.0])
    camera_before = np.eye(4)
    track = PoseFilter(fixed, COVARIANCE, NO_SYMMETRY, TrackingConfig())
    for k in range(1, 30):
        camera = make_transform(Rotation.from_rotvec([0, 0.02 * k, 0]).as_matrix(), [0.05 * k, 0, 0])
        track.move_camera(invert_transform(camera) @ camera_before)
        track.predict(0.1)
        track.update(invert_transform(camera) @ fixed, COVARIANCE)
        camera_before = camera
    assert np.linalg.norm(track.velocity) < 1e-6
    assert track.pose == pytest.approx(invert_transform(camera) @ fixed)


def test_covariance_is_consistent() -> None:
    """Normalised squared error of the filtered pose is near its 6 degrees of freedom on average."""
    rng = np.random.default_rng(3)
    errors = []
    for run in range(40):
        truth = make_transform(Rotation.random(random_state=run).as_matrix(), [0, 0, 0.8])
        track = PoseFilter(noisy(truth, rng), COVARIANCE, NO_SYMMETRY, TrackingConfig())
        for _ in range(10):
            track.predict(0.1)
            track.update(noisy(truth, rng), COVARIANCE)
        difference = np.concatenate(
            [truth[:3, 3] - track.pose[:3, 3], Rotation.from_matrix(truth[:3, :3] @ track.pose[:3, :3].T).as_rotvec()]
        )
        errors.append(difference @ np.linalg.solve(track.covariance, difference))
    assert 1.5 < np.mean(errors) < 9.0


def follow(truths: list[np.ndarray], fps: float, sigma: tuple[float, float], seed: int) -> list[np.ndarray]:
    """Filtered poses of an object whose measured poses are off by (m, rad) per axis."""
    rng = np.random.default_rng(seed)
    covariance = np.diag([sigma[0] ** 2] * 3 + [sigma[1] ** 2] * 3)
    found: list[np.ndarray] = []
    for k, truth in enumerate(truths):
        error = rng.normal(0, 1, 6) * np.repeat(sigma, 3)
        turn = Rotation.from_rotvec(error[3:]).as_matrix()
        measured = make_transform(turn @ truth[:3, :3], truth[:3, 3] + error[:3])
        if k == 0:
            track = PoseFilter(measured, covariance, NO_SYMMETRY, TrackingConfig())
        else:
            track.predict(1 / fps)
            track.update(measured, covariance)
        found.append(track.pose)
    return found


def test_a_still_object_does_not_jitter() -> None:
    """Of the noise of the measurements, 1 mm and 1.1 degrees along and about each axis, about half is left."""
    truth = make_transform(np.eye(3), [0.1, 0.0, 0.8])
    poses = np.array(follow([truth] * 150, 10.0, (0.001, 0.02), seed=5)[20:])
    assert poses[:, :3, 3].std(axis=0).max() < 0.7e-3
    assert np.degrees(np.sqrt((rotation_angle(poses[:, :3, :3]) ** 2).mean())) < 0.7 * 1.15 * np.sqrt(3)


@pytest.mark.parametrize(("fps", "sigma"), [(10.0, (0.001, 0.02)), (30.0, (0.001, 0.02)), (30.0, (0.005, 0.05))])
def test_a_start_is_followed_within_a_frame(fps: float, sigma: tuple[float, float]) -> None:
    """At rest for two seconds, then 0.2 m/s and 0.5 rad/s at once, then at rest again."""
    lags, after = [], []
    for seed in range(8):
        moving = np.clip(np.arange(round(6 * fps)) / fps - 2, 0, 2)
        turns = Rotation.from_rotvec(np.outer(0.5 * moving, [0, 1, 0])).as_matrix()
        truths = [make_transform(turn, [0.2 * m, 0.0, 0.8]) for turn, m in zip(turns, moving, strict=True)]
        poses = follow(truths, fps, sigma, seed)
        errors = np.array([(a[0, 3] - b[0, 3]) / (0.2 / fps) for a, b in zip(truths, poses, strict=True)])
        lags.append(errors[(moving > 0) & (moving < 2)].mean())
        after.append(np.abs(errors[moving == 2][round(fps) :]).mean())
    assert np.mean(lags) < 1.0
    assert np.mean(after) < 1.0


# What no measurement tells.

UNKNOWN_ANGLE = np.pi**2 / 3
STILL = np.zeros(3)


def about_axis(point: np.ndarray, steps: int = 12) -> np.ndarray:
    """(S, 4, 4) symmetries of a top whose axis is the object's z through a point."""
    turns = Rotation.from_rotvec([[0, 0, 2 * np.pi * k / steps] for k in range(steps)]).as_matrix()
    return make_transform(turns, point - turns @ point)


def turn_of(pose: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(6,) how a pose changes with a turn about that axis."""
    direction = pose[:3, 2]
    return np.concatenate([np.cross(direction, -pose[:3, :3] @ point), direction])


def top(measured: np.ndarray, point: np.ndarray) -> PoseFilter:
    """A filter that begins at a measured pose of a top."""
    return PoseFilter(measured, top_covariance(measured, point), about_axis(point), TrackingConfig())


def top_covariance(measured: np.ndarray, point: np.ndarray) -> np.ndarray:
    """(6, 6) of a measured pose of a top: nothing is known of its angle."""
    free = turn_of(measured, point)
    return COVARIANCE + UNKNOWN_ANGLE * np.outer(free, free)


def watch_top(
    point: np.ndarray, fps: float, seed: int, tumble: np.ndarray = STILL
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """True pose, filtered pose, covariance and velocity in each frame of a top measured at random angles."""
    rng = np.random.default_rng(seed)
    start = Rotation.random(random_state=seed).as_matrix()
    track: PoseFilter | None = None
    seen = []
    for k in range(round(6 * fps)):
        turn = Rotation.from_rotvec(tumble * k / fps).as_matrix()
        truth = make_transform(turn @ start, np.array([0, 0, 0.8]) - turn @ start @ point)
        spin = Rotation.from_rotvec([0, 0, rng.uniform(-np.pi, np.pi)]).as_matrix()
        measured = noisy(truth @ make_transform(spin, point - spin @ point), rng)
        if track is None:
            track = top(measured, point)
        else:
            track.predict(1 / fps)
            track.update(measured, top_covariance(measured, point))
        seen.append((truth, track.pose, track.covariance, track.velocity))
    return seen


@pytest.mark.parametrize("point", [np.zeros(3), np.array([0.03, -0.02, 0.0])])
@pytest.mark.parametrize("fps", [5.0, 30.0])
def test_ignorance_of_a_turn_is_no_measurement_however_often_repeated(fps: float, point: np.ndarray) -> None:
    """A top that stands still: no velocity about its axis, the doubt about it stays, all else grows certain."""
    for seed in range(3):
        certain = []
        for truth, pose, covariance, velocity in watch_top(point, fps, seed)[5:]:
            assert abs(velocity[3:] @ truth[:3, 2]) < 0.03
            turn = turn_of(pose, point)
            assert turn[3:] @ covariance[3:, 3:] @ turn[3:] > 0.99 * UNKNOWN_ANGLE
            rest = covariance - UNKNOWN_ANGLE * np.outer(turn, turn)
            certain.append([np.linalg.eigvalsh(rest[part, part])[-1] for part in (slice(3), slice(3, 6))])
        assert (np.median(certain, axis=0) < np.array([0.003, 0.03]) ** 2).all()


def test_a_top_that_was_put_elsewhere_starts_again_without_a_velocity_about_its_axis() -> None:
    point = np.array([0.03, -0.02, 0.0])
    first = make_transform(np.eye(3), [0.0, 0.0, 0.8])
    spin = Rotation.from_rotvec([0, 0, 2.0]).as_matrix()
    moved = make_transform(np.eye(3), [0.3, 0.0, 0.8]) @ make_transform(spin, point - spin @ point)
    track = top(first, point)
    for k in range(20):
        track.predict(0.1)
        measured = first if k < 10 else moved
        assert track.update(measured, top_covariance(measured, point)) == (k != 10)
    assert np.linalg.norm(track.velocity) < 0.01
    turn = turn_of(track.pose, point)
    rest = track.covariance - UNKNOWN_ANGLE * np.outer(turn, turn)
    assert np.linalg.eigvalsh(rest[:3, :3])[-1] < 0.003**2
    axis_at = track.pose[:3, :3] @ point + track.pose[:3, 3]
    assert axis_at == pytest.approx(np.array([0.3, 0.0, 0.8]) + point, abs=1e-3)


def test_a_top_that_topples_is_followed_as_any_other_thing() -> None:
    tumble = np.array([0.0, 0.4, 0.1])
    for seed in range(3):
        truth, pose, _, velocity = watch_top(STILL, 10.0, seed, tumble)[-1]
        axis = truth[:3, 2]
        assert np.arccos(np.clip(pose[:3, 2] @ axis, -1, 1)) < 0.05
        expected = tumble - (tumble @ axis) * axis
        assert velocity[3:] == pytest.approx(expected, abs=0.08)


def test_a_turn_that_is_measured_is_kept_though_the_shape_is_symmetric() -> None:
    """Whoever tells the angle by other means has it tracked, after a time of ignorance too."""
    truth = make_transform(np.eye(3), [0, 0, 0.8])
    track = top(truth, STILL)
    for k in range(60):
        track.predict(0.1)
        track.update(truth, top_covariance(truth, STILL) if k < 30 else COVARIANCE)
    assert np.linalg.eigvalsh(track.covariance[3:, 3:])[-1] < 0.03**2


def test_a_mug_whose_handle_is_seen_and_then_hidden_keeps_what_was_seen() -> None:
    """Without a continuous symmetry an unsure angle is a measurement like any other."""
    truth = make_transform(np.eye(3), [0, 0, 0.8])
    track = PoseFilter(truth, COVARIANCE, NO_SYMMETRY, TrackingConfig())
    for _ in range(20):
        track.predict(0.1)
        track.update(truth, COVARIANCE)
    known = track.covariance[5, 5]
    assert known < 0.03**2
    hidden = COVARIANCE + np.diag([0, 0, 0, 0, 0, UNKNOWN_ANGLE])
    for _ in range(5):
        track.predict(0.1)
        track.update(truth, hidden)
    assert known < track.covariance[5, 5] < 0.1

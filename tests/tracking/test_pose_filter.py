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

"""How poses lie against one, by the kernels: as worked out one by one with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.events import EventDetector, displacement_kernels
from pose_tracking.events.pose_sample import PoseSample, displacements
from pose_tracking.objects import ObjectSet

AXIS = np.array([0.6, 0.0, 0.8])


def sample(rng: np.random.Generator, turn: Float, arm: Float, open_turn: float) -> PoseSample:
    """A turned pose; the turn about an axis, an `arm` from the middle, is known to `open_turn` rad."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    pose[:3, 3] = rng.normal(0, 0.1, 3)
    factor = rng.normal(0, 1e-3, (6, 6))
    free = np.concatenate([np.cross(AXIS, arm), AXIS])
    covariance = factor @ factor.T + open_turn**2 * np.outer(free, free)
    return PoseSample(0, pose, pose[:3, 3] + arm, covariance, 0.9)


def one_by_one(reference: PoseSample, other: PoseSample) -> tuple[Float, Float, Float, float]:
    """Middle, turn, its covariance and standard deviations, without a turn about the axis that is known least."""
    rotation, centre = other.pose[:3, :3] @ reference.pose[:3, :3].T, other.centre.copy()
    spread = other.covariance[3:, 3:] + reference.covariance[3:, 3:] + np.radians(1.0) ** 2 * np.eye(3)
    values, vectors = np.linalg.eigh(spread)
    if values[-1] > np.radians(12.0) ** 2:
        axis = vectors[:, -1]
        quaternion = Rotation.from_matrix(rotation).as_quat()
        back = Rotation.from_rotvec(-2 * np.arctan2(quaternion[:3] @ axis, quaternion[3]) * axis).as_matrix()
        arms, variances = [], []
        for each in (reference, other):
            along = each.covariance[:, 3:] @ axis
            variances.append(along[3:] @ axis)
            arms.append(np.cross(along[:3], axis) / variances[-1])
        centre += (back - np.eye(3)) @ (arms[1] if variances[1] >= variances[0] else rotation @ arms[0])
        rotation, turned = back @ rotation, spread @ axis / values[-1]
        spread = spread - (values[-1] - np.radians(1.0) ** 2) * np.outer(turned, turned)
    turn = Rotation.from_matrix(rotation).as_rotvec()
    return centre, turn, spread, float(np.sqrt(turn @ np.linalg.solve(spread, turn)))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("own", "its"), [(0.0, 0.0), (0.0, 0.8), (0.8, 0.0), (0.5, 0.8)])
def test_the_kernels_do_what_is_worked_out_one_by_one(own: float, its: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = sample(rng, rng.normal(0, 1, 3), np.array([0.0, 0.05, 0.0]), own)
    turns = [reference.pose, *([None] * 6)]
    others = [
        reference if t is not None else sample(rng, rng.normal(0, 1, 3), rng.normal(0, 0.05, 3), its) for t in turns
    ]
    found = displacements(reference, others)
    for i, other in enumerate(others):
        centre, turn, spread, sigmas = one_by_one(reference, other)
        np.testing.assert_allclose(found.centres[i], centre, atol=1e-9)
        np.testing.assert_allclose(found.turns[i], turn, atol=1e-7)
        np.testing.assert_allclose(found.turn_covariances[i], spread, atol=1e-12)
        assert found.turn_sigmas[i] == pytest.approx(sigmas, rel=1e-6, abs=1e-5)
    assert reference.knows_turn == (own < 0.2)


def test_a_detector_has_its_kernels_before_the_first_frame() -> None:
    EventDetector(ObjectSet({}))
    for name in ("lie_against", "what_is_known"):
        assert len(getattr(displacement_kernels, name).signatures) == 1

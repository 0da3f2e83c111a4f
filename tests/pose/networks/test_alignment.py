"""Pose from object coordinates: exact on clean ones, robust against wrong ones, proper in flat cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pose_tracking.core.geometry import make_transform
from pose_tracking.pose.networks.alignment import align


def _cloud(seed: int, count: int = 60, flat: bool = False) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Object coordinates, the same points in the camera, and the pose between them."""
    rng = np.random.default_rng(seed)
    coordinates = rng.uniform(-0.5, 0.5, (count, 3))
    if flat:
        coordinates[:, 2] = 0.1
    pose = make_transform(Rotation.random(rng=rng).as_matrix(), rng.normal(0, 0.2, 3))
    points = coordinates @ pose[:3, :3].T + pose[:3, 3]
    return torch.tensor(coordinates)[None].float(), torch.tensor(points)[None].float(), pose


@given(st.integers(0, 10_000), st.booleans())
def test_clean_coordinates_give_the_pose(seed: int, flat: bool) -> None:
    coordinates, points, pose = _cloud(seed, flat=flat)
    found = align(coordinates, points)[0].numpy()
    np.testing.assert_allclose(found, pose, atol=1e-4)
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1.0, abs=1e-4)


def test_a_third_of_wrong_points_is_outvoted() -> None:
    coordinates, points, pose = _cloud(3, 90)
    wrong = coordinates.clone()
    wrong[:, :30] += torch.tensor([0.6, -0.3, 0.4])
    robust, plain = align(wrong, points)[0].numpy(), align(wrong, points, tolerance=1e6)[0].numpy()
    assert np.abs(robust - pose).max() < 0.03
    assert np.abs(plain - pose).max() > 0.1


def test_weights_say_whom_to_trust() -> None:
    coordinates, points, pose = _cloud(4, 40)
    wrong = coordinates.clone()
    wrong[:, :25] = wrong[:, :25] @ torch.diag(torch.tensor([-1.0, -1.0, 1.0]))
    trust = torch.ones(1, 40)
    trust[:, :25] = 0.0
    np.testing.assert_allclose(align(wrong, points, trust)[0].numpy(), pose, atol=1e-2)


def test_batch_equals_one_by_one() -> None:
    clouds = [_cloud(seed) for seed in range(4)]
    coordinates, points = torch.cat([c[0] for c in clouds]), torch.cat([c[1] for c in clouds])
    together = align(coordinates, points)
    for i in range(4):
        torch.testing.assert_close(together[i : i + 1], align(coordinates[i : i + 1], points[i : i + 1]))

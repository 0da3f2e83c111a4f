"""The pose loss against plain NumPy, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from presence import present
from scipy.spatial.transform import Rotation
from torch import Tensor

from pose_tracking.pose.networks.loss import add_distances, confidence_loss, rotation_from_quaternion

# Rotations (B, N, 3, 3), translations (B, N, 3), targets (B, 4, 4) and model points (B, P, 3).
Case = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _case(seed: int, batch: int = 3, count: int = 4, points: int = 20) -> Case:
    rng = np.random.default_rng(seed)
    rotation = Rotation.random(batch * count, random_state=seed).as_matrix().reshape(batch, count, 3, 3)
    translation = rng.normal(size=(batch, count, 3))
    target = np.tile(np.eye(4), (batch, 1, 1))
    target[:, :3, :3] = Rotation.random(batch, random_state=seed + 1).as_matrix()
    target[:, :3, 3] = rng.normal(size=(batch, 3))
    return rotation, translation, target, rng.normal(size=(batch, points, 3))


def _reference(rotation, translation, target, points, symmetries=None, closest=None) -> np.ndarray:
    out = np.zeros(rotation.shape[:2])
    for b in range(rotation.shape[0]):
        for n in range(rotation.shape[1]):
            estimate = points[b] @ rotation[b, n].T + translation[b, n]
            values = []
            for symmetry in [np.eye(4)] if symmetries is None else symmetries[b]:
                pose = target[b] @ symmetry
                truth = points[b] @ pose[:3, :3].T + pose[:3, 3]
                values.append(np.mean(np.linalg.norm(estimate - truth, axis=1)))
            out[b, n] = min(values)
            if closest is not None and closest[b]:
                truth = points[b] @ target[b, :3, :3].T + target[b, :3, 3]
                out[b, n] = np.mean([np.linalg.norm(truth - p, axis=1).min() for p in estimate])
    return out


def _torch(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rotation, translation, target, points = (torch.from_numpy(array) for array in case)
    return rotation, translation, target, points


def _symmetries() -> np.ndarray:
    """Object 0 has none, object 1 a half turn with a shift, object 2 a quarter-turn axis; filled up with identities."""
    out = np.tile(np.eye(4), (3, 4, 1, 1))
    out[1, 1] = np.diag([-1.0, -1.0, 1.0, 1.0])
    out[1, 1, :3, 3] = [0.3, -0.2, 0.1]
    for k in range(4):
        out[2, k, :3, :3] = Rotation.from_euler("z", 90 * k, degrees=True).as_matrix()
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_add_equals_numpy(seed: int) -> None:
    case = _case(seed)
    np.testing.assert_allclose(add_distances(*_torch(case)).numpy(), _reference(*case), rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_listed_symmetries_equal_numpy(seed: int) -> None:
    case, symmetries = _case(seed), _symmetries()
    ours = add_distances(*_torch(case), torch.from_numpy(symmetries)).numpy()
    np.testing.assert_allclose(ours, _reference(*case, symmetries), rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_closest_points_equal_numpy(seed: int) -> None:
    case, closest = _case(seed), np.array([True, False, True])
    ours = add_distances(*_torch(case), closest=torch.from_numpy(closest)).numpy()
    np.testing.assert_allclose(ours, _reference(*case, closest=closest), rtol=1e-5)


def test_symmetric_views_of_the_truth_cost_nothing() -> None:
    _, _, target, points = _case(7)
    symmetries = _symmetries()
    turned = target[:, None] @ symmetries
    case = turned[..., :3, :3], turned[..., :3, 3], target, points
    gaps = add_distances(*_torch(case), torch.from_numpy(symmetries))
    assert float(gaps.max()) < 1e-9


def test_confidence_loss_equals_numpy() -> None:
    rng = np.random.default_rng(0)
    distances, confidence = rng.random((3, 8)), rng.uniform(0.01, 1, (3, 8))
    expected = np.mean(distances * confidence - 0.015 * np.log(confidence))
    loss = confidence_loss(torch.from_numpy(distances), torch.from_numpy(confidence))
    assert float(loss) == pytest.approx(expected)


def test_confidence_settles_at_weight_over_distance() -> None:
    distances = torch.tensor([[0.03, 0.15]], dtype=torch.float64)
    confidence = (0.015 / distances).requires_grad_()
    confidence_loss(distances, confidence, 0.015).backward()
    torch.testing.assert_close(confidence.grad, torch.zeros_like(distances), atol=1e-9, rtol=0)


@pytest.mark.parametrize("symmetric", ["none", "listed", "closest"])
def test_gradient_descends_to_the_truth(symmetric: str) -> None:
    _, _, target, points = _torch(_case(3, points=60))
    symmetries = torch.from_numpy(_symmetries()) if symmetric == "listed" else None
    closest = torch.tensor([True, True, True]) if symmetric == "closest" else None
    quaternion = torch.from_numpy(Rotation.from_matrix(target[:, :3, :3].numpy()).as_quat()[:, None, [3, 0, 1, 2]])
    quaternion = (quaternion + 0.1 * torch.randn(quaternion.shape, generator=torch.Generator().manual_seed(0))).detach()
    translation = (target[:, None, :3, 3] + 0.1).detach()
    quaternion.requires_grad_(), translation.requires_grad_()
    optimizer = torch.optim.Adam([quaternion, translation], lr=0.01)
    first = last = 0.0
    for step in range(150):
        gaps = add_distances(rotation_from_quaternion(quaternion), translation, target, points, symmetries, closest)
        loss = confidence_loss(gaps, torch.full_like(gaps, 0.5))
        optimizer.zero_grad()
        loss.backward()
        assert torch.isfinite(present(quaternion.grad)).all()
        optimizer.step()
        first, last = (float(gaps.detach().mean()) if step == 0 else first), float(gaps.detach().mean())
    assert last < 0.15 * first


def test_gradient_is_finite_at_the_truth() -> None:
    _, _, target, points = _torch(_case(1))
    rotation, translation = target[:, None, :3, :3].clone().requires_grad_(), target[:, None, :3, 3].clone()
    add_distances(rotation, translation, target, points).sum().backward()
    assert torch.isfinite(present(rotation.grad)).all()


def test_quaternion_to_matrix_matches_scipy() -> None:
    quaternion = np.random.default_rng(0).normal(size=(6, 4))
    expected = Rotation.from_quat(quaternion[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(rotation_from_quaternion(torch.from_numpy(quaternion)).numpy(), expected, atol=1e-12)

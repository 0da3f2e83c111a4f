"""Stable poses and footprints."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.resting import UPRIGHT, resting_directions, stand
from pose_tracking.simulation.placement.shapes import Shape


def test_stable_poses_do_not_tip_over(demo_objects):
    rng = np.random.default_rng(0)
    for model in demo_objects.values():
        shape = Shape.of(MeshRaycaster(model.mesh))
        directions, chances = resting_directions(shape)
        assert chances.sum() == pytest.approx(1)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
        rest, footprint = stand(shape, rng)
        points = shape.hull @ rest[:3, :3].T + rest[:3, 3]
        assert points[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert np.abs(points[:, :2]).max() <= np.abs(footprint).max() + 0.003


def test_a_mug_stands_upright_or_upside_down_or_lies(demo_objects):
    directions, _ = resting_directions(Shape.of(MeshRaycaster(demo_objects.by_name("mug_blue").mesh)))
    assert any(d[2] < -0.99 for d in directions)
    assert any(abs(d[2]) < 0.2 for d in directions)


def test_what_is_asked_to_stand_upright_does(demo_objects):
    mug = Shape.of(MeshRaycaster(demo_objects.by_name("mug_blue").mesh))
    rng = np.random.default_rng(0)
    rest, _ = stand(mug, rng, down=UPRIGHT)
    np.testing.assert_allclose(rest[2, :3], [0, 0, 1], atol=1e-9)
    upright = [stand(mug, rng, upright=1.0)[0][2, 2] for _ in range(5)]
    assert min(upright) > 0.97

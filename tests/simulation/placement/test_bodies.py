"""Bodies on a table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform, transform_points
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.bodies import PlacedBody, about_z
from pose_tracking.simulation.placement.resting import stand
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.sequences.sliding import Sliding

TIMES = np.linspace(0, 10, 7)
Standing = tuple[Shape, int, Float, Float]  # what a `PlacedBody` is but for its motion


@pytest.fixture(scope="module")
def standing(demo_objects) -> Standing:
    shape = Shape.of(MeshRaycaster(demo_objects[1].mesh))
    return shape, 1, *stand(shape, np.random.default_rng(1))


def test_turns_are_about_the_vertical():
    angles = np.array([[0.0, 0.3], [-2.0, 4.0]])
    expected = Rotation.from_euler("z", angles.ravel()[:, None]).as_matrix().reshape(2, 2, 3, 3)
    np.testing.assert_allclose(about_z(angles), expected, atol=1e-12)
    assert about_z(0.3).shape == (3, 3)


def test_footprints_go_where_the_bodies_go(standing: Standing):
    body = PlacedBody(*standing, Sliding((0.1, -0.2), 0.4, (0.05, 0.02), 0.8))
    outlines, poses = body.outlines(TIMES), body.poses(TIMES)
    assert outlines.shape == (7, len(body.footprint), 2)
    for t, outline, pose in zip(TIMES, outlines, poses, strict=True):
        np.testing.assert_array_equal(pose, body.pose(t))
        hull = transform_points(pose, body.shape.hull)
        assert hull[:, 2].min() == pytest.approx(0, abs=1e-9)
        # The footprint is the outline of the shape from above, but for corners that are less than the gap.
        np.testing.assert_allclose(outline.min(0), hull[:, :2].min(0), atol=0.004)
        np.testing.assert_allclose(outline.max(0), hull[:, :2].max(0), atol=0.004)
        assert np.linalg.norm(outline - body.places(np.array([t])), axis=1).max() == pytest.approx(body.radius)


def test_a_body_at_rest_has_one_footprint_for_all_times(standing: Standing):
    motion = Sliding((0.1, -0.2), 0.4)
    assert not motion.moves
    body = PlacedBody(*standing, motion)
    assert len(body.outlines(TIMES)) == 1
    expected = make_transform(about_z(0.4), [0.1, -0.2, 0]) @ body.rest
    np.testing.assert_allclose(body.poses(TIMES), np.broadcast_to(expected, (7, 4, 4)), atol=1e-12)

"""Scattered layouts."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.frames.items import Item
from pose_tracking.simulation.frames.scattered import Scattered, standing_rotation
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.scenery.rooms import draw_room

CAMERA = CameraIntrinsics(320, 240, 285.0, 285.0, 159.5, 119.5)


@pytest.fixture(scope="module")
def shapes(demo_objects):
    return {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in demo_objects.items()}


@pytest.mark.parametrize("crowding", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_things_are_apart_in_view_and_at_their_distance(shapes, seed, crowding):
    rng = np.random.default_rng(seed)
    space = Scattered(draw_room(CAMERA, rng), CAMERA, (0.4, 1.4), 0.5)
    bodies = space.arrange([Item(shapes[int(i)], int(i), Material()) for i in rng.integers(1, 7, 10)], crowding, rng)
    assert len(bodies) >= 5
    centres = np.array([body.pose[:3, 3] for body in bodies])
    radii = np.array([shapes[body.obj_id].radius for body in bodies])
    for a in range(len(bodies)):
        for b in range(a):
            assert np.linalg.norm(centres[a] - centres[b]) > 0.55 * (radii[a] + radii[b])
    pixels = CAMERA.project(centres)
    assert ((pixels > -60) & (pixels < [380, 300])).all()
    assert (centres[:, 2] >= 0.4 - 1e-9).all()
    assert (centres[:, 2] <= 1.6).all()


def test_all_that_may_stand_stand_on_the_plane(shapes):
    rng = np.random.default_rng(1)
    background = draw_room(CAMERA, rng, (40, 50))
    background.support[:] = True
    assert background.plane is not None
    up, offset = background.plane[:3], background.plane[3]

    def heights(upright):
        space = Scattered(background, CAMERA, (0.1, 5.0), upright)
        bodies = space.arrange([Item(shapes[i], i, Material()) for i in shapes] * 2, 0.0, np.random.default_rng(2))
        return np.array([(transform_points(b.pose, b.caster.mesh.vertices) @ up + offset).min() for b in bodies])

    assert np.abs(heights(1.0)).max() < 1e-5
    assert np.abs(heights(0.0)).min() > 1e-4


def test_most_stand_upright():
    rng, up = np.random.default_rng(0), np.array([0.0, -0.8, -0.6])
    turns = np.array([standing_rotation(up, rng) for _ in range(200)])
    np.testing.assert_allclose(turns @ np.swapaxes(turns, 1, 2), np.broadcast_to(np.eye(3), turns.shape), atol=1e-9)
    assert 0.6 < (turns[:, :, 2] @ up > 0.99).mean() < 0.9

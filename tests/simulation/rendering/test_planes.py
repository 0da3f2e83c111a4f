"""Textures on planes."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.simulation.rendering.planes import PlaneTexture, plane_depth

CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5)


def test_a_part_of_a_plane_has_the_colours_it_has_in_the_whole():
    plane = np.array([0.0, -np.cos(0.6), -np.sin(0.6), 0.5])
    texture = PlaneTexture.random(plane[:3], np.random.default_rng(0))
    depth = plane_depth(plane, CAMERA)
    whole, region = texture.colors(depth, CAMERA), (slice(61, 117), slice(3, 90))
    assert whole.shape == (120, 160, 3)
    np.testing.assert_array_equal(texture.colors(depth, CAMERA, region), whole[region])

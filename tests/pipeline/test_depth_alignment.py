"""After the warm-up no frame waits for a compiler, and the kernels do what is said of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.pipeline.alignment_kernels import look_under
from pose_tracking.pipeline.depth_alignment import DepthSurface, align

CAMERA = CameraIntrinsics.of_view(160, 120, 60.0)

SCRIPT = """
from pose_tracking.pipeline import alignment_kernels
from pose_tracking.pipeline.depth_alignment import compile_kernels

compile_kernels()
for name in ("average_cells", "normals_of_cells", "align_points"):
    assert len(getattr(alignment_kernels, name).signatures) == 1, name
"""


def slope(depth: np.ndarray | None = None) -> RGBDFrame:
    """A plane that recedes to the right, or other depth."""
    rows, cols = np.mgrid[:120, :160]
    if depth is None:
        depth = 1.0 / (1.0 - 0.4 * (cols - CAMERA.cx) / CAMERA.fx)
    return RGBDFrame(np.zeros((120, 160, 3), np.uint8), np.asarray(depth, np.float32), CAMERA)


def test_each_kernel_is_compiled_before_the_first_frame() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_cells_have_the_plane_they_lie_on_and_none_where_depth_is_missing() -> None:
    frame = slope()
    depth = frame.depth.copy()
    depth[60:62, 80:82] = 0.0
    depth[20, 20] = np.nan
    surface = DepthSurface(slope(depth))
    assert surface.cell == 2
    for row, col in ((30, 40), (10, 10)):
        assert not surface.known[row - 1 : row + 2, col].any()
        assert not surface.known[row, col - 1 : col + 2].any()
        assert surface.known[row - 2, col]
    points = surface.points[surface.known]
    assert len(points) > 4000
    np.testing.assert_allclose(points[:, 2] - 0.4 * points[:, 0], 1.0, atol=1e-3)
    rows = np.empty((len(points), 7))
    rows = rows[: look_under(points, np.eye(4), surface.normals, surface.camera, float(surface.cell), rows)]
    assert len(rows) > 4000
    normal = np.array([0.4, 0.0, -1.0]) / np.hypot(0.4, 1.0)
    np.testing.assert_allclose(np.abs(rows[:, 3:6] @ normal), 1.0, atol=1e-3)
    np.testing.assert_allclose(rows[:, 6], rows[:, 2], atol=2e-3)


def test_too_few_points_say_nothing() -> None:
    surface = DepthSurface(slope())
    points = surface.points[20:30, 20:40].reshape(-1, 3)
    centre, aside = np.array([0.0, 0.0, 1.0]), np.eye(4)
    assert align(points[:101], surface, np.eye(4), np.eye(6), centre) is not None
    assert align(points[:99], surface, np.eye(4), np.eye(6), centre) is None
    aside[0, 3] = 50.0
    assert align(points, surface, aside, np.eye(6), centre) is None

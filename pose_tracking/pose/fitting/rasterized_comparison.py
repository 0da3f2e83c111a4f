"""The comparison of a posed mesh with a depth image in one kernel: what the object covers, its rays, and what they say.

Called some dozen times for each object of a frame, on a few hundred rays, most of the time would go by between kernels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.depth_noise_kernels import sigma_at
from pose_tracking.core.kernels import kernel
from pose_tracking.objects.rasterizing import cast_faces, posed_region

from .comparison_kernels import measure_behind


@kernel
def compare_rasterized(
    vertices: Float,
    faces: NDArray[np.int32],
    face_normals: Float,
    corners: Float,
    pose: Float,
    camera: Float,
    most_rays: int,
    region: Int,
    depth: Float32,
    law: Float,
    shown: Float,
    sigmas: float,
    shape: float,
) -> tuple[Int, Int, Float32, Int, Float32, Float32, Float, Float, int]:
    """Compare one posed mesh with a depth image; all arrays are contiguous.

    Args:
        vertices, faces, face_normals, pose, camera: those of `cast_faces`.
        corners: (8, 3) of the mesh's bounding box.
        most_rays: about how many pixels are looked at; 0: all.
        region: (4,) pixels x0, y0, x1, y1 to look at, the last two exclusive; where the third is negative, out: all
            that the mesh covers.
        depth: (H, W) metres.
        law, shown: of its noise, see `sigma_at`.
        sigmas, shape: those of `measure_behind`.

    Returns:
        what `cast_faces` does, `behind` and `tolerance` of `measure_behind`, and the pixels from one ray to the next.
    """
    if region[2] < 0:
        posed_region(corners, pose, camera, depth.shape[1], depth.shape[0], region)
    step = ray_step(region, most_rays)
    rows, cols, rendered, face, barycentric, normals = cast_faces(
        vertices, faces, face_normals, pose, camera, region, step
    )
    behind, tolerance = np.empty(len(rows)), np.empty(len(rows))
    for n in range(len(rows)):
        tolerance[n] = sigma_at(np.float64(rendered[n]), law, shown)
    measure_behind(depth, camera, rows, cols, rendered, normals, sigmas, shape, behind, tolerance)
    return rows, cols, rendered, face, barycentric, normals, behind, tolerance, step


@kernel
def ray_step(region: Int, most: int) -> int:
    """Pixels from one ray to the next where about `most` are spread over a half-open box x0, y0, x1, y1; 1 for 0."""
    if most <= 0:
        return 1
    return max(1, int(np.ceil(np.sqrt((region[2] - region[0]) * (region[3] - region[1]) / most))))


@kernel
def widen_to_agreement(
    vertices: Float,
    faces: NDArray[np.int32],
    face_normals: Float,
    corners: Float,
    pose: Float,
    camera: Float,
    around: int,
    within: Int,
    depth: Float32,
    law: Float,
    shown: Float,
    sigmas: float,
    shape: float,
    box: Int,
) -> None:
    """Widen a box to what agrees of a mesh in the `around` pixels outside of it, on every pixel.

    Args:
        around: pixels.
        within: (4,) box x0, y0, x1, y1, the last two exclusive, outside of which there is nothing of the mesh.
        box: (4,) such a box, within the other; out: widened.
        vertices, faces, face_normals, corners, pose, camera, depth, law, shown, sigmas, shape: those of
            `compare_rasterized`.
    """
    left, top = max(box[0] - around, within[0]), max(box[1] - around, within[1])
    right, bottom = min(box[2] + around, within[2]), min(box[3] + around, within[3])
    strips = np.array(
        [
            [left, top, right, box[1]],
            [left, box[3], right, bottom],
            [left, box[1], box[0], box[3]],
            [box[2], box[1], right, box[3]],
        ]
    )
    for k in range(4):
        strip = strips[k]
        if strip[0] >= strip[2] or strip[1] >= strip[3]:
            continue
        rows, cols, _, _, _, _, behind, tolerance, _ = compare_rasterized(
            vertices, faces, face_normals, corners, pose, camera, 0, strip, depth, law, shown, sigmas, shape
        )
        for n in range(len(rows)):
            if abs(behind[n]) < tolerance[n]:
                box[0], box[1] = min(box[0], cols[n]), min(box[1], rows[n])
                box[2], box[3] = max(box[2], cols[n] + 1), max(box[3], rows[n] + 1)

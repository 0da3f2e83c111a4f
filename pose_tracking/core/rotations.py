"""Rotation matrices and rotation vectors of a few things at once.

SciPy's `Rotation` does the same; for one rotation or ten, as a tracker has in a frame, it takes some hundred
microseconds for what takes two here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Float
from .kernels import kernel

_SMALL = 1e-6  # rad: below, sine and angle are the same to rounding


def rotation_vectors(rotations: ArrayLike) -> Float:
    """(..., 3, 3) rotation matrices to (..., 3) rotation vectors, radians, of 0 to pi."""
    given = np.asarray(rotations, np.float64)
    vectors = np.empty(given.shape[:-1])
    to_vectors(np.ascontiguousarray(given).reshape(-1, 3, 3), vectors.reshape(-1, 3))
    return vectors


def rotation_matrices(vectors: ArrayLike) -> Float:
    """(..., 3) rotation vectors, radians, to (..., 3, 3) rotation matrices."""
    given = np.asarray(vectors, np.float64)
    rotations = np.empty((*given.shape, 3))
    to_matrices(np.ascontiguousarray(given).reshape(-1, 3), rotations.reshape(-1, 3, 3))
    return rotations


@kernel
def to_vectors(rotations: Float, vectors: Float) -> None:
    """`rotation_vectors` of (N, 3, 3) into (N, 3).

    Over the unit quaternion, whose largest part is computed first (Shepperd 1978).
    """
    quaternion = np.empty(4)  # x, y, z, w
    for n in range(len(rotations)):
        r = rotations[n]
        trace = r[0, 0] + r[1, 1] + r[2, 2]
        largest, i = trace, 3
        for k in range(3):
            if r[k, k] > largest:
                largest, i = r[k, k], k
        if i == 3:
            quaternion[0], quaternion[1], quaternion[2] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
            quaternion[3] = 1.0 + trace
        else:
            j, k = (i + 1) % 3, (i + 2) % 3
            quaternion[i] = 1.0 - trace + 2.0 * r[i, i]
            quaternion[j], quaternion[k] = r[j, i] + r[i, j], r[k, i] + r[i, k]
            quaternion[3] = r[k, j] - r[j, k]
        sign = -1.0 if quaternion[3] < 0 else 1.0
        x, y, z, w = quaternion[0] * sign, quaternion[1] * sign, quaternion[2] * sign, quaternion[3] * sign
        sine = np.sqrt(x * x + y * y + z * z)
        angle = 2.0 * np.arctan2(sine, w)
        scale = 2.0 / w if angle < _SMALL else angle / sine
        vectors[n, 0], vectors[n, 1], vectors[n, 2] = x * scale, y * scale, z * scale


@kernel
def to_matrices(vectors: Float, rotations: Float) -> None:
    """`rotation_matrices` of (N, 3) into (N, 3, 3), by Rodrigues' formula."""
    for n in range(len(vectors)):
        x, y, z = vectors[n, 0], vectors[n, 1], vectors[n, 2]
        squared = x * x + y * y + z * z
        angle = np.sqrt(squared)
        # sin(a) / a, and (1 - cos(a)) / a^2 without the cancellation of small angles.
        along = 1.0 - squared / 6 if angle < _SMALL else np.sin(angle) / angle
        half = 0.5 if angle < _SMALL else np.sin(0.5 * angle) / angle
        across = 0.5 if angle < _SMALL else 2.0 * half * half
        r = rotations[n]
        r[0, 0], r[1, 1], r[2, 2] = (
            1 - across * (y * y + z * z),
            1 - across * (x * x + z * z),
            1 - across * (x * x + y * y),
        )
        r[0, 1], r[1, 0] = across * x * y - along * z, across * x * y + along * z
        r[0, 2], r[2, 0] = across * x * z + along * y, across * x * z - along * y
        r[1, 2], r[2, 1] = across * y * z - along * x, across * y * z + along * x

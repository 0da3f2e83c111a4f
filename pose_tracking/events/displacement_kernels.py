"""How poses of one object lie against another, without the turns that nobody knows, in kernels; see `pose_sample`.

A frame asks this of each track several times, most often for a single pose.
"""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.kernels import kernel
from pose_tracking.core.rotations import to_matrices, to_vectors

# Standard deviation (rad) from which an angle counts as unknown, and what is left of it where it is taken out.
_UNKNOWN, _LEFT = 12.0 * np.pi / 180, 1.0 * np.pi / 180
# Variance (rad^2) that keeps an overconfident covariance from making turns of noise.
_FLOOR = (1.0 * np.pi / 180) ** 2


@kernel
def what_is_known(covariance: Float) -> tuple[bool, float]:
    """Whether the angle about every axis is known, and the standard deviation (m) of the position where it is worst.

    What a turn that nobody knows does to the position is left out.

    Args:
        covariance: (6, 6) of position and rotation.
    """
    values, axes = np.linalg.eigh(covariance[3:, 3:].copy())
    known = covariance[:3, :3].copy()
    is_known = not values[2] > _UNKNOWN * _UNKNOWN
    if not is_known:
        for i in range(3):
            for j in range(3):
                known[i, j] -= _along(covariance, i, axes) * _along(covariance, j, axes) / values[2]
    return is_known, np.sqrt(max(np.linalg.eigvalsh(known)[2], 0.0))


@kernel
def _along(covariance: Float, row: int, axes: Float) -> float:
    total = 0.0
    for i in range(3):
        total += covariance[row, 3 + i] * axes[i, 2]
    return total


@kernel
def lie_against(
    rotation: Float, covariance: Float, poses: Float, covariances: Float, centres: Float, turns: Float, spreads: Float,
    sigmas: Float,
) -> None:  # fmt: skip
    """How N poses lie against a reference.

    Args:
        rotation, covariance: (3, 3) and (6, 6) of the reference.
        poses, covariances: (N, 4, 4) and (N, 6, 6).
        centres: (N, 3) middles, metres; out: without what an unknown turn does to them.
        turns: (N, 3) out: rotation vectors from the reference, rad.
        spreads: (N, 3, 3) out: their covariances.
        sigmas: (N,) out: how many standard deviations they are.
    """
    relative, vector = np.empty((1, 3, 3)), np.empty((1, 3))
    for n in range(len(poses)):
        for i in range(3):
            for j in range(3):
                relative[0, i, j] = 0.0
                for k in range(3):
                    relative[0, i, j] += poses[n, i, k] * rotation[j, k]
                spreads[n, i, j] = covariances[n, 3 + i, 3 + j] + covariance[3 + i, 3 + j]
            spreads[n, i, i] += _FLOOR
        values, axes = np.linalg.eigh(spreads[n])
        if values[2] > _UNKNOWN * _UNKNOWN:
            axis = axes[:, 2].copy()
            _take_back(relative, axis, covariance, covariances[n], centres[n])
            # A little of its variance stays, so that what is left can be inverted.
            turn = spreads[n] @ axis / values[2]
            for i in range(3):
                for j in range(3):
                    spreads[n, i, j] -= (values[2] - _LEFT * _LEFT) * turn[i] * turn[j]
        to_vectors(relative, vector)
        turns[n] = vector[0]
        squared = 0.0
        whitened = np.linalg.solve(spreads[n], turns[n])
        for i in range(3):
            squared += turns[n, i] * whitened[i]
        sigmas[n] = np.sqrt(squared)


@kernel
def _take_back(relative: Float, axis: Float, covariance: Float, other: Float, centre: Float) -> None:
    """Take the turn about an axis out of a rotation (1, 3, 3), and what it does to the middle (3,).

    Args:
        relative, centre: in place.
        axis: (3,) unit vector.
        covariance, other: (6, 6) of the reference and of the pose: that which knows the turn less says how far from the
            axis the middle is.
    """
    vector, back = np.empty((1, 3)), np.empty((1, 3, 3))
    to_vectors(relative, vector)
    angle = np.sqrt(vector[0, 0] ** 2 + vector[0, 1] ** 2 + vector[0, 2] ** 2)
    along = vector[0, 0] * axis[0] + vector[0, 1] * axis[1] + vector[0, 2] * axis[2]
    # The quaternion's part along the axis; sin(x) / x is 1 / 2 of the vector where there is no turn.
    sine = 0.5 * along if angle < 1e-9 else np.sin(0.5 * angle) * along / angle
    twist = 2 * np.arctan2(sine, np.cos(0.5 * angle))
    for i in range(3):
        vector[0, i] = -twist * axis[i]
    to_matrices(vector, back)
    own, its = _arm(covariance, axis), _arm(other, axis)
    arm = its[:3] if its[3] >= own[3] else relative[0] @ own[:3]
    for i in range(3):
        for j in range(3):
            centre[i] += (back[0, i, j] - (i == j)) * arm[j]
    relative[0] = back[0] @ relative[0]


@kernel
def _arm(covariance: Float, axis: Float) -> Float:
    """(3,) from an axis about which the turn is unknown to the middle, and the variance of the turn."""
    # With the turn the middle moves by axis x arm.
    along = np.ascontiguousarray(covariance[:, 3:]) @ axis
    variance = along[3] * axis[0] + along[4] * axis[1] + along[5] * axis[2]
    arm, scale = np.empty(4), 1.0 / max(variance, 1e-12)
    arm[0] = (along[1] * axis[2] - along[2] * axis[1]) * scale
    arm[1] = (along[2] * axis[0] - along[0] * axis[2]) * scale
    arm[2] = (along[0] * axis[1] - along[1] * axis[0]) * scale
    arm[3] = variance
    return arm

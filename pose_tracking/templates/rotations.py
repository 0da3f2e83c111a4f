"""Rotations spread evenly over SO(3), and how far they are from each other under an object's symmetries."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float


def even_rotations(count: int) -> Float:
    """(count, 3, 3) rotations spread evenly over SO(3), the same every time (super-Fibonacci spirals, Alexa 2022)."""
    psi = 1.533751168755204288118041  # the positive root of psi^4 = psi + 4
    s = np.arange(count) + 0.5
    inner, outer = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / np.sqrt(2.0), 2 * np.pi * s / psi
    quaternions = [inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta), outer * np.cos(beta)]
    return np.asarray(Rotation.from_quat(np.stack(quaternions, 1)).as_matrix())


def symmetric_angles(rotations: Float, rotation: Float, symmetries: Float) -> Float:
    """(R,) angles in radians from (R, 3, 3) rotations to one (3, 3), the smallest over (S, 4, 4) symmetries."""
    return np.asarray(angles_between(rotations, rotation[None], symmetries)[:, 0])


def angles_between(rotations: Float, others: Float, symmetries: Float) -> Float:
    """(R, O) `symmetric_angles` from (R, 3, 3) rotations to (O, 3, 3)."""
    equivalent = others[:, None] @ symmetries[:, :3, :3]
    trace = rotations.reshape(-1, 9) @ equivalent.reshape(-1, 9).T
    largest = trace.reshape(len(rotations), len(others), len(symmetries)).max(2)
    return np.asarray(np.arccos(np.clip((largest - 1) / 2, -1.0, 1.0)))


def without_equivalents(rotations: Float, symmetries: Float) -> Float:
    """The rotations less those that a symmetry maps closer to an earlier one than they are apart on average."""
    # A ball of angle a holds about a^3 / (6 pi) of SO(3).
    apart = 0.9 * (6 * np.pi / len(rotations)) ** (1 / 3)
    kept: list[int] = []
    for k, rotation in enumerate(rotations):
        if (symmetric_angles(rotations[kept], rotation, symmetries) > apart).all():
            kept.append(k)
    return rotations[kept]

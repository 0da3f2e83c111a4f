"""How the part of a surface that was fitted moves within itself, in kernels; see `ambiguous_turn`."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.kernels import kernel


@kernel
def gather_motions(
    samples: Float, normals: Float, match: Int, pose: Float, lever: float, motions: Float, middle: Float
) -> int:
    """How motions about their middle move matched samples along their normals, at the beginning of `motions`.

    Args:
        samples, normals: (M, 3) of the object, its own frame.
        match: (P,) numbers of samples, -1 for none.
        pose: (4, 4) ``T_camera_object``.
        lever: metres; turns are in units that make them as long as ways.
        motions: (P, 6) out: normal, and arm times normal over the lever.
        middle: (3,) out: mean of the samples, turned as the object is, from its origin.

    Returns:
        how many are matched.
    """
    places = np.empty((len(match), 3))
    count = 0
    middle[:] = 0.0
    for p in range(len(match)):
        m = match[p]
        if m < 0:
            continue
        for i in range(3):
            place, normal = 0.0, 0.0
            for j in range(3):
                place += pose[i, j] * samples[m, j]
                normal += pose[i, j] * normals[m, j]
            places[count, i], motions[count, i] = place, normal
            middle[i] += place
        count += 1
    for i in range(3):
        middle[i] /= max(count, 1)
    for k in range(count):
        x, y, z = places[k, 0] - middle[0], places[k, 1] - middle[1], places[k, 2] - middle[2]
        a, b, c = motions[k, 0], motions[k, 1], motions[k, 2]
        motions[k, 3] = (y * c - z * b) / lever
        motions[k, 4] = (z * a - x * c) / lever
        motions[k, 5] = (x * b - y * a) / lever
    return count


@kernel
def easiest_turn(motions: Float, least_slide: float, motion: Float) -> float:
    """How far (rms) the turn that does so least moves a surface along its normals, and that motion, a unit turn.

    A body of revolution of which neither end is seen slides along its axis, too. What slides two ways is flat: the
    outline holds it, and it is said to move infinitely far.

    Args:
        motions: (P, 6) of `gather_motions`, P > 0.
        least_slide: rms way along its normals by which a surface moves that does not slide in a direction.
        motion: (6,) out.
    """
    moments = np.zeros((6, 6))
    for p in range(len(motions)):
        for i in range(6):
            for j in range(i + 1):
                moments[i, j] += motions[p, i] * motions[p, j]
    for i in range(6):
        for j in range(i + 1):
            moments[i, j] /= len(motions)
            moments[j, i] = moments[i, j]
    ways, directions = np.linalg.eigh(moments[:3, :3].copy())
    # With a turn goes the way that makes it easiest.
    taken = np.zeros((3, 3))
    for k in range(3):
        stiffness = max(ways[k], 1e-3 * ways[2])
        for j in range(3):
            along = 0.0
            for i in range(3):
                along += directions[i, k] * moments[i, 3 + j]
            for i in range(3):
                taken[i, j] += directions[i, k] * along / stiffness
    left = moments[3:, 3:].copy()
    for i in range(3):
        for j in range(3):
            for k in range(3):
                left[i, j] -= moments[3 + i, k] * taken[k, j]
    values, turns = np.linalg.eigh(left)
    for i in range(3):
        motion[3 + i] = turns[i, 0]
        motion[i] = 0.0
        for j in range(3):
            motion[i] -= taken[i, j] * turns[j, 0]
    return np.sqrt(max(values[0], 0.0)) if ways[1] >= least_slide * least_slide else np.inf

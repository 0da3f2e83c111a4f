"""The inner loops of point-to-plane ICP: nearest surface sample through a grid, weights, and the step of the pose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.kernels import kernel

Int32 = NDArray[np.int32]

# Of what the points bind on average, added to all directions: along those they do not bind at all (a flat side moved
# within itself) the pose stays where it is. It is too little to be felt anywhere else.
_DAMPING = 1e-13


@kernel
def refine_poses(
    points: Float, poses: Float, samples: Float, normals: Float, starts: Int32, origin: Float, cell: float, size: Int,
    distances: Float, least_cosine: float, least_samples: int, iterations: int, same_fitness: float, same_rmse: float,
    fitness: Float, rmse: Float,
) -> None:  # fmt: skip
    """Refine K poses of one object in place; all arrays are contiguous.

    Args:
        points: (P, 3) measured points, camera frame, metres, finite.
        poses: (K, 4, 4) ``T_camera_object``; those that are not finite are left alone.
        samples, normals: (M, 3) surface samples and their unit normals in the object frame, in the order of the grid.
        starts: (C + 1,) int32, number of the first sample of each cell; cells run along x first, then y, then z.
        origin: (3,) corner of the grid, metres.
        cell: side of a cell, metres.
        size: (3,) int64 number of cells along each axis.
        distances: (S,) largest distance of a point from its sample in each stage, metres.
        least_cosine: samples count as facing the camera by more than this cosine.
        least_samples: with fewer such samples a stage is not begun.
        iterations: most steps in a stage.
        same_fitness, same_rmse: a stage ends where share and root mean square (m) of the matches change by less.
        fitness, rmse: (K,) out: share of the points matched at the end of the last stage, and their distance.
    """
    near, near_normals = np.empty_like(samples), np.empty_like(samples)
    # The last of each, which a match of -1 takes, is for what has none.
    begins, number, place = np.empty_like(starts), np.full(len(samples) + 1, -1), np.full(len(samples) + 1, -1)
    moved, match = np.empty_like(points), np.empty(len(points), np.int64)
    into_object, step = np.empty((3, 4)), np.empty((3, 4))
    for k in range(len(poses)):
        pose = poses[k]
        if not np.isfinite(pose).all():
            continue
        match[:] = -1
        for distance in distances:
            match[:] = number[match]
            # The visible side is chosen anew in each stage: it changes as the pose turns.
            if _facing_samples(
                pose, samples, normals, starts, least_cosine, near, near_normals, begins, number, place
            ) < least_samples:  # fmt: skip
                break
            match[:] = place[match]  # most find the sample of the stage before again
            _invert(pose, into_object)
            moved[:] = points
            _move(into_object, moved)
            matched, error = _match(moved, near, begins, origin, cell, size, distance, match)
            for _ in range(iterations):
                if matched > 0:
                    _step(moved, near, near_normals, match, distance, step)
                    _compose(step, into_object)
                    _move(step, moved)
                before, error_before = matched, error
                matched, error = _match(moved, near, begins, origin, cell, size, distance, match)
                if abs(matched - before) < same_fitness * len(points) and abs(error - error_before) < same_rmse:
                    break
            if matched < 6 or not np.isfinite(into_object).all():
                break
            _orthonormalize(into_object)
            _invert(into_object, pose)
            fitness[k] = matched / len(points)
            rmse[k] = error


@kernel
def nearest_samples(
    points: Float, pose: Float, samples: Float, normals: Float, starts: Int32, origin: Float, cell: float, size: Int,
    distance: float, least_cosine: float, match: Int,
) -> int:  # fmt: skip
    """Number of the sample nearest to each of (P, 3) points within `distance` (m) into `match` (P,), -1 where none is.

    Arguments as those of `refine_poses`, for one (4, 4) pose: samples that do not face the camera are none. Returns how
    many points have one.
    """
    near, near_normals = np.empty_like(samples), np.empty_like(samples)
    begins, number, place = np.empty_like(starts), np.full(len(samples) + 1, -1), np.full(len(samples) + 1, -1)
    _facing_samples(pose, samples, normals, starts, least_cosine, near, near_normals, begins, number, place)
    into_object = np.empty((3, 4))
    _invert(pose, into_object)
    moved = points.copy()
    _move(into_object, moved)
    match[:] = -1
    matched, _ = _match(moved, near, begins, origin, cell, size, distance, match)
    match[:] = number[match]
    return matched


@kernel
def _facing_samples(
    pose: Float, samples: Float, normals: Float, starts: Int32, least_cosine: float, near: Float, near_normals: Float,
    begins: Int32, number: Int, place: Int,
) -> int:  # fmt: skip
    """Sort out the F samples that face the camera, in the order of the grid; returns how many there are.

    They and their normals go to the first F rows of `near` and `near_normals` (M, 3), which of all samples they are to
    `number` (M + 1,) and back to `place` (M + 1,), -1 for others, the first of each cell to `begins` (C + 1,).
    """
    camera = np.empty(3)
    for i in range(3):
        camera[i] = -(pose[0, i] * pose[0, 3] + pose[1, i] * pose[1, 3] + pose[2, i] * pose[2, 3])
    count = 0
    for cell in range(len(starts) - 1):
        begins[cell] = count
        for m in range(starts[cell], starts[cell + 1]):
            x, y, z = camera[0] - samples[m, 0], camera[1] - samples[m, 1], camera[2] - samples[m, 2]
            before = x * normals[m, 0] + y * normals[m, 1] + z * normals[m, 2]
            place[m] = -1
            if before > 0 and (
                least_cosine == 0 or before * before > least_cosine * least_cosine * (x * x + y * y + z * z)
            ):
                for i in range(3):
                    near[count, i], near_normals[count, i] = samples[m, i], normals[m, i]
                number[count], place[m] = m, count
                count += 1
    begins[len(starts) - 1] = count
    return count


@kernel
def _match(
    points: Float, samples: Float, starts: Int32, origin: Float, cell: float, size: Int, distance: float, match: Int
) -> tuple[int, float]:
    """Nearest of the samples into `match`; that found before, or for the point before, bounds the search.

    Returns their number and root mean square distance (m).
    """
    matched, total, last = 0, 0.0, -1
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        best, nearest = distance * distance, -1
        guess = match[p] if match[p] >= 0 else last
        if guess >= 0:  # spares most of a wide search
            dx, dy, dz = x - samples[guess, 0], y - samples[guess, 1], z - samples[guess, 2]
            apart = dx * dx + dy * dy + dz * dz
            if apart < best:
                best, nearest = apart, guess
        best, nearest = _search(x, y, z, np.sqrt(best), samples, starts, origin, cell, size, best, nearest)
        match[p] = nearest
        if nearest >= 0:
            matched += 1
            total += best
            last = nearest
    return matched, np.sqrt(total / matched) if matched > 0 else 0.0


@kernel
def _search(
    x: float, y: float, z: float, reach: float, samples: Float, starts: Int32, origin: Float, cell: float, size: Int,
    best: float, which: int,
) -> tuple[float, int]:  # fmt: skip
    """Squared distance and number of the nearest sample in the cells up to `reach` from a point, if below `best`."""
    scale = 1.0 / cell
    low_x = max(int(np.floor((x - reach - origin[0]) * scale)), 0)
    low_y = max(int(np.floor((y - reach - origin[1]) * scale)), 0)
    low_z = max(int(np.floor((z - reach - origin[2]) * scale)), 0)
    high_x = min(int(np.floor((x + reach - origin[0]) * scale)), size[0] - 1)
    high_y = min(int(np.floor((y + reach - origin[1]) * scale)), size[1] - 1)
    high_z = min(int(np.floor((z + reach - origin[2]) * scale)), size[2] - 1)
    if low_x > high_x:
        return best, which
    for layer in range(low_z, high_z + 1):
        edge = origin[2] + layer * cell
        away_z = max(edge - z, z - edge - cell, 0.0)
        for row in range(low_y, high_y + 1):
            edge = origin[1] + row * cell
            away_y = max(edge - y, y - edge - cell, 0.0)
            if away_z * away_z + away_y * away_y >= best:
                continue
            line = (layer * size[1] + row) * size[0]
            for m in range(starts[line + low_x], starts[line + high_x + 1]):
                dx, dy, dz = x - samples[m, 0], y - samples[m, 1], z - samples[m, 2]
                apart = dx * dx + dy * dy + dz * dz
                if apart < best:
                    best, which = apart, m
    return best, which


@kernel
def _step(points: Float, samples: Float, normals: Float, match: Int, distance: float, step: Float) -> None:
    """The (3, 4) transform of the points that brings them nearest to the planes of their samples.

    Least squares with Tukey's weights for the threshold `distance` (m), linearised.
    """
    system = np.zeros((6, 6))
    right = np.zeros(6)
    row = np.empty(6)
    for p in range(len(points)):
        m = match[p]
        if m < 0:
            continue
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        a, b, c = normals[m, 0], normals[m, 1], normals[m, 2]
        residual = (x - samples[m, 0]) * a + (y - samples[m, 1]) * b + (z - samples[m, 2]) * c
        share = min(1.0, abs(residual) / distance)
        weight = (1.0 - share * share) * (1.0 - share * share)
        row[0], row[1], row[2] = y * c - z * b, z * a - x * c, x * b - y * a
        row[3], row[4], row[5] = a, b, c
        for i in range(6):
            weighted = weight * row[i]
            for j in range(i + 1):
                system[i, j] += weighted * row[j]
            right[i] -= weighted * residual
    _solve(system, right)
    sa, ca = np.sin(right[0]), np.cos(right[0])
    sb, cb = np.sin(right[1]), np.cos(right[1])
    sc, cc = np.sin(right[2]), np.cos(right[2])
    # Turns about x, then y, then z.
    step[0, 0], step[0, 1], step[0, 2] = cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa
    step[1, 0], step[1, 1], step[1, 2] = sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa
    step[2, 0], step[2, 1], step[2, 2] = -sb, cb * sa, cb * ca
    for i in range(3):
        step[i, 3] = right[3 + i]


@kernel
def _solve(system: Float, right: Float) -> None:
    """Solve a damped symmetric (6, 6) system, given by its lower half, in place; 0 where it is singular."""
    turning = _DAMPING * (system[0, 0] + system[1, 1] + system[2, 2]) / 3
    moving = _DAMPING * (system[3, 3] + system[4, 4] + system[5, 5]) / 3
    for i in range(3):
        system[i, i] += turning
        system[3 + i, 3 + i] += moving
    for i in range(6):
        for j in range(i + 1):
            total = system[i, j]
            for k in range(j):
                total -= system[i, k] * system[j, k]
            if i > j:
                system[i, j] = total / system[j, j]
            elif total > 0:
                system[i, i] = np.sqrt(total)
            else:
                right[:] = 0.0
                return
    for i in range(6):
        for k in range(i):
            right[i] -= system[i, k] * right[k]
        right[i] /= system[i, i]
    for i in range(5, -1, -1):
        for k in range(i + 1, 6):
            right[i] -= system[k, i] * right[k]
        right[i] /= system[i, i]


@kernel
def _invert(transform: Float, inverse: Float) -> None:
    """The upper three rows of the inverse of a rigid transform, given by its own."""
    t = transform
    for i in range(3):
        for j in range(3):
            inverse[i, j] = t[j, i]
        inverse[i, 3] = -(t[0, i] * t[0, 3] + t[1, i] * t[1, 3] + t[2, i] * t[2, 3])


@kernel
def _compose(step: Float, transform: Float) -> None:
    """Put a (3, 4) step after a (3, 4) transform, in place."""
    before = transform.copy()
    for i in range(3):
        for j in range(4):
            transform[i, j] = step[i, 0] * before[0, j] + step[i, 1] * before[1, j] + step[i, 2] * before[2, j]
        transform[i, 3] += step[i, 3]


@kernel
def _move(step: Float, points: Float) -> None:
    """Move (P, 3) points by a (3, 4) step, in place."""
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        for i in range(3):
            points[p, i] = step[i, 0] * x + step[i, 1] * y + step[i, 2] * z + step[i, 3]


@kernel
def _orthonormalize(transform: Float) -> None:
    """Make the rotation of a (3, 4) transform orthonormal, by Newton's iteration for the polar factor."""
    for _ in range(3):
        turn = transform[:, :3].copy()
        for i in range(3):
            for j in range(3):
                total = 1.5 * turn[i, j]
                for k in range(3):
                    product = turn[k, 0] * turn[i, 0] + turn[k, 1] * turn[i, 1] + turn[k, 2] * turn[i, 2]
                    total -= 0.5 * product * turn[k, j]
                transform[i, j] = total

"""The loops of `alignment`, over every point of every hypothesis."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int
from pose_tracking.core.kernels import kernel


@kernel
def lay_templates(
    points: Float32,
    normals: Float32,
    centres: Float32,
    rotations: Float32,
    views: Int,
    diameter: float,
    turn: Float,
    centre: Float,
    out_rotations: Float32,
    out_translations: Float32,
    out_points: Float32,
    out_normals: Float32,
) -> None:
    """Lay K templates of one object on a segment, into the last four arguments, see `alignment.Hypotheses`.

    Args:
        points, normals, centres, rotations: of all its templates, see `templates.Templates`.
        views: (K,) which of them.
        diameter: of the object, metres.
        turn, centre: (3, 3) and (3,) of the segment, see `segments.Segment`.
        out_rotations, out_translations, out_points, out_normals: (K, 3, 3), (K, 3), (K, P, 3) and (K, P, 3).
    """
    for k in range(len(views)):
        view = views[k]
        for i in range(3):
            out_translations[k, i] = centre[i]
            for j in range(3):
                out_translations[k, i] -= turn[i, j] * centres[view, j] * diameter
                out_rotations[k, i, j] = (
                    turn[i, 0] * rotations[view, 0, j]
                    + turn[i, 1] * rotations[view, 1, j]
                    + turn[i, 2] * rotations[view, 2, j]
                )
        for p in range(points.shape[1]):
            for i in range(3):
                along, normal = 0.0, 0.0
                for j in range(3):
                    along += turn[i, j] * (points[view, p, j] - centres[view, j])
                    normal += turn[i, j] * normals[view, p, j]
                out_points[k, p, i], out_normals[k, p, i] = centre[i] + along * diameter, normal


@kernel
def step_poses(
    readings: Float32,
    valid: Bool,
    flat: Bool,
    camera: Float,
    segment: Int,
    diameters: Float32,
    rotations: Float32,
    translations: Float32,
    points: Float32,
    normals: Float32,
    distance: float,
    outside: float,
    damping: float,
) -> None:
    """One iteration of point-to-plane ICP of B hypotheses, in place.

    Args:
        readings: (H, W, 3) measured points, metres.
        valid: (H, W) where there are any.
        flat: (N, H * W) masks of the segments.
        camera: (4,) fx, fy, cx, cy.
        segment: (B,) whose mask counts for each.
        diameters: (B,) metres.
        rotations, translations: (B, 3, 3) and (B, 3) of the poses.
        points, normals: (B, P, 3) of their surfaces.
        distance: diameters within which point and reading are a pair.
        outside: weight of pairs whose reading is not under the mask.
        damping: added to the diagonal of the system.
    """
    width = valid.shape[1]
    jacobian, gradient, step = np.zeros(6), np.zeros(6), np.zeros(6)
    system, middle, turn = np.zeros((6, 6)), np.zeros(3), np.zeros((3, 3))
    for b in range(len(points)):
        scale, count = np.float64(diameters[b]), points.shape[1]
        for i in range(3):
            middle[i] = 0.0
            for p in range(count):
                middle[i] += points[b, p, i]
            middle[i] /= count
        system[:], gradient[:] = 0.0, 0.0
        for p in range(count):
            index = pixel_of(points[b, p], valid, camera)
            if index < 0:
                continue
            row, col = index // width, index % width
            squared, residual = 0.0, 0.0
            for i in range(3):
                apart = np.float64(readings[row, col, i]) - points[b, p, i]
                squared += apart * apart
                residual += apart * normals[b, p, i]
            weight = 1 - squared / (distance * scale) ** 2
            if weight <= 0:
                continue
            weight *= weight
            if not flat[segment[b], index]:
                weight *= outside
            # About the middle of the points, in diameters: turns and moves are of one size then.
            x, y, z = ((points[b, p, 0] - middle[0]) / scale, (points[b, p, 1] - middle[1]) / scale,
                       (points[b, p, 2] - middle[2]) / scale)  # fmt: skip
            u, v, w = np.float64(normals[b, p, 0]), np.float64(normals[b, p, 1]), np.float64(normals[b, p, 2])
            jacobian[0], jacobian[1], jacobian[2] = y * w - z * v, z * u - x * w, x * v - y * u
            jacobian[3], jacobian[4], jacobian[5] = u, v, w
            for i in range(6):
                gradient[i] += weight * jacobian[i] * residual / scale
                for j in range(i + 1):
                    system[i, j] += weight * jacobian[i] * jacobian[j]
        for i in range(6):
            gradient[i] /= count
            for j in range(i + 1):
                system[i, j] /= count
            system[i, i] += damping
        solve_symmetric(system, gradient, step)
        rotation_of(step, turn)
        move_pose(turn, scale * step[3:], middle, rotations[b], translations[b], points[b], normals[b])


@kernel
def count_fit(
    readings: Float32,
    valid: Bool,
    flat: Bool,
    camera: Float,
    segment: Int,
    diameters: Float32,
    points: Float32,
    measured: Float32,
    agree: float,
    reverse: float,
    fit: Float32,
) -> None:
    """How well B hypotheses fit, see `alignment.Aligned`, into `fit` (B,).

    Args:
        readings, valid, flat, camera, segment, diameters, points: those of `step_poses`.
        measured: (N, M, 3) readings of each segment, metres.
        agree: diameters within which a reading agrees.
        reverse: diameters within which a reading is explained.
    """
    width = valid.shape[1]
    for b in range(len(points)):
        scale, n = np.float64(diameters[b]), segment[b]
        right, wrong = 0, 0
        for p in range(points.shape[1]):
            index = pixel_of(points[b, p], valid, camera)
            if index < 0:
                continue
            # A reading before the surface hides it, one behind it says that it is not there. One that agrees beside
            # the mask says nothing: it may be a part that the mask lacks, or something else.
            behind = (np.float64(readings[index // width, index % width, 2]) - points[b, p, 2]) / scale
            if behind >= agree:
                wrong += 1
            elif behind > -agree and flat[n, index]:
                right += 1
        explained = 0
        for m in range(measured.shape[1]):
            for p in range(points.shape[1]):
                squared = 0.0
                for i in range(3):
                    apart = np.float64(measured[n, m, i]) - points[b, p, i]
                    squared += apart * apart
                if squared <= (reverse * scale) ** 2:
                    explained += 1
                    break
        fit[b] = right / max(right + wrong, 1) * explained / max(measured.shape[1], 1)


@kernel
def pixel_of(point: Float32, valid: Bool, camera: Float) -> int:
    """Flat index of the pixel that a point (3,) falls on; -1 where nothing was read there."""
    z = np.float64(point[2])
    if not z > 1e-3:
        return -1
    col = np.rint(point[0] / z * camera[0] + camera[2])
    row = np.rint(point[1] / z * camera[1] + camera[3])
    if not (row >= 0 and row < valid.shape[0] and col >= 0 and col < valid.shape[1]):
        return -1
    if not valid[int(row), int(col)]:
        return -1
    return int(row) * valid.shape[1] + int(col)


@kernel
def solve_symmetric(system: Float, right: Float, out: Float) -> None:
    """Solve a positive definite system (n, n) for `out` (n,); its lower half is read, and overwritten (Cholesky)."""
    size = len(right)
    for j in range(size):
        for i in range(j, size):
            value = system[i, j]
            for k in range(j):
                value -= system[i, k] * system[j, k]
            system[i, j] = np.sqrt(value) if i == j else value / system[j, j]
    for i in range(size):
        value = right[i]
        for k in range(i):
            value -= system[i, k] * out[k]
        out[i] = value / system[i, i]
    for i in range(size - 1, -1, -1):
        value = out[i]
        for k in range(i + 1, size):
            value -= system[k, i] * out[k]
        out[i] = value / system[i, i]


@kernel
def rotation_of(vector: Float, out: Float) -> None:
    """The rotation (3, 3) of a rotation vector (3,), into `out` (Rodrigues)."""
    angle = max(np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2), 1e-9)
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    sin, rest = np.sin(angle), 1 - np.cos(angle)
    out[0, 0], out[0, 1], out[0, 2] = 1 - rest * (y * y + z * z), rest * x * y - sin * z, rest * x * z + sin * y
    out[1, 0], out[1, 1], out[1, 2] = rest * x * y + sin * z, 1 - rest * (x * x + z * z), rest * y * z - sin * x
    out[2, 0], out[2, 1], out[2, 2] = rest * x * z - sin * y, rest * y * z + sin * x, 1 - rest * (x * x + y * y)


@kernel
def move_pose(
    turn: Float,
    move: Float,
    middle: Float,
    rotation: Float32,
    translation: Float32,
    points: Float32,
    normals: Float32,
) -> None:
    """Turn a pose with its surface about `middle`, and move it, in place."""
    before = rotation.copy()
    for i in range(3):
        for j in range(3):
            rotation[i, j] = turn[i, 0] * before[0, j] + turn[i, 1] * before[1, j] + turn[i, 2] * before[2, j]
    turn_about(turn, move, middle, translation)
    still = np.zeros(3)
    for p in range(len(points)):
        turn_about(turn, move, middle, points[p])
        turn_about(turn, still, still, normals[p])


@kernel
def turn_about(turn: Float, move: Float, middle: Float, point: Float32) -> None:
    """Turn a point (3,) about `middle`, and move it, in place."""
    x, y, z = point[0] - middle[0], point[1] - middle[1], point[2] - middle[2]
    for i in range(3):
        point[i] = turn[i, 0] * x + turn[i, 1] * y + turn[i, 2] * z + middle[i] + move[i]

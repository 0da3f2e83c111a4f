"""The loops over points of a pose's covariance."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.kernels import kernel

# 1.4826 times the median absolute deviation is the standard deviation of a normal distribution, blind to outliers.
MAD = 1.4826
# The exponential is taken for a power of two to this one.
_EXPONENT = 8


@kernel
def covariance_of_fit(
    points: Float,
    pose: Float,
    match: Int,
    samples: Float,
    normals: Float,
    prior: Float,
    reading: tuple[float, float, float, float],
    most: int,
    errors: tuple[float, float, float, float, float],
    scatter: Float,
    growth: float,
    ignorance: Float,
    turn: Float,
    covariance: Float,
    shared: Float,
) -> bool:
    """(6, 6) covariance of a pose fitted to points, and the part of it that all frames share, into the last two.

    Args:
        points, pose, match, samples, normals: those of `_gather_fit`.
        prior: (6, 6) information on the pose without the points.
        reading: sigma, readings, sharing and least of `_information_of_fit`.
        most: see `_covariance_of_shared_errors`.
        errors: offset, relative, lateral, warp and warp_length of the same.
        scatter: (6,) variances that no number of points averages out.
        growth, ignorance, turn: those of `bound_covariance`.

    Returns:
        whether there are enough points; if not, nothing is said.
    """
    jacobian, residuals, places = np.empty((len(points), 6)), np.empty(len(points)), np.empty((len(points), 3))
    count = _gather_fit(points, pose, match, samples, normals, jacobian, residuals, places)
    if count < 6:
        return False
    jacobian, places = jacobian[:count], places[:count]
    information = np.empty((6, 6))
    variance = _information_of_fit(
        jacobian, residuals[:count], places, reading[0], reading[1], reading[2], reading[3], information
    )
    covariance[:] = np.linalg.inv(information + prior)
    for i in range(6):
        covariance[i, i] += scatter[i]
    covariance[:] = bound_covariance(covariance, growth, ignorance, turn)
    _covariance_of_shared_errors(
        jacobian, places, most, prior, variance, errors[0], errors[1], errors[2], errors[3], errors[4], shared
    )
    covariance += shared
    return True


@kernel
def _gather_fit(
    points: Float,
    pose: Float,
    match: Int,
    samples: Float,
    normals: Float,
    jacobian: Float,
    residuals: Float,
    places: Float,
) -> int:
    """Rows of the point-to-plane fit of the points that have a sample, at the beginning of the last three.

    Args:
        points: (P, 3) measured points, camera frame, metres.
        pose: (4, 4) ``T_camera_object``.
        match: (P,) number of each point's sample, -1 where it has none.
        samples, normals: (M, 3) of the object, its own frame.
        jacobian: (P, 6) out: normal in the camera frame, and arm of the point (from the origin) times the normal.
        residuals: (P,) out: metres before the surface.
        places: (P, 3) out: the points.

    Returns:
        how many have a sample.
    """
    count = 0
    for p in range(len(points)):
        m = match[p]
        if m < 0:
            continue
        residual = 0.0
        for i in range(3):
            normal, surface = 0.0, pose[i, 3]
            for j in range(3):
                normal += pose[i, j] * normals[m, j]
                surface += pose[i, j] * samples[m, j]
            jacobian[count, i] = normal
            residual += (points[p, i] - surface) * normal
            places[count, i] = points[p, i]
        x, y, z = points[p, 0] - pose[0, 3], points[p, 1] - pose[1, 3], points[p, 2] - pose[2, 3]
        a, b, c = jacobian[count, 0], jacobian[count, 1], jacobian[count, 2]
        jacobian[count, 3], jacobian[count, 4], jacobian[count, 5] = y * c - z * b, z * a - x * c, x * b - y * a
        residuals[count] = residual
        count += 1
    return count


@kernel
def _information_of_fit(
    jacobian: Float,
    residuals: Float,
    places: Float,
    sigma: float,
    readings: float,
    sharing: float,
    least: float,
    information: Float,
) -> float:
    """(6, 6) information of P rows of `_gather_fit` into the last one; returns the variance of a residual, m^2.

    Args:
        jacobian, residuals, places: those rows; P > 0.
        sigma: standard deviation of a reading along the view ray, metres.
        readings: how many independent ones there are at most.
        sharing: angle (rad) within which readings may share an error.
        least: square metres; residuals that vary by less say nothing about that.
    """
    count = len(residuals)
    middle = np.median(residuals)
    centred = residuals - middle
    spread = MAD * np.median(np.abs(centred))
    steep = 0.0
    for p in range(count):
        steep += abs(jacobian[p, 2])
    deviation = max(spread, sigma * steep / count)
    squared = 0.0
    for p in range(count):
        centred[p] = min(max(centred[p], -3 * spread), 3 * spread)
        squared += centred[p] * centred[p]
    effect = max(_sum_of_neighbours(places, centred, sharing) / max(squared, least), 1.0)
    share = min(float(count), readings) / effect / count / (deviation * deviation)
    information[:] = 0.0
    for p in range(count):
        for i in range(6):
            for j in range(i + 1):
                information[i, j] += jacobian[p, i] * jacobian[p, j]
    for i in range(6):
        for j in range(i + 1):
            information[i, j] *= share
            information[j, i] = information[i, j]
    return deviation * deviation


@kernel
def _sum_of_neighbours(places: Float, values: Float, distance: float) -> float:
    """Sum of the products of the values of all ordered pairs of points nearer than `distance`, each with itself too.

    Args:
        places: (P, 3) camera frame; it is the angle between them that counts, rad.
        values: (P,).
        distance: rad.
    """
    x, y = places[:, 0] / places[:, 2], places[:, 1] / places[:, 2]
    around = 0.5 * values
    most = distance * distance
    for i in range(len(values)):
        # One sum a point rather than one in all: the processor adds eight at a time.
        for j in range(i):  # each pair once
            across, down = x[i] - x[j], y[i] - y[j]
            around[j] += values[i] if across * across + down * down < most else 0.0
    total = 0.0
    for i in range(len(values)):
        total += around[i] * values[i]
    return 2.0 * total


@kernel
def _covariance_of_shared_errors(
    jacobian: Float,
    places: Float,
    most: int,
    prior: Float,
    variance: float,
    offset: float,
    relative: float,
    lateral: float,
    warp: float,
    warp_length: float,
    covariance: Float,
) -> None:
    """(6, 6) covariance from errors that readings share, led through the fit that moves the pose along with them.

    Args:
        jacobian, places: rows of `_gather_fit`, of which about `most` are looked at, evenly spread.
        most: more than 1.
        prior: (6, 6) information on the pose without the points, to which what they do not bind is left.
        variance: of their residuals, m^2.
        offset, relative, lateral, warp: see `DepthNoiseConfig`.
        warp_length: metres.
        covariance: out.
    """
    rows = min(len(jacobian), most)
    some, step = np.empty(rows, np.int64), 1.0
    if rows < len(jacobian):
        step = (len(jacobian) - 1) / (rows - 1)
    for k in range(rows):
        some[k] = int(np.rint(k * step))
    system = prior.copy()
    for p in some:
        for i in range(6):
            for j in range(6):
                system[i, j] += jacobian[p, i] * jacobian[p, j] / variance
    inverse = np.linalg.inv(system)
    fit = np.zeros((rows, 6))  # how far the pose moves with each point that moves off the surface
    errors = np.zeros((6, 3))
    for k in range(rows):
        p = some[k]
        for i in range(6):
            for j in range(6):
                fit[k, i] += inverse[i, j] * jacobian[p, j] / variance
        z, along = places[p, 2], 0.0
        for i in range(3):
            along += jacobian[p, i] * places[p, i]
        along *= np.sqrt(offset * offset + relative * relative * z * z) / z
        for i in range(6):
            errors[i, 0] += fit[k, i] * along
            errors[i, 1] += fit[k, i] * jacobian[p, 0] * lateral * z
            errors[i, 2] += fit[k, i] * jacobian[p, 1] * lateral * z
    for i in range(6):
        for j in range(6):
            covariance[i, j] = errors[i, 0] * errors[j, 0] + errors[i, 1] * errors[j, 1] + errors[i, 2] * errors[j, 2]
    if warp == 0:
        return
    _add_warp(fit, places, some, warp, warp_length, covariance)


@kernel
def _add_warp(fit: Float, places: Float, some: Int, warp: float, warp_length: float, covariance: Float) -> None:
    """Add what an error does that points share the more the nearer they are: by exp(-d^2 / (2 length^2)) of its square.

    Args:
        fit: (K, 6) how far the pose moves with each of K points.
        places: (P, 3) points, metres.
        some: (K,) numbers of the K among them.
        warp: standard deviation of the error, metres.
        warp_length: metres.
        covariance: (6, 6) to add to.
    """
    rows = len(some)
    at = np.empty((3, rows))
    for k in range(rows):
        for i in range(3):
            at[i, k] = places[some[k], i]
    near = 0.5 / (warp_length * warp_length) / (1 << _EXPONENT)
    drawn = np.empty((6, rows))  # by the points that come later, and half by each itself
    for k in range(rows):
        # Each pair once, and one sum a point: the processor does several at a time. So it does with the exponential as
        # the limit of (1 - t / n)^n, which is right to a thousandth.
        for m in range(k):
            x, y, z = at[0, m] - at[0, k], at[1, m] - at[1, k], at[2, m] - at[2, k]
            shared = max(1.0 - near * (x * x + y * y + z * z), 0.0)
            for _ in range(_EXPONENT):
                shared *= shared
            for i in range(6):
                drawn[i, m] += shared * fit[k, i]
        for i in range(6):
            drawn[i, k] = 0.5 * fit[k, i]
    for k in range(rows):
        for i in range(6):
            for j in range(6):
                part = warp * warp * fit[k, i] * drawn[j, k]
                covariance[i, j] += part
                covariance[j, i] += part


@kernel
def bound_covariance(covariance: Float, growth: float, ignorance: Float, turn: Float) -> Float:
    """(6, 6) covariance grown by a factor, bounded by the (6,) variances of not knowing, and symmetric.

    `turn` (6,) is a direction of which nothing is known, times its standard deviation; zeros where there is none.
    """
    information = np.linalg.inv(growth * covariance)
    for i in range(6):
        information[i, i] += 1.0 / ignorance[i]
    bounded = np.linalg.inv(information)
    for i in range(6):
        for j in range(6):
            bounded[i, j] += turn[i] * turn[j]
    return 0.5 * (bounded + bounded.T)

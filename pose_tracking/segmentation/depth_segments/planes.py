"""The dominant planes of a depth image: table, walls, floor, boards of a shelf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32
from pose_tracking.core.depth_noise import DepthNoise

from .kernels import areas_on_planes

# Each hypothesis is one point with its normal, so that one in twenty that lie on a plane find it with near certainty.
HYPOTHESES = 160
SAMPLES = 4000  # pixels that vote
REFINEMENTS = 3
ALIKE = 0.94  # cosine between the normals of a plane and of what lies on it
SEED = 5


@dataclass(frozen=True)
class Plane:
    """The plane ``normal . p + offset = 0`` (metres, camera frame); the normal points towards the camera."""

    normal: Float
    offset: float

    def distance(self, points: Float32) -> Float32:
        """(...) signed distances in metres of (..., 3) points; positive on the camera's side."""
        return np.asarray(points @ self.normal.astype(np.float32) + np.float32(self.offset), np.float32)


def dominant_planes(
    points: Float32, normals: Float32, known: Bool, noise: DepthNoise, pixel_angle: float, least_area: float, most: int
) -> list[Plane]:
    """Planes that are too large to be a side of a known object, the largest first (RANSAC, Fischler and Bolles 1981).

    Args:
        points: (H, W, 3) measured points, metres.
        normals: (H, W, 3) unit normals towards the camera.
        known: (H, W) which pixels have both.
        noise: of the depth.
        pixel_angle: side of a pixel in radians, to turn counts into areas.
        least_area: square metres of it that must be in view.
        most: so many planes at most.
    """
    random = np.random.default_rng(SEED)
    index = np.flatnonzero(known)
    if len(index) > SAMPLES:
        index = random.choice(index, SAMPLES, replace=False)
    left, left_normals = points.reshape(-1, 3)[index].astype(float), normals.reshape(-1, 3)[index].astype(float)
    weight = np.count_nonzero(known) / max(len(index), 1)
    # A pixel covers more of a surface the farther it is and the more it is seen from the side.
    distance = np.maximum(np.linalg.norm(left, axis=1), 1e-6)
    cosine = np.maximum(np.abs((left * left_normals).sum(1)) / distance, 0.3)
    areas = weight * (distance * pixel_angle) ** 2 / cosine
    tolerance = near_plane(noise, left[:, 2])
    planes: list[Plane] = []
    while len(planes) < most and len(left) >= 30:
        plane, inliers = _best(left, left_normals, areas, tolerance, random)
        if areas[inliers].sum() < least_area:
            break
        planes.append(plane)
        # What is left near it is noise, which would add up to planes that cut through the objects.
        rest = np.abs(left @ plane.normal + plane.offset) > 3 * tolerance
        left, left_normals, areas, tolerance = (a[rest] for a in (left, left_normals, areas, tolerance))
    return planes


def near_plane(noise: DepthNoise, depth: Float | Float32) -> Float:
    """Metres from a plane within which readings at `depth` are its own: noise, and depth that bends a little."""
    return 2.5 * noise.sigma(depth) + 0.002


def _best(
    points: Float, normals: Float, areas: Float, tolerance: Float, random: np.random.Generator
) -> tuple[Plane, Bool]:
    """The plane that most of the area lies on, and (P,) which points do."""
    seeds = random.integers(0, len(points), HYPOTHESES)
    directions = normals[seeds]
    offsets = -(directions * points[seeds]).sum(1)
    found = np.empty(HYPOTHESES)
    areas_on_planes(points, normals, areas, tolerance, directions, offsets, ALIKE, found)
    best = int(found.argmax())
    normal, offset = directions[best], float(offsets[best])
    inliers = (np.abs(points @ normal + offset) < tolerance) & (normals @ normal > ALIKE)
    for _ in range(REFINEMENTS):
        if np.count_nonzero(inliers) < 3:
            break
        weights = 1 / tolerance[inliers] ** 2
        middle = np.average(points[inliers], axis=0, weights=weights)
        spread = (points[inliers] - middle) * np.sqrt(weights)[:, None]
        normal = np.linalg.eigh(spread.T @ spread)[1][:, 0]
        normal = normal if normal @ middle < 0 else -normal
        offset = float(-normal @ middle)
        inliers = (np.abs(points @ normal + offset) < tolerance) & (normals @ normal > ALIKE)
    return Plane(normal, offset), inliers

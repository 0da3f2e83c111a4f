"""What of moving bodies a moving camera sees over time, judged on the silhouettes of their convex hulls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32
from pose_tracking.core.geometry import invert_transform
from pose_tracking.simulation.placement.bodies import Motion, PlacedBody
from pose_tracking.simulation.placement.shapes import Shape

from .camera_paths import HandheldPath

WIDTH = 192  # pixels of the pictures that hiding is judged on
SUBPIXEL = 4  # fractional bits of OpenCV's drawing
NEAR = 0.02  # metres before the camera to which what reaches behind it is moved


@dataclass(frozen=True, eq=False)
class View:
    """How a camera sees one body over time, image coordinates being -1 to 1 within the picture.

    Attributes:
        body: the body.
        places: (T, 2) middles of its footprint (m), table frame.
        distances: (T,) of these from the point below the camera (m).
        boxes: (T, 4) x_min, y_min, x_max, y_max of its silhouette.
        outside: (T,) whether nothing of it is in the picture.
        silhouettes: (T / step, K, 2) corners of its hull.
    """

    body: PlacedBody[Motion]
    places: Float
    distances: Float
    boxes: Float
    outside: Bool
    silhouettes: Float32


class Visibility:
    """What a camera on its path sees at fixed times.

    Args:
        path: the camera's path.
        tangents: (2,) tangents of half the horizontal and vertical field of view.
        times: (T,) seconds.
        step: hiding is judged on every so manieth of them.
    """

    def __init__(self, path: HandheldPath, tangents: tuple[float, float], times: Float, step: int) -> None:
        self.times, self._step = times, step
        poses = np.stack([path.pose(float(t)) for t in times])
        self._to_camera = invert_transform(poses)
        self._feet = poses[:, :2, 3]
        self._tangents = tangents

    def inside(self, points: Float) -> Bool:
        """(T, N) whether points (N, 3) of the table frame are in the picture."""
        x, y = self._project(self._to_camera, points)
        return (np.abs(x) < 1) & (np.abs(y) < 1)

    def view(self, body: PlacedBody[Motion]) -> View:
        """What is seen of a body on its own."""
        x, y = self._project(self._to_camera @ body.poses(self.times), _corners(body.shape))
        boxes = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1)
        outside = np.asarray(((boxes[:, :2] > 1) | (boxes[:, 2:] < -1)).any(1))
        silhouettes = np.stack([x[:: self._step], y[:: self._step]], axis=2).astype(np.float32)
        places = body.places(self.times)
        distances = np.asarray(np.linalg.norm(places - self._feet, axis=1))
        return View(body, places, distances, boxes, outside, silhouettes)

    def shares(self, views: Sequence[View]) -> Float:
        """(T / step, B) share of each body's whole silhouette that is in the picture and not hidden by another's."""
        height = max(1, round(WIDTH * self._tangents[1] / self._tangents[0]))
        half = np.array([WIDTH / 2, height / 2], np.float32)
        distances = np.stack([view.distances[:: self._step] for view in views], axis=1)
        pixels = [((v.silhouettes + 1) * half - np.float32(0.5)).clip(-20 * WIDTH, 20 * WIDTH) for v in views]
        out = np.zeros(distances.shape)
        for row, order in enumerate(np.argsort(-distances, axis=1).tolist()):
            picture = np.zeros((height, WIDTH), np.uint8)
            whole = np.ones(len(views) + 1)
            for number in order:
                hull = cv2.convexHull(pixels[number][row])
                # Drawing fills every pixel the outline touches, half a pixel more than its area on each side.
                whole[number + 1] = cv2.contourArea(hull) + 0.5 * cv2.arcLength(hull, True) + 1
                corners = (hull * (1 << SUBPIXEL)).astype(np.int32)
                cv2.fillConvexPoly(picture, corners, number + 1, shift=SUBPIXEL)
            out[row] = (np.bincount(picture.ravel(), minlength=len(whole)) / whole)[1:]
        return np.minimum(out, 1)

    def _project(self, to_camera: Float, points: Float) -> tuple[Float, Float]:
        local = np.swapaxes(to_camera[:, :3, :3] @ points.T + to_camera[:, :3, 3:], 0, 1)
        depth = np.maximum(local[2], NEAR)
        return local[0] / depth / self._tangents[0], local[1] / depth / self._tangents[1]


@lru_cache(maxsize=256)
def _corners(shape: Shape) -> Float:
    """(K, 3) corners of a hull that stick out in one of 64 directions (Fibonacci sphere)."""
    count = np.arange(64) + 0.5
    z, angle = 1 - 2 * count / 64, np.pi * (1 + np.sqrt(5)) * count
    directions = np.stack([np.cos(angle) * np.sqrt(1 - z**2), np.sin(angle) * np.sqrt(1 - z**2), z])
    return np.asarray(shape.hull[np.unique((shape.hull @ directions).argmax(0))])


def runs(flags: Bool) -> list[tuple[int, int]]:
    """Half-open index ranges in which `flags` (T,) are set without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

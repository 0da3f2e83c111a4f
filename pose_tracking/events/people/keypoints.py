"""Keypoints of people by MediaPipe's pose network (BlazePose GHUM, Bazarevsky et al. 2020), which OpenVINO runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike

from pose_tracking.core.arrays import Float, UInt8
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.graph_file import GraphFile, open_graph

SIDE = 256  # pixels of the network's input
LANDMARKS = 39  # of which six are no parts of a body
_AROUND = 1.25  # side of the crop over the longer one of the box, as the network was trained
SHOULDERS, HIPS, KNEES, ANKLES = (11, 12), (23, 24), (25, 26), (27, 28)
FETCH = "pip download --no-deps mediapipe==0.10.21 and unzip modules/pose_landmark/pose_landmark_full.tflite of it"


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Of one person in one picture.

    Attributes:
        points: (33, 2) pixels of the picture, in the order of MediaPipe.
        visible: (33,) probability that each is seen.
        presence: probability of a person.
    """

    points: Float
    visible: Float
    presence: float


class KeypointNetwork:
    """Finds the keypoints of a person whose box is known.

    Args:
        path: the graph.

    Raises:
        BundleError: missing, or another graph.
        ConfigError: OpenVINO is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise BundleError(f"{path}: missing: no such pose network; {FETCH}")
        self._graph: GraphFile = open_graph(path, InferenceConfig())
        sizes = [int(np.prod([size or 0 for size in port.shape])) for port in self._graph.outputs]
        if [port.shape for port in self._graph.inputs] != [(1, SIDE, SIDE, 3)] or not {5 * LANDMARKS, 1} <= set(sizes):
            raise BundleError(f"{path}: is no pose network of MediaPipe: {FETCH}")
        self._marks, self._flag = sizes.index(5 * LANDMARKS), sizes.index(1)

    def __call__(self, color: UInt8, box: ArrayLike) -> Keypoints:
        """Keypoints of the person in a box (4,) of a picture (H, W, 3), RGB."""
        x0, y0, x1, y1 = np.asarray(box, float)
        side = max(_AROUND * max(x1 - x0, y1 - y0), 2.0)
        left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
        scale = SIDE / side
        way = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        crop = cv2.warpAffine(color, way, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        outputs = self._graph(crop[None].astype(np.float32) / 255)
        marks = np.asarray(outputs[self._marks], float).reshape(LANDMARKS, 5)[:33]
        presence = float(np.ravel(outputs[self._flag])[0])
        return Keypoints(marks[:, :2] / scale + [left, top], _sigmoid(marks[:, 3]), presence)


def _sigmoid(x: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -50, 50))))

"""Seeded objects of one class in motion and the detections a detector would make of them, without any image."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet

RATE = 30.0  # Hz
FEATURE_SIZE = 128
MISSES = 0.03  # share of the visible objects
FALSE_ALARMS = 0.05  # a frame
HIDDEN = 0.6  # share of a box behind a nearer one from which on the object is not seen
_SIZE = 0.1  # of the objects, m
_SPACING = 0.25  # m between neighbours on average, however many objects there are
_FOCAL, _CENTER = 600.0, np.array([320.0, 240.0])  # px
_BOX_NOISE, _POSITION_NOISE, _ROTATION_NOISE = 2.0, 0.005, np.deg2rad(3)  # px, m, rad
_COVARIANCE = np.diag([_POSITION_NOISE**2] * 3 + [_ROTATION_NOISE**2] * 3)
# Norm of a feature's noise beside its unit length: about 0.06 cosine distance of one object to itself, 0.5 to others.
_FEATURE_NOISE = 0.25


def one_object() -> ObjectSet:
    """The object set of the scene: one asymmetric object without a mesh."""
    size = np.full(3, _SIZE)
    return ObjectSet({1: ObjectModel(1, "thing", float(np.linalg.norm(size)), -size / 2, size, np.eye(4)[None])})


class Crowd:
    """`count` objects that move, turn back at the border, cover each other and, where asked, come and go.

    Args:
        count: objects in view.
        seed: of everything.
        turnover: chance of an object to leave in a frame; another one, new or seen before, then comes in elsewhere.
    """

    def __init__(self, count: int, seed: int, turnover: float = 0.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._count, self._turnover = count, turnover
        side = _SPACING * np.sqrt(count) / 2
        self._low, self._high = np.array([-side, -side, 0.8]), np.array([side, side, 1.2])
        self._common = self._unit(1)
        self._identities = self._new_identities(count)
        self._away = self._new_identities(2 * count)
        self._position, self._velocity = self._places(count)
        self._rotation = Rotation.random(count, random_state=self._rng)
        self._spin = self._rng.normal(0, 0.5, (count, 3))

    def step(self) -> list[Detection]:
        """The detections of the next frame, in random order."""
        self._move()
        boxes = self._boxes(self._position)
        seen = (covered_share(boxes, self._position[:, 2]) < HIDDEN) & (self._rng.random(self._count) >= MISSES)
        detections = [
            self._detect(boxes[i], self._identities[i], self._position[i], i) for i in np.flatnonzero(seen).tolist()
        ]
        for _ in range(self._rng.poisson(FALSE_ALARMS)):
            place = self._rng.uniform(self._low, self._high)
            detections.append(self._detect(self._boxes(place[None])[0], self._new_identities(1)[0], place, None))
        return [detections[i] for i in self._rng.permutation(len(detections))]

    def _move(self) -> None:
        self._position = self._position + self._velocity / RATE
        outside = (self._position < self._low) | (self._position > self._high)
        self._velocity = np.where(outside, -self._velocity, self._velocity)
        self._position = np.clip(self._position, self._low, self._high)
        self._rotation = Rotation.from_rotvec(self._spin / RATE) * self._rotation
        for i in np.flatnonzero(self._rng.random(self._count) < self._turnover):
            j = self._rng.integers(len(self._away))
            if self._rng.random() < 0.5:
                self._away[j] = self._new_identities(1)[0]
            self._identities[i], self._away[j] = self._away[j].copy(), self._identities[i].copy()
            self._position[i], self._velocity[i] = (values[0] for values in self._places(1))

    def _detect(self, box: Float, identity: Float, place: Float, index: int | None) -> Detection:
        rng = self._rng
        rotation = Rotation.random(random_state=rng) if index is None else self._rotation[index]
        pose = np.eye(4)
        pose[:3, :3] = (Rotation.from_rotvec(rng.normal(0, _ROTATION_NOISE, 3)) * rotation).as_matrix()
        pose[:3, 3] = place + rng.normal(0, _POSITION_NOISE, 3)
        feature = identity + rng.normal(0, _FEATURE_NOISE / np.sqrt(FEATURE_SIZE), FEATURE_SIZE)
        return Detection(
            obj_id=1,
            score=float(rng.uniform(0.8, 1.0)),
            box=box + rng.normal(0, _BOX_NOISE, 4),
            feature=feature.astype(np.float32),
            pose=PoseEstimate(pose, confidence=float(rng.uniform(0.6, 1.0)), covariance=_COVARIANCE.copy()),
        )

    def _boxes(self, position: Float) -> Float:
        center = _FOCAL * position[:, :2] / position[:, 2:] + _CENTER
        half = _FOCAL * _SIZE * np.array([0.5, 0.7]) / position[:, 2:]
        return np.concatenate([center - half, center + half], 1)

    def _places(self, count: int) -> tuple[Float, Float]:
        return self._rng.uniform(self._low, self._high, (count, 3)), self._rng.normal(0, 0.1, (count, 3))

    def _new_identities(self, count: int) -> Float:
        mixed = self._common + self._unit(count)
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)

    def _unit(self, count: int) -> Float:
        vectors = self._rng.normal(size=(count, FEATURE_SIZE))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def covered_share(boxes: Float, depth: Float) -> Float:
    """(N,) share of each of (N, 4) corner boxes behind the nearer box that covers most of it; depth (N,) in metres."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), -1) * (depth[None] < depth[:, None])
    return np.asarray(overlap.max(1) / np.prod(boxes[:, 2:] - boxes[:, :2], -1))


def make_frames(count: int, frames: int, seed: int) -> list[list[Detection]]:
    """The detections of `frames` frames with `count` objects in view."""
    crowd = Crowd(count, seed)
    return [crowd.step() for _ in range(frames)]

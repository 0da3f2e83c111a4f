"""A pose of a tracked object at a time, in a frame that does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import block_rotation, nearest_equivalent
from pose_tracking.core.results import TrackedObject
from pose_tracking.core.rotations import rotation_matrices
from pose_tracking.objects import ObjectModel

from .displacement_kernels import lie_against, what_is_known


@dataclass(frozen=True, eq=False)
class PoseSample:
    """Where an object was seen in one frame.

    Attributes:
        stamp_ns: of the frame.
        pose: (4, 4) ``T_fixed_object``, metres.
        centre: (3,) middle of its bounding box in the fixed frame: the origin of a CAD file may lie anywhere.
        covariance: (6, 6) of that middle and the rotation (x, y, z, rx, ry, rz) along the fixed axes (m^2, rad^2).
        confidence: of the pose, 0 to 1.
        visible: share of its side towards the camera that was seen, 0 to 1; 1 where the pose does not say.
        camera_pose: (4, 4) ``T_fixed_camera`` it was seen from.
    """

    stamp_ns: int
    pose: Float
    centre: Float
    covariance: Float
    confidence: float
    visible: float = 1.0
    camera_pose: Float = field(default_factory=lambda: np.eye(4))

    @property
    def seconds(self) -> float:
        """The stamp in seconds."""
        return self.stamp_ns * 1e-9

    @cached_property
    def _known(self) -> tuple[bool, float]:
        return what_is_known(self.covariance)

    @property
    def knows_turn(self) -> bool:
        """Whether the pose tells the angle about every axis."""
        return self._known[0]

    @property
    def position_sigma(self) -> float:
        """Standard deviation (m) along the direction in which the position is known worst.

        What a turn that nobody knows does to it is left out.
        """
        return self._known[1]

    @classmethod
    def of(
        cls, stamp_ns: int, thing: TrackedObject, model: ObjectModel, camera_pose: Float, before: PoseSample | None
    ) -> PoseSample | None:
        """The pose measured in this frame, which unlike the smoothed one does not lag; None where there is none.

        Args:
            stamp_ns: stamp of the frame.
            thing: the track after the frame.
            model: its object.
            camera_pose: (4, 4) ``T_fixed_camera``.
            before: the sample before: of equivalent poses of a symmetric object the nearest to it is taken.
        """
        estimate = None if thing.detection is None else thing.detection.pose
        if estimate is None or not thing.is_observed:
            return None
        pose = camera_pose @ estimate.pose
        if before is not None:
            pose = nearest_equivalent(pose, before.pose, model.symmetries)
        turn = block_rotation(camera_pose[:3, :3])
        arm = pose[:3, :3] @ middle_of(model)
        x, y, z = arm.tolist()  # a turn r moves the middle by r x arm
        turn[:3, 3:] = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]) @ camera_pose[:3, :3]
        covariance = turn @ estimate.covariance @ turn.T
        visible = float(estimate.fit.get("visible_fraction", 1.0))
        return cls(stamp_ns, pose, arm + pose[:3, 3], covariance, estimate.confidence, visible, camera_pose)


def middle_of(model: ObjectModel) -> Float:
    """(3,) middle of an object's bounding box in its own frame, metres; poses of unknown shapes are of their middle."""
    middle = model.box_min + model.size / 2
    return middle if np.isfinite(middle).all() else np.zeros(3)


@dataclass(frozen=True, eq=False)
class Displacements:
    """How samples lie against one of the same object; see `displacements`.

    Attributes:
        centres: (N, 3) where the middles are, metres.
        turns: (N, 3) rotation vectors, along the fixed axes, rad.
        turn_covariances: (N, 3, 3) of these.
        turn_sigmas: (N,) how many standard deviations the turns are.
    """

    centres: Float
    turns: Float
    turn_covariances: Float
    turn_sigmas: Float


def displacements(reference: PoseSample, samples: Sequence[PoseSample]) -> Displacements:
    """How N samples lie against `reference`, without any turn that nobody knows.

    Where the poses say that the angle about an axis is unknown, as that of a mug whose handle is hidden, a turn about
    it is no motion, but another guess. It is taken back, with what it does to the middle, which may be off the axis;
    what is left is as sure as the poses are otherwise.
    """
    count = len(samples)
    centres, turns = np.empty((2, count, 3))
    spreads, sigmas = np.empty((count, 3, 3)), np.empty(count)
    poses, covariances = np.empty((count, 4, 4)), np.empty((count, 6, 6))
    for i, sample in enumerate(samples):
        centres[i], poses[i], covariances[i] = sample.centre, sample.pose, sample.covariance
    lie_against(
        np.ascontiguousarray(reference.pose[:3, :3]), reference.covariance, poses, covariances, centres, turns, spreads,
        sigmas,
    )  # fmt: skip
    return Displacements(centres, turns, spreads, sigmas)


def compile_kernels() -> None:
    """Compile what the rules need in every frame, or read it from disk, before the first one does."""
    sample = PoseSample(0, np.eye(4), np.zeros(3), 1e-6 * np.eye(6), 1.0)
    displacements(sample, [sample] if sample.knows_turn else [])


def tilt_between(a: PoseSample, b: PoseSample, up: Float) -> float:
    """Angle (rad) by which what pointed along `up` (3,) at `a` points elsewhere at `b`."""
    return float(np.arccos(np.clip(up @ b.pose[:3, :3] @ a.pose[:3, :3].T @ up, -1, 1)))


def points_alike(a: PoseSample, b: PoseSample, up: Float, symmetries: Float, angle: float) -> bool:
    """Whether what points along `up` (3,) at `a` does so at `b` to an `angle` (rad), by one of (S, 3, 3) symmetries.

    A round body that lies is on another side of itself after it has rolled, and nothing tells so.
    """
    return bool((symmetries @ (a.pose[:3, :3].T @ up) @ (b.pose[:3, :3].T @ up)).max() > np.cos(angle))


def known_tilt(a: PoseSample, b: PoseSample, up: Float) -> float:
    """`tilt_between` without any turn that nobody knows."""
    return float(np.arccos(np.clip(up @ rotation_matrices(displacements(a, [b]).turns[0]) @ up, -1, 1)))


class Extent:
    """How far down an object reaches in any pose.

    Attributes:
        symmetries: (S, 3, 3) rotations of the object that nothing tells from none.
    """

    def __init__(self, model: ObjectModel) -> None:
        self.symmetries = model.symmetries[:, :3, :3]
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        self._points = model.box_min + corners * model.size
        if not np.isfinite(self._points).all():  # of unknown shape: its middle will do
            self._points = np.zeros((1, 3))
        if model.mesh is not None:
            try:
                hull = ConvexHull(model.mesh.vertices.astype(float))
            except QhullError:  # flat: its box is as good
                return
            self._points = hull.points[hull.vertices]

    def bottom(self, pose: Float, up: Float) -> float:
        """Height (m) along `up` (3,) of the lowest point at `pose` (4, 4)."""
        return float((self._points @ (pose[:3, :3].T @ up)).min() + up @ pose[:3, 3])

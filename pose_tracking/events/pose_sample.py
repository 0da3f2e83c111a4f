"""A pose of a tracked object at a time, in a frame that does not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import block_rotation, nearest_equivalent
from pose_tracking.core.results import TrackedObject
from pose_tracking.core.rotations import rotation_vectors
from pose_tracking.objects import ObjectModel


@dataclass(frozen=True, eq=False)
class PoseSample:
    """Where an object was seen in one frame.

    Attributes:
        stamp_ns: of the frame.
        pose: (4, 4) ``T_fixed_object``, metres.
        centre: (3,) middle of its bounding box in the fixed frame: the origin of a CAD file may lie anywhere.
        covariance: (6, 6) of (x, y, z, rx, ry, rz) along the fixed axes (m^2, rad^2).
        confidence: of the pose, 0 to 1.
    """

    stamp_ns: int
    pose: Float
    centre: Float
    covariance: Float
    confidence: float

    @property
    def seconds(self) -> float:
        """The stamp in seconds."""
        return self.stamp_ns * 1e-9

    @cached_property
    def position_sigma(self) -> float:
        """Standard deviation (m) along the direction in which the position is known worst."""
        return float(np.sqrt(max(np.linalg.eigvalsh(self.covariance[:3, :3])[-1], 0.0)))

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
        centre = pose[:3, :3] @ middle_of(model) + pose[:3, 3]
        return cls(stamp_ns, pose, centre, turn @ estimate.covariance @ turn.T, estimate.confidence)


def middle_of(model: ObjectModel) -> Float:
    """(3,) middle of an object's bounding box in its own frame, metres; poses of unknown shapes are of their middle."""
    middle = model.box_min + model.size / 2
    return middle if np.isfinite(middle).all() else np.zeros(3)


def turns_from(a: PoseSample, others: Sequence[PoseSample]) -> tuple[Float, Float]:
    """How far (N,) (rad) poses are turned against one, and how many standard deviations (N,) that is.

    A turn that the poses do not tell, as that of a bottle about its axis, has few.
    """
    rotations = np.array([o.pose[:3, :3] for o in others])
    rotvecs = rotation_vectors(rotations @ a.pose[:3, :3].T)
    # The floor keeps an overconfident covariance from making turns of noise: 1 degree.
    floor = np.eye(3) * np.radians(1.0) ** 2
    spreads = np.array([o.covariance[3:, 3:] for o in others]) + a.covariance[3:, 3:] + floor
    whitened = np.linalg.solve(spreads, rotvecs[..., None])[..., 0]
    return np.linalg.norm(rotvecs, axis=1), np.sqrt((rotvecs * whitened).sum(1))


def tilt_between(a: PoseSample, b: PoseSample, up: Float) -> float:
    """Angle (rad) by which what pointed along `up` (3,) at `a` points elsewhere at `b`."""
    return float(np.arccos(np.clip(up @ b.pose[:3, :3] @ a.pose[:3, :3].T @ up, -1, 1)))


class Extent:
    """How far down an object reaches in any pose."""

    def __init__(self, model: ObjectModel) -> None:
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

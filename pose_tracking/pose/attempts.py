"""One instance's possible poses: which of them to try next, and when one convinces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import nearest_equivalent, rotation_angle, transform_points
from pose_tracking.objects import ObjectModel

from .config import PoseConfig
from .fitting.scoring import InstanceView, Verification

Known = TypeVar("Known", "PutOff", "InVain")

# A prediction explains an instance whose points lie within so many diameters of it: what is farther off no ICP reaches.
MOST_APART = 0.5
# What is known of an instance is that of the next frame's whose points lie within so many diameters of it.
SAME_PLACE = 0.5


class Origin(str, Enum):
    """Where a pose that was tried comes from."""

    TRACK = "track"
    NETWORK = "network"
    SEARCH = "search"


@dataclass(frozen=True)
class Checked:
    """A refined pose (4, 4), what the frame says of it, and where it comes from."""

    pose: Float
    check: Verification
    origin: Origin

    @property
    def score(self) -> float:
        return self.check.score


@dataclass(frozen=True)
class PutOff:
    """What a frame left untried for want of time.

    Attributes:
        obj_id: of which object.
        centre: (3,) median of the instance's points, metres, in the camera frame.
        tried: how many of the hypotheses after the first, and then of the search's finds, have had their turn.
        frames: for how many frames it has been waiting.
    """

    obj_id: int
    centre: Float
    tried: int
    frames: int


@dataclass(frozen=True)
class InVain:
    """A search that has found nothing that fits.

    Attributes:
        obj_id: for which object.
        centre: (3,) median of the instance's points, metres, in the camera frame, where it was last seen.
        score: of the detector at the search.
        frames: since then.
    """

    obj_id: int
    centre: Float
    score: float
    frames: int = 0


@dataclass(eq=False)
class Attempts:
    """What was tried for one instance, and what is left to try.

    Attributes:
        index: of the instance.
        obj_id, score: its object and detector score.
        mask: (H, W) bool, the instance.
        view: the frame and the mask, prepared for the check.
        points: (P, 3) its measured points, metres.
        poses: (K, 4, 4) the network's hypotheses, the most confident first.
        predicted: (4, 4) where a track expects the object, or None.
        likely: whether all hypotheses and the search are worth their time; otherwise two hypotheses are tried.
        resumed: what a frame before has put off, or None.
        tried: all that was refined and checked so far.
        is_agreed: whether prediction and network agree on a pose, which makes others not worth their time.
    """

    index: int
    obj_id: int
    score: float
    mask: Bool
    view: InstanceView
    points: Float
    poses: Float
    predicted: Float | None
    likely: bool
    resumed: PutOff | None = None
    tried: list[Checked] = field(default_factory=list)
    is_agreed: bool = False
    _finds: Float | None = None
    _later: int = 0
    _settled: Checked | None = None

    def __post_init__(self) -> None:
        if not self.likely:
            self.poses = self.poses[:2]
        if self.resumed is not None:
            self._later = self.resumed.tried

    @property
    def best(self) -> Checked:
        """The pose that was settled on, else that of the highest score; of equal ones the one tried first."""
        if self._settled is not None:
            return self._settled
        return max(self.tried, key=lambda each: each.score)

    @property
    def waited(self) -> int:
        """Frames for which this has been put off."""
        return 0 if self.resumed is None else self.resumed.frames

    def add(self, checked: Checked) -> None:
        """Take in a pose that was tried."""
        self.tried.append(checked)

    def leave_hypotheses(self) -> None:
        """Try none of those that are left of the network's hypotheses."""
        self.poses = self.poses[: 1 + self._later]

    def settle(self, checked: Checked) -> None:
        """Settle on one of the poses that were tried, whichever has the highest score."""
        self._settled = checked

    def is_open(self, config: PoseConfig) -> bool:
        """Whether anything is left to try, and worth it."""
        if self.is_agreed or self.best.score >= config.accept:
            return False
        return self._later < len(self.poses) - 1 or self.needs_search(config) or self._has_finds

    def needs_search(self, config: PoseConfig) -> bool:
        """Whether only a search can give more to try, and is worth it."""
        if self._finds is not None or self._later < len(self.poses) - 1:
            return False
        return self.likely and config.search.enabled and self.best.score < config.search.below

    def found(self, poses: Float) -> None:
        """Take in what the search has found, (F, 4, 4)."""
        self._finds = poses

    @property
    def was_searched(self) -> bool:
        """Whether a search was run for it."""
        return self._finds is not None

    @property
    def _has_finds(self) -> bool:
        return self._finds is not None and self._later < len(self.poses) - 1 + len(self._finds)

    def next_poses(self, count: int) -> list[tuple[Float, Origin]]:
        """Up to `count` poses to try after the first ones; with `add_later` they have had their turn."""
        rank, others = self._later, len(self.poses) - 1
        if rank < others:
            return [(pose, Origin.NETWORK) for pose in self.poses[1 + rank :][:count]]
        finds = self.poses[:0] if self._finds is None else self._finds
        return [(pose, Origin.SEARCH) for pose in finds[rank - others :][:count]]

    def add_later(self, checked: Checked) -> None:
        """Take in the outcome of the next pose of `next_poses`."""
        self._later += 1
        self.add(checked)

    def put_off(self) -> PutOff:
        """What is left, for the next frame."""
        return PutOff(self.obj_id, centre_of(self.points), self._later, self.waited + 1)


def centre_of(points: Float) -> Float:
    """(3,) median of (P, 3) points; NaN where there are none."""
    return np.median(points, axis=0) if len(points) else np.full(3, np.nan)


def explaining(
    predicted: Sequence[Float] | Float, model: ObjectModel, points: Float, box: Float, intrinsics: CameraIntrinsics
) -> Float | None:
    """The one of (T, 4, 4) predicted poses that explains an instance best, or None.

    Its middle is seen within the instance's `box` (x_min, y_min, x_max, y_max), grown by half on each side (it may be
    hidden in part), and lies within `MOST_APART` diameters of the instance's measured points (P, 3).
    """
    poses = np.asarray(predicted, np.float64).reshape(-1, 4, 4)
    poses = poses[np.isfinite(poses).all((1, 2))]
    if len(poses) == 0 or len(points) == 0:
        return None
    middles = np.array([transform_points(pose, model.box_min[None] + model.size / 2)[0] for pose in poses])
    poses, middles = poses[middles[:, 2] > 0], middles[middles[:, 2] > 0]
    if len(poses) == 0:
        return None
    margin = 0.5 * np.array([box[2] - box[0], box[3] - box[1]])
    uv = intrinsics.project(middles)
    inside = ((uv >= box[:2] - margin) & (uv <= box[2:] + margin)).all(1)
    apart = np.where(inside, np.linalg.norm(middles - centre_of(points), axis=1), np.inf)
    nearest = int(apart.argmin())
    # What is seen is the near side: its median lies up to half an extent before the middle.
    return poses[nearest] if apart[nearest] < MOST_APART * model.diameter else None


def is_near(pose: Float, other: Float, model: ObjectModel, config: PoseConfig) -> bool:
    """Whether two (4, 4) poses are one hypothesis: ICP leads from either to the same place."""
    pose = nearest_equivalent(pose, other, model.symmetries)
    angle = rotation_angle(pose[:3, :3] @ other[:3, :3].T)
    apart = np.linalg.norm(pose[:3, 3] - other[:3, 3])
    return bool(angle < config.hypothesis_angle and apart < config.hypothesis_distance * model.diameter)


def recalled(known: Sequence[Known], obj_id: int, points: Float, diameter: float) -> Known | None:
    """What is known from frames before of the instance of object `obj_id` at `points` (P, 3); None where nothing is."""
    centre = centre_of(points)
    own = [each for each in known if each.obj_id == obj_id]
    apart = [float(np.linalg.norm(each.centre - centre)) for each in own]
    # Points without a place (none measured) are never near: NaN compares false.
    near = [(distance, i) for i, distance in enumerate(apart) if distance < SAME_PLACE * diameter]
    return own[min(near)[1]] if near else None

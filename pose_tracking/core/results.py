"""What the stages hand to each other and what the pipeline hands out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .arrays import Bool, Float, Float32, Int
from .events import Activity


@dataclass
class Instances:
    """Object instances found in one image, best score first; all arrays share their first axis N.

    Attributes:
        obj_ids: (N,) int64 BOP object ids.
        scores: (N,) float32 detection scores, 0 to 1.
        boxes: (N, 4) float32 (x_min, y_min, x_max, y_max) in pixels, 0 <= x_min < x_max <= W.
        masks: (N, H, W) bool full-resolution masks.
        roi_features: (N, C, S, S) float32 RoIAlign features of the forward pass that found the instances.
    """

    obj_ids: Int
    scores: Float32
    boxes: Float32
    masks: Bool
    roi_features: Float32

    def __len__(self) -> int:
        return len(self.obj_ids)

    def select(self, index: NDArray) -> Instances:
        """The instances at `index` (boolean mask or integer indices); these themselves where it takes all of them."""
        every = index.all() if index.dtype == bool else np.array_equal(index, np.arange(len(self)))
        if every:  # the masks are most of what a copy would take
            return self
        return Instances(
            self.obj_ids[index], self.scores[index], self.boxes[index], self.masks[index], self.roi_features[index]
        )

    @classmethod
    def empty(cls, height: int, width: int, channels: int = 1, size: int = 1) -> Instances:
        """No instances in an image of `height` x `width`."""
        return cls(
            np.zeros(0, np.int64),
            np.zeros(0, np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros((0, height, width), bool),
            np.zeros((0, channels, size, size), np.float32),
        )


@dataclass(frozen=True)
class BoxSize:
    """What one view tells of the size of an object whose shape is not known; along the axes of its measured pose.

    Attributes:
        edges: (3,) extent of what is seen, metres.
        sigma: (3,) standard deviation of these extents from the noise of the depth, metres.
        slack: (3, 2) how much farther the object may reach, unseen, at the low and the high end of each axis, metres:
            in its own shadow, behind something else, or beyond the picture. 0 where the end is seen.
    """

    edges: Float
    sigma: Float
    slack: Float

    def turned(self, quarters: int) -> BoxSize:
        """The same in axes turned by so many times 90 degrees about the third one."""
        edges, sigma, slack = self.edges, self.sigma, self.slack
        for _ in range(quarters % 4):  # the new x is the old y, the new y the old x backwards
            edges, sigma = edges[[1, 0, 2]], sigma[[1, 0, 2]]
            slack = np.array([slack[1], slack[0, ::-1], slack[2]])
        return BoxSize(edges, sigma, slack)


@dataclass
class PoseEstimate:
    """6D pose of one instance in the optical frame.

    Attributes:
        pose: (4, 4) ``T_camera_object``, metres.
        confidence: 0 to 1; agreement of the rendered with the measured depth and colour where the object set has
            meshes, else the network's own confidence.
        covariance: (6, 6) of (x, y, z, rx, ry, rz) in the optical frame (m^2, rad^2), ROS convention.
        raw_pose, refined_pose, icp_pose: (4, 4) the network's most confident pose, the same after the refiner, and
            that after ICP: kept so that an evaluation can say what each step buys. None where a step was not taken.
        fit: what the depth check measured (e.g. ``inlier_fraction``), empty without meshes.
        systematic: (6, 6) the part of `covariance` that the next frames share: errors of the calibration, of all depth
            alike, of the mesh. A filter must not average it out. None where nothing is known of it.
        open_turn: (6, 6) what many frames like this leave of a turn that is open in it (a handle that is hidden); all
            that this frame leaves is part of `covariance`. The next frame may tell it, so a filter must give way. None:
            none.
        origin: where the search for it began: ``"track"`` (a predicted pose), ``"network"`` or ``"search"`` (over all
            rotations).
        size: what the view tells of the size, of an object whose shape is not known; its `pose` is then that of the
            box of what is seen, the origin in its middle and z up. None for all others.
        scale: size of the instance over that of its mesh, where it was estimated, or None.
        cut_short: whether more would have been tried, had there been time for it (`pose.time_budget`,
            `pose.search.per_frame`).
        corrects: whether the object may as well be where its track expected it: what lies between is then an error of
            the track, and no motion.
    """

    pose: Float
    confidence: float
    covariance: Float
    raw_pose: Float | None = None
    refined_pose: Float | None = None
    icp_pose: Float | None = None
    fit: dict[str, float] = field(default_factory=dict)
    systematic: Float | None = None
    origin: str = "network"
    cut_short: bool = False
    size: BoxSize | None = None
    scale: float | None = None
    open_turn: Float | None = None
    corrects: bool = False

    @property
    def shared(self) -> Float | None:
        """(6, 6) what is left of `covariance` however many frames tell the same; None where that is not known."""
        if self.systematic is None or self.open_turn is None:
            return self.systematic
        return self.systematic + self.open_turn

    @property
    def noise(self) -> Float:
        """(6, 6) the part of `covariance` that is drawn anew in each frame."""
        return self.covariance if self.systematic is None else self.covariance - self.systematic


@dataclass
class Detection:
    """One instance with its pose, as the tracker sees it.

    Attributes:
        obj_id: BOP object id.
        score: detection score, 0 to 1.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels.
        feature: (D,) appearance descriptor, need not be normalised; None where appearance was not looked at.
        pose: estimate, or None where the depth was too sparse for one.
        mask: (H, W) bool, or None.
    """

    obj_id: int
    score: float
    box: Float
    feature: Float32 | None
    pose: PoseEstimate | None = None
    mask: Bool | None = None


class TrackState(enum.IntEnum):
    """Life of a track (values are those of TrackedObject.msg)."""

    TENTATIVE = 1  # seen, but not yet n_init times
    CONFIRMED = 2  # seen in this frame
    COASTING = 3  # confirmed, not seen in this frame: pose predicted


@dataclass
class TrackedObject:
    """One object of the scene after a frame.

    Attributes:
        track_id: identity over time, from 1; never reused before a reset.
        obj_id, class_name: which object.
        state: see `TrackState`.
        pose: (4, 4) smoothed ``T_camera_object`` in metres, or None where no pose was ever estimated.
        covariance: (6, 6) of (x, y, z, rx, ry, rz) in the optical frame (m^2, rad^2), or None.
        velocity: (6,) linear (m/s) and angular (rad/s) velocity in the optical frame, or None.
        size: (3,) extent of the object along its own axes, metres; NaN where it is not known.
        size_sigma: (3,) standard deviation of `size` where it was measured, or None where it is that of a mesh.
        is_scaled: whether `size` is that of the mesh times a scale that was measured, not a box of unknown shape.
        score: detection score of the last detection.
        pose_confidence: confidence of the last pose, 0 to 1.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels; predicted while coasting.
        age_frames, age_seconds: since the track began.
        frames_since_seen, seconds_since_seen: 0 when seen in this frame.
        hits: number of detections the track is made of.
        mask: (H, W) bool of this frame's detection, or None.
        detection: the detection of this frame, or None while coasting.
        activity: what the object does, as the rules on events tell it.
    """

    track_id: int
    obj_id: int
    class_name: str
    state: TrackState
    pose: Float | None
    covariance: Float | None
    velocity: Float | None
    size: Float
    score: float
    pose_confidence: float
    box: Float
    age_frames: int
    age_seconds: float
    frames_since_seen: int
    seconds_since_seen: float
    hits: int
    mask: Bool | None = None
    detection: Detection | None = None
    size_sigma: Float | None = None
    is_scaled: bool = False
    activity: Activity = Activity.UNKNOWN

    @property
    def is_confirmed(self) -> bool:
        """Whether the identity is established."""
        return self.state != TrackState.TENTATIVE

    @property
    def is_observed(self) -> bool:
        """Whether the object was detected in this very frame."""
        return self.frames_since_seen == 0

"""Smoothed 6D poses: constant-velocity Kalman filters with an error state on the rotation, for many tracks at once.

State of one: position p and rotation R of the object in the optical frame, linear velocity v and angular velocity w
along the optical axes. The error state (dp, dtheta, dv, dw) is small, with R_true = Exp(dtheta) R, so the filter has no
singularity and its covariance is in the convention of ROS (x, y, z and rotation about the fixed axes). Error-state
filtering: Sola 2017, arXiv:1711.02508.

An object may start, stop or turn all at once: see `manoeuvre`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.geometry import block_rotation

from .config import TrackingConfig
from .mahalanobis import as_contiguous, correction, pose_lengths, pose_residual
from .manoeuvre import add_manoeuvres, contradictions
from .pose_kernels import innovations, move_poses, shift_poses
from .rows import Part, Row, gather, put, read
from .unseen_turn import Axis, ignorance, nearest_measurements

# Spread of the velocities of an object seen for the first time: m/s and rad/s.
_INITIAL_SPEED, _INITIAL_TURN = 0.3, 1.0
# Smallest standard deviations of a measured pose (m, rad): an overconfident measurement must not freeze the filter.
FLOOR = np.diag(np.array([5e-4] * 3 + [5e-3] * 3) ** 2)
# Variance (rad^2) that takes a rotation out of an update.
_NO_ROTATION = 1e4


# Where the parts of a filter's state are in its row.
_POSE, _VELOCITY, _COVARIANCE, _CONTRADICTION, _UNMEASURED, SYSTEMATIC = range(6)


class PoseFilter(Row):
    """State of one object's filter; the functions of this module work on many of them.

    Attributes:
        pose: (4, 4) of the object in the optical frame, metres.
        velocity: (6,) linear (m/s) and angular (rad/s), along the optical axes.
        covariance: (12, 12) of the error state.
        contradiction: (2,) fading sums of what contradicts steady motion, for position and rotation.
        systematic: (6, 6) what frames share of the error of measured poses, along the object's axes
            (`systematic_error`).
        outliers: measurements beyond the gate in a row.
        turned: rotations beyond the gate in a row, at a position within it.
        unseen_axis: axis of symmetry the turn about which is in neither velocity nor covariance, because the last
            measurement does not tell it; None where all is in them.
    """

    __slots__ = ("outliers", "turned", "unseen_axis")

    pose, velocity, covariance = Part(_POSE), Part(_VELOCITY), Part(_COVARIANCE)
    contradiction, systematic = Part(_CONTRADICTION), Part(SYSTEMATIC)

    def __init__(self, pose: Float, velocity: Float, covariance: Float) -> None:
        super().__init__(pose, velocity, covariance, np.zeros(2), np.zeros(()), np.zeros((6, 6)))
        self.outliers = self.turned = 0
        self.unseen_axis: Axis | None = None

    @property
    def unmeasured(self) -> float:
        """Seconds since the last measurement that was used."""
        return float(self.part(_UNMEASURED))

    def set_right(self, pose: Float) -> None:
        """The filter was wrong and its object is at a (4, 4) pose; it moves on as it was seen to."""
        self.pose, self.contradiction = pose, np.zeros(2)
        self.outliers = self.turned = 0

    @property
    def position(self) -> Float:
        """(3,) metres, optical frame."""
        return self.pose[:3, 3]

    @property
    def rotation(self) -> Float:
        """(3, 3) optical frame."""
        return self.pose[:3, :3]

    def restart(self, pose: Float, covariance: Float, velocity: Float) -> None:
        """Begin anew with a measured (4, 4) pose, its (6, 6) covariance and a (6,) velocity.

        What frames share of its error stays.
        """
        started, systematic = PoseFilter.start(pose, covariance), self.systematic
        self.move_to(started.rows, started.row)
        self.velocity, self.systematic = velocity, systematic
        self.outliers = self.turned = 0
        self.unseen_axis = None

    @classmethod
    def start(cls, pose: Float, covariance: Float) -> PoseFilter:
        """A filter that begins at a measured (4, 4) pose with its (6, 6) covariance."""
        return cls(*_first_state(pose, covariance))

    @property
    def pose_covariance(self) -> Float:
        """(6, 6) covariance of (x, y, z, rx, ry, rz) in m^2 and rad^2."""
        covariance = self.covariance[:6, :6].copy()
        return covariance if self.unseen_axis is None else covariance + ignorance(self.rotation, self.unseen_axis)


def predict(filters: Sequence[PoseFilter], dt: float, config: TrackingConfig) -> None:
    """Move all on by `dt` seconds."""
    if not filters or dt == 0:
        return
    velocities, poses, covariances, unmeasured = map(
        as_contiguous, read(filters, _VELOCITY, _POSE, _COVARIANCE, _UNMEASURED)
    )
    variances = np.array([config.acceleration_noise**2, config.angular_acceleration_noise**2])
    moved, spread = np.empty(poses.shape), np.empty(covariances.shape)
    move_poses(poses, velocities, covariances, float(dt), variances, moved, spread)
    put(filters, {_POSE: moved, _COVARIANCE: spread, _UNMEASURED: unmeasured + dt})


def move_camera(filters: Sequence[PoseFilter], motion: Float, covariance: Float | None = None) -> None:
    """Express all in a new optical frame.

    Args:
        filters: any.
        motion: (4, 4) ``T_new_old``.
        covariance: (6, 6) of it where it was measured: the new frame shifted (m), and turned about its origin (rad).
    """
    if not filters:
        return
    turn = motion[:3, :3]
    poses, velocity, spread = gather(filters, _POSE, _VELOCITY, _COVARIANCE)
    poses = motion @ poses
    velocity = (velocity.reshape(-1, 2, 3) @ turn.T).reshape(-1, 6)
    turns = block_rotation(turn, 4)
    spread = turns @ spread @ turns.T
    if covariance is not None:
        # What turns the camera's frame about its origin shifts an object there.
        levers = np.tile(np.eye(6), (len(filters), 1, 1))
        levers[:, :3, 3:] = -np.cross(np.eye(3), poses[:, None, :3, 3])
        spread[:, :6, :6] += levers @ covariance @ levers.swapaxes(1, 2)
    put(filters, {_POSE: poses, _VELOCITY: velocity, _COVARIANCE: spread})


def update(
    filters: Sequence[PoseFilter], poses: Float, covariances: Float, symmetries: Float, config: TrackingConfig
) -> Bool:
    """Correct M filters of one object, each by its own measurement.

    A measurement that contradicts steady motion is taken for a manoeuvre where that explains it. Beyond the gate it is
    left out, unless it is the last of `pose_max_outliers` in a row: then the filter was wrong and starts again. Where
    only the rotation is beyond the gate, the position is used alone, and the rotation starts again likewise.

    Args:
        filters: M predicted filters.
        poses: (M, 4, 4) measured poses.
        covariances: (M, 6, 6) of them.
        symmetries: (S, 4, 4) of the object.
        config: gates and noise.

    Returns:
        (M,) whether each measurement was used, be it for the position alone.
    """
    if not filters:
        return np.zeros(0, bool)
    predicted, velocity, covariance, sums, unmeasured = gather(
        filters, _POSE, _VELOCITY, _COVARIANCE, _CONTRADICTION, _UNMEASURED
    )
    covariance = _with_ignorance(filters, covariance)
    poses, covariances, unseen = nearest_measurements(
        np.asarray(poses, float), np.asarray(covariances, float), predicted, symmetries
    )
    noise = covariances + FLOOR
    if unseen is not None:
        noise = unseen.out_of_noise(noise, poses)
        covariance, velocity = unseen.out_of_covariances(covariance), unseen.out_of_velocities(velocity)
    residual, innovation = pose_residual(poses, predicted), _innovations(covariance, noise)
    lengths = pose_lengths(residual, innovation)
    contradicts, sums = contradictions(sums, lengths, config)
    if contradicts.any():
        add_manoeuvres(covariance, unmeasured, config, contradicts)
        if unseen is not None:
            covariance = unseen.out_of_covariances(covariance)
        innovation = _innovations(covariance, noise)
        lengths = pose_lengths(residual, innovation)
    outside, turned, again = _judge(filters, lengths, config)
    if turned.any():
        innovation[turned, 3:, 3:] += _NO_ROTATION * np.eye(3)
        residual[turned, 3:] = 0.0
    corrected, moves = correction(covariance, innovation, residual)
    velocity += moves[:, 6:]
    shift_poses(predicted, as_contiguous(moves[:, :6]))
    for i in np.flatnonzero(again).tolist():
        predicted[i], velocity[i], corrected[i] = _first_state(poses[i], covariances[i])
        filters[i].outliers = filters[i].turned = 0
    used = ~outside | again
    if len(symmetries) > 1:
        for i in np.flatnonzero(used).tolist():
            filters[i].unseen_axis = unseen.axis if unseen is not None and i in unseen.rows and not again[i] else None
    changes = {_POSE: predicted, _VELOCITY: velocity, _COVARIANCE: corrected, _UNMEASURED: np.zeros(len(filters))}
    if used.all():
        put(filters, {_CONTRADICTION: sums, **changes})
    else:
        put(filters, {_CONTRADICTION: sums})
        kept = [filters[i] for i in np.flatnonzero(used).tolist()]
        if kept:
            put(kept, {part: values[used] for part, values in changes.items()})
    return np.asarray(used)


def _innovations(covariance: Float, noise: Float) -> Float:
    """(M, 6, 6) covariances of the residuals of (M, 12, 12) states measured with `noise` (M, 6, 6)."""
    out = np.empty(noise.shape)
    innovations(as_contiguous(covariance), as_contiguous(noise), out)
    return out


def _judge(filters: Sequence[PoseFilter], lengths: Float, config: TrackingConfig) -> tuple[Bool, Bool, Bool]:
    """(M,) which measurements are beyond the gate, which in their rotations alone, and which filters start again.

    Args:
        filters: M, whose counts are kept.
        lengths: (M, 3) `pose_lengths` of the residuals.
        config: gates.
    """
    beyond = lengths[:, 0] > config.pose_gate
    turned = beyond & (lengths[:, 1] <= config.position_gate)
    outside = beyond & ~turned
    again = np.zeros(len(filters), bool)
    counted = [i for i, each in enumerate(filters) if each.outliers or each.turned]
    for i in {*counted, *np.flatnonzero(beyond).tolist()}:
        each = filters[i]
        each.outliers = each.outliers + 1 if outside[i] else 0
        each.turned = each.turned + 1 if turned[i] else 0
        again[i] = max(each.outliers, each.turned) >= config.pose_max_outliers
    return outside, turned & ~again, again


def manoeuvre(one: PoseFilter, config: TrackingConfig) -> float:
    """Standard deviation (m, each axis) of the position that a change of velocity at the last measurement adds."""
    added = np.zeros((1, 12, 12))
    add_manoeuvres(added, np.array([one.unmeasured]), config)
    return float(np.sqrt(added[0, 0, 0]))


def predictions(filters: Sequence[PoseFilter]) -> tuple[Float, Float, Float]:
    """Of all, at least one: (T, 4, 4) poses, (T, 12, 12) covariances of the error states, (T,) `unmeasured`.

    The turns that nobody sees are in the covariances. Not to be changed in place.
    """
    poses, covariances, unmeasured = read(filters, _POSE, _COVARIANCE, _UNMEASURED)
    return poses, _with_ignorance(filters, covariances), unmeasured


def rotations(filters: Sequence[PoseFilter]) -> Float:
    """(T, 3, 3) of all, at least one, in the optical frame."""
    (poses,) = read(filters, _POSE)
    return np.ascontiguousarray(poses[:, :3, :3])


def states(filters: Sequence[PoseFilter]) -> tuple[Float, Float, Float, Float]:
    """Of all, at least one, not to be changed: `predictions`, (T, 6) velocities, and (T, 6, 6) `systematic`."""
    velocities, systematic = read(filters, _VELOCITY, SYSTEMATIC)
    poses, covariances, _ = predictions(filters)
    return poses, covariances, velocities, systematic


def _first_state(pose: Float, covariance: Float) -> tuple[Float, Float, Float]:
    spread = np.diag(np.repeat([0, 0, _INITIAL_SPEED**2, _INITIAL_TURN**2], 3).astype(float))
    spread[:6, :6] = np.asarray(covariance, float) + FLOOR
    return np.array(pose, float), np.zeros(6), spread


def _with_ignorance(filters: Sequence[PoseFilter], covariances: Float) -> Float:
    """(T, 12, 12) covariances of the error states with the turns that nobody sees; the same array if there are none."""
    unseen = [(i, one.rotation, one.unseen_axis) for i, one in enumerate(filters) if one.unseen_axis is not None]
    if not unseen:
        return covariances
    covariances = covariances.copy()
    for i, rotation, axis in unseen:
        covariances[i, :6, :6] += ignorance(rotation, axis)
    return covariances

"""Smoothed 6D poses: constant-velocity Kalman filters with an error state on the rotation, for many tracks at once.

State of one: position p and rotation R of the object in the optical frame, linear velocity v and angular velocity w
along the optical axes. The error state (dp, dtheta, dv, dw) is small, with R_true = Exp(dtheta) R, so the filter has no
singularity and its covariance is in the convention of ROS (x, y, z and rotation about the fixed axes). Error-state
filtering: Sola 2017, arXiv:1711.02508.

An object may start, stop or turn all at once: see `manoeuvre`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.geometry import block_rotation, nearest_equivalent
from pose_tracking.core.rotations import rotation_matrices

from .config import TrackingConfig
from .filter_kernels import move_on
from .mahalanobis import correction, pairs_within, pose_lengths, pose_residual
from .manoeuvre import add_manoeuvres, contradictions
from .unseen_turn import Axis, ignorance, nearest_measurements

# Spread of the velocities of an object seen for the first time: m/s and rad/s.
_INITIAL_SPEED, _INITIAL_TURN = 0.3, 1.0
# Smallest standard deviations of a measured pose (m, rad): an overconfident measurement must not freeze the filter.
_FLOOR = np.diag(np.array([5e-4] * 3 + [5e-3] * 3) ** 2)
# Variance (rad^2) that takes a rotation out of an update.
_NO_ROTATION = 1e4


@dataclass(eq=False)
class PoseFilter:
    """State of one object's filter; the functions of this module work on many of them.

    Attributes:
        pose: (4, 4) of the object in the optical frame, metres.
        velocity: (6,) linear (m/s) and angular (rad/s), along the optical axes.
        covariance: (12, 12) of the error state.
        unmeasured: seconds since the last measurement that was used.
        contradiction: (2,) fading sums of what contradicts steady motion, for position and rotation.
        outliers: measurements beyond the gate in a row.
        turned: rotations beyond the gate in a row, at a position within it.
        unseen_axis: axis of symmetry the turn about which is in neither velocity nor covariance, because the last
            measurement does not tell it; None where all is in them.
    """

    pose: Float
    velocity: Float
    covariance: Float
    unmeasured: float = 0.0
    contradiction: Float = field(default_factory=lambda: np.zeros(2))
    outliers: int = 0
    turned: int = 0
    unseen_axis: Axis | None = None

    @property
    def position(self) -> Float:
        """(3,) metres, optical frame."""
        return self.pose[:3, 3]

    @property
    def rotation(self) -> Float:
        """(3, 3) optical frame."""
        return self.pose[:3, :3]

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
    velocity = np.array([f.velocity for f in filters])
    poses = np.array([f.pose for f in filters])
    poses[:, :3, 3] += velocity[:, :3] * dt
    poses[:, :3, :3] = rotation_matrices(velocity[:, 3:] * dt) @ poses[:, :3, :3]
    covariance = np.array([f.covariance for f in filters])
    # White noise on the acceleration, exact for this transition.
    density = np.empty((len(filters), 6))
    density[:, :3], density[:, 3:] = config.acceleration_noise**2, config.angular_acceleration_noise**2
    move_on(covariance, float(dt), density * (dt**3 / 3), density * (dt**2 / 2), density * dt)
    _put(filters, poses, velocity, covariance)
    for each in filters:
        each.unmeasured += dt


def move_camera(filters: Sequence[PoseFilter], motion: Float) -> None:
    """Express all in a new optical frame; `motion` is (4, 4) ``T_new_old``."""
    if not filters:
        return
    turn = motion[:3, :3]
    poses = motion @ np.array([f.pose for f in filters])
    velocity = (np.array([f.velocity for f in filters]).reshape(-1, 2, 3) @ turn.T).reshape(-1, 6)
    turns = block_rotation(turn, 4)
    covariance = turns @ np.array([f.covariance for f in filters]) @ turns.T
    _put(filters, poses, velocity, covariance)


def squared_mahalanobis(
    filters: Sequence[PoseFilter],
    poses: Float,
    covariances: Float,
    symmetries: Float,
    config: TrackingConfig,
    steady: bool = False,
) -> Float:
    """How far D measured poses lie from the predictions of T filters of one object.

    A rotation may be wrong altogether (a handle that is hidden):
    beyond what `pose_gate` leaves over `position_gate` it costs no more.

    Args:
        filters: T predicted filters.
        poses: (D, 4, 4) measured poses.
        covariances: (D, 6, 6) of them.
        symmetries: (S, 4, 4) of the object; equivalent poses are one.
        config: gates and noise.
        steady: whether motion has been steady; otherwise a manoeuvre since the last measurement is allowed for.

    Returns:
        (T, D) squared Mahalanobis distances of 6 degrees of freedom, infinite where the position alone (3 degrees)
        is beyond its gate.
    """
    distances = np.full((len(filters), len(poses)), np.inf)
    if not distances.size:
        return distances
    predicted = np.array([f.pose for f in filters])
    states = _covariances(filters)
    if not steady:
        add_manoeuvres(states, _unmeasured(filters), config)
    spread = states[:, :6, :6]
    spread_of = np.asarray(covariances, float) + _FLOOR
    if len(symmetries) == 1 or not np.abs(symmetries[:, :3, 3]).max() > 1e-6:
        rows, columns = pairs_within(
            predicted[:, :3, 3], spread[:, :3, :3], poses[:, :3, 3], spread_of[:, :3, :3], config.position_gate
        )
    else:  # an equivalent pose may have its origin elsewhere
        rows, columns = (index.ravel() for index in np.indices(distances.shape))
    if not len(rows):
        return distances
    residual = pose_residual(nearest_equivalent(poses[columns], predicted[rows], symmetries), predicted[rows])
    innovation = spread[rows] + spread_of[columns]
    found, of_position, _ = pose_lengths(residual, innovation).T
    found = np.minimum(found, of_position + max(config.pose_gate - config.position_gate, 0.0))
    distances[rows, columns] = np.where(of_position <= config.position_gate, found, np.inf)
    return distances


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
    predicted = np.array([f.pose for f in filters])
    covariance = _covariances(filters)
    velocity = np.array([f.velocity for f in filters])
    poses, covariances, unseen = nearest_measurements(
        np.asarray(poses, float), np.asarray(covariances, float), predicted, symmetries
    )
    noise = covariances + _FLOOR
    if unseen is not None:
        noise = unseen.out_of_noise(noise, poses)
        covariance, velocity = unseen.out_of_covariances(covariance), unseen.out_of_velocities(velocity)
    residual = pose_residual(poses, predicted)
    contradicts, sums = contradictions(
        np.array([f.contradiction for f in filters]),
        pose_lengths(residual, covariance[:, :6, :6] + noise),
        config,
    )
    for each, left in zip(filters, sums, strict=True):
        each.contradiction = left
    if contradicts.any():
        add_manoeuvres(covariance, _unmeasured(filters), config, contradicts)
    if unseen is not None:
        covariance = unseen.out_of_covariances(covariance)
    innovation = covariance[:, :6, :6] + noise
    outside, turned, again = _judge(filters, residual, innovation, config)
    innovation[turned, 3:, 3:] += _NO_ROTATION * np.eye(3)
    residual[turned, 3:] = 0.0
    corrected, moves = correction(covariance, innovation, residual)
    velocity = velocity + moves[:, 6:]
    predicted[:, :3, 3] += moves[:, :3]
    predicted[:, :3, :3] = rotation_matrices(moves[:, 3:6]) @ predicted[:, :3, :3]
    used = ~outside | again
    for i in np.flatnonzero(again).tolist():
        predicted[i], velocity[i], corrected[i] = _first_state(poses[i], covariances[i])
        filters[i].outliers = filters[i].turned = 0
    chosen = np.flatnonzero(used).tolist()
    kept = [filters[i] for i in chosen]
    _put(kept, predicted[chosen], velocity[chosen], corrected[chosen])
    for i, each in zip(chosen, kept, strict=True):
        each.unmeasured = 0.0
        each.unseen_axis = unseen.axis if unseen is not None and i in unseen.rows and not again[i] else None
    return np.asarray(used)


def _judge(
    filters: Sequence[PoseFilter], residual: Float, innovation: Float, config: TrackingConfig
) -> tuple[Bool, Bool, Bool]:
    """(M,) which measurements are beyond the gate, which in their rotations alone, and which filters start again."""
    lengths = pose_lengths(residual, innovation)
    beyond = lengths[:, 0] > config.pose_gate
    turned = beyond & (lengths[:, 1] <= config.position_gate)
    outside = beyond & ~turned
    again = np.zeros(len(filters), bool)
    for i, (each, is_outside, is_turned) in enumerate(zip(filters, outside.tolist(), turned.tolist(), strict=True)):
        each.outliers = each.outliers + 1 if is_outside else 0
        each.turned = each.turned + 1 if is_turned else 0
        if is_outside or is_turned:
            again[i] = max(each.outliers, each.turned) >= config.pose_max_outliers
    return outside, turned & ~again, again


def manoeuvre(one: PoseFilter, config: TrackingConfig) -> float:
    """Standard deviation (m, each axis) of the position that a change of velocity at the last measurement adds."""
    added = np.zeros((1, 12, 12))
    add_manoeuvres(added, _unmeasured([one]), config)
    return float(np.sqrt(added[0, 0, 0]))


def pose_covariances(filters: Sequence[PoseFilter]) -> Float:
    """(T, 6, 6) `PoseFilter.pose_covariance` of all."""
    return np.ascontiguousarray(_covariances(filters)[:, :6, :6])


def _first_state(pose: Float, covariance: Float) -> tuple[Float, Float, Float]:
    spread = np.diag(np.repeat([0, 0, _INITIAL_SPEED**2, _INITIAL_TURN**2], 3).astype(float))
    spread[:6, :6] = np.asarray(covariance, float) + _FLOOR
    return np.array(pose, float), np.zeros(6), spread


def _covariances(filters: Sequence[PoseFilter]) -> Float:
    """(T, 12, 12) covariances of the error states, those of turns nobody sees included."""
    covariances = np.array([f.covariance for f in filters])
    for each, covariance in zip(filters, covariances, strict=True):
        if each.unseen_axis is not None:
            covariance[:6, :6] += ignorance(each.rotation, each.unseen_axis)
    return covariances


def _put(filters: Sequence[PoseFilter], poses: Float, velocity: Float, covariance: Float) -> None:
    for each, p, v, c in zip(filters, poses, velocity, covariance, strict=True):
        each.pose, each.velocity, each.covariance = p, v, c


def _unmeasured(filters: Sequence[PoseFilter]) -> Float:
    """(T,) seconds since their last measurements."""
    return np.array([f.unmeasured for f in filters], float)

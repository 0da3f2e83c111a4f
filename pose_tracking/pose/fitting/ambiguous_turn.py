"""The turn that a frame does not tell of an object which has no symmetry: that of a mug whose handle is hidden.

How the residuals curve around a pose says how far noise may have moved it, not what other poses fit as well: a body of
revolution slips in its own surface, and facets and samples of a mesh still hold it in place a little. So where the
surface that was fitted can slip about an axis, the object is turned about it, a good deal, and compared with the frame
anew; what is hidden then stays hidden, or comes to light where there is nothing. The confidences, as odds, weigh the
turns, and their second moment is the variance of the angle.

Slippable motions from the normals: Gelfand and Guibas, Shape Segmentation Using Local Slippage Analysis (SGP 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.geometry import cross, make_transform
from pose_tracking.core.rotations import rotation_matrices
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE, symmetry_axis
from pose_tracking.objects import ObjectModel

from .scoring import InstanceView, Verification, Verifier
from .slipping_kernels import easiest_turn, gather_motions
from .surface_samples import ObjectSurface

_FEWEST = 12  # points that tell whether a surface slips
# Mean way (rms) along its normals, in 0.4 diameters, by which a turn of one radian moves a surface which slips. The
# body of a mug has 0.035.
_SLIPS = 0.08
# Mean way (rms) along its normals, as a share of it, by which a surface moves that slides in a direction.
_SLIDES = 0.2
_FEW = 0.15  # share of the points that may be wrong where an object is hidden for the most part
# Angles (deg) that are tried to either side, and the width of the circle that each stands for.
_ANGLES, _WIDTHS, _OWN_WIDTH = (20.0, 40.0, 80.0), (20.0, 30.0, 60.0), 20.0
_CLEARLY = 2.0  # times the pose's own odds: a turn that fits clearly better
_IMPOSSIBLE = 0.02  # odds, as a share of the pose's own, below which nothing farther is tried
# The confidence is calibrated on all that may be wrong of a pose, and its features are means over pixels: of a turn,
# whose few pixels the frames show again and again, its odds tell to about this power. Of half-hidden mugs in simulated
# sequences the turn's normalised squared error is then 0.7, 97 % lie within 1.96 deviations; 0.06, 100 % at power 1.
_TOLD_AGAIN = 6.0


@dataclass(frozen=True)
class OpenTurn:
    """A turn that a frame leaves open, more or less.

    Attributes:
        axis: unit direction and a point of its axis, camera frame.
        variance: of its angle, rad^2; 0 where the frame tells it after all.
        lasting: the same of many such frames: what fits clearly worse in each is out of the question, what fits as
            well stays possible.
        better: (4, 4) the pose turned to where the frame fits clearly better, or None.
    """

    axis: tuple[Float, Float]
    variance: float
    lasting: float
    better: Float | None = None

    def covariance(self, pose: Float, lasting: bool = False) -> Float:
        """(6, 6) covariance, as in `covariance`, of a (4, 4) pose of which nothing but this turn is unknown.

        By this frame, or the `lasting` one.
        """
        direction, point = self.axis
        turn = np.concatenate([cross(direction, pose[:3, 3] - point), direction])
        return np.asarray((self.lasting if lasting else self.variance) * np.outer(turn, turn))


def ambiguous_turn(
    verifier: Verifier,
    view: InstanceView,
    model: ObjectModel,
    surface: ObjectSurface,
    points: Float,
    pose: Float,
    check: Verification,
    max_distance: float,
    match: Int | None = None,
) -> OpenTurn | None:
    """The turn that the frame may leave open; None where the shape that is seen holds all turns.

    Args:
        verifier: compares posed objects with the frame.
        view: the frame and the instance.
        model: the object.
        surface: its surface samples.
        points: (P, 3) measured points in the camera frame that the pose was fitted to, metres.
        pose: (4, 4) ``T_camera_object``.
        check: what the frame says of it.
        max_distance: metres; points farther from the surface are not the object's.
        match: (P,) what `SampleGrid.nearest` says of the points; None: it is asked.
    """
    axis = slipping_axis(model, surface, points, pose, check, max_distance, match)
    if axis is None:
        return None
    variance, lasting, better = _variances(verifier, view, model.obj_id, pose, axis, check.score)
    return OpenTurn(axis, min(variance, UNKNOWN_ANGLE), min(lasting, UNKNOWN_ANGLE), better)


def slipping_axis(
    model: ObjectModel,
    surface: ObjectSurface,
    points: Float,
    pose: Float,
    check: Verification,
    max_distance: float,
    match: Int | None = None,
) -> tuple[Float, Float] | None:
    """Unit direction and a point (camera frame) of the axis about which the fitted surface slips, or None.

    The parameters are those of `ambiguous_turn`. Of what is hidden for the most part a few points hold the turn, and it
    takes but a few wrong ones, of what hides it: whether these are right, the turned poses tell.
    """
    if check.score <= 0 or (model.is_symmetric and symmetry_axis(model.symmetries) is not None):
        return None  # the turn about a declared axis is free as it is
    is_hidden = check.features["occluded_fraction"] > check.features["visible_fraction"]
    match = surface.grid.nearest(points, pose, max_distance) if match is None else match
    motions, motion, middle = np.empty((len(match), 6)), np.empty(6), np.empty(3)
    grid, pose, lever = surface.grid, np.ascontiguousarray(pose, np.float64), 0.4 * model.diameter
    # Of the samples, not of the points: noise beside a normal looks like a lever.
    motions = motions[: gather_motions(grid.samples, grid.normals, match, pose, lever, motions, middle)]
    if len(motions) < _FEWEST:
        return None
    moved = easiest_turn(motions, _SLIDES, motion)
    if moved > _SLIPS and is_hidden:
        resists = np.argsort(np.abs(motions @ motion))
        moved = easiest_turn(motions[resists[: int(np.ceil((1 - _FEW) * len(resists)))]], _SLIDES, motion)
    if moved > _SLIPS:
        return None
    way, direction = motion[:3] * lever, motion[3:]
    return direction, pose[:3, 3] + middle + cross(direction, way)


def _variances(
    verifier: Verifier, view: InstanceView, obj_id: int, pose: Float, axis: tuple[Float, Float], score: float
) -> tuple[float, float, Float | None]:
    """Second moment (rad^2) of the turns (camera frame) about an axis that the frame leaves possible beside a pose.

    The same of those that many such frames leave. And the pose turned so that the frame fits clearly better, if any of
    those tried is.
    """
    direction, point = axis
    own = _odds(score)
    totals, moments = np.full(2, _OWN_WIDTH), np.zeros(2)
    most, better = _CLEARLY * own, None
    for side in (-1.0, 1.0):
        for angle, width in zip(_ANGLES, _WIDTHS, strict=True):
            turn = rotation_matrices(side * np.radians(angle) * direction)
            turned = make_transform(turn, point - turn @ point) @ pose
            odds = _odds(verifier.verify(view, obj_id, turned).score)
            if odds > most:
                most, better = odds, turned
            share = min(odds / own, 1.0)
            if share < _IMPOSSIBLE:
                break
            shares = np.array([share, share**_TOLD_AGAIN])
            totals += width * shares
            moments += width * shares * np.radians(angle) ** 2
    variance, lasting = (moments / totals).tolist()
    return variance, lasting, better


def _odds(score: float) -> float:
    score = float(np.clip(score, 1e-9, 1 - 1e-9))
    return score / (1 - score)

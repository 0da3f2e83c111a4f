"""The frames in which a motion began and ended: its first and last centimetres lie within what counts as rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Bool, Float

from .pose_sample import PoseSample, displacements

_FEWEST = 3  # samples at rest that say how much the poses tremble there
_SIGMAS = 3.0  # of that tremble, beyond which a sample departs
_WAY = 0.003  # metres that it must depart by at least
_TURN = np.radians(2.0)  # the same of a turn
_SMOOTHED = 0.05  # seconds before and after a sample over which its place is averaged: nothing departs faster from rest


def last_at_rest(resting: Sequence[PoseSample], away: PoseSample) -> int:
    """Stamp (ns) of the last frame in which an object that has moved was still in its place.

    Args:
        resting: what was taken for rest before, in the order of time, the first centimetres of the motion with it.
        away: the first sample that is away beyond doubt.
    """
    quiet = resting[: max(_FEWEST, len(resting) // 2)]
    if len(quiet) < _FEWEST:
        return resting[-1].stamp_ns
    departs = _departs(quiet, away, resting)
    left = np.flatnonzero(~departs)
    return resting[int(left[-1]) if len(left) else 0].stamp_ns


def first_at_rest(before: PoseSample, resting: Sequence[PoseSample]) -> int:
    """Stamp (ns) of the first frame in which an object that has come to rest was in its place.

    Args:
        before: the last sample that is away from it beyond doubt.
        resting: what is taken for rest, in the order of time, the last centimetres of the motion with it.
    """
    quiet = resting[-max(_FEWEST, len(resting) // 2) :]
    if len(quiet) < _FEWEST:
        return resting[0].stamp_ns
    arrived = np.flatnonzero(~_departs(quiet, before, resting))
    return resting[int(arrived[0]) if len(arrived) else -1].stamp_ns


def _departs(quiet: Sequence[PoseSample], away: PoseSample, samples: Sequence[PoseSample]) -> Bool:
    """(N,): whether samples are, beyond the tremble of `quiet` ones, on the way to or from `away`.

    Only the way and the turn in its direction count: noise has three of each.
    """
    middle = quiet[len(quiet) // 2]
    groups = [displacements(middle, group) for group in (quiet, [away], samples)]
    smooth = [_averages(group) for group in (quiet, samples)]
    ways = _along(smooth[0] @ groups[0].centres, groups[1].centres[0], smooth[1] @ groups[2].centres, _WAY)
    turns = _along(smooth[0] @ groups[0].turns, groups[1].turns[0], smooth[1] @ groups[2].turns, _TURN)
    return np.asarray(np.maximum(ways, turns) > 1)


def _averages(samples: Sequence[PoseSample]) -> Float:
    """(N, N) weights by which N samples are averaged with their neighbours in time; each by itself at low rates."""
    times = np.array([s.seconds for s in samples])
    near = np.abs(times[:, None] - times) <= _SMOOTHED
    return np.asarray(near / near.sum(axis=1, keepdims=True))


def _along(quiet: Float, away: Float, samples: Float, least: float) -> Float:
    """(N,) how far samples (N, 3) are from the middle of `quiet` (M, 3) towards `away` (3,), in units of its tremble.

    0 where `away` is too near to have a direction.
    """
    middle = np.median(quiet, axis=0)
    distance = float(np.linalg.norm(away - middle))
    if distance < 2 * least:
        return np.zeros(len(samples))
    direction = (away - middle) / distance
    trembles = (quiet - middle) @ direction
    sigma = 1.4826 * float(np.median(np.abs(trembles - np.median(trembles))))
    return np.asarray((samples - middle) @ direction / max(least, _SIGMAS * sigma))

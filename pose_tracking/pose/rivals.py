"""Poses that contradict what a track expects, weighed over the frames: a sequential test of two hypotheses.

Of a half-hidden object a few pixels decide between two poses, a turn of a mug perhaps, and from frame to frame they
decide differently. A track has been where it is for many frames, so another pose takes its place once the frames
together clearly say so: their log-likelihood ratios, here of the confidences, are added up until they reach a threshold
(Wald, Sequential Tests of Statistical Hypotheses, 1945). One clear frame is enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import invert_transform
from pose_tracking.core.odds import log_odds
from pose_tracking.objects import ObjectModel

from .attempts import Attempts, Checked, Origin, is_near
from .config import PoseConfig

# Log-odds by which a rival must be better. Of the rivals in simulated sequences that were wrong where the track was
# right, nine in ten were better by less than 0.45 in their frame; of the right ones, nine in ten by more than 0.35.
SWITCH = 1.0
# Log-odds that a rival's own confidence may be below one half by; less, and it speaks for nothing.
_LEAST = 1.0
_SAME_PLACE = 0.25  # diameters between the expected places of one track in two frames
_FORGET = 10  # frames after which a rival that was not seen again is forgotten


@dataclass(frozen=True, eq=False)
class _Rival:
    """A pose that fits better than that of a track.

    Attributes:
        obj_id: of which object.
        place: (3,) where the track was last expected, metres, in the camera frame.
        relative: (4, 4) the rival's pose in the track's object frame.
        evidence: log-odds for it so far.
        frames: since it was last tried.
    """

    obj_id: int
    place: Float
    relative: Float
    evidence: float
    frames: int = 0


class PoseRivals:
    """Remembers the rivals of tracks."""

    def __init__(self) -> None:
        self._known: list[_Rival] = []

    def weigh(self, attempts: Sequence[Attempts], objects: Mapping[int, ObjectModel], config: PoseConfig) -> None:
        """Settle which pose each instance has that a track expects: the track's, unless a rival has won.

        Args:
            attempts: the instances of a frame, all of whose poses are tried.
            objects: the known objects.
            config: says which poses are one hypothesis.
        """
        before = [replace(each, frames=each.frames + 1) for each in self._known]
        after: list[_Rival] = []
        # A thing that was detected twice gives evidence once: the surest detection's.
        for one in sorted(attempts, key=lambda one: -one.score):
            stayed = next((each for each in one.tried if each.origin is Origin.TRACK), None)
            if stayed is None:
                continue
            model = objects[one.obj_id]
            old = _recalled(before, one.obj_id, stayed.pose, model)
            rival = _weighed(one, stayed, old, model, config)
            if rival is not None and rival.evidence >= SWITCH:
                rival = None
            elif not _is_same(one.best, stayed, model, config):
                one.settle(stayed)
            before = [each for each in before if each is not old]
            if rival is not None and _recalled(after, one.obj_id, stayed.pose, model) is None:
                after.append(rival)
        self._known = [*after, *(each for each in before if each.frames < _FORGET)]


def _weighed(
    one: Attempts, stayed: Checked, old: _Rival | None, model: ObjectModel, config: PoseConfig
) -> _Rival | None:
    """The rival of an instance's track after a frame, or None where there is none left.

    Args:
        one: the instance.
        stayed: what the track's pose came to.
        old: the rival so far.
        model: the object.
        config: says which poses are one hypothesis.
    """
    place, best = stayed.pose[:3, 3], one.best
    known = None if old is None else stayed.pose @ old.relative
    if not _is_same(best, stayed, model, config):
        evidence = _evidence(best, stayed)
        if old is not None and known is not None:
            if is_near(best.pose, known, model, config):
                evidence += old.evidence
            elif old.evidence > evidence:
                return replace(old, place=place)
        relative = invert_transform(stayed.pose) @ best.pose
        return _Rival(one.obj_id, place, relative, evidence) if evidence > 0 else None
    if old is None or known is None:
        return None
    again = [each for each in one.tried if is_near(each.pose, known, model, config)]
    evidence = old.evidence + (_evidence(max(again, key=lambda each: each.score), stayed) if again else 0.0)
    return replace(old, place=place, evidence=evidence) if evidence > 0 else None


def _is_same(best: Checked, stayed: Checked, model: ObjectModel, config: PoseConfig) -> bool:
    return best is stayed or is_near(best.pose, stayed.pose, model, config)


def _evidence(rival: Checked, stayed: Checked) -> float:
    """Log-odds of a frame for a rival against what the track's pose came to."""
    own = log_odds(rival.score)
    return min(own - log_odds(stayed.score), own + _LEAST)


def _recalled(known: Sequence[_Rival], obj_id: int, pose: Float, model: ObjectModel) -> _Rival | None:
    """The rival of the track of an object that is expected at a (4, 4) pose."""
    near = [
        (float(np.linalg.norm(each.place - pose[:3, 3])), i) for i, each in enumerate(known) if each.obj_id == obj_id
    ]
    return known[min(near)[1]] if near and min(near)[0] < _SAME_PLACE * model.diameter else None

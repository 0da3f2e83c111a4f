"""Pose hypotheses that were made before they were asked for, beside other work."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from pose_tracking.core.arrays import Float32, Int
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances

from .hypotheses import PoseHypotheses


class Proposing(Protocol):
    """What proposes poses, e.g. `PosePredictor`."""

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses: ...


@dataclass(frozen=True)
class Foretold:
    """Hypotheses of some instances of a frame.

    Attributes:
        frame: the frame.
        instances: N of its instances.
        hypotheses: of these.
    """

    frame: RGBDFrame
    instances: Instances
    hypotheses: PoseHypotheses

    def rows(self, frame: RGBDFrame, instances: Instances) -> Int:
        """(M,) which of the N each of M instances of a frame is; -1 for the others."""
        rows = np.full(len(instances), -1)
        if frame.color is not self.frame.color or _read(frame) is not _read(self.frame):
            return rows
        ours = self.instances
        for i in range(len(instances)):
            same = (ours.obj_ids == instances.obj_ids[i]) & (ours.boxes == instances.boxes[i]).all(1)
            found = np.flatnonzero(same & (ours.scores == instances.scores[i]))
            if len(found):
                rows[i] = found[0]
        return rows


def _read(frame: RGBDFrame) -> Float32:
    """(H, W) depth as the sensor read it."""
    return frame.depth if frame.readings is None else frame.readings


def predict_rest(
    predictor: Proposing, frame: RGBDFrame, instances: Instances, known: Foretold | None
) -> PoseHypotheses:
    """Hypotheses of the instances of a frame, those of which nothing is known predicted now."""
    rows = np.full(len(instances), -1) if known is None else known.rows(frame, instances)
    given, left = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
    if known is None or len(given) == 0:
        return predictor.predict(frame, instances)
    if len(left) == 0:
        return PoseHypotheses(*(getattr(known.hypotheses, each.name)[rows] for each in fields(PoseHypotheses)))
    rest, values = predictor.predict(frame, instances.select(left)), []
    for each in fields(PoseHypotheses):
        ours, theirs = getattr(known.hypotheses, each.name), getattr(rest, each.name)
        value = np.empty((len(instances), *theirs.shape[1:]), theirs.dtype)
        value[given], value[left] = ours[rows[given]], theirs
        values.append(value)
    return PoseHypotheses(*values)

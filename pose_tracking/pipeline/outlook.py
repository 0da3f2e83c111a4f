"""Which instances of a frame to come the pose network will have to look at, as far as that can be told before its turn.

A guess: what the frames until then bring is not known. What is asked for nothing was asked for beside other work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.bundles.pipeline_config import PipelineConfig
from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Instances

from .following import expected_by

if TYPE_CHECKING:
    from pose_tracking.tracking.track import Track

    from .network_turns import NetworkTurns
    from .refused import RefusedDetections

# By how much the pose confidence of a followed object changes from one frame with the detector to the next. Between
# them there is time to ask of those which may come to fit too badly, too.
CHANGE = 0.1


@dataclass(frozen=True, eq=False)
class Expected:
    """The object of a track, and its box (x_min, y_min, x_max, y_max) in pixels."""

    obj_id: int
    box: Float


@dataclass(frozen=True)
class Outlook:
    """What is known after a frame; nothing of it changes, so that any thread may read it.

    Attributes:
        obj_ids: wanted objects.
        config: options.
        followable: the tracks that need no network if they are where they are expected, and fit as in the last frame.
        confirmed: all confirmed tracks.
        every: in how many frames of the detector the network looks at each object.
    """

    obj_ids: tuple[int, ...]
    config: PipelineConfig
    followable: tuple[Expected, ...]
    confirmed: tuple[Expected, ...]
    every: int

    @classmethod
    def of(
        cls, tracks: Sequence[Track], turns: NetworkTurns, obj_ids: Sequence[int], config: PipelineConfig, every: int
    ) -> Outlook:
        """The outlook from `tracks` as they are after a frame."""
        known = [(t, Expected(t.obj_id, np.array(t.box))) for t in tracks if t.is_confirmed]
        followable: set[int] = set()
        if every > 1:  # what has come to fit too badly to convince would hardly do so
            spare = 0.0 if config.segment_every == 1 else CHANGE
            for track in turns.followable(tracks, every):
                if track.pose_confidence >= turns.least_confidence(track) + spare:
                    followable.add(track.track_id)
        return cls(
            tuple(obj_ids),
            config,
            tuple(expected for track, expected in known if track.track_id in followable),
            tuple(expected for _, expected in known),
            every,
        )

    def for_network(self, instances: Instances, refused: RefusedDetections, min_score: float) -> Instances:
        """Those of a frame's instances that the network will have to look at.

        Args:
            instances: N instances that may be what they claim to be.
            refused: what was refused lately.
            min_score: of what is likely enough to be looked at once it is new.
        """
        followed = list(expected_by(instances, self.followable))
        rest = np.setdiff1d(np.arange(len(instances)), followed)
        left = instances.select(rest)
        likely = left.scores >= (min_score if self.confirmed else 0.0)
        lost = np.isin(rest, list(expected_by(instances, self.confirmed)))
        return left.select(~refused.would_recall(left, self.every, likely, lost))

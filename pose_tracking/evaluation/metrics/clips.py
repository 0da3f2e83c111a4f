"""The clip network beside the rules: for each clip it looked at, what happened, what it said, what the rules said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pose_tracking.core.classification import ClassScores
from pose_tracking.core.events import UNKNOWN, ClipVerdict, Event
from pose_tracking.events.clips.windows import AFTER, STILL, clip_label

from .events import EventScorer

LABELS = (*(kind.value for kind in AFTER), STILL, UNKNOWN)
_SECONDS = 1e-9


@dataclass
class ClipScorer:
    """Collects verdicts; scores them, and the rules' events in the same windows, against what happened.

    A window that shows a part of an event only is left out: neither answer would be wrong. The rules are given the
    events of the whole sequence, told up to half a second later; where these leave a part in the window, they count as
    not knowing.

    Args:
        events: which instance each track was on, what happened and what was told.
    """

    events: EventScorer
    _verdicts: dict[tuple[int, int], list[ClipVerdict]] = field(default_factory=dict)

    def add(self, scene_id: int, stamp_ns: int, verdicts: Mapping[int, ClipVerdict]) -> None:
        """Take in what was said in one frame; verdicts of earlier ones are not counted again."""
        for track_id, said in verdicts.items():
            if said.end_ns == stamp_ns:
                self._verdicts.setdefault((scene_id, track_id), []).append(said)

    def result(self) -> dict[str, Any] | None:
        """Scores of both; None where nothing was looked at, or no truth tells events."""
        true, network, rules, partly = [], [], [], 0
        for (scene_id, track_id), verdicts in self._verdicts.items():
            for said in verdicts:
                known = self.events.around(scene_id, track_id, said.onset_ns, said.end_ns)
                if known is None:
                    continue
                label = _label(known[0], said.end_ns)
                if label is None:
                    partly += 1
                    continue
                true.append(LABELS.index(label))
                network.append(LABELS.index(said.label if said.label in LABELS else UNKNOWN))
                rules.append(LABELS.index(_label(known[1], said.end_ns) or UNKNOWN))
        if not true:
            return None
        return {
            "network": ClassScores.of(LABELS, true, network).as_dict(),
            "rules": ClassScores.of(LABELS, true, rules).as_dict(),
            "left_out": partly,
        }


def _label(events: Iterable[Event], end_ns: int) -> str | None:
    return clip_label([(e.kind, e.onset_ns * _SECONDS, e.end_ns * _SECONDS) for e in events], end_ns * _SECONDS)

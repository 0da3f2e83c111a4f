"""Events against those of a ground truth: F at a temporal IoU, and how late they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import GroundTruthObject

MIN_IOU = 0.5  # temporal IoU of ActivityNet's and THUMOS' first threshold
INSTANT_SLACK = 0.5  # seconds by which what has no length may be off
# Kinds that a script of what happened tells; of the others, as appeared, a ground truth says nothing.
SCORED = (EventKind.MOVED, EventKind.CARRIED, EventKind.PLACED, EventKind.FELL, EventKind.KNOCKED_OVER)
_AROUND = 1.0  # seconds around an event within which the track's instance is looked up
_NEAR = 0.15  # metres within which a track is on an instance


@dataclass(frozen=True)
class ToldEvent:
    """An event, and the stamp (ns) of the frame in which it was told."""

    event: Event
    told_ns: int


@dataclass
class EventScorer:
    """Collects what was told, and which instance each track was on; scores it against what happened.

    Args:
        period_ns: time between frames; what is to be told is known to one frame at either end, so that a true event
            and one that was told are both widened by that much before they are compared.
    """

    period_ns: int
    _told: list[ToldEvent] = field(default_factory=list)
    _on: dict[int, list[tuple[int, int]]] = field(default_factory=dict)  # track: (stamp, instance)

    def add(
        self, stamp_ns: int, tracked: Iterable[TrackedObject], truth: Sequence[GroundTruthObject], told: Iterable[Event]
    ) -> None:
        """Take in one frame."""
        self._told += [ToldEvent(event, stamp_ns) for event in told]
        for thing in tracked:
            if thing.pose is None or not thing.is_observed:
                continue
            near = [t for t in truth if t.obj_id == thing.obj_id and t.instance_id is not None]
            if not near:
                continue
            distances = [float(np.linalg.norm(t.pose[:3, 3] - thing.pose[:3, 3])) for t in near]
            best = near[int(np.argmin(distances))]
            if min(distances) < _NEAR and best.instance_id is not None:
                self._on.setdefault(thing.track_id, []).append((stamp_ns, best.instance_id))

    def score(self, happened: Sequence[Event]) -> dict[str, Any]:
        """Precision, recall and F of each kind, and the median delay (s) from the end of an event to its being told."""
        kinds: dict[str, Any] = {}
        for kind in SCORED:
            truths = [e for e in happened if e.kind == kind]
            told = sorted((t for t in self._told if t.event.kind == kind), key=lambda t: -t.event.confidence)
            kinds[kind.value] = self._score_kind(truths, told)
        others = Counter(t.event.kind.value for t in self._told if t.event.kind not in SCORED)
        return {"kinds": kinds, "min_iou": MIN_IOU, "others_told": dict(others)}

    def _score_kind(self, truths: Sequence[Event], told: Sequence[ToldEvent]) -> dict[str, Any]:
        free, delays = list(truths), []
        for each in told:
            fitting = [t for t in free if self._fits(each.event, t)]
            if not fitting:
                continue
            best = max(fitting, key=lambda t: temporal_iou(each.event, t, self.period_ns))
            free.remove(best)
            delays.append((each.told_ns - best.end_ns) * 1e-9)
        right = len(delays)
        return {
            "happened": len(truths),
            "told": len(told),
            "right": right,
            "precision": right / len(told) if told else None,
            "recall": right / len(truths) if truths else None,
            "f": 2 * right / (len(truths) + len(told)) if truths or told else None,
            "delay": float(np.median(delays)) if delays else None,
        }

    def _fits(self, told: Event, truth: Event) -> bool:
        if told.obj_id != truth.obj_id or self._instance(told) != truth.identity:
            return False
        if truth.onset_ns == truth.end_ns:
            return abs(told.end_ns - truth.end_ns) * 1e-9 <= INSTANT_SLACK
        return temporal_iou(told, truth, self.period_ns) >= MIN_IOU

    def _instance(self, event: Event) -> int | None:
        """The instance that the track of an event was on around it."""
        slack = int(_AROUND * 1e9)
        seen = self._on.get(event.identity, [])
        votes = Counter(i for stamp, i in seen if event.onset_ns - slack <= stamp <= event.end_ns + slack)
        return votes.most_common(1)[0][0] if votes else None


def temporal_iou(a: Event, b: Event, widened_ns: int = 0) -> float:
    """Intersection over union of the times of two events, each widened by `widened_ns` at either end."""
    begin_a, end_a = a.onset_ns - widened_ns, a.end_ns + widened_ns
    begin_b, end_b = b.onset_ns - widened_ns, b.end_ns + widened_ns
    shared = max(0, min(end_a, end_b) - max(begin_a, begin_b))
    union = max(end_a, end_b) - min(begin_a, begin_b)
    return shared / union if union > 0 else 0.0


def pooled(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The scores of several sequences as one."""
    kinds: dict[str, Any] = {}
    for kind in SCORED:
        each = [s["kinds"][kind.value] for s in scores]
        happened, told, right = (sum(e[name] for e in each) for name in ("happened", "told", "right"))
        delays = [e["delay"] for e in each if e["delay"] is not None]
        kinds[kind.value] = {
            "happened": happened,
            "told": told,
            "right": right,
            "precision": right / told if told else None,
            "recall": right / happened if happened else None,
            "f": 2 * right / (happened + told) if happened or told else None,
            "delay": float(np.median(delays)) if delays else None,
        }
    others: Counter[str] = sum((Counter(s["others_told"]) for s in scores), Counter())
    return {"kinds": kinds, "min_iou": MIN_IOU, "others_told": dict(others)}

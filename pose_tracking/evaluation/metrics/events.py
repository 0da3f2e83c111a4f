"""Events against those of a ground truth: F at a temporal IoU, and how late they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import Sample

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
class _Scene:
    """What was told and what happened in one scene, and which instance each track was on, by (stamp, instance)."""

    told: list[ToldEvent] = field(default_factory=list)
    happened: list[Event] | None = None
    stamps: list[int] = field(default_factory=list)
    on: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def period_ns(self) -> int:
        """Time between two frames."""
        return int(np.median(np.diff(self.stamps))) if len(self.stamps) > 1 else 0

    def add(self, sample: Sample, tracked: Iterable[TrackedObject], told: Iterable[Event]) -> None:
        stamp_ns = sample.frame.stamp_ns
        self.stamps.append(stamp_ns)
        self.told += [ToldEvent(event, stamp_ns) for event in told]
        if sample.events is not None:
            self.happened = (self.happened or []) + sample.events
        for thing in tracked:
            if thing.pose is None or not thing.is_observed:
                continue
            near = [t for t in sample.objects or () if t.obj_id == thing.obj_id and t.instance_id is not None]
            distances = [float(np.linalg.norm(t.pose[:3, 3] - thing.pose[:3, 3])) for t in near]
            if not near or min(distances) > _NEAR:
                continue
            instance = near[int(np.argmin(distances))].instance_id
            assert instance is not None
            self.on.setdefault(thing.track_id, []).append((stamp_ns, instance))

    def instance(self, event: Event) -> int | None:
        """The instance that the track of an event was on around it."""
        slack = int(_AROUND * 1e9)
        seen = self.on.get(event.identity, [])
        votes = Counter(i for stamp, i in seen if event.onset_ns - slack <= stamp <= event.end_ns + slack)
        return votes.most_common(1)[0][0] if votes else None

    def delays(self, kind: EventKind) -> list[float]:
        """Of each event of a kind that was told rightly, seconds from its end until it was told."""
        free = [e for e in self.happened or () if e.kind == kind]
        delays = []
        for each in sorted((t for t in self.told if t.event.kind == kind), key=lambda t: -t.event.confidence):
            fitting = [t for t in free if self._fits(each.event, t)]
            if fitting:
                best = max(fitting, key=lambda t: temporal_iou(each.event, t, self.period_ns))
                free.remove(best)
                delays.append((each.told_ns - best.end_ns) * 1e-9)
        return delays

    def _fits(self, told: Event, truth: Event) -> bool:
        if told.obj_id != truth.obj_id or self.instance(told) != truth.identity:
            return False
        if truth.onset_ns == truth.end_ns:
            return abs(told.end_ns - truth.end_ns) * 1e-9 <= INSTANT_SLACK
        return temporal_iou(told, truth, self.period_ns) >= MIN_IOU


class EventScorer:
    """Collects what was told, and which instance each track was on; scores it against what happened.

    What happens is known to one frame at either end: a true event and one that was told are both widened by as much
    before they are compared.
    """

    def __init__(self) -> None:
        self._scenes: dict[int, _Scene] = {}

    def add(self, sample: Sample, tracked: Iterable[TrackedObject], told: Iterable[Event]) -> None:
        """Take in one frame with its tracks and the events that became certain in it."""
        self._scenes.setdefault(sample.scene_id, _Scene()).add(sample, tracked, told)

    def around(
        self, scene_id: int, track_id: int, onset_ns: int, end_ns: int
    ) -> tuple[list[Event], list[Event]] | None:
        """All that happened to the instance a track was on at a time (ns), and all that was told of the track.

        None where the track was on no instance, or no truth tells events.
        """
        scene = self._scenes.get(scene_id)
        if scene is None or scene.happened is None:
            return None
        instance = scene.instance(Event(EventKind.MOVED, track_id, 0, "", onset_ns, end_ns))
        if instance is None:
            return None
        happened = [event for event in scene.happened if event.identity == instance]
        return happened, [each.event for each in scene.told if each.event.identity == track_id]

    def result(self) -> dict[str, Any]:
        """What was told, what happened, and the scores of each kind; these are None where no truth tells events."""
        scenes = self._scenes.items()
        return {
            "told": [_entry(number, t.event) for number, scene in scenes for t in scene.told],
            "happened": [_entry(number, e) for number, scene in scenes for e in scene.happened or ()],
            "kinds": self._kinds(),
            "min_iou": MIN_IOU,
        }

    def _kinds(self) -> dict[str, Any] | None:
        known = [scene for scene in self._scenes.values() if scene.happened is not None]
        if not known:
            return None
        kinds: dict[str, Any] = {}
        for kind in SCORED:
            happened = sum(e.kind == kind for scene in known for e in scene.happened or ())
            told = sum(t.event.kind == kind for scene in known for t in scene.told)
            delays = [delay for scene in known for delay in scene.delays(kind)]
            right = len(delays)
            kinds[kind.value] = {
                "happened": happened,
                "told": told,
                "right": right,
                "precision": right / told if told else None,
                "recall": right / happened if happened else None,
                "f": 2 * right / (happened + told) if happened or told else None,
                "median_delay": float(np.median(delays)) if delays else None,
            }
        return kinds


def _entry(scene_id: int, event: Event) -> dict[str, Any]:
    return {"scene_id": scene_id, **asdict(event), "kind": event.kind.value}


def temporal_iou(a: Event, b: Event, widened_ns: int = 0) -> float:
    """Intersection over union of the times of two events, each widened by `widened_ns` at either end."""
    begin_a, end_a = a.onset_ns - widened_ns, a.end_ns + widened_ns
    begin_b, end_b = b.onset_ns - widened_ns, b.end_ns + widened_ns
    shared = max(0, min(end_a, end_b) - max(begin_a, begin_b))
    union = max(end_a, end_b) - min(begin_a, begin_b)
    return shared / union if union > 0 else 0.0

"""The protocol of YCBInEOAT: one object of a class, and a pose of it wanted in every frame.

Wen et al., IROS 2020 (se(3)-TrackNet): ADD AUC and ADD-S AUC up to 0.1 m over all frames of all sequences, whatever is
seen of the object, and both for every object, symmetric or not. A frame without a pose is a failure. The pose is the
one the track publishes. Methods of that data set follow one thing, from where it is first found (or given) to the end:
so the track that was the surest where the last one had ended is followed for as long as it lives, whatever else of its
class is tracked. Beside it stands what the area does not tell: whether the object kept its identity, and how much the
error of its pose changes from one frame to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.geometry import nearest_equivalent, rotation_angle
from pose_tracking.core.results import TrackedObject
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectModel, ObjectSet

from .pose import add, add_s

NAME = "ycbineoat"
THRESHOLD = 0.1  # m


def stepped_auc(errors: Iterable[float], threshold: float = THRESHOLD) -> float:
    """Area under the curve of the share of frames within an error up to `threshold`, 0 to 1, as that data set has it.

    Its evaluation sums rectangles up to each error, of the height that the curve has there: with N frames up to 1 / N
    more than the area itself (`pose.accuracy_auc`).

    Args:
        errors: of all frames (m), infinite where no pose was given; of none the area is 0.
        threshold: metres.
    """
    values = np.sort(np.fromiter(errors, float))
    shares = np.arange(1, len(values) + 1) / max(len(values), 1)
    within = values < threshold
    if not within.any():
        return 0.0
    edges = np.concatenate([[0.0], values[within], [threshold]])
    heights = np.append(shares[within], shares[within][-1])
    return float(np.diff(edges) @ heights / threshold)


@dataclass(frozen=True)
class _Found:
    """A pose in one frame: its track, errors (m), and how it is off by (3,) metres and a (3, 3) turn."""

    track_id: int
    add: float
    add_s: float
    shift: Float
    turn: Float


@dataclass
class _Run:
    """The frames of one object in one sequence; None where no pose was given. `followed` is a track ID."""

    stamps: list[float] = field(default_factory=list)
    found: list[_Found | None] = field(default_factory=list)
    followed: int | None = None

    def answer(self, tracked: Sequence[TrackedObject]) -> TrackedObject | None:
        """Of the tracks of the class the one that is followed, where it is seen in the frame."""
        answer = next((o for o in tracked if o.track_id == self.followed), None)
        if answer is None:
            seen = [o for o in tracked if _is_seen(o)]
            answer = max(seen, key=lambda o: (o.is_confirmed, o.pose_confidence), default=None)
            # One that may yet be nothing answers for its frame only.
            self.followed = answer.track_id if answer is not None and answer.is_confirmed else None
        return answer if answer is not None and _is_seen(answer) else None


def _is_seen(tracked: TrackedObject) -> bool:
    return tracked.is_observed and tracked.pose is not None


class YcbInEoat:
    """Collects frames and scores them by the protocol.

    Args:
        objects: the object set of the model; annotations of other objects are left out.

    Raises:
        ConfigError: the object set has no meshes to measure with.
    """

    def __init__(self, objects: ObjectSet) -> None:
        if not objects.has_meshes:
            raise ConfigError(f"--protocol {NAME} measures with meshes, and the model has none: give --objects")
        self._objects = objects
        self._trees: dict[int, tuple[Float, cKDTree]] = {}
        self._runs: dict[tuple[int, int], _Run] = {}

    def add(self, sample: Sample, tracked: Sequence[TrackedObject]) -> None:
        """Score one frame; one that is not annotated does not count.

        Raises:
            DatasetError: several objects of one class are annotated.
        """
        truths = [truth for truth in sample.objects or () if truth.obj_id in self._objects]
        for truth in truths:
            model = self._objects[truth.obj_id]
            if sum(other.obj_id == truth.obj_id for other in truths) > 1:
                raise DatasetError(f"several {model.name} in a frame: --protocol {NAME} is for one object of a class")
            run = self._runs.setdefault((sample.scene_id, truth.obj_id), _Run())
            run.stamps.append(sample.frame.stamp)
            answer = run.answer([o for o in tracked if o.obj_id == truth.obj_id])
            run.found.append(None if answer is None else self._found(answer, truth.pose, model))

    def result(self) -> dict[str, Any]:
        """What the report has of it: ``threshold_m``, ``objects`` by name, ``mean`` of them and ``all`` frames."""
        by_object: dict[int, list[_Run]] = {}
        for (_, obj_id), run in self._runs.items():
            by_object.setdefault(obj_id, []).append(run)
        objects = {self._objects[i].name: _scores(by_object[i]) for i in sorted(by_object)}
        aucs = {key: [scores[key] for scores in objects.values()] for key in ("add_auc", "add_s_auc")}
        return {
            "threshold_m": THRESHOLD,
            "objects": objects,
            "mean": {key: float(np.mean(values)) if values else None for key, values in aucs.items()},
            "all": _scores(list(self._runs.values())),
        }

    def _found(self, thing: TrackedObject, truth: Float, model: ObjectModel) -> _Found:
        assert thing.pose is not None
        if model.obj_id not in self._trees:
            assert model.mesh is not None
            points = model.mesh.vertices.astype(float)
            self._trees[model.obj_id] = points, cKDTree(points)
        points, tree = self._trees[model.obj_id]
        nearest = nearest_equivalent(truth[None], thing.pose[None], model.symmetries)[0]
        return _Found(
            thing.track_id,
            add(thing.pose, truth, points),
            add_s(thing.pose, truth, points, tree=tree),
            thing.pose[:3, 3] - nearest[:3, 3],
            thing.pose[:3, :3] @ nearest[:3, :3].T,
        )


def _scores(runs: Sequence[_Run]) -> dict[str, Any]:
    """The scores of some runs together; a track ID is another in each of them."""
    found = [one for run in runs for one in run.found]
    stretches = [stretch for run in runs for stretch in _stretches(run)]
    pairs = [pair for run in runs for pair in _neighbours(run)]
    shifts = [float(np.linalg.norm(b.shift - a.shift)) for a, b in pairs]
    turns = [float(np.degrees(rotation_angle(b.turn @ a.turn.T))) for a, b in pairs]
    return {
        "frames": len(found),
        "found": sum(one is not None for one in found),
        "add_auc": stepped_auc(np.inf if one is None else one.add for one in found),
        "add_s_auc": stepped_auc(np.inf if one is None else one.add_s for one in found),
        "sequences": len(runs),
        "track_ids": sum(len({one.track_id for one in run.found if one is not None}) for run in runs),
        "longest_frames": max((frames for frames, _ in stretches), default=0),
        "longest_seconds": max((seconds for _, seconds in stretches), default=0.0),
        "jitter_m": _rms(shifts),
        "jitter_deg": _rms(turns),
    }


def _stretches(run: _Run) -> list[tuple[int, float]]:
    """Frames and seconds of the unbroken stretch under one track ID that each frame with a pose is the last of."""
    stretches: list[tuple[int, float]] = []
    start = 0
    for i, one in enumerate(run.found):
        before = run.found[i - 1] if i else None
        if one is None:
            continue
        if before is None or before.track_id != one.track_id:
            start = i
        stretches.append((i - start + 1, run.stamps[i] - run.stamps[start]))
    return stretches


def _neighbours(run: _Run) -> list[tuple[_Found, _Found]]:
    """The pairs of poses of one track in two frames on end."""
    pairs = zip(run.found, run.found[1:], strict=False)
    return [(a, b) for a, b in pairs if a is not None and b is not None and a.track_id == b.track_id]


def _rms(values: Sequence[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else None

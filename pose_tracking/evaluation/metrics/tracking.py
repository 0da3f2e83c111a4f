"""How well identities are kept over time: CLEAR MOT, identity and HOTA scores on 2D boxes.

CLEAR MOT (Bernardin and Stiefelhagen, 2008) and IDF1 (Ristani et al., 2016) come from motmetrics; HOTA follows Luiten
et al., IJCV 2021 (motmetrics has none, and trackeval insists on the OpenCV wheel that needs a display library).

Boxes match from IoU 0.5 up and only within a class, so that one accumulator holds all classes: counts are sums over the
classes, and no identity can pass from one class to another. **MOTP is the mean IoU of the matches** (1 is best), as
MOTChallenge reports it, not a distance.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.boxes import box_iou

from .clear_mot import clear_mot

MIN_IOU = 0.5
ALPHAS = np.arange(0.05, 0.99, 0.05)
METRICS = ("mota", "motp", "idf1", "hota", "id_switches", "fragmentations", "fp", "fn", "mt", "ml")
# What a comparison of trackers states beyond the report: identity precision and recall, the number of boxes of the
# ground truth that count, and the switches among a thousand of them.
FURTHER_METRICS = ("idp", "idr", "object_frames", "switches_per_1000")
_RATIOS = ("mota", "motp", "idf1", "hota", "idp", "idr", "switches_per_1000")
_NAMES = {
    "num_switches": "id_switches",
    "num_fragmentations": "fragmentations",
    "num_false_positives": "fp",
    "num_misses": "fn",
    "mostly_tracked": "mt",
    "mostly_lost": "ml",
}


@dataclass(frozen=True)
class IdentifiedBox:
    """A box of one identity in one frame.

    Attributes:
        identity: track or instance, unique over the whole evaluation.
        obj_id: class.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels.
        ignored: ground truth that is neither to be tracked nor wrong to track.
        uncounted: ground truth that is not to be tracked but wrong to track, as MOTChallenge has it: all it does is to
            keep a track that lies on it from being taken for one on ignored ground truth.
    """

    identity: Hashable
    obj_id: int
    box: Float
    ignored: bool = False
    uncounted: bool = False


@dataclass(frozen=True)
class _Frame:
    """Numbers and classes of the truths (N,) and tracks (M,) of a frame, and their (N, M) IoU, 0 between classes."""

    truths: Int
    tracks: Int
    truth_classes: Int
    track_classes: Int
    similarity: Float


class TrackingAccumulator:
    """Collects ground truth and tracks frame by frame.

    Args:
        mot_challenge: CLEAR MOT in the reading of TrackEval (`clear_mot`) and not of motmetrics. HOTA and the identity
            scores are the same in either.
    """

    def __init__(self, mot_challenge: bool = False) -> None:
        self._mot_challenge = mot_challenge
        self._frames: list[_Frame] = []
        self._truth_numbers: dict[Hashable, int] = {}
        self._track_numbers: dict[Hashable, int] = {}

    def add(self, tracks: Sequence[IdentifiedBox], truths: Sequence[IdentifiedBox]) -> None:
        """Add one annotated frame. Tracks that match ignored ground truth are left out, as MOTChallenge does."""
        truth_classes, track_classes = (np.array([i.obj_id for i in items], np.int64) for items in (truths, tracks))
        similarity = box_iou(_boxes(truths), _boxes(tracks))
        similarity = np.where(truth_classes[:, None] == track_classes[None], similarity, 0.0)
        candidates = np.where(similarity >= MIN_IOU, similarity, 0.0)
        rows, cols = linear_sum_assignment(-candidates)
        on_ignored = {c for r, c in zip(rows, cols, strict=True) if candidates[r, c] > 0 and truths[r].ignored}
        keep_rows = [i for i, t in enumerate(truths) if not (t.ignored or t.uncounted)]
        keep_cols = [i for i in range(len(tracks)) if i not in on_ignored]
        self._frames.append(
            _Frame(
                _numbers(self._truth_numbers, [truths[i].identity for i in keep_rows]),
                _numbers(self._track_numbers, [tracks[i].identity for i in keep_cols]),
                truth_classes[keep_rows],
                track_classes[keep_cols],
                similarity[np.ix_(keep_rows, keep_cols)],
            )
        )

    @property
    def obj_ids(self) -> list[int]:
        """Classes that were annotated or tracked, rising."""
        return sorted({int(c) for f in self._frames for c in (*f.truth_classes, *f.track_classes)})

    def result(self) -> dict[str, float | int | None]:
        """The scores under the names of `METRICS`; ratios are None without ground truth, MOTP without a match."""
        scores = self.scores()
        return {name: scores[name] for name in METRICS}

    def scores(self, obj_id: int | None = None) -> dict[str, float | int | None]:
        """The scores under the names of `METRICS` and `FURTHER_METRICS`, of one class where `obj_id` is given."""
        frames = self._frames if obj_id is None else _of_class(self._frames, obj_id)
        if not any(len(frame.truths) for frame in frames):
            counts: dict[str, float | int | None] = {
                name: None if name in _RATIOS else 0 for name in (*METRICS, *FURTHER_METRICS)
            }
            counts["fp"] = sum(len(frame.tracks) for frame in frames)
            return counts
        import motmetrics

        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for frame in frames:
            distance = np.where(frame.similarity >= MIN_IOU, 1.0 - frame.similarity, np.nan)
            accumulator.update(frame.truths, frame.tracks, distance)
        wanted = ["mota", "motp", "idf1", "idp", "idr", "num_objects", *_NAMES]
        summary = motmetrics.metrics.create().compute(accumulator, metrics=wanted, return_dataframe=False)
        object_frames = int(summary["num_objects"])
        scores: dict[str, float | int | None] = {
            "mota": float(summary["mota"]),
            "motp": 1.0 - float(summary["motp"]) if np.isfinite(summary["motp"]) else None,
            "idf1": float(summary["idf1"]),
            "hota": _hota(frames),
            # Without tracks motmetrics divides 0 by 0.
            "idp": float(summary["idp"]) if np.isfinite(summary["idp"]) else None,
            "idr": float(summary["idr"]),
            "object_frames": object_frames,
            "switches_per_1000": 1000 * int(summary["num_switches"]) / object_frames,
        }
        scores |= {ours: int(summary[theirs]) for theirs, ours in _NAMES.items()}
        if self._mot_challenge:
            scores |= clear_mot([(f.truths, f.tracks, f.similarity) for f in frames], MIN_IOU)
            scores["switches_per_1000"] = 1000 * int(scores["id_switches"] or 0) / object_frames
        return {name: scores[name] for name in (*METRICS, *FURTHER_METRICS)}


def _hota(frames: Sequence[_Frame]) -> float:
    """HOTA: geometric mean of detection and association accuracy, averaged over 19 IoU thresholds."""
    truth_count = np.zeros((1 + max(int(f.truths.max(initial=-1)) for f in frames), 1))
    track_count = np.zeros((1, 1 + max(int(f.tracks.max(initial=-1)) for f in frames)))
    overlap = np.zeros((len(truth_count), track_count.shape[1]))
    for frame in frames:
        s = frame.similarity
        union = s.sum(0, keepdims=True) + s.sum(1, keepdims=True) - s
        overlap[np.ix_(frame.truths, frame.tracks)] += np.divide(s, union, out=np.zeros_like(s), where=union > 0)
        truth_count[frame.truths] += 1
        track_count[:, frame.tracks] += 1
    # How well two whole trajectories align decides which of two overlapping boxes a frame's truth is given.
    either = truth_count + track_count - overlap
    alignment = np.divide(overlap, either, out=np.zeros_like(overlap), where=either > 0)
    matches = np.zeros((len(ALPHAS), *overlap.shape))
    for frame in frames:
        rows, cols = linear_sum_assignment(-alignment[np.ix_(frame.truths, frame.tracks)] * frame.similarity)
        good = frame.similarity[rows, cols] >= ALPHAS[:, None] - np.finfo(float).eps
        matches[:, frame.truths[rows], frame.tracks[cols]] += good
    hits = matches.sum((1, 2))
    detection = hits / (truth_count.sum() + track_count.sum() - hits)
    jaccard = matches / np.maximum(1, truth_count + track_count - matches)
    association = (matches * jaccard).sum((1, 2)) / np.maximum(1, hits)
    return float(np.sqrt(detection * association).mean())


def _of_class(frames: Sequence[_Frame], obj_id: int) -> list[_Frame]:
    """What the frames hold of one class, with numbers of its own; frames with nothing of it change no score."""
    truth_numbers: dict[Hashable, int] = {}
    track_numbers: dict[Hashable, int] = {}
    found = []
    for frame in frames:
        rows, cols = np.flatnonzero(frame.truth_classes == obj_id), np.flatnonzero(frame.track_classes == obj_id)
        if len(rows) + len(cols):
            found.append(
                _Frame(
                    _numbers(truth_numbers, frame.truths[rows].tolist()),
                    _numbers(track_numbers, frame.tracks[cols].tolist()),
                    frame.truth_classes[rows],
                    frame.track_classes[cols],
                    frame.similarity[np.ix_(rows, cols)],
                )
            )
    return found


def _boxes(items: Sequence[IdentifiedBox]) -> Float:
    return np.array([item.box for item in items], float).reshape(-1, 4)


def _numbers(known: dict[Hashable, int], identities: Sequence[Hashable]) -> Int:
    """Consecutive numbers of identities, in the order they were first seen."""
    return np.array([known.setdefault(identity, len(known)) for identity in identities], np.int64)

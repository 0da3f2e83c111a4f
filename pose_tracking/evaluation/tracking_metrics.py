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
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from .matching import box_iou

MIN_IOU = 0.5
ALPHAS = np.arange(0.05, 0.99, 0.05)
METRICS = ("mota", "motp", "idf1", "hota", "id_switches", "fragmentations", "fp", "fn", "mt", "ml")
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
    """

    identity: Hashable
    obj_id: int
    box: NDArray[np.float64]
    ignored: bool = False


@dataclass(frozen=True)
class _Frame:
    truths: NDArray[np.int64]
    tracks: NDArray[np.int64]
    similarity: NDArray[np.float64]


class TrackingAccumulator:
    """Collects ground truth and tracks frame by frame."""

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        self._truth_numbers: dict[Hashable, int] = {}
        self._track_numbers: dict[Hashable, int] = {}

    def add(self, tracks: Sequence[IdentifiedBox], truths: Sequence[IdentifiedBox]) -> None:
        """Add one annotated frame. Tracks that match ignored ground truth are left out, as MOTChallenge does."""
        similarity = box_iou(_boxes(truths), _boxes(tracks))
        same_class = np.array([[a.obj_id == b.obj_id for b in tracks] for a in truths], bool)
        similarity = np.where(same_class.reshape(similarity.shape), similarity, 0.0)
        candidates = np.where(similarity >= MIN_IOU, similarity, 0.0)
        rows, cols = linear_sum_assignment(-candidates)
        on_ignored = {c for r, c in zip(rows, cols, strict=True) if candidates[r, c] > 0 and truths[r].ignored}
        keep_rows = [i for i, t in enumerate(truths) if not t.ignored]
        keep_cols = [i for i in range(len(tracks)) if i not in on_ignored]
        self._frames.append(
            _Frame(
                _numbers(self._truth_numbers, [truths[i].identity for i in keep_rows]),
                _numbers(self._track_numbers, [tracks[i].identity for i in keep_cols]),
                similarity[np.ix_(keep_rows, keep_cols)],
            )
        )

    def result(self) -> dict[str, float | int | None]:
        """The scores under the names of `METRICS`; ratios are None without ground truth, MOTP without a match."""
        if not self._truth_numbers:
            fp = sum(len(f.tracks) for f in self._frames)
            return {
                name: fp if name == "fp" else None if name in ("mota", "motp", "idf1", "hota") else 0
                for name in METRICS
            }
        import motmetrics

        accumulator = motmetrics.MOTAccumulator(auto_id=True)
        for frame in self._frames:
            distance = np.where(frame.similarity >= MIN_IOU, 1.0 - frame.similarity, np.nan)
            accumulator.update(frame.truths, frame.tracks, distance)
        wanted = ["mota", "motp", "idf1", *_NAMES]
        summary = motmetrics.metrics.create().compute(accumulator, metrics=wanted, return_dataframe=False)
        scores: dict[str, float | int | None] = {
            "mota": float(summary["mota"]),
            "motp": 1.0 - float(summary["motp"]) if np.isfinite(summary["motp"]) else None,
            "idf1": float(summary["idf1"]),
            "hota": self._hota(),
        }
        scores |= {ours: int(summary[theirs]) for theirs, ours in _NAMES.items()}
        return {name: scores[name] for name in METRICS}

    def _hota(self) -> float:
        """HOTA: geometric mean of detection and association accuracy, averaged over 19 IoU thresholds."""
        truth_count = np.zeros((len(self._truth_numbers), 1))
        track_count = np.zeros((1, len(self._track_numbers)))
        overlap = np.zeros((len(truth_count), track_count.shape[1]))
        for frame in self._frames:
            s = frame.similarity
            union = s.sum(0, keepdims=True) + s.sum(1, keepdims=True) - s
            overlap[np.ix_(frame.truths, frame.tracks)] += np.divide(s, union, out=np.zeros_like(s), where=union > 0)
            truth_count[frame.truths] += 1
            track_count[:, frame.tracks] += 1
        # How well two whole trajectories align decides which of two overlapping boxes a frame's truth is given.
        alignment = overlap / (truth_count + track_count - overlap)
        matches = np.zeros((len(ALPHAS), *overlap.shape))
        for frame in self._frames:
            rows, cols = linear_sum_assignment(-alignment[np.ix_(frame.truths, frame.tracks)] * frame.similarity)
            good = frame.similarity[rows, cols] >= ALPHAS[:, None] - np.finfo(float).eps
            matches[:, frame.truths[rows], frame.tracks[cols]] += good
        hits = matches.sum((1, 2))
        detection = hits / (truth_count.sum() + track_count.sum() - hits)
        jaccard = matches / np.maximum(1, truth_count + track_count - matches)
        association = (matches * jaccard).sum((1, 2)) / np.maximum(1, hits)
        return float(np.sqrt(detection * association).mean())


def _boxes(items: Sequence[IdentifiedBox]) -> NDArray[np.float64]:
    return np.array([item.box for item in items], float).reshape(-1, 4)


def _numbers(known: dict[Hashable, int], identities: Sequence[Hashable]) -> NDArray[np.int64]:
    """Consecutive numbers of identities, in the order they were first seen."""
    return np.array([known.setdefault(identity, len(known)) for identity in identities], np.int64)

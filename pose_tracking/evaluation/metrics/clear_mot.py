"""CLEAR MOT (Bernardin and Stiefelhagen, 2008) in the reading of TrackEval, which scores MOTChallenge.

It differs from motmetrics' in what goes on with what in a crowd. Here a pair of the frame before is kept as long as it
may match, and otherwise the largest sum of IoU decides; motmetrics keeps pairs of any earlier frame, one by one. Counts
of fragments and of mostly tracked truths differ, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from pose_tracking.core.arrays import Float, Int

# A pair of the frame before outweighs any sum of IoU.
_KEPT = 1000.0
_TOLERANCE = float(np.finfo(float).eps)
_MOSTLY_TRACKED, _MOSTLY_LOST = 0.8, 0.2


def clear_mot(frames: Sequence[tuple[Int, Int, Float]], min_iou: float) -> dict[str, float | int | None]:
    """Scores of a whole sequence, or of several whose identities are told apart.

    Args:
        frames: numbers of the truths (N,) and tracks (M,) of each frame, from 0, and their (N, M) IoU.
        min_iou: least IoU of a match.

    Returns:
        ``mota``, ``motp`` (mean IoU of the matches; None without one), ``id_switches``, ``fragmentations``, ``fp``,
        ``fn``, ``mt`` (truths tracked in more than 80 % of their frames) and ``ml`` (in less than 20 %).
    """
    truths = 1 + max((int(numbers.max(initial=-1)) for numbers, _, _ in frames), default=-1)
    # -1: no track yet, or none in the frame before.
    last, before = np.full(truths, -1), np.full(truths, -1)
    there, tracked, pieces = (np.zeros(truths, int) for _ in range(3))
    hits = misses = false = switches = 0
    overlap = 0.0
    for numbers, tracks, similarity in frames:
        there[numbers] += 1
        if not len(numbers) or not len(tracks):
            false += len(tracks)
            misses += len(numbers)
            continue
        possible = similarity >= min_iou - _TOLERANCE
        score = np.where(possible, similarity + _KEPT * (before[numbers][:, None] == tracks[None]), 0.0)
        rows, columns = linear_sum_assignment(-score)
        found = score[rows, columns] > _TOLERANCE
        rows, columns = rows[found], columns[found]
        matched, by = numbers[rows], tracks[columns]
        switches += int(np.count_nonzero((last[matched] >= 0) & (last[matched] != by)))
        pieces[matched] += before[matched] < 0
        last[matched] = by
        before[:] = -1
        before[matched] = by
        tracked[matched] += 1
        hits += len(matched)
        misses += len(numbers) - len(matched)
        false += len(tracks) - len(matched)
        overlap += float(similarity[rows, columns].sum())
    share = tracked[there > 0] / there[there > 0]
    return {
        "mota": (hits - false - switches) / max(hits + misses, 1),
        "motp": overlap / hits if hits else None,
        "id_switches": switches,
        "fragmentations": int(np.maximum(pieces - 1, 0).sum()),
        "fp": false,
        "fn": misses,
        "mt": int(np.count_nonzero(share > _MOSTLY_TRACKED)),
        "ml": int(np.count_nonzero(share < _MOSTLY_LOST)),
    }

"""How alike groups of sightings look, by the embeddings of their crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, even_indices

_CROPS_A_GROUP = 16


def distances_between(groups: Sequence[Float32 | None]) -> Float:
    """(N, N) cosine distances between groups: the mean over one's crops of the nearest of the other, both ways.

    Args:
        groups: (C, D) unit embeddings of each; None or empty: it has none, and is at distance infinity.
    """
    count = len(groups)
    out = np.full((count, count), np.inf)
    known = [i for i, group in enumerate(groups) if group is not None and len(group)]
    if not known:
        return out
    crops = [_few(groups[i]) for i in known]
    starts = np.cumsum([0, *(len(c) for c in crops[:-1])])
    every = np.concatenate(crops)
    one_way = np.stack([np.maximum.reduceat(c @ every.T, starts, axis=1).mean(0) for c in crops])
    out[np.ix_(known, known)] = np.maximum(1.0 - (one_way + one_way.T) / 2, 0.0)
    return out


def are_like_copies(near: Bool, different: Bool) -> Bool:
    """(N,) whether each group looks like two that are known to be different things, itself among them perhaps.

    Such a one may be either of them: its looks cannot say which.

    Args:
        near: (N, N) pairs that look alike.
        different: (N, N) pairs that are known to be two things.
    """
    near = near | np.eye(len(near), dtype=bool)
    counts = (near.astype(np.float32) @ different.astype(np.float32)) * near
    return np.asarray(counts.sum(1) > 0)


def _few(group: Float32 | None) -> Float32:
    assert group is not None
    return group[even_indices(len(group), _CROPS_A_GROUP)]

"""Whether things meet: footprints on a table over time, and spheres in the air."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float

GAP = 0.006  # metres kept between footprints


def apart(a: Float, b: Float, gap: float = GAP) -> bool:
    """Whether convex outlines (T, K, 2) and (T, L, 2) are `gap` apart at all times (separating axis theorem)."""
    # Most pairs are far apart: circles tell that at once.
    middle_a, middle_b = a.mean(1, keepdims=True), b.mean(1, keepdims=True)
    reach = sum(np.linalg.norm(o - m, axis=2).max(1) for o, m in ((a, middle_a), (b, middle_b)))
    if (np.linalg.norm(middle_a - middle_b, axis=2)[:, 0] > reach + gap).all():
        return True
    axes = []
    for outline in (a, b):
        edge = np.roll(outline, -1, axis=1) - outline
        normal = np.stack([edge[..., 1], -edge[..., 0]], axis=-1)
        axes.append(normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9))
    count = max(len(a), len(b))
    axis = np.concatenate([np.broadcast_to(n, (count, *n.shape[1:])) for n in axes], axis=1)
    along_a, along_b = (np.matmul(axis, np.swapaxes(o, 1, 2)) for o in (a, b))
    free = np.maximum(along_a.min(2) - along_b.max(2), along_b.min(2) - along_a.max(2))
    return bool((free.max(1) > gap).all())


def spheres_apart(a: tuple[Float, float], b: tuple[Float, float], share: float = 1.0) -> bool:
    """Whether the centres (3,) of two spheres (centre, radius; m) are more than `share` of both radii apart."""
    return bool(np.linalg.norm(a[0] - b[0]) > share * (a[1] + b[1]))

"""Observations of instances that an embedding can be trained on in a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_tracking.training.appearance.observations import Observations


def observations(sequences: int, seed: int = 0, copies: int = 3, frames: int = 4) -> Observations:
    """Copies of two objects that differ in one faint channel, under louder changes from frame to frame."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[Any, ...]] = []
    for sequence in range(sequences):
        for instance in range(1, 2 * copies + 1):
            obj_id, own, tint = 1 + instance % 2, rng.normal(), np.eye(3) * rng.uniform(0.8, 1.2)
            for frame in range(frames):
                x = rng.normal(0, 0.1, (8, 7, 7))
                x[obj_id] += 3
                x[3] += 0.5 * own
                x[4] += rng.normal() * 3  # the view
                mask = np.zeros((7, 7))
                mask[1:6, 1:6] = 1
                x = np.where(mask > 0, x, rng.normal(0, 5, (8, 1, 1)))
                rows.append((x, mask, obj_id, instance, sequence, frame, tint))
    types: list[Any] = [np.float16, np.float16, np.int64, np.int64, np.int64, np.int64, np.float32]
    return Observations(*(np.array(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)))

"""Short annotated sequences, and a detector that answers with the boxes it is asked about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from shape_scenes import shape_scene

from pose_tracking.core.results import Instances
from pose_tracking.datasets.packed import PackedWriter
from pose_tracking.datasets.sample import Sample


class BoxSegmenter:
    """Features that hold the box they were asked for; masks that fill it."""

    calls = 0

    def instances_at(self, frame: Any, boxes: np.ndarray, obj_ids: np.ndarray) -> Instances:
        type(self).calls += 1
        features = np.tile(np.asarray(boxes, np.float32)[:, :, None, None], (1, 1, 7, 7))
        masks = np.ones((len(boxes), *frame.depth.shape), bool)
        return Instances(obj_ids, np.ones(len(boxes), np.float32), boxes.astype(np.float32), masks, features)


def sequence(first: int, stamps: list[int]) -> list[Sample]:
    samples = [shape_scene(first) for _ in stamps]
    return [Sample(replace(s.frame, stamp_ns=t * 10**9), s.objects) for s, t in zip(samples, stamps, strict=True)]


def packed(path: Path, samples: list[Sample]) -> Path:
    with PackedWriter(path) as writer:
        for sample in samples:
            writer.add(sample)
    return path

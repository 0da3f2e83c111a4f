"""Annotated frames of flat coloured shapes, for tests that need a detector to have something to find."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.sample import GroundTruthObject, Sample

COLORS = {2: (220, 40, 30), 5: (40, 200, 60), 7: (50, 70, 230)}


def shape_scene(seed: int, width: int = 320, height: int = 240, count: int = 4) -> Sample:
    """A frame with `count` discs, squares and triangles (object 2, 5, 7), the later ones in front."""
    rng = np.random.default_rng(seed)
    color = rng.integers(90, 160, 3) + rng.normal(0, 12, (height, width, 3))
    depth = np.full((height, width), 1.2, np.float32)
    instance = np.zeros((height, width), np.uint8)
    ids, full = [], []
    for i in range(count):
        obj_id = int(rng.choice([2, 5, 7]))
        radius = int(rng.integers(18, 34))
        x, y = int(rng.integers(radius, width - radius)), int(rng.integers(radius, height - radius))
        shape = np.zeros((height, width), np.uint8)
        if obj_id == 2:
            cv2.circle(shape, (x, y), radius, 1, -1)
        elif obj_id == 5:
            cv2.rectangle(shape, (x - radius, y - radius), (x + radius, y + radius), 1, -1)
        else:
            cv2.fillPoly(shape, [np.array([[x, y - radius], [x - radius, y + radius], [x + radius, y + radius]])], 1)
        instance[shape > 0] = i + 1
        color[shape > 0] = COLORS[obj_id] + rng.normal(0, 12, (int(shape.sum()), 3))
        depth[shape > 0] = 0.8
        ids.append(obj_id)
        full.append(int(shape.sum()))
    objects = []
    for i, obj_id in enumerate(ids):
        mask = instance == i + 1
        pose = np.eye(4)
        pose[2, 3] = 0.8
        objects.append(GroundTruthObject(obj_id, pose, float(mask.sum() / full[i]), None, mask, i + 1))
    frame = RGBDFrame(
        np.clip(color, 0, 255).astype(np.uint8),
        depth,
        CameraIntrinsics(width, height, 500.0, 500.0, width / 2, height / 2),
    )
    return Sample(frame, objects)

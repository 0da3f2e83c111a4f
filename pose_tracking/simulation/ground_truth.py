"""What is annotated in a rendered frame: the known objects of which enough is visible."""

from __future__ import annotations

import cv2
import numpy as np

from pose_tracking.datasets.sample import GroundTruthObject

from .rendering.renderer import Body, Surface


def ground_truth(surface: Surface, bodies: list[Body], min_visible: int) -> list[GroundTruthObject]:
    """What is visible of the known objects among `bodies`, largest first not implied; order of drawing."""
    out = []
    counts = np.bincount(surface.index[surface.index >= 0].ravel(), minlength=len(bodies))
    for number, body in enumerate(bodies):
        if body.obj_id == 0 or counts[number] < min_visible:
            continue
        mask = surface.index == number
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        box = np.array([x, y, x + width, y + height], float)
        visibility = float(min(1.0, counts[number] / max(surface.silhouettes[number], 1)))
        truth = GroundTruthObject(body.obj_id, body.pose, visibility, box, mask, body.instance_id, scale=body.scale)
        out.append(truth)
    return out

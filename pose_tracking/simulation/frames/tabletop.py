"""Table-top layouts for single frames: things stand close together, partly hidden by neighbours, each frame anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.simulation.placement.bodies import about_z
from pose_tracking.simulation.placement.engine import place_all
from pose_tracking.simulation.placement.resting import UPRIGHT, stand
from pose_tracking.simulation.placement.separation import GAP, apart
from pose_tracking.simulation.placement.support import SupportPlane
from pose_tracking.simulation.rendering.planes import intersection
from pose_tracking.simulation.rendering.renderer import Body
from pose_tracking.simulation.scenery.backgrounds import Background

from .items import Item

TRIES = 8


@dataclass(frozen=True)
class _Spot:
    item: Item
    position: Float  # (2,) m, table frame
    outline: Float  # (K, 2) m, table frame
    pose: Float  # (4, 4) table frame


class Tabletop:
    """The free part of a background's support plane; its frame has z up (m).

    Args:
        background: what the camera sees before objects are put in.
        intrinsics: the camera.
        distance: nearest and farthest depth of a thing's foot (m).
    """

    def __init__(self, background: Background, intrinsics: CameraIntrinsics, distance: tuple[float, float]) -> None:
        plane = background.plane
        assert plane is not None
        support = background.support.astype(np.uint8)
        # Single missing readings are table; within 1 cm of anything else nothing is put.
        closed = cv2.morphologyEx(support, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        free = cv2.erode(closed, np.ones((3, 3), np.uint8), iterations=max(1, int(0.01 * intrinsics.fx))) > 0
        depth = background.surface.depth
        near = free[::4, ::4] & (depth[::4, ::4] > distance[0]) & (depth[::4, ::4] < distance[1] + 0.1)
        rows, cols = np.nonzero(near)
        self.share = float(near.mean())
        if len(rows) == 0:
            return
        x, y = (4 * cols - intrinsics.cx) / intrinsics.fx, (4 * rows - intrinsics.cy) / intrinsics.fy
        points = intersection(plane, np.stack([x, y, np.ones(len(rows))], axis=1))
        self._table = SupportPlane(plane, np.median(points, axis=0), free, intrinsics)
        self._camera = self._table.camera_pose[:3, 3]
        self._spots = (points - self._table.origin) @ self._table.rotation[:2].T

    def arrange(self, items: list[Item], crowding: float, rng: np.random.Generator) -> list[Body]:
        """Bodies for those of `items` that find a place, camera frame, nothing standing within anything else.

        Args:
            items: what to put down, in this order.
            crowding: share put right before or behind another one as the camera sees it.
            rng: source of randomness.
        """
        centre = self._spots[rng.integers(len(self._spots))]
        spread = rng.uniform(0.06, 0.16)
        spots = place_all(
            items,
            lambda item, placed: self._candidates(item, placed, centre, spread, crowding, rng),
            lambda a, b: apart(a.outline[None], b.outline[None], 0.5 * GAP),
        )
        to_camera = self._table.to_camera
        return [Body(s.item.shape.caster, to_camera @ s.pose, s.item.obj_id, None, s.item.material) for s in spots]

    def _candidates(
        self,
        item: Item,
        placed: list[_Spot],
        centre: Float,
        spread: float,
        crowding: float,
        rng: np.random.Generator,
    ) -> Iterator[_Spot]:
        """Places on the free table: around `centre` (2,) within about `spread` (m), or right beside another thing."""
        rest, footprint = stand(item.shape, rng, down=UPRIGHT if item.thin else None, upright=0.6)
        anchors = [s for s in placed if s.item.obj_id] if item.thin else placed
        if item.thin and not anchors:
            return
        anchored = item.thin or (bool(placed) and rng.random() < crowding)
        for _ in range(TRIES):
            turn = about_z(rng.uniform(0, 2 * np.pi))
            outline = footprint @ turn[:2, :2].T
            if anchored:
                anchor = anchors[rng.integers(len(anchors))]
                position = self._beside(anchor, outline, item.thin, rng)
            elif rng.random() < 0.7:
                position = centre + rng.normal(0, spread, 2)
            else:
                position = self._spots[rng.integers(len(self._spots))]
            outline = outline + position
            if self._table.is_free(outline, cut_off=True):
                yield _Spot(item, position, outline, make_transform(turn, [*position, 0.0]) @ rest)

    def _beside(self, anchor: _Spot, outline: Float, thin: bool, rng: np.random.Generator) -> Float:
        """A position (2,) before or behind `anchor` on the line of sight, as close as the outlines allow."""
        towards = self._camera[:2] - anchor.position
        towards = towards / max(float(np.linalg.norm(towards)), 1e-6)
        aside = np.array([-towards[1], towards[0]])
        side = 1.0 if thin or rng.random() < 0.5 else -1.0
        across = 0.5 * float(np.ptp(anchor.outline @ aside))
        if not thin:
            across += 0.5 * float(np.ptp(outline @ aside))
        line = side * towards
        along = float(((anchor.outline - anchor.position) @ line).max() - (outline @ line).min())
        gap = GAP + rng.exponential(0.015)
        return anchor.position + (along + gap) * line + rng.normal(0, 0.3) * across * aside

"""Table-top layouts for single frames: things stand close together, partly hidden by neighbours, each frame anew."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.simulation.placement.layout import GAP, apart, stand
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.planes import plane_axes
from pose_tracking.simulation.rendering.renderer import Body, Material
from pose_tracking.simulation.scenery.backgrounds import Background

Array = NDArray[np.float64]
TRIES = 8
UP = np.array([0.0, 0.0, -1.0])  # the direction that points down in an object that stands upright


@dataclass(frozen=True)
class Item:
    """A thing to put on the table; `thin` ones stand upright right before an object and cut it in two."""

    shape: Shape
    obj_id: int
    material: Material
    thin: bool = False


@dataclass(frozen=True)
class _Spot:
    position: Array
    outline: Array  # (K, 2) m, table frame
    known: bool


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
        self._intrinsics = intrinsics
        support = background.support.astype(np.uint8)
        # Single missing readings are table; within 1 cm of anything else nothing is put.
        closed = cv2.morphologyEx(support, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
        self._free = cv2.erode(closed, np.ones((3, 3), np.uint8), iterations=max(1, int(0.01 * intrinsics.fx))) > 0
        depth = background.surface.depth
        near = self._free[::4, ::4] & (depth[::4, ::4] > distance[0]) & (depth[::4, ::4] < distance[1] + 0.1)
        rows, cols = np.nonzero(near)
        self.share = float(near.mean())
        if len(rows) == 0:
            return
        x, y = (4 * cols - intrinsics.cx) / intrinsics.fx, (4 * rows - intrinsics.cy) / intrinsics.fy
        rays = np.stack([x, y, np.ones(len(rows))], axis=1)
        points = rays * (-plane[3] / (rays @ plane[:3]))[:, None]
        rotation = np.stack([*plane_axes(plane[:3]), plane[:3]])
        origin = np.median(points, axis=0)
        origin = origin - (plane[:3] @ origin + plane[3]) * plane[:3]
        camera_pose = make_transform(rotation, -rotation @ origin)
        self.to_camera = invert_transform(camera_pose)
        self._camera = camera_pose[:3, 3]
        self._spots = (points - origin) @ rotation[:2].T

    def arrange(self, items: list[Item], crowding: float, rng: np.random.Generator) -> list[Body]:
        """Bodies for those of `items` that find room, camera frame, nothing standing within anything else.

        Args:
            items: what to put down, in this order.
            crowding: share put right before or behind another one as the camera sees it.
            rng: source of randomness.
        """
        bodies: list[Body] = []
        placed: list[_Spot] = []
        centre = self._spots[rng.integers(len(self._spots))]
        spread = rng.uniform(0.06, 0.16)
        for item in items:
            rest, footprint = _rest(item, rng)
            known = [s for s in placed if s.known]
            candidates = known if item.thin else placed
            if item.thin and not known:
                continue
            anchored = item.thin or (bool(placed) and rng.random() < crowding)
            for _ in range(TRIES):
                heading = rng.uniform(0, 2 * np.pi)
                turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
                outline = footprint @ turn.T
                if anchored:
                    anchor = candidates[rng.integers(len(candidates))]
                    position = self._beside(anchor, outline, item.thin, rng)
                elif rng.random() < 0.7:
                    position = centre + rng.normal(0, spread, 2)
                else:
                    position = self._spots[rng.integers(len(self._spots))]
                moved = outline + position
                if self._is_free(moved) and all(apart(moved[None], s.outline[None], 0.5 * GAP) for s in placed):
                    pose = make_transform(np.eye(3), [*position, 0.0]) @ _about_z(turn) @ rest
                    bodies.append(Body(item.shape.caster, self.to_camera @ pose, item.obj_id, None, item.material))
                    placed.append(_Spot(position, moved, item.obj_id > 0))
                    break
        return bodies

    def _beside(self, anchor: _Spot, outline: Array, thin: bool, rng: np.random.Generator) -> Array:
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

    def _is_free(self, outline: Array) -> bool:
        """Whether the table is free under an outline (K, 2), of which a part may be out of the picture."""
        world = np.concatenate([outline, np.zeros((len(outline), 1))], axis=1)
        points = world @ self.to_camera[:3, :3].T + self.to_camera[:3, 3]
        if points[:, 2].min() < 0.1:
            return False
        cols, rows = np.round(self._intrinsics.project(points)).astype(int).T
        inside = (cols >= 0) & (rows >= 0) & (cols < self._intrinsics.width) & (rows < self._intrinsics.height)
        return bool(inside.sum() * 2 > len(outline) and self._free[rows[inside], cols[inside]].all())


def _rest(item: Item, rng: np.random.Generator) -> tuple[Array, Array]:
    """A stable pose (4, 4) on z = 0 and its footprint (K, 2); upright where it stands that way, as a rule."""
    return stand(item.shape, rng, down=UP if item.thin else None, upright=0.6)


def _about_z(turn: Array) -> Array:
    pose = np.eye(4)
    pose[:2, :2] = turn
    return pose

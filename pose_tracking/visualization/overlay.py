"""Draws tracked objects onto the colour image: mask, outline of the posed model, 3D box, axes, label and trail."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, transform_points
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster

from .colors import color_of

Color = tuple[int, int, int]
Box = tuple[int, int, int, int]

AXIS_COLORS: tuple[Color, Color, Color] = ((255, 40, 40), (40, 220, 40), (60, 100, 255))
FAULT: Color = (255, 0, 0)
NEAR = 0.02  # metres: closer points have no sensible projection
MASK_ALPHA = 0.35
TRAIL_FRAMES = 40
_SHIFT = 4  # OpenCV draws with 4 fractional bits, so that lines do not jump by whole pixels
_BOX_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]


class OverlayPainter:
    """Draws frame after frame and remembers where each track has been.

    Args:
        objects: the object set; outlines need its meshes and are left out where these are not at hand.
        masks, outlines, boxes, axes, labels, trails: what to draw.
    """

    def __init__(
        self,
        objects: ObjectSet,
        *,
        masks: bool = True,
        outlines: bool = True,
        boxes: bool = True,
        axes: bool = True,
        labels: bool = True,
        trails: bool = True,
    ) -> None:
        self.objects = objects
        self.masks, self.outlines, self.boxes = masks, outlines, boxes
        self.axes, self.labels, self.trails = axes, labels, trails
        self._raycasters: dict[int, MeshRaycaster] = {}
        self._trails: dict[int, deque[Float]] = {}

    def draw(self, frame: RGBDFrame, tracked: Sequence[TrackedObject]) -> UInt8:
        """(H, W, 3) uint8 RGB copy of the frame's colour image with the objects on it.

        Tentative and coasting objects are drawn thinner than confirmed ones in view.
        """
        image = frame.color.copy()
        # Far objects first, so that near ones lie on top.
        ordered = sorted(tracked, key=lambda o: -np.inf if o.pose is None else -o.pose[2, 3])
        if self.masks:
            for o in ordered:
                if o.mask is not None and o.mask.shape == image.shape[:2]:
                    _tint(image, o.mask, color_of(o.track_id))
        for o in ordered:
            self._draw_geometry(image, frame.intrinsics, o)
        if self.trails:
            self._draw_trails(image, frame, ordered)
        if self.labels:
            taken: list[Box] = []
            for o in reversed(ordered):
                taken.append(_draw_label(image, o, taken))
        return image

    def forget_trails(self) -> None:
        """Begin all trails anew, e.g. after the tracks were reset."""
        self._trails.clear()

    def _draw_geometry(self, image: UInt8, camera: CameraIntrinsics, o: TrackedObject) -> None:
        color = color_of(o.track_id)
        bold = o.state == TrackState.CONFIRMED
        model = self.objects.get(o.obj_id)
        if o.pose is None or model is None or not np.isfinite(o.size).all():
            x0, y0, x1, y1 = np.asarray(o.box, float).round().astype(int).tolist()
            cv2.rectangle(image, (x0, y0), (x1, y1), color, 2 if bold else 1, cv2.LINE_AA)
            return
        if self.outlines:
            self._draw_outline(image, camera, o.pose, model, color, 2 if bold else 1)
        if self.boxes:
            corners = transform_points(o.pose, box_corners(model, o.size))
            for a, b in _BOX_EDGES:
                draw_segment(image, camera, corners[a], corners[b], color, 1)
        if self.axes:
            tips = transform_points(o.pose, np.vstack([np.zeros(3), np.eye(3) * 0.4 * float(np.linalg.norm(o.size))]))
            for axis, axis_color in enumerate(AXIS_COLORS):
                draw_segment(image, camera, tips[0], tips[axis + 1], axis_color, 2 if bold else 1)

    def _draw_outline(
        self,
        image: UInt8,
        camera: CameraIntrinsics,
        pose: Float,
        model: ObjectModel,
        color: Color,
        width: int,
    ) -> None:
        if model.mesh is None:
            return
        if model.obj_id not in self._raycasters:
            self._raycasters[model.obj_id] = MeshRaycaster(model.mesh)
        (x0, y0, x1, y1), hits = self._raycasters[model.obj_id].render(pose, camera)
        if x1 <= x0 or y1 <= y0:
            return
        silhouette = (hits.face >= 0).reshape(y1 - y0, x1 - x0).astype(np.uint8)
        # A frame of one pixel closes contours that run along the border of the region.
        padded = np.pad(silhouette, 1)
        contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(x0 - 1, y0 - 1))
        cv2.drawContours(image, contours, -1, color, width, cv2.LINE_AA)

    def _draw_trails(self, image: UInt8, frame: RGBDFrame, tracked: Sequence[TrackedObject]) -> None:
        alive = {o.track_id for o in tracked}
        self._trails = {track_id: trail for track_id, trail in self._trails.items() if track_id in alive}
        to_fixed = np.eye(4) if frame.camera_pose is None else frame.camera_pose
        to_camera = invert_transform(to_fixed)
        for o in tracked:
            if o.pose is None:
                continue
            trail = self._trails.setdefault(o.track_id, deque(maxlen=TRAIL_FRAMES))
            trail.append(transform_points(to_fixed, o.pose[None, :3, 3])[0])
            points = transform_points(to_camera, np.array(trail))
            for start, end in zip(points[:-1], points[1:], strict=True):
                draw_segment(image, frame.intrinsics, start, end, color_of(o.track_id), 2)


def draw(frame: RGBDFrame, tracked_objects: Sequence[TrackedObject], objects: ObjectSet) -> UInt8:
    """(H, W, 3) uint8 RGB picture of one frame; for a sequence, keep an `OverlayPainter`, which draws trails too."""
    return OverlayPainter(objects).draw(frame, tracked_objects)


def mark(image: UInt8, box: Float, text: str, mask: Bool | None = None) -> None:
    """Frame in red what went wrong on an (H, W, 3) RGB picture: box (4,) in pixels, outline of an (H, W) mask."""
    thick = max(2, image.shape[1] // 400)
    if mask is not None and mask.any() and mask.shape == image.shape[:2]:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, contours, -1, FAULT, thick, cv2.LINE_AA)
    x0, y0, x1, y1 = np.clip(np.asarray(box, float), -20_000, 20_000).round().astype(int).tolist()
    cv2.rectangle(image, (x0, y0), (x1, y1), FAULT, thick, cv2.LINE_AA)
    width, height = _text_size(image, text)
    # Below the box: above it stand the labels of what was found.
    x = int(np.clip(x0, 0, max(image.shape[1] - width, 0)))
    y = int(np.clip(y1, 0, max(image.shape[0] - height, 0)))
    _write(image, text, x, y, FAULT)


def box_corners(model: ObjectModel, size: Float | None = None) -> Float:
    """(8, 3) corners of an object's bounding box (m, object frame); bit i of the index selects axis i's upper limit.

    Args:
        model: the object.
        size: (3,) measured edges, where they are not those of the model; a box of unknown shape lies about its origin.
    """
    bits = np.array([[(corner >> axis) & 1 for axis in range(3)] for corner in range(8)], float)
    size = model.size if size is None else size
    low = model.box_min * (size / model.size) if model.has_shape else -size / 2
    return low + bits * size


def draw_segment(
    image: UInt8,
    camera: CameraIntrinsics,
    start: Float,
    end: Float,
    color: Color,
    width: int,
) -> None:
    """Draw a 3D segment (camera frame, m), cut at the near plane; nothing where all of it is behind."""
    if start[2] < NEAR and end[2] < NEAR:
        return
    if start[2] < NEAR or end[2] < NEAR:
        cut = start + (end - start) * ((NEAR - start[2]) / (end[2] - start[2]))
        start, end = (cut, end) if start[2] < NEAR else (start, cut)
    pixels = camera.project(np.stack([start, end]))
    # OpenCV's fixed-point coordinates overflow far outside the image; a line that long carries no information.
    if np.abs(pixels).max() > 20_000:
        return
    (u0, v0), (u1, v1) = np.round(pixels * (1 << _SHIFT)).astype(int).tolist()
    cv2.line(image, (u0, v0), (u1, v1), color, width, cv2.LINE_AA, _SHIFT)


def label_of(o: TrackedObject) -> str:
    """Text on the picture: class, track id, detection score; a question mark while tentative, dots while coasting."""
    mark = {TrackState.TENTATIVE: "?", TrackState.COASTING: " ..."}.get(o.state, "")
    return f"{o.class_name} #{o.track_id}{mark} {o.score:.2f}"


def _tint(image: UInt8, mask: Bool, color: Color) -> None:
    image[mask] = (image[mask] * (1 - MASK_ALPHA) + np.array(color) * MASK_ALPHA).astype(np.uint8)


def _draw_label(image: UInt8, o: TrackedObject, taken: Sequence[Box]) -> Box:
    """Write the label above the object's box, moved where it would cover another; returns the label's box."""
    text = label_of(o)
    width, height = _text_size(image, text)
    x = int(np.clip(round(float(o.box[0])), 0, max(image.shape[1] - width, 0)))
    y = int(np.clip(round(float(o.box[1])) - height, 0, max(image.shape[0] - height, 0)))
    for _ in range(len(taken)):
        hit = next((t for t in taken if x < t[2] and t[0] < x + width and y < t[3] and t[1] < y + height), None)
        if hit is None or hit[3] + height > image.shape[0]:
            break
        y = hit[3]
    _write(image, text, x, y, color_of(o.track_id))
    return x, y, x + width, y + height


def _text_scale(image: UInt8) -> float:
    return max(0.4, image.shape[1] / 1400)


def _text_size(image: UInt8, text: str) -> tuple[int, int]:
    """Width and height in pixels of a line of text with the bar behind it."""
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _text_scale(image), 1)
    return width + 4, height + base + 2


def _write(image: UInt8, text: str, x: int, y: int, color: Color) -> None:
    """A line of text on a bar of a colour, whose upper left corner is (x, y)."""
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _text_scale(image), 1)
    cv2.rectangle(image, (x, y), (x + width + 4, y + height + base + 2), color, cv2.FILLED)
    dark = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] < 128
    ink = (255, 255, 255) if dark else (0, 0, 0)
    at = (x + 2, y + height + 2)
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, _text_scale(image), ink, 1, cv2.LINE_AA)

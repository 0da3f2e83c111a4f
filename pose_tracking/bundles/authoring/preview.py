"""Contact sheets of a new model's objects: views of each mesh, and of each symmetry what it leaves unequal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pose_tracking.core.arrays import Float, UInt8, even_indices
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path, make_directory, write_text
from pose_tracking.core.geometry import invert_transform, make_transform, transform_points
from pose_tracking.objects.raycasting import MeshRaycaster, RayHits

from .new_object import NewObject
from .surface import VisibleSurface, half_lightness_lab
from .symmetry_axis import SymmetryAxis

TEMPLATES = Path(__file__).with_name("templates")
TILE, TITLE, MARGIN = 220, 20, 4
DISTANCE = 4.0  # diameters from the camera to the middle
BACKGROUND, INK = 248, (40, 40, 40)
SURFACE_SCALE, COLOR_SCALE = 0.05, 40.0  # red in the maps: share of the diameter, CIELAB
VIEWS = {"+x": (1, 0, 0), "+y": (0, 1, 0), "+z": (0, 0, 1), "-x": (-1, 0, 0), "-y": (0, -1, 0), "-z": (0, 0, -1)}
MOST_MOVES = 12  # rotations of a symmetry that the maps are the largest of
AXIS_COLOR = (214, 39, 160)


class ObjectViews:
    """Renders one mesh, alone in its picture, from far away.

    Args:
        new: the object.
    """

    def __init__(self, new: NewObject) -> None:
        self.new = new
        self.surface = VisibleSurface(new.mesh, colored=new.colored)
        low, high = new.mesh.vertices.min(0).astype(float), new.mesh.vertices.max(0).astype(float)
        self.middle = (low + high) / 2
        focal = 0.9 * TILE * DISTANCE
        self.camera = CameraIntrinsics(TILE, TILE, focal, focal, (TILE - 1) / 2, (TILE - 1) / 2)
        self._caster = MeshRaycaster(new.mesh)

    def pose(self, direction: Sequence[float] | Float) -> Float:
        """``T_camera_object`` of a camera that looks at the middle from `direction`; z, or else y, is up."""
        forward = -np.asarray(direction, float) / np.linalg.norm(direction)
        up = np.array([0, 0, 1.0]) if abs(forward[2]) < 0.95 else np.array([0, 1.0, 0])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        return make_transform(rotation, [0, 0, DISTANCE * self.new.diameter] - rotation @ self.middle)

    def picture(self, pose: Float) -> UInt8:
        """(TILE, TILE, 3) the mesh in its colours, lit from the camera."""
        box, hits = self._caster.render(pose, self.camera)
        return self._paint(box, hits, self._caster.colors(hits) * self._light(hits))

    def deviation(self, pose: Float, moves: Float) -> UInt8:
        """Distance of the surface, moved by (A, 4, 4) `moves`, from itself: the largest of all, blue to red."""
        box, hits = self._caster.render(pose, self.camera)
        points = self._points(pose, box, hits)
        worst = np.max([self.surface.distance(transform_points(m, points)) for m in moves], axis=0)
        return self._paint(box, hits, self._heat(hits, worst / self.new.diameter / SURFACE_SCALE))

    def color_difference(self, pose: Float, moves: Float) -> UInt8:
        """Difference of colour between the surface and where `moves` bring it: the largest of all, blue to red.

        None, all blue, for a mesh without colour.
        """
        box, hits = self._caster.render(pose, self.camera)
        points = self._points(pose, box, hits)
        if self.surface.colors is None:
            return self._paint(box, hits, self._heat(hits, np.zeros(len(points))))
        own = half_lightness_lab(self.surface.rgb_at(points))
        worst = np.max(
            [
                np.linalg.norm(half_lightness_lab(self.surface.rgb_at(transform_points(m, points))) - own, axis=1)
                for m in moves
            ],
            axis=0,
        )
        return self._paint(box, hits, self._heat(hits, worst / COLOR_SCALE))

    def with_axis(self, image: UInt8, pose: Float, axis: SymmetryAxis) -> UInt8:
        """`image` with the line of `axis` drawn over it."""
        along = self.middle - axis.offset
        centre = axis.offset + (along @ axis.axis) * axis.axis
        ends = np.array([centre - 0.62 * self.new.diameter * axis.axis, centre + 0.62 * self.new.diameter * axis.axis])
        uv = self.camera.project(transform_points(pose, ends))
        (u0, v0), (u1, v1) = (tuple(int(round(float(c))) for c in p) for p in uv)
        image = image.copy()
        if abs(u0 - u1) + abs(v0 - v1) < 8:  # seen along the axis
            cv2.circle(image, (u1, v1), 6, AXIS_COLOR, 2, cv2.LINE_AA)
        else:
            cv2.arrowedLine(image, (u0, v0), (u1, v1), AXIS_COLOR, 2, cv2.LINE_AA, tipLength=0.06)
        return image

    def _points(self, pose: Float, box: tuple[int, int, int, int], hits: RayHits) -> Float:
        """(N, 3) points of the surface, in its own frame, that the rays of a box hit."""
        x0, y0, x1, y1 = box
        depth = np.zeros((TILE, TILE))
        depth[y0:y1, x0:x1] = hits.depth.reshape(y1 - y0, x1 - x0)
        return transform_points(invert_transform(pose), self.camera.backproject(depth)[depth > 0])

    def _light(self, hits: RayHits) -> Float:
        return np.asarray(0.35 + 0.65 * np.abs(hits.normals[:, 2:3]), float)

    def _heat(self, hits: RayHits, value: Float) -> Float:
        colors = np.zeros((len(hits.face), 3))
        if not len(value):  # a sheet seen edge on: OpenCV paints no empty picture
            return colors
        level = (np.clip(value, 0, 1) * 255).astype(np.uint8)
        colors[hits.face >= 0] = cv2.applyColorMap(level[:, None], cv2.COLORMAP_TURBO)[:, 0, ::-1]
        return colors * self._light(hits)

    def _paint(self, box: tuple[int, int, int, int], hits: RayHits, colors: Float) -> UInt8:
        x0, y0, x1, y1 = box
        image = np.full((TILE, TILE, 3), BACKGROUND, np.uint8)
        if x1 > x0 and y1 > y0:
            region = image[y0:y1, x0:x1]
            seen = (hits.face >= 0).reshape(region.shape[:2])
            region[seen] = np.clip(colors, 0, 255).astype(np.uint8).reshape(region.shape)[seen]
        return image


def object_sheet(new: NewObject) -> UInt8:
    """Contact sheet (H, W, 3) uint8 RGB of one object: six views, then a row for every symmetry that was found."""
    views = ObjectViews(new)
    rows = [[_tile(name, views.picture(views.pose(d))) for name, d in VIEWS.items()]]
    rows += [_symmetry_row(views, a, "proposed") for a in new.proposal.axes]
    rows += [_symmetry_row(views, a, "shape only") for a in new.proposal.shape_only]
    body = np.concatenate([np.concatenate(row, 1) for row in rows])
    chosen = new.choice if new.symmetries else f"{new.choice}: none"
    title = f"{new.obj_id} {new.name}   {new.diameter * 1e3:.1f} mm   {len(new.mesh.faces)} faces   symmetries {chosen}"
    return np.concatenate([_text(title, body.shape[1], 28, 0.55), body])


def _symmetry_row(views: ObjectViews, axis: SymmetryAxis, kind: str) -> list[UInt8]:
    across = np.cross(axis.axis, np.eye(3)[np.argmin(np.abs(axis.axis))])
    # A little from above, so that the axis and what goes around it are both seen.
    side = views.pose(across / np.linalg.norm(across) + 0.35 * axis.axis)
    along = views.pose(axis.axis)
    moves = axis.transforms()
    example = moves[len(moves) // 2]
    shown = moves[even_indices(len(moves), MOST_MOVES)]
    angle = np.degrees(axis.angles()[len(moves) // 2])
    return [
        _tile(f"{kind}: {axis}", views.with_axis(views.picture(side), side, axis)),
        _tile("along the axis", views.with_axis(views.picture(along), along, axis)),
        _tile(f"turned by {angle:.0f} deg", views.with_axis(views.picture(side @ example), side, axis)),
        _tile(f"surface: mean {axis.mean:.1%}, p95 {axis.p95:.1%}", views.deviation(side, shown)),
        _tile("surface, along the axis", views.deviation(along, shown)),
        _tile(f"colour differs on {axis.color_share:.0%}", views.color_difference(side, shown)),
    ]


def _tile(title: str, image: UInt8) -> UInt8:
    tile = np.concatenate([_text(title, TILE, TITLE, 0.38), image])
    return np.asarray(cv2.copyMakeBorder(tile, 0, MARGIN, 0, MARGIN, cv2.BORDER_CONSTANT, value=(255, 255, 255)))


def _text(text: str, width: int, height: int, size: float) -> UInt8:
    image = np.full((height, width, 3), 255, np.uint8)
    cv2.putText(image, text, (4, height - 6), cv2.FONT_HERSHEY_SIMPLEX, size, INK, 1, cv2.LINE_AA)
    return image


def write_preview(objects: Sequence[NewObject], folder: str | Path) -> None:
    """Write a sheet ``obj_NNNNNN.png`` of every object and an ``index.html`` that shows them all.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = make_directory(folder)
    entries = []
    for new in objects:
        name = f"obj_{new.obj_id:06d}.png"
        with atomic_path(folder / name) as temporary:
            if not cv2.imwrite(str(temporary), np.ascontiguousarray(object_sheet(new)[:, :, ::-1])):
                raise OutputError(f"{folder / name}: cannot be written")
        entries.append({"id": new.obj_id, "name": new.name, "notes": new.notes, "sheet": name})
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    page = templates.get_template("preview.html").render(objects=entries, red=f"{SURFACE_SCALE:.0%}")
    write_text(folder / "index.html", page)

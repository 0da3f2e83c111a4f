"""What a camera sees of an object from all around: depth, normals and colours on a small grid."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectModel
from pose_tracking.objects.raycasting import MeshRaycaster

from .rotations import even_rotations, without_equivalents

ROTATIONS = 700  # 22 degrees apart on average: within reach of ICP
DISTANCE = 6.0  # diameters from camera to object: 0.6 to 1.2 m for objects of 10 to 20 cm
WINDOW = 1.2  # side of the grid, diameters
SIDE = 24  # its samples along each side
_MARGIN = 8  # samples more on each side, of which the middle of what is seen says which are kept


@dataclass(frozen=True)
class Views:
    """What a camera along +z sees of one object in each of R rotations, on a grid of S x S samples.

    The grid is centred on what is seen: laterally on the mean of its samples, along z on their median. Lengths are
    object diameters.

    Attributes:
        rotations: (R, 3, 3) float32 ``R_view_object``.
        centres: (R, 3) float32 where that centre lies, relative to the object's origin, in the view's frame.
        depth: (R, S, S) float16 along z relative to the centre; NaN where nothing of the object is seen.
        normals: (R, S, S, 3) float16 unit normals towards the camera.
        colors: (R, S, S, 3) uint8 RGB.
    """

    rotations: Float32
    centres: Float32
    depth: np.ndarray
    normals: np.ndarray
    colors: UInt8

    def __len__(self) -> int:
        return len(self.rotations)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def render_views(model: ObjectModel, count: int = ROTATIONS) -> Views:
    """Views of an object in `count` rotations; of those that its symmetries map onto each other one is kept.

    Raises:
        ValueError: the object has no mesh.
    """
    if model.mesh is None:
        raise ValueError(f"object {model.obj_id} has no mesh")
    rotations = even_rotations(count)
    if model.is_symmetric:
        rotations = without_equivalents(rotations, model.symmetries)
    raycaster = MeshRaycaster(model.mesh)
    seen = [_view(model, raycaster, rotation) for rotation in rotations]
    kept = [(rotation, view) for rotation, view in zip(rotations, seen, strict=True) if view is not None]
    return Views(
        np.array([rotation for rotation, _ in kept], np.float32),
        *(np.array([view[i] for _, view in kept]) for i in range(4)),
    )


def _view(
    model: ObjectModel, raycaster: MeshRaycaster, rotation: Float
) -> tuple[Float32, np.ndarray, np.ndarray, UInt8] | None:
    """Centre, depth, normals and colours of one view; None if no ray hits."""
    side = SIDE + 2 * _MARGIN
    pitch = WINDOW / SIDE  # diameters between samples at the object's middle
    focal = DISTANCE / pitch
    middle = (side - 1) / 2
    camera = CameraIntrinsics(side, side, focal, focal, middle, middle)
    away = np.array([0.0, 0.0, DISTANCE * model.diameter])
    translation = away - rotation @ (model.box_min + model.size / 2)
    rows, cols = np.divmod(np.arange(side * side), side)
    hits = raycaster.cast(make_transform(rotation, translation), camera, np.stack([cols, rows], 1))
    hit = np.flatnonzero(hits.depth > 0)
    if len(hit) == 0:  # thinner than the rays are apart
        return None
    row, col = (int(np.clip(np.rint(each[hit].mean() - middle), -_MARGIN, _MARGIN)) for each in (rows, cols))
    window = slice(_MARGIN + row, _MARGIN + row + SIDE), slice(_MARGIN + col, _MARGIN + col + SIDE)
    z = (hits.depth / model.diameter).reshape(side, side)[window]
    known = z > 0
    if not known.any():
        return None
    median = float(np.median(z[known]))
    normals = hits.normals.reshape(side, side, 3)[window]
    ray = np.stack([(cols - middle) / focal, (rows - middle) / focal, np.ones(side * side)], 1)
    towards = np.where((normals * ray.reshape(side, side, 3)[window]).sum(2, keepdims=True) > 0, -1, 1)
    colors = raycaster.colors(hits).reshape(side, side, 3)[window]
    # The grid's middle lies between samples, hence no half sample here: the middle of the rays is that of the window.
    centre = np.array([col / focal * median, row / focal * median, median]) - translation / model.diameter
    return (
        centre.astype(np.float32),
        np.where(known, z - median, np.nan).astype(np.float16),
        np.where(known[..., None], normals * towards, 0).astype(np.float16),
        np.rint(np.where(known[..., None], colors, 0)).astype(np.uint8),
    )

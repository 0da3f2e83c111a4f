"""Rotational symmetries of an object: their axes, transforms, and entries of BOP's ``models_info.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform

CONTINUOUS = 0  # `SymmetryAxis.fold` of a solid of revolution
PROFILE_STEP = 5.0  # degrees between the angles a continuous symmetry is tested at


@dataclass(frozen=True, eq=False)
class SymmetryAxis:
    """One rotational symmetry of an object.

    Attributes:
        axis: (3,) unit direction, object frame.
        offset: (3,) metres, the point of the axis nearest to the origin.
        fold: n of an n-fold symmetry, `CONTINUOUS` for a solid of revolution.
        mean, p95, p99: worst surface distance over the rotations, as shares of the diameter.
        color_share: worst share of the surface whose colour differs clearly; 0 for a mesh without colour.
    """

    axis: Float
    offset: Float
    fold: int
    mean: float
    p95: float
    p99: float
    color_share: float

    def angles(self) -> Float:
        """Rotation angles (rad) of the symmetry, without the identity; of a continuous one at `PROFILE_STEP`."""
        steps = round(360 / PROFILE_STEP) if self.fold == CONTINUOUS else self.fold
        return 2 * np.pi * np.arange(1, steps) / steps

    def transforms(self) -> Float:
        """(A, 4, 4) transforms of `angles`, metres."""
        return axis_rotations(self.axis, self.offset, self.angles())

    def __str__(self) -> str:
        kind = "continuous" if self.fold == CONTINUOUS else f"{self.fold}-fold"
        return f"{kind} about {direction_name(self.axis)}"


@dataclass(frozen=True, eq=False)
class SymmetryProposal:
    """What `find_symmetries` found.

    Attributes:
        axes: symmetries of shape and colour: the proposal.
        shape_only: symmetries of the shape that colour breaks, wholly or down to a smaller fold.
    """

    axes: tuple[SymmetryAxis, ...] = ()
    shape_only: tuple[SymmetryAxis, ...] = ()

    def models_info(self, scale: float = 1e3) -> dict[str, Any]:
        """The keys of BOP's ``models_info.json``; `scale` is the file's units in a metre."""
        return models_info_symmetries(self.axes, scale)


def direction_name(axis: Float) -> str:
    """ "x", "y" or "z" for a coordinate axis, otherwise the components."""
    for i, name in enumerate("xyz"):
        if abs(axis[i]) > 0.99999:
            return name
    return "(" + ", ".join(f"{v:.3f}" for v in axis) + ")"


def axis_rotations(axis: Float, offset: Float, angles: Float) -> Float:
    """(A, 4, 4) rotations by `angles` (rad) about the line through `offset` along `axis`."""
    rotations = Rotation.from_rotvec(np.atleast_1d(angles)[:, None] * axis).as_matrix()
    return make_transform(rotations, offset - rotations @ offset)


def models_info_symmetries(axes: tuple[SymmetryAxis, ...], scale: float = 1e3) -> dict[str, Any]:
    """``symmetries_discrete`` and ``symmetries_continuous`` of BOP for the group that `axes` generate.

    BOP lists every discrete transform but the identity; products of the listed axes are therefore added.
    """
    info: dict[str, Any] = {}
    continuous = [a for a in axes if a.fold == CONTINUOUS]
    discrete = _closure([t for a in axes if a.fold != CONTINUOUS for t in a.transforms()])
    if discrete:
        flat = np.array(discrete)
        flat[:, :3, 3] *= scale
        info["symmetries_discrete"] = [[round(float(v), 8) + 0.0 for v in t.ravel()] for t in flat]
    if continuous:
        info["symmetries_continuous"] = [
            {
                "axis": [round(float(v), 8) + 0.0 for v in a.axis],
                "offset": [round(float(v), 6) + 0.0 for v in a.offset * scale],
            }
            for a in continuous
        ]
    return info


def _closure(transforms: list[Float], limit: int = 120) -> list[Float]:
    """All products of `transforms` that differ by more than a few degrees, the identity left out."""
    found: list[Float] = []

    def is_new(candidate: Float) -> bool:
        known = np.array([np.eye(4), *found])
        return bool((_angle_between(known[:, :3, :3], candidate[:3, :3]) > np.radians(5)).all())

    for transform in transforms:
        if is_new(transform):
            found.append(transform)
    generators, i = list(found), 0
    while i < len(found) and len(found) < limit:
        for generator in generators:
            product = found[i] @ generator
            if is_new(product):
                found.append(product)
        i += 1
    return found


def _angle_between(a: Float, b: Float) -> Float:
    trace = np.einsum("nij,ij->n", a, b)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))

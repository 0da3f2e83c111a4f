"""What a user says about an object's symmetries: none, the proposal, or an axis of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.errors import ConfigError
from pose_tracking.objects.mesh import Mesh

from .surface import VisibleSurface
from .symmetry_axis import CONTINUOUS, SymmetryAxis, SymmetryProposal, axis_rotations

MAX_DISCRETE = 72


@dataclass(frozen=True)
class SymmetryChoice:
    """A parsed ``--symmetry`` specification.

    Attributes:
        kind: "none", "proposed", "shape" (colour not counted), "continuous" or "discrete".
        fold: n of a discrete symmetry.
        axis: "x", "y" or "z", through the middle of the bounding box.
    """

    kind: str
    fold: int = CONTINUOUS
    axis: str = "z"

    def __str__(self) -> str:
        if self.kind == "continuous":
            return f"continuous:{self.axis}"
        return f"discrete:{self.fold}:{self.axis}" if self.kind == "discrete" else self.kind


def parse_choice(text: str, where: str = "") -> SymmetryChoice:
    """Read ``none``, ``proposed``, ``shape``, ``continuous:AXIS`` or ``discrete:N:AXIS``.

    Raises:
        ConfigError: it is none of them.
    """
    kind, *rest = text.lower().split(":")
    if kind in ("none", "proposed", "shape") and not rest:
        return SymmetryChoice(kind)
    if kind == "continuous" and len(rest) == 1 and rest[0] in ("x", "y", "z"):
        return SymmetryChoice(kind, axis=rest[0])
    by_hand = kind == "discrete" and len(rest) == 2 and rest[0].isdecimal() and rest[1] in ("x", "y", "z")
    if by_hand and 2 <= int(rest[0]) <= MAX_DISCRETE:
        return SymmetryChoice(kind, int(rest[0]), rest[1])
    raise ConfigError(
        f"--symmetry {where or text!r}: is not none, proposed, shape, continuous:x|y|z or discrete:N:x|y|z "
        f"(N from 2 to {MAX_DISCRETE})"
    )


def chosen_symmetries(
    choice: SymmetryChoice | None, mesh: Mesh, proposal: SymmetryProposal
) -> tuple[SymmetryAxis, ...]:
    """The axes that `choice` means for an object; None is the proposal.

    An axis given by hand goes through the middle of the bounding box, because few objects turn about another one.
    """
    if choice is None or choice.kind == "proposed":
        return proposal.axes
    if choice.kind == "none":
        return ()
    if choice.kind == "shape":
        taken = list(proposal.shape_only)
        taken += [a for a in proposal.axes if all(abs(a.axis @ b.axis) < 0.99 for b in taken)]
        return tuple(taken)
    axis = np.eye(3)["xyz".index(choice.axis)]
    middle = (mesh.vertices.max(0).astype(float) + mesh.vertices.min(0)) / 2
    offset = middle - (middle @ axis) * axis
    offset[np.abs(offset) < 1e-6] = 0.0
    steps = choice.fold or 36
    transform = axis_rotations(axis, offset, np.array([2 * np.pi * (steps // 2) / steps]))[0]
    figures = VisibleSurface(mesh).compare(transform, 1500, 20.0)
    return (SymmetryAxis(axis, offset, choice.fold, *figures),)

"""Bodies that stand on a table and may move on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform

from .shapes import Shape


def about_z(angles: ArrayLike) -> Float:
    """(..., 3, 3) rotations about the vertical by `angles` (...) (rad)."""
    angles = np.asarray(angles, float)
    cosine, sine = np.cos(angles), np.sin(angles)
    out = np.zeros((*angles.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1] = cosine, -sine
    out[..., 1, 0], out[..., 1, 1] = sine, cosine
    out[..., 2, 2] = 1.0
    return out


class Motion(Protocol):
    """Where a body is over time."""

    @property
    def moves(self) -> bool:
        """Whether the body is ever anywhere else."""
        ...

    def at(self, times: Float) -> tuple[Float, Float]:
        """Positions (T, 3) in metres and headings (T,) in radians at times (T,) in seconds, table frame."""
        ...


AnyMotion = TypeVar("AnyMotion", bound=Motion, covariant=True)


@dataclass(frozen=True, eq=False)
class PlacedBody(Generic[AnyMotion]):
    """A shape that stands on a table, z being up.

    Attributes:
        shape: what it is.
        obj_id: its class, 0 for a distractor.
        rest: (4, 4) stands it on z = 0 with its footprint around the z axis.
        footprint: (K, 2) convex outline at heading 0 (m).
        motion: where it is over time.
    """

    shape: Shape
    obj_id: int
    rest: Float
    footprint: Float
    motion: AnyMotion

    @property
    def radius(self) -> float:
        """Radius of the footprint (m)."""
        return float(np.linalg.norm(self.footprint, axis=1).max())

    def pose(self, seconds: float) -> Float:
        """(4, 4) pose in the table frame."""
        return self.poses(np.array([seconds]))[0]

    def poses(self, times: Float) -> Float:
        """(T, 4, 4) poses in the table frame at times (T,)."""
        positions, headings = self.motion.at(times)
        return make_transform(about_z(headings), positions) @ self.rest

    def places(self, times: Float) -> Float:
        """(T, 2) middles of the footprint (m) at times (T,), table frame."""
        return self.motion.at(times)[0][:, :2]

    def outlines(self, times: Float) -> Float:
        """(T, K, 2) footprints at times (T,), table frame; a body at rest has one for all."""
        positions, headings = self.motion.at(times if self.motion.moves else times[:1])
        turns = about_z(headings)[:, :2, :2]
        return self.footprint @ np.swapaxes(turns, 1, 2) + positions[:, None, :2]

"""What the detections of one class measure, as arrays: gathering it from a hundred objects takes long, so only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.results import Detection, PoseEstimate

from . import box_filter


class Measured:
    """D detections of one class, and arrays of them that are made when they are first asked for.

    Args:
        detections: any of one class.

    Attributes:
        detections: the same.
    """

    def __init__(self, detections: Sequence[Detection]) -> None:
        self.detections = list(detections)
        self._source: tuple[Measured, Sequence[int]] | None = None

    def __len__(self) -> int:
        return len(self.detections)

    def take(self, columns: Sequence[int]) -> Measured:
        """Those at `columns`, rising or not; arrays that there are of all are not gathered again."""
        if len(columns) == len(self) and list(columns) == list(range(len(self))):
            return self
        taken = Measured([self.detections[j] for j in columns])
        taken._source = self, columns
        return taken

    @cached_property
    def boxes(self) -> Float:
        """(D, 4) boxes (x, y, a, h)."""
        return self._array("boxes", lambda: box_filter.to_xyah(np.array([d.box for d in self.detections])))

    @property
    def estimates(self) -> list[PoseEstimate]:
        """Those that there are of the D poses."""
        return [d.pose for d in self.detections if d.pose is not None]

    @cached_property
    def has_sizes(self) -> bool:
        """Whether any of the poses tells a size or a scale."""
        return bool([e for e in self.estimates if e.size is not None or e.scale is not None])

    @cached_property
    def poses(self) -> Float:
        """(D, 4, 4) where all have one."""
        return self._array("poses", lambda: np.array([e.pose for e in self.estimates]))

    @cached_property
    def noise(self) -> Float:
        """(D, 6, 6) covariances of the poses, but for what frames share; where all have one."""
        return self._array("noise", lambda: np.array([e.noise for e in self.estimates]))

    def _array(self, name: str, gather: Callable[[], Float]) -> Float:
        if self._source is not None and name in self._source[0].__dict__:
            source, columns = self._source
            taken: Float = source.__dict__[name].take(columns, axis=0)
            return taken
        return gather()

"""What every dataset reader yields: a frame and what is known to be in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..frame import RGBDFrame


@dataclass
class GroundTruthObject:
    """One annotated object instance.

    Attributes:
        obj_id: BOP object id.
        pose: (4, 4) ``T_camera_object``, metres.
        visibility: share of the silhouette in view, 0 to 1, or None where unknown.
        box: (4,) (x_min, y_min, x_max, y_max) of the visible part in pixels, or None where unknown.
        mask: (H, W) bool visible mask, or None where unknown.
        instance_id: identity over the frames of a sequence, from 1, or None where unknown.
    """

    obj_id: int
    pose: NDArray[np.float64]
    visibility: float | None = None
    box: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | None = None
    instance_id: int | None = None


@dataclass
class Sample:
    """A frame with its ground truth; `objects` is None where the frame is not annotated at all."""

    frame: RGBDFrame
    objects: list[GroundTruthObject] | None = None


class Source(Protocol):
    """A sequence of samples in the order of time."""

    name: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...

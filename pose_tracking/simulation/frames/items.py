"""A thing that a random frame is to show."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material


@dataclass(frozen=True)
class Item:
    """A thing to put down; `obj_id` 0 is a distractor, `thin` ones stand before an object and cut it in two."""

    shape: Shape
    obj_id: int
    material: Material
    thin: bool = False

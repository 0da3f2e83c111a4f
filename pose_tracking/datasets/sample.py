"""What every dataset reader yields: a frame and what is known to be in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.events import Event
from pose_tracking.core.frame import RGBDFrame


@dataclass
class GroundTruthObject:
    """One annotated object instance.

    Attributes:
        obj_id: BOP object id.
        pose: (4, 4) ``T_camera_object``, metres; NaN where boxes alone are annotated.
        visibility: share of the silhouette in view, 0 to 1, or None where unknown.
        box: (4,) (x_min, y_min, x_max, y_max) of the visible part in pixels, or None where unknown or fully hidden;
            x_max and y_max lie one past the last pixel.
        mask: (H, W) bool visible mask, or None where unknown.
        instance_id: identity over the frames of a sequence, from 1, or None where unknown.
        scale: size of the instance over that of the object's mesh.
        amodal_box: (4,) box of the whole silhouette, hidden parts included; may reach beyond the image; or None.
    """

    obj_id: int
    pose: Float
    visibility: float | None = None
    box: Float | None = None
    mask: Bool | None = None
    instance_id: int | None = None
    amodal_box: Float | None = None
    scale: float = 1.0


@dataclass
class Sample:
    """A frame with its ground truth.

    Attributes:
        frame: the RGB-D frame.
        objects: the annotated instances; None where the frame is not annotated at all.
        scene_id: BOP scene number; a change of it begins an unrelated sequence.
        image_id: BOP image number, or None where the source numbers no images.
        complete: whether every known object in view is annotated, so that whatever else is found is wrong. Otherwise
            nothing is said of the classes that are never annotated: real data often annotate one object a frame.
        events: what has happened to the instances and is over with this frame; None where the source tells no events.
    """

    frame: RGBDFrame
    objects: list[GroundTruthObject] | None = None
    scene_id: int = 0
    image_id: int | None = None
    complete: bool = False
    events: list[Event] | None = None


def silhouette_box(mask: Bool) -> Float | None:
    """(4,) box around a (H, W) mask in the form of `GroundTruthObject.box`; None for an empty mask."""
    box = mask_box(mask)
    return None if box is None else box.astype(float)


class Source(Protocol):
    """A sequence of samples in the order of time."""

    name: str

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...


@runtime_checkable
class TimedSource(Source, Protocol):
    """A source whose times are known before its images are read: a recording that can be played from anywhere."""

    @property
    def stamps_ns(self) -> list[int]: ...

    def take(self, first: int, last: int) -> Iterator[Sample]: ...

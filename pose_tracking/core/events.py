"""What happens to an object: the kinds of events, and what it does at a time."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class EventKind(str, enum.Enum):
    """What may happen to an object."""

    APPEARED = "appeared"  # its track was confirmed; an instant
    MOVED = "moved"  # it rested, moved and rests elsewhere, whatever moved it
    CARRIED = "carried"  # something held it up
    PLACED = "placed"  # it was carried and rests now; an instant
    FELL = "fell"  # nothing held it
    KNOCKED_OVER = "knocked_over"  # what pointed up at rest does not after a short motion on its support
    HIDDEN = "hidden"  # it was not seen, inside the picture
    LEFT = "left"  # it went out of the picture; an instant


class Activity(enum.IntEnum):
    """What an object does now (values are those of TrackActivity.msg)."""

    UNKNOWN = 0  # nothing can be said (yet)
    STILL = 1
    MOVING = 2
    CARRIED = 3
    FALLING = 4
    HIDDEN = 5


@dataclass(frozen=True)
class Event:
    """Something that happened to one object.

    Attributes:
        kind: what.
        identity: track ID, or instance ID in a ground truth.
        obj_id, class_name: which object.
        onset_ns, end_ns: stamps (ns) of the frames in which it began and was over; the same for an instant.
        confidence: 0 to 1.
        note: what the reader should know of it, e.g. why nothing is said of a fall; mostly empty.
    """

    kind: EventKind
    identity: int
    obj_id: int
    class_name: str
    onset_ns: int
    end_ns: int
    confidence: float = 1.0
    note: str = ""


PEOPLE = ("person", "pedestrian")  # class names of tracked people
UNKNOWN = "unknown"  # label of a clip of which nothing can be said


@dataclass(frozen=True)
class ClipVerdict:
    """What a network says of one track, beside the rules: of its last 16 pictures, or of a person's keypoints.

    Attributes:
        label: one of its classes, or `UNKNOWN`.
        probability: of the label, 0 to 1; 0 where it was not asked.
        onset_ns, end_ns: stamps (ns) of the first and last frame it is about.
        note: why nothing is known; else empty.
        source: ``clip``, or ``keypoints``.
    """

    label: str
    probability: float
    onset_ns: int
    end_ns: int
    note: str = ""
    source: str = "clip"

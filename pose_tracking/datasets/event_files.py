"""``scene_events.json`` of a BOP scene, an addition of ours: what happens to its instances.

``{"<image>": [{"kind", "instance_id", "obj_id", "lasted_ns"}]}``: the image is the one in which the event is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.events import Event, EventKind

SCENE_EVENTS = "scene_events.json"


def event_entry(event: Event) -> dict[str, Any]:
    """What is written of an event."""
    return {
        "kind": event.kind.value,
        "instance_id": int(event.identity),
        "obj_id": int(event.obj_id),
        "lasted_ns": int(event.end_ns - event.onset_ns),
    }


def read_events(entries: Iterable[Mapping[str, Any]], stamp_ns: int, where: str) -> list[Event]:
    """The events that are over in a frame.

    Args:
        entries: of its image.
        stamp_ns: its stamp.
        where: what to call it in an error.

    Raises:
        DatasetError: an entry lacks something, or is of an unknown kind.
    """
    events = []
    for number, entry in enumerate(entries):
        try:
            lasted = int(entry["lasted_ns"])
            if lasted < 0:
                raise ValueError(f"lasted_ns is {lasted}")
            kind, identity, obj_id = EventKind(entry["kind"]), int(entry["instance_id"]), int(entry["obj_id"])
        except KeyError as error:
            raise DatasetError(f"{where}, entry {number}: no {error}") from error
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{where}, entry {number}: not usable ({error})") from error
        events.append(Event(kind, identity, obj_id, "", stamp_ns - lasted, stamp_ns))
    return events

"""What a clip is called, given what happened in the time it spans."""

from __future__ import annotations

from collections.abc import Iterable

from pose_tracking.core.events import EventKind
from pose_tracking.networks.clips.shape import SPAN

STILL = "still"
# Least and most seconds from the end of an event to that of a clip called after it. What is carried is held yet.
AFTER = {
    EventKind.FELL: (0.1, 0.9),
    EventKind.KNOCKED_OVER: (0.1, 0.9),
    EventKind.PLACED: (0.1, 0.8),
    EventKind.CARRIED: (-0.25, -0.05),
    EventKind.MOVED: (0.0, 0.8),
}
HELD = 0.45  # seconds for which a thing must have been carried in a clip of that
_EDGE = 0.05  # seconds by which events must be off for a clip to be called still


def clip_label(events: Iterable[tuple[EventKind, float, float]], end: float) -> str | None:
    """Label of the clip of a thing that ends at a time, or None where it shows a part of something only.

    Args:
        events: kind, onset and end (s) of all that happened to it.
        end: of the clip (s).
    """
    near = [e for e in events if e[0] in AFTER and e[1] < end + _EDGE and e[2] > end - SPAN - _EDGE]
    if not near:
        return STILL
    for kind, onset, over in near:
        if kind == EventKind.CARRIED and onset + HELD <= end <= over + AFTER[kind][1]:
            return str(kind.value)
    last: tuple[float, str] | None = None
    for kind, onset, over in near:
        # That something was moved goes without saying where it fell, or was carried.
        alone = not any(k != kind and o <= over and e >= onset for k, o, e in near)
        if kind == EventKind.CARRIED or (kind == EventKind.MOVED and not alone):
            continue
        low, high = AFTER[kind]
        if low <= end - over <= high and (last is None or over > last[0]):
            last = over, str(kind.value)
    return None if last is None else last[1]

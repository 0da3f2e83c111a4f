"""Numbers and times as people read them; filters of the templates."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from pose_tracking.core.arrays import Float
from pose_tracking.gallery.query import moment_of

_STEPS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def moment(ns: int) -> datetime:
    """The time in the zone of this machine; data sets without a clock begin in 1970."""
    return moment_of(ns)


def iso(ns: int) -> str:
    """As `<time>` has it."""
    return moment(ns).isoformat(timespec="milliseconds")


def clock(ns: int) -> str:
    """Time of day."""
    return f"{moment(ns):%H:%M:%S}"


def day(ns: int) -> str:
    """The day, as short as it can be understood."""
    when, today = moment(ns), moment(time.time_ns())
    if when.date() == today.date():
        return "today"
    return f"{when.day} {when:%b}" if when.year == today.year else f"{when.day} {when:%b %Y}"


def duration(seconds: float) -> str:
    """Like ``1 h 12 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    parts, rest = [], round(seconds)
    for size, unit in _STEPS:
        count, rest = divmod(rest, round(size))
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def ago(ns: int, now_ns: int | None = None) -> str:
    """How long ago, to one unit."""
    seconds = ((time.time_ns() if now_ns is None else now_ns) - ns) / 1e9
    if seconds < 2:
        return "now"
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "now"


def place(position: Float | None) -> str:
    """A position in metres, or nothing."""
    # Adding 0 takes the sign off what is rounded to -0.
    return "" if position is None else "{:.2f}, {:.2f}, {:.2f} m".format(*(position.round(2) + 0.0))


def words(name: str) -> str:
    """A class as people write it: ``mug_red`` is a mug red."""
    return name.replace("_", " ")


def query(**values: Any) -> str:
    """A query string; what is None or empty is left out, lists are repeated."""
    given = [(k.rstrip("_"), each) for k, v in values.items() for each in (v if isinstance(v, (list, tuple)) else [v])]
    return urlencode([(k, v) for k, v in given if v not in (None, "")])


FILTERS = {f.__name__: f for f in (iso, clock, day, duration, ago, place, words)}

"""The language of a search: ``class:mug_red camera:2 event:fell after:10:00 near:0.4,0.1,0,0.2 like:17``.

Terms are separated by spaces and all have to hold. A term is FIELD:VALUE, or a word that is part of the class name.
Values with spaces stand in double quotes, in which ``\\"`` is a quote and ``\\\\`` a backslash.

==========  ==========================================================================================================
field       value
==========  ==========================================================================================================
class       class name; several with commas between them, or several terms: any of them
camera      name of a camera, likewise
event       kind of what happened to it (moved, carried, placed, fell, knocked_over, hidden, left), likewise
after       seen at that time or later: a time of day (10:00, 10:00:30; of the newest day in the store), a day
            (2026-11-29), both (2026-11-29T10:00), seconds since 1970, or so long ago (-30s, -10m, -2h, -1d)
before      seen at that time or earlier
near        x,y,z,r: within r metres of a point in the map frame
map         name of the map frame
identity    number of an identity
like        number of a sighting: what looks like it, nearest first
==========  ==========================================================================================================
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.events import EventKind

from .filters import Filter, Near

FIELDS = ("class", "camera", "event", "after", "before", "near", "map", "identity", "like")
MAX_LENGTH = 2000
_LISTS = ("class", "camera", "event")
_EVENTS = tuple(kind.value for kind in EventKind if kind != EventKind.APPEARED)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGO = re.compile(r"-(\d{1,9}(?:\.\d{1,9})?)([smhd])")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d{1,6})?)?")
_LAST_NS = 2**63 - 1


@dataclass(frozen=True)
class Query:
    """What is searched: conditions, and the sighting whose looks order the results; None: newest first."""

    where: Filter
    like: int | None = None


def parse_query(text: str, day: date | None = None, now_ns: int | None = None) -> Query:
    """The query of a text.

    Args:
        text: see the module.
        day: that times of day are of; by default today.
        now_ns: what "ago" counts from; by default now.

    Raises:
        ConfigError: it cannot be read; the message has the term and what was expected.
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the query has {len(text)} characters; at most {MAX_LENGTH} are read")
    lists: dict[str, list[str]] = {field: [] for field in _LISTS}
    single: dict[str, str] = {}
    words: list[str] = []
    for field, value, term in _terms(text):
        if not field:
            words.append(value)
        elif field not in FIELDS:
            raise ConfigError(f"{term!r}: there is no field {field!r}; fields: {', '.join(FIELDS)}")
        elif not value:
            raise ConfigError(f"{term!r}: {field}: needs a value")
        elif field in _LISTS:
            lists[field] += [value] if term.partition(":")[2].startswith('"') else _several(value, term)
        elif field in single:
            raise ConfigError(f"{term!r}: {field}: stands twice; give it once")
        else:
            single[field] = value
    if len(words) > 1:
        raise ConfigError(f'{" ".join(words)!r}: one word at most is searched for in class names; quote several: "..."')
    for kind in lists["event"]:
        if kind not in _EVENTS:
            raise ConfigError(f"'event:{kind}': there is no such event; events: {', '.join(_EVENTS)}")
    clock = _Clock(day or date.today(), time.time_ns() if now_ns is None else now_ns)
    where = Filter(
        cameras=tuple(dict.fromkeys(lists["camera"])),
        classes=tuple(dict.fromkeys(lists["class"])),
        events=tuple(dict.fromkeys(lists["event"])),
        text=words[0] if words else "",
        after_ns=clock.read("after", single["after"]) if "after" in single else None,
        before_ns=clock.read("before", single["before"]) if "before" in single else None,
        near=_near(single["near"]) if "near" in single else None,
        map_frame=single.get("map"),
        identity=_number("identity", single["identity"]) if "identity" in single else None,
    )
    where.check()
    return Query(where, _number("like", single["like"]) if "like" in single else None)


def quoted(value: str) -> str:
    """A value as it stands in a query."""
    if value and not re.search(r'[\s",:\\]', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _terms(text: str) -> list[tuple[str, str, str]]:
    """(field or "", value, the term as written) of each term."""
    terms, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        start, value, field, is_quoted = position, "", "", False
        while position < len(text) and not text[position].isspace():
            if text[position] == '"' and not value:
                value, position = _quoted_value(text, position, text[start:])
                is_quoted = True
                if position < len(text) and not text[position].isspace():
                    raise ConfigError(f"{text[start:]!r}: a space is missing after the closing quote")
                break
            if text[position] == ":" and not field and value:
                field, value = value, ""
            else:
                value += text[position]
            position += 1
        if not field and is_quoted and not value:
            raise ConfigError(f"{text[start:position]!r}: an empty word matches everything; leave it out")
        terms.append((field, value, text[start:position]))
    return terms


def _quoted_value(text: str, position: int, rest: str) -> tuple[str, int]:
    """The value that begins with the quote at `position`, and where it ends."""
    value, position = "", position + 1
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            value += text[position + 1]
            position += 2
        elif text[position] == '"':
            return value, position + 1
        else:
            value += text[position]
            position += 1
    raise ConfigError(f"{rest!r}: the closing quote is missing")


def _several(value: str, term: str) -> list[str]:
    names = value.split(",")
    if not all(names):
        raise ConfigError(f"{term!r}: an empty name between the commas")
    return names


def _number(field: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise ConfigError(f"'{field}:{value}': expected a number, as lists of sightings and identities show it")
    return int(value)


def _near(value: str) -> Near:
    try:
        numbers = [float(part) for part in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(n) and abs(n) < 1e6 for n in numbers) or numbers[3] <= 0:
        raise ConfigError(f"'near:{value}': expected x,y,z,r: a point of the map and a radius above 0, in metres")
    return Near(*numbers)


@dataclass(frozen=True)
class _Clock:
    day: date
    now_ns: int

    def read(self, field: str, value: str) -> int:
        """Nanoseconds since 1970 of a time as it is written in a query."""
        nanoseconds = self._read(value)
        if nanoseconds is None or not 0 <= nanoseconds <= _LAST_NS:
            raise ConfigError(
                f"'{field}:{value}': no time; write 10:00, 10:00:30, 2026-11-29, 2026-11-29T10:00, seconds since 1970, "
                "or so long ago: -30s, -10m, -2h, -1d"
            )
        return nanoseconds

    def _read(self, value: str) -> int | None:
        if ago := _AGO.fullmatch(value):
            return self.now_ns - round(float(ago[1]) * _UNITS[ago[2]] * 1e9)
        if re.fullmatch(r"\d{1,10}(\.\d{1,9})?", value):
            seconds, _, fraction = value.partition(".")
            return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        try:
            if _CLOCK.fullmatch(value):
                padded = value if value.index(":") == 2 else "0" + value
                moment = datetime.combine(self.day, time_of_day.fromisoformat(padded))
            else:
                moment = datetime.fromisoformat(value.replace("Z", "+00:00").replace("z", "+00:00"))
            return nanoseconds_of(moment)
        except (ValueError, OverflowError, OSError):
            return None


def nanoseconds_of(moment: datetime) -> int:
    """Nanoseconds since 1970; of a moment without a time zone, in that of this machine."""
    whole = moment.replace(microsecond=0)
    return round(whole.timestamp()) * 10**9 + moment.microsecond * 1000


def moment_of(nanoseconds: int) -> datetime:
    """The moment in the time zone of this machine, to the microsecond."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return datetime.fromtimestamp(seconds).astimezone() + timedelta(microseconds=rest // 1000)

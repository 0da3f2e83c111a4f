"""The query language: what is written is what is asked, and what cannot be read is named."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.filters import Filter, Near
from pose_tracking.gallery.query import MAX_LENGTH, Query, moment_of, nanoseconds_of, parse_query, quoted

DAY = date(2026, 11, 29)
NOW = 1_800_000_000_000_000_000


def at(hour: int, minute: int = 0, second: float = 0.0) -> int:
    """Nanoseconds of a time of `DAY` on this machine's clock."""
    return nanoseconds_of(datetime(2026, 11, 29, hour, minute) + timedelta(seconds=second))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", Query(Filter())),
        ("  class:mug_red   camera:2 after:10:00 ",
         Query(Filter(cameras=("2",), classes=("mug_red",), after_ns=at(10)))),
        ("class:a,b class:c", Query(Filter(classes=("a", "b", "c")))),
        ('class:"a, \\"b\\" \\\\ :c" camera:"front door"',
         Query(Filter(cameras=("front door",), classes=('a, "b" \\ :c',)))),
        ("mug after:9:30 before:09:30:15.5", Query(Filter(text="mug", after_ns=at(9, 30), before_ns=at(9, 30, 15.5)))),
        ('"red mug"', Query(Filter(text="red mug"))),
        ("after:2026-11-29 before:2026-11-29T10:00", Query(Filter(after_ns=at(0), before_ns=at(10)))),
        ("after:-10m", Query(Filter(after_ns=NOW - 600 * 10**9))),
        ("before:12.25", Query(Filter(before_ns=12_250_000_000))),
        ("near:0.4,-0.1,1e-1,0.2 map:lab", Query(Filter(near=Near(0.4, -0.1, 0.1, 0.2), map_frame="lab"))),
        ("identity:3 like:17", Query(Filter(identity=3), 17)),
        ("class:x'; DROP TABLE sightings;--" .replace(" ", ""), Query(Filter(classes=("x';DROPTABLEsightings;--",)))),
    ],
)  # fmt: skip
def test_what_is_asked(text: str, query: Query) -> None:
    assert parse_query(text, DAY, NOW) == query


def test_a_time_with_a_zone() -> None:
    moment = datetime(2026, 11, 29, 10, tzinfo=timezone(timedelta(hours=5)))
    expected = nanoseconds_of(moment)
    assert parse_query("after:2026-11-29T10:00+05:00").where.after_ns == expected
    assert parse_query("after:2026-11-29T05:00:00Z").where.after_ns == expected
    assert moment_of(expected + 1500).isoformat() == (moment.astimezone() + timedelta(microseconds=1)).isoformat()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour:red", r"'colour:red': there is no field 'colour'; fields: class, camera, event, after"),
        ("class:", "class: needs a value"),
        ("class:a,,b", "an empty name between the commas"),
        ("after:noon", r"'after:noon': no time; write 10:00"),
        ("after:25:00", "no time"),
        ("after:2026-13-01", "no time"),
        ("after:9999999999999", "no time"),
        ("before:-999999999d", "no time"),
        ("after:11:00 before:10:00", "after: is later than before:"),
        ("after:10:00 after:11:00", "after: stands twice"),
        ("near:1,2,3", "expected x,y,z,r"),
        ("near:1,2,3,0", "a radius above 0"),
        ("near:1,2,nan,1", "expected x,y,z,r"),
        ("near:a,b,c,d", "expected x,y,z,r"),
        ("like:x", "expected a number"),
        ("like:1e3", "expected a number"),
        ("identity:-1", "expected a number"),
        ('class:"mug', "closing quote is missing"),
        ('class:"mug"x', "a space is missing"),
        ("red mug", "one word at most"),
        ("x" * (MAX_LENGTH + 1), "at most 2000 are read"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_query(text, DAY, NOW)


NAMES = st.text(min_size=1, max_size=20)


@given(st.lists(NAMES, max_size=3, unique=True), st.lists(NAMES, max_size=3, unique=True))
def test_any_name_can_be_asked_for(classes: list[str], cameras: list[str]) -> None:
    terms = [f"class:{quoted(name)}" for name in classes] + [f"camera:{quoted(name)}" for name in cameras]
    where = parse_query(" ".join(terms), DAY, NOW).where
    assert (where.classes, where.cameras) == (tuple(classes), tuple(cameras))


@given(st.text(max_size=80))
def test_any_text_is_a_query_or_one_clear_line(text: str) -> None:
    with suppress(ConfigError):
        assert parse_query(text, DAY, NOW).where is not None


@given(st.text(alphabet='clasmernb:,"\\ 0123456789.-', max_size=60))
def test_texts_that_are_nearly_queries(text: str) -> None:
    try:
        query = parse_query(text, DAY, NOW)
    except ConfigError:
        return
    assert parse_query(f"  {text}  ", DAY, NOW) == query

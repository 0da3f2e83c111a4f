"""What happened to things: kept with their sightings, and found."""

from __future__ import annotations

import numpy as np
import pytest
from event_story import CAMERA, EMPTY, NO_COLOR, VIEW, standing, track
from gallery_samples import filled, looks, sighting

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.events import Event, EventKind
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.gallery.collector import SightingCollector
from pose_tracking.gallery.query import parse_query
from pose_tracking.gallery.search import search

SECOND = 1_000_000_000
FELL = Event(EventKind.FELL, 1, 1, "mug", 2 * SECOND, 2 * SECOND + 300_000_000, 0.75, "from a shelf")
MOVED = Event(EventKind.MOVED, 2, 1, "mug", SECOND, 2 * SECOND)


@pytest.fixture
def store(place):
    fallen, moved, quiet = sighting(), sighting(track=2, start=4, end=6, thing=1), sighting(track=3, start=7, end=9)
    fallen.events, moved.events = [FELL], [MOVED]
    opened, _ = filled(place, [fallen, moved, quiet])
    with opened:
        yield opened


def _tracks(store, query, like=None):
    return sorted(result.sighting.track_id for result in search(store, parse_query(query), like))


def test_events_come_back_as_they_were_told(store):
    (found,) = search(store, parse_query("event:fell"))

    assert found.sighting.events == [FELL]
    assert found.as_dict()["events"][0]["note"] == "from a shelf"


def test_found_by_kind_also_among_looks(store):
    assert _tracks(store, "event:fell") == [1]
    assert _tracks(store, "event:fell,moved") == [1, 2]
    assert _tracks(store, "event:placed") == []
    assert _tracks(store, "event:moved", looks(0)[None]) == [2]
    assert _tracks(store, "") == [1, 2, 3]


def test_unknown_kind_is_named():
    with pytest.raises(ConfigError, match="event:exploded.*there is no such event; events: moved, "):
        parse_query("event:exploded")


def test_forgotten_with_their_sighting(store):
    store._database.rows("DELETE FROM sightings")

    assert store._database.rows("SELECT count(*) FROM events") == [(0,)]


def test_collector_gives_events_to_the_sighting_of_their_track():
    collector, rng = SightingCollector("left", "map"), np.random.default_rng(0)

    def add(index, tracks, events=()):
        frame = RGBDFrame(NO_COLOR, EMPTY, CAMERA, index * SECOND // 10, camera_pose=VIEW)
        return collector.add(frame, [track(number, standing(), rng) for number in tracks], events)

    add(1, [1, 2], [Event(EventKind.APPEARED, 1, 1, "box", 0, 0)])
    add(2, [1, 2], [FELL])
    left = Event(EventKind.LEFT, 1, 1, "box", 2, 2)
    (ended,) = add(3, [2], [left])
    add(4, [2], [left])

    assert ended.events == [FELL, left]
    assert collector.dropped["late_event"] == 1
    assert collector.finish()[0].events == []

"""Live cameras on their way into a store that is busy, full, pruned, or has the time of another recording."""

import numpy as np
import pytest
from gallery_samples import KIND, SECOND, filled, sighting

from pose_tracking.core.errors import StoreError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.live_writer import LiveStoreConfig, LiveWriter
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import EmbeddingKind

NOW = 1_800_000_000 * SECOND


class Clock:
    """A steady clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


class Full(SqliteStore):
    """A store whose disk is full while told so."""

    is_full = False

    def add(self, *arguments):
        if self.is_full:
            raise StoreError("the disk is full")
        return super().add(*arguments)


@pytest.fixture
def store(tmp_path):
    with Full(tmp_path / "gallery.db") as opened:
        yield opened


def writer_of(store, **options):
    clock, kept = Clock(), []
    writer = LiveWriter(
        store,
        LiveStoreConfig(**options),
        settings={"model": "demo"},
        on_kept=lambda n, s: kept.append((n, s.track_id)),
        clock=clock,
        wall_ns=lambda: NOW,
    )
    assert writer.accepts(KIND)
    return writer, clock, kept


def see(writer, *sightings):
    for each in sightings:
        for stamp in (each.start_ns, each.end_ns):
            writer.note(each.camera, stamp, True)
        writer.add(each.camera, [each])


def test_sightings_are_kept_told_and_linked(store):
    writer, clock, kept = writer_of(store, link_every=10)
    see(writer, sighting("left", 1), sighting("right", 2, noise=0.1))
    writer.work({"left": {"tentative": 3}})
    assert [track for _, track in kept] == [1, 2]
    assert store.recordings()[0].settings == {"live": True, "model": "demo"}
    assert {s.identity for s in store.find(Filter())} == {None}
    assert {r.camera: r.progress.dropped["tentative"] for r in store.recordings()} == {"left": 3, "right": 0}
    clock.now += 11
    writer.work({})
    assert len({s.identity for s in store.find(Filter())} - {None}) == 1  # at one place at one time


def test_a_camera_that_is_placed_before_it_is_in_the_store_is_placed_when_it_comes_there(store):
    writer, _, _ = writer_of(store)
    see(writer, sighting("left", 1))
    writer.place("left", "map", np.eye(4), 10)
    assert store.cameras() == []
    writer.work({})
    assert [(camera.name, camera.map_frame) for camera in store.cameras()] == [("left", "map")]


def test_a_full_disk_keeps_them_in_memory_and_costs_the_oldest_where_there_are_too_many(store):
    writer, clock, kept = writer_of(store, pending=3)
    store.is_full = True
    see(writer, *(sighting(track=n, start=n, end=n + 0.5) for n in range(1, 6)))
    writer.work({})
    assert writer.error == "the disk is full"
    assert (writer.waiting, writer.dropped) == (3, {"left": {"store_full": 2}})
    store.is_full = False
    writer.work({})  # not again at once
    assert kept == []
    clock.now += 2
    writer.work({})
    assert (writer.error, writer.waiting) == ("", 0)
    assert [track for _, track in kept] == [3, 4, 5]
    assert store.recordings()[0].progress.dropped["store_full"] == 2


def test_the_time_of_another_recording_is_not_taken_again(store, tmp_path):
    other, _ = filled(tmp_path / "gallery.db", [sighting("left", start=1, end=3)])
    other.close()
    writer, clock, kept = writer_of(store)
    see(writer, sighting("left", 5, start=2, end=2.5))
    writer.work({})
    assert (kept, writer.dropped, writer.error) == ([], {"left": {"time_taken": 1}}, "")
    see(writer, sighting("left", 6, start=50, end=51))
    clock.now += 2
    writer.work({})
    assert [track for _, track in kept] == [6]


def test_a_clock_that_was_years_ahead_does_not_keep_later_recordings_out(store):
    writer, clock, kept = writer_of(store)
    see(writer, sighting(track=1, start=1e5, end=1e5 + 1))
    writer.work({})
    see(writer, sighting(track=2, start=9e8, end=9e8 + 1))
    clock.now += 2
    writer.work({})
    see(writer, sighting(track=3, start=1e5 + 60, end=1e5 + 61))
    clock.now += 2
    writer.work({})
    assert [track for _, track in kept] == [1, 2, 3]
    assert len(store.recordings()) == 3


def test_old_sightings_are_forgotten_by_the_older_clock(store):
    day = 86400
    writer, clock, _ = writer_of(store, retention_days=2, link_every=0)
    see(writer, sighting(track=1, start=10 * day, end=10 * day + 1))
    writer.work({})
    assert len(store.find(Filter())) == 1  # of 1970, but nothing is newer
    see(writer, sighting(track=2, start=13 * day, end=13 * day + 1))
    clock.now += 61
    writer.work({})
    clock.now += 61
    writer.work({})
    assert [s.track_id for s in store.find(Filter())] == [2]
    assert writer.forgotten == 1
    future = 30_000 * day  # the year 2052, on one camera
    see(writer, sighting("door", 7, start=future, end=future + 1))
    clock.now += 61
    writer.work({})
    clock.now += 61
    writer.work({})
    assert {s.track_id for s in store.find(Filter())} == {7}  # 1970 lies more than two days before this machine's time


def test_other_embeddings_are_told(store):
    writer, _, _ = writer_of(store)
    assert not writer.accepts(EmbeddingKind("others", 3, "9", 0.2))
    assert LiveWriter(store).accepts(KIND)

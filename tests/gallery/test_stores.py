"""Both stores: what is acknowledged is there, what is asked is found, what it cannot use it says in one line."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gallery_samples import DIMENSIONS, KIND, SECOND, filled, looks, path_of, progress, sighting

from pose_tracking.core.errors import ConfigError, StoreError
from pose_tracking.gallery.filters import Filter, Near
from pose_tracking.gallery.postgres_schema import is_postgres
from pose_tracking.gallery.sql_store import SqlStore
from pose_tracking.gallery.store import DIFFERENT, SAME, Decision, Proposal, Recording
from pose_tracking.gallery.stores import open_reader, open_store


def test_what_goes_in_comes_out(place: str) -> None:
    given = sighting("left", path=path_of([1, 2, 3], [(0, 0, 0), (1, 0, 0), (1, 1, 0)]), thing=3)
    store, (number,) = filled(place, [given])
    store.close()
    with open_reader(place) as reader:
        (found,) = reader.find(Filter())
        assert (found.id, found.camera, found.class_name, found.map_frame) == (number, "left", "mug", "map")
        assert (found.start_ns, found.end_ns) == (given.start_ns, given.end_ns)
        np.testing.assert_array_equal(found.path.stamps_ns, given.path.stamps_ns)
        np.testing.assert_allclose(found.path.poses, given.path.poses, atol=1e-6)
        np.testing.assert_allclose(found.path.covariances, given.path.covariances, rtol=1e-6)
        assert [c.image for c in reader.crops(number)] == [b"picture"] * 2
        expected = np.array([c.embedding for c in given.crops], np.float32)
        np.testing.assert_allclose(reader.embeddings([number])[number], expected)
        assert reader.embedding == KIND


def test_the_same_sighting_again_keeps_its_number(place: str) -> None:
    store, (number,) = filled(place, [sighting()])
    recording = store.recordings()[0]
    assert store.add(recording.id, [sighting()], progress(0, 3)) == [number]
    assert len(store.find(Filter())) == 1


@pytest.mark.parametrize(
    ("where", "tracks"),
    [
        (Filter(), {1, 2, 3}),
        (Filter(cameras=("left",)), {1, 2}),
        (Filter(classes=("top", "cup")), {3}),
        (Filter(text="UG"), {1, 2}),
        (Filter(after_ns=4 * SECOND), {2, 3}),
        (Filter(before_ns=2 * SECOND), {1}),
        (Filter(near=Near(1, 0, 0, 0.1)), {2}),
        (Filter(near=Near(0.5, 0, 0, 0.499)), set()),
        (Filter(near=Near(0.5, 0, 0, 0.501)), {1, 2}),
        (Filter(map_frame="map", cameras=("left", "right")), {1, 2}),
        (Filter(cameras=("x' OR 1=1 --",)), set()),
        (Filter(text="%"), set()),
    ],
)
def test_filters(place: str, where: Filter, tracks: set[int]) -> None:
    store, _ = filled(
        place,
        [
            sighting("left", 1, 1, 3, thing=1),
            sighting("left", 2, 4, 6, (1, 0, 0), thing=2),
            sighting("right", 3, 4, 6, (1, 0, 0), thing=3, name="top", map_frame=None),
        ],
    )
    assert {s.track_id for s in store.find(where)} == tracks
    matches = store.nearest(np.stack([looks(2)]), where, 10)
    assert {m.sighting.track_id for m in matches} == tracks
    if 2 in tracks:
        assert matches[0].sighting.track_id == 2
        assert matches[0].distance == pytest.approx(0, abs=1e-6)


def test_search_by_looks_is_that_of_a_full_scan(place: str) -> None:
    rng = np.random.default_rng(5)
    things = [sighting(f"c{k % 3}", k, k, k + 1, thing=int(rng.integers(16)), noise=0.3) for k in range(60)]
    store, numbers = filled(place, things)
    query = looks(4, 0.2, 9)
    where = Filter(cameras=("c1", "c2"), after_ns=10 * SECOND)
    expected = sorted(
        (min(1 - float(c.embedding @ query) for c in s.crops if c.embedding is not None), number)
        for s, number in zip(things, numbers, strict=True)
        if s.camera in where.cameras and s.end_ns >= 10 * SECOND
    )[:7]
    found = store.nearest(query[None], where, 7)
    assert [m.sighting.id for m in found] == [number for _, number in expected]
    np.testing.assert_allclose([m.distance for m in found], [d for d, _ in expected], atol=1e-5)


def test_embeddings_of_two_kinds_do_not_mix(place: str) -> None:
    store, _ = filled(place, [sighting()])
    with pytest.raises(StoreError, match="holds embeddings of another kind"):
        store.use_embedding(replace(KIND, weights="4567"))
    with pytest.raises(StoreError, match=f"holds embeddings of {DIMENSIONS} numbers"):
        store.nearest(np.ones((1, 3), np.float32), Filter())
    store.use_embedding(replace(KIND, gate=0.3))


def test_a_recording_is_of_one_camera_and_one_setting(place: str) -> None:
    store, _ = filled(place, [sighting("left")])
    begun = Recording("right", "left.bag", "print of left", {"model": "m"})
    with pytest.raises(StoreError, match="as camera 'left'"):
        store.begin(begun)
    with pytest.raises(StoreError, match="begun with model = 'm', not 'other'"):
        store.begin(replace(begun, camera="left", settings={"model": "other"}))
    again = store.begin(replace(begun, camera="left"))
    assert (again.is_done, again.progress.frames) == (False, 100)


def test_a_recording_that_was_refused_can_be_given_again(place: str) -> None:
    store, _ = filled(place, [sighting("left", start=1, end=9)])
    other = Recording("left", "other.bag", "another", {"model": "m"})
    with pytest.raises(StoreError, match="camera 'left'"):
        store.add(store.begin(other).id, [], progress(8, 20))
    store.add(store.begin(replace(other, camera="right")).id, [], progress(8, 20))
    assert [(r.camera, r.name) for r in store.recordings()] == [("left", "left.bag"), ("right", "other.bag")]


def test_two_cameras_of_one_name_are_refused(place: str) -> None:
    store, _ = filled(place, [sighting("left", start=1, end=9)])
    other = store.begin(Recording("left", "other.bag", "another", {"model": "m"}))
    with pytest.raises(StoreError, match=r"camera 'left': left.bag has it from 0.000 s to 9.000 s.*--clock-offset"):
        store.add(other.id, [], progress(8, 20))
    store.add(other.id, [], progress(9.5, 20))


@pytest.mark.parametrize("name", ["", " x", "../up", "a/b", "x'; DROP TABLE t; --", "a" * 65, "<b>", "a\n", "."])
def test_names_that_no_camera_may_have(place: str, name: str) -> None:
    with pytest.raises(ConfigError, match="camera name"), open_store(place, make=True) as store:
        store.begin(Recording(name, "bag", "print", {}))


def test_identities_proposals_and_decisions(place: str) -> None:
    store, (a, b, c) = filled(
        place, [sighting("left", 1), sighting("right", 2, 5, 6, (1, 0, 0)), sighting("left", 3, 7, 8, name="top")]
    )
    store.link({a: 1, b: 1, c: 2}, [Proposal(a, c, 0.4, "looks")])
    first, second = store.identities(Filter())
    assert (first.id, first.class_name, first.cameras) == (2, "top", ("left",))
    assert (second.id, second.cameras, second.sightings, second.last_camera) == (1, ("left", "right"), 2, "right")
    assert second.last_position is not None
    np.testing.assert_allclose(second.last_position, [1, 0, 0])
    assert [i.id for i in store.identities(Filter(cameras=("right",)))] == [1]
    store.decide([Decision(SAME, a, b), Decision(DIFFERENT, a, c)])
    store.decide([Decision(DIFFERENT, b, a)])
    assert [(d.kind, d.a, d.b) for d in store.decisions()] == [(DIFFERENT, a, c), (DIFFERENT, b, a)]
    assert store.proposals() == [Proposal(a, c, 0.4, "looks")]


def test_retention_by_age_keeps_the_decisions_on_what_stays(place: str) -> None:
    store, (a, b, c) = filled(place, [sighting("left", 1), sighting("left", 2, 5, 6), sighting("right", 3, 5, 6)])
    store.link({a: 1, b: 1, c: 2}, [Proposal(a, c, 0.4, "looks")])
    store.decide([Decision(DIFFERENT, a, c)])
    assert store.remove(before_ns=4 * SECOND) == 1
    assert [s.id for s in store.find(Filter())] == [c, b]
    assert [(d.kind, d.a, d.b) for d in store.decisions()] == [(DIFFERENT, b, c)]
    assert store.proposals() == []
    assert [m.sighting.id for m in store.nearest(np.stack([looks(0)]), Filter(), 9)] == [b, c]


def on_disk(place: str) -> int | None:
    """Bytes of the file of a store; None where it is on a server, which keeps free space for later."""
    return None if is_postgres(place) else Path(place).stat().st_size


def test_retention_by_size_takes_the_oldest(place: str) -> None:
    things = [sighting("left", k, k, k + 0.5) for k in range(450)]
    for each in things:
        each.crops = [replace(crop, image=os.urandom(2000)) for crop in each.crops]
    store, numbers = filled(place, things)
    limit = store.size // 2
    before = on_disk(place)
    removed = store.remove(max_bytes=limit)
    assert 0 < removed < len(numbers)
    assert store.size <= limit
    after = on_disk(place)
    if before is not None and after is not None:
        assert after < before
    assert {s.id for s in store.find(Filter())} == set(numbers[removed:])


def write_for_ever(place: str, first: int, out: int) -> None:
    """Add batches of three, and write the numbers of each to the file `out` once they are acknowledged."""
    with open_store(place, make=True) as store:
        store.use_embedding(KIND)
        recording = store.begin(Recording("left", "bag", "print", {"model": "m"})).id
        for k in range(first, 10**6, 3):
            batch = [sighting("left", k + i, k, k + 0.5) for i in range(3)]
            ids = store.add(recording, batch, progress(0, k + 1, k))
            os.write(out, (" ".join(map(str, ids)) + "\n").encode())


def write_until_killed(place: str, first: int, after: int, wait: float) -> list[int]:
    """Kill a writer `wait` seconds after its `after`-th acknowledgement; all numbers that it has acknowledged."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write_for_ever(place, first, write_end)
        finally:
            os._exit(1)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        lines = [pipe.readline() for _ in range(after)]
        time.sleep(wait)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        lines += pipe.readlines()
    return [int(number) for line in lines for number in line.split()]


def test_nothing_acknowledged_is_lost_by_kill_9(place: str) -> None:
    """20 writers, one after the other, each killed at a random moment, the making of the store included."""
    rng, acknowledged = random.Random(3), Counter[int]()
    for attempt in range(20):
        after = 0 if attempt < 6 else rng.randint(1, 6)
        acknowledged.update(write_until_killed(place, 1000 * attempt, after, rng.uniform(0, 0.02)))
        if not acknowledged:
            continue
        with open_store(place, make=True) as store:
            there = {s.id for s in store.find(Filter())}
            assert set(acknowledged) <= there
            assert len(there) % 3 == 0
            matches = store.nearest(np.stack([looks(0)]), Filter(), 100)
            assert len(matches) == min(len(there), 100)
    assert sum(acknowledged.values()) == len(acknowledged) > 30
    if not is_postgres(place):
        assert sqlite3.connect(place).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_reader_never_waits_for_the_writer(place: str) -> None:
    store, _ = filled(place, [sighting("left", 1)])
    with open_store(place) as writer, open_reader(place) as reader:
        with writer._database.transaction():
            writer._rows("UPDATE sightings SET class_name = 'changed'")
            began = time.perf_counter()
            assert [s.class_name for s in reader.find(Filter())] == ["mug"]
            assert len(reader.nearest(np.stack([looks(0)]), Filter(), 5)) == 1
            assert time.perf_counter() - began < 8.0  # a writer is waited for 10 s
        assert [s.class_name for s in reader.find(Filter())] == ["changed"]
    assert store.find(Filter())[0].class_name == "changed"


def test_reading_changes_nothing(place: str) -> None:
    store, (number,) = filled(place, [sighting()])
    with open_reader(place) as reader:
        assert len(reader.find(Filter())) == 1
        with pytest.raises(StoreError, match="is read-only"):
            SqlStore.decide(reader, [Decision(SAME, 1, 2)])  # type: ignore[arg-type]
    assert store.decisions() == []


def test_a_store_that_is_not_there(place: str) -> None:
    for open_it in (open_reader, open_store):
        with pytest.raises(StoreError, match=r"no (such )?gallery; `pose-tracking gallery ingest` makes one"):
            open_it(place)


def test_the_size_is_about_what_is_stored(place: str) -> None:
    things = [sighting("left", k, k, k + 0.5) for k in range(300)]
    for each in things:
        each.crops = [replace(crop, image=os.urandom(3000)) for crop in each.crops]
    store, _ = filled(place, things)
    assert 300 * 2 * 3000 < store.size < 2 * 300 * 2 * 3000


def add_some(place: str, camera: str, first: int) -> None:
    with open_store(place, make=True) as store:
        store.use_embedding(KIND)
        recording = store.begin(Recording(camera, f"{camera}.bag", f"print of {camera}", {"model": "m"})).id
        for k in range(first, first + 30):
            store.add(recording, [sighting(camera, k, k, k + 0.5)], progress(0, k + 1, k))


def test_many_writers_at_once(place: str) -> None:
    """Four processes make the store, enter their recordings and add to them, all at one time."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=add_some, args=(place, f"c{k}", 100 * k)) for k in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * 4
    with open_reader(place) as reader:
        found = reader.find(Filter())
        assert Counter(s.camera for s in found) == {f"c{k}": 30 for k in range(4)}
        assert len({s.id for s in found}) == 120
        assert len(reader.nearest(np.stack([looks(0)]), Filter(), 200)) == 120


def test_of_two_writers_one_gets_the_time(place: str) -> None:
    """Two recordings of one camera at one time, entered by two processes: the second one is refused."""
    with open_store(place, make=True) as one, open_store(place) as other:
        first = one.begin(Recording("left", "a.bag", "a", {})).id
        second = other.begin(Recording("left", "b.bag", "b", {})).id
        one.add(first, [], progress(0, 10))
        with pytest.raises(StoreError, match="two cameras need two names"):
            other.add(second, [], progress(5, 15))


def test_a_mistake_within_a_transaction_leaves_nothing(place: str) -> None:
    store, (number,) = filled(place, [sighting("left", 1)])
    many = sighting("left", 3)
    many.crops = many.crops * 5
    with pytest.raises(ConfigError, match="at most 8 are kept"):
        store.add(1, [sighting("left", 2), many], progress(0, 20, 200))
    assert [s.id for s in store.find(Filter())] == [number]
    assert store.recordings()[0].progress.frames == 100
    assert len(store.add(1, [sighting("left", 2)], progress(0, 20, 200))) == 1

"""The store: what is acknowledged is there, what is asked is found, what it cannot use it says in one line."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apsw
import numpy as np
import pytest
from gallery_samples import DIMENSIONS, KIND, SECOND, filled, looks, path_of, progress, sighting

from pose_tracking.core.errors import ConfigError, StoreError
from pose_tracking.gallery.filters import Filter, Near
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.gallery.sqlite_store import SqliteStore
from pose_tracking.gallery.store import DIFFERENT, SAME, Decision, Proposal, Recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


def test_what_goes_in_comes_out(path: Path) -> None:
    given = sighting("left", path=path_of([1, 2, 3], [(0, 0, 0), (1, 0, 0), (1, 1, 0)]), thing=3)
    store, (number,) = filled(path, [given])
    store.close()
    with SqliteReader(path) as reader:
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


def test_the_same_sighting_again_keeps_its_number(path: Path) -> None:
    store, (number,) = filled(path, [sighting()])
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
def test_filters(path: Path, where: Filter, tracks: set[int]) -> None:
    store, _ = filled(
        path,
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


def test_search_by_looks_is_that_of_a_full_scan(path: Path) -> None:
    rng = np.random.default_rng(5)
    things = [sighting(f"c{k % 3}", k, k, k + 1, thing=int(rng.integers(16)), noise=0.3) for k in range(60)]
    store, numbers = filled(path, things)
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


def test_embeddings_of_two_kinds_do_not_mix(path: Path) -> None:
    store, _ = filled(path, [sighting()])
    with pytest.raises(StoreError, match="holds embeddings of another kind"):
        store.use_embedding(replace(KIND, weights="4567"))
    with pytest.raises(StoreError, match=f"holds embeddings of {DIMENSIONS} numbers"):
        store.nearest(np.ones((1, 3), np.float32), Filter())
    store.use_embedding(replace(KIND, gate=0.3))


def test_a_recording_is_of_one_camera_and_one_setting(path: Path) -> None:
    store, _ = filled(path, [sighting("left")])
    begun = Recording("right", "left.bag", "print of left", {"model": "m"})
    with pytest.raises(StoreError, match="as camera 'left'"):
        store.begin(begun)
    with pytest.raises(StoreError, match="begun with model = 'm', not 'other'"):
        store.begin(replace(begun, camera="left", settings={"model": "other"}))
    again = store.begin(replace(begun, camera="left"))
    assert (again.is_done, again.progress.frames) == (False, 100)


def test_a_recording_that_was_refused_can_be_given_again(path: Path) -> None:
    store, _ = filled(path, [sighting("left", start=1, end=9)])
    other = Recording("left", "other.bag", "another", {"model": "m"})
    with pytest.raises(StoreError, match="camera 'left'"):
        store.add(store.begin(other).id, [], progress(8, 20))
    store.add(store.begin(replace(other, camera="right")).id, [], progress(8, 20))
    assert [(r.camera, r.name) for r in store.recordings()] == [("left", "left.bag"), ("right", "other.bag")]


def test_two_cameras_of_one_name_are_refused(path: Path) -> None:
    store, _ = filled(path, [sighting("left", start=1, end=9)])
    other = store.begin(Recording("left", "other.bag", "another", {"model": "m"}))
    with pytest.raises(StoreError, match=r"camera 'left': left.bag has it from 0.000 s to 9.000 s.*--clock-offset"):
        store.add(other.id, [], progress(8, 20))
    store.add(other.id, [], progress(9.5, 20))


@pytest.mark.parametrize("name", ["", " x", "../up", "a/b", "x'; DROP TABLE t; --", "a" * 65, "<b>", "a\n", "."])
def test_names_that_no_camera_may_have(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="camera name"), SqliteStore(path) as store:
        store.begin(Recording(name, "bag", "print", {}))


def test_identities_proposals_and_decisions(path: Path) -> None:
    store, (a, b, c) = filled(
        path, [sighting("left", 1), sighting("right", 2, 5, 6, (1, 0, 0)), sighting("left", 3, 7, 8, name="top")]
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


def test_retention_by_age_keeps_the_decisions_on_what_stays(path: Path) -> None:
    store, (a, b, c) = filled(path, [sighting("left", 1), sighting("left", 2, 5, 6), sighting("right", 3, 5, 6)])
    store.link({a: 1, b: 1, c: 2}, [Proposal(a, c, 0.4, "looks")])
    store.decide([Decision(DIFFERENT, a, c)])
    assert store.remove(before_ns=4 * SECOND) == 1
    assert [s.id for s in store.find(Filter())] == [c, b]
    assert [(d.kind, d.a, d.b) for d in store.decisions()] == [(DIFFERENT, b, c)]
    assert store.proposals() == []
    assert [m.sighting.id for m in store.nearest(np.stack([looks(0)]), Filter(), 9)] == [b, c]


def test_retention_by_size_takes_the_oldest(path: Path) -> None:
    things = [sighting("left", k, k, k + 0.5) for k in range(450)]
    for each in things:
        each.crops = [replace(crop, image=os.urandom(2000)) for crop in each.crops]
    store, numbers = filled(path, things)
    limit = store.size // 2
    before = path.stat().st_size
    removed = store.remove(max_bytes=limit)
    assert 0 < removed < len(numbers)
    assert store.size <= limit
    assert path.stat().st_size < before
    assert {s.id for s in store.find(Filter())} == set(numbers[removed:])


def write_for_ever(path: Path, first: int, out: int) -> None:
    """Add batches of three, and write the numbers of each to the file `out` once they are acknowledged."""
    with SqliteStore(path) as store:
        store.use_embedding(KIND)
        recording = store.begin(Recording("left", "bag", "print", {"model": "m"})).id
        for k in range(first, 10**6, 3):
            batch = [sighting("left", k + i, k, k + 0.5) for i in range(3)]
            ids = store.add(recording, batch, progress(0, k + 1, k))
            os.write(out, (" ".join(map(str, ids)) + "\n").encode())


def write_until_killed(path: Path, first: int, after: int, wait: float) -> list[int]:
    """Kill a writer `wait` seconds after its `after`-th acknowledgement; all numbers that it has acknowledged."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            write_for_ever(path, first, write_end)
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


def test_nothing_acknowledged_is_lost_by_kill_9(path: Path) -> None:
    """20 writers, one after the other, each killed at a random moment, the making of the store included."""
    rng, acknowledged = random.Random(3), Counter[int]()
    for attempt in range(20):
        after = 0 if attempt < 6 else rng.randint(1, 6)
        acknowledged.update(write_until_killed(path, 1000 * attempt, after, rng.uniform(0, 0.02)))
        if not acknowledged:
            continue
        with SqliteStore(path) as store:
            there = {s.id for s in store.find(Filter())}
            assert set(acknowledged) <= there
            assert len(there) % 3 == 0
            matches = store.nearest(np.stack([looks(0)]), Filter(), 100)
            assert len(matches) == min(len(there), 100)
    assert sum(acknowledged.values()) == len(acknowledged) > 30
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_reader_never_waits_for_the_writer(path: Path) -> None:
    store, _ = filled(path, [sighting("left", 1)])
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE sightings SET class_name = 'changed'")
    with SqliteReader(path) as reader:
        began = time.perf_counter()
        assert [s.class_name for s in reader.find(Filter())] == ["mug"]
        assert len(reader.nearest(np.stack([looks(0)]), Filter(), 5)) == 1
        assert time.perf_counter() - began < 1.0
        writer.execute("COMMIT")
        assert [s.class_name for s in reader.find(Filter())] == ["changed"]
    assert store.find(Filter())[0].class_name == "changed"


def test_a_full_disk_is_one_line_and_loses_nothing(path: Path) -> None:
    store, (number,) = filled(path, [sighting("left", 1)])
    pages = store._database.pragma("page_count")
    store._database.pragma("max_page_count", pages + 2)
    large = sighting("left", 2, 4, 5)
    large.crops = [replace(crop, image=os.urandom(200_000)) for crop in large.crops]
    with pytest.raises(StoreError, match=r"the disk is full: make room"):
        store.add(1, [large], progress(0, 5))
    assert [s.id for s in store.find(Filter())] == [number]
    store._database.pragma("max_page_count", 10**6)
    assert len(store.add(1, [large], progress(0, 5))) == 1


def test_what_is_no_gallery(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such gallery"):
        SqliteReader(path)
    with pytest.raises(StoreError, match="there is no folder"):
        SqliteStore(tmp_path / "none" / "gallery.db")
    with pytest.raises(StoreError, match="is a folder"):
        SqliteStore(tmp_path)
    text = tmp_path / "text.db"
    text.write_bytes(b"a text file, longer than a header of SQLite\n" * 9)
    for kind in (SqliteStore, SqliteReader):
        with pytest.raises(StoreError, match="it is no SQLite database"):
            kind(text)
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.commit()
    with pytest.raises(StoreError, match="a database of another program"):
        SqliteStore(tmp_path / "other.db")


def test_another_version(path: Path) -> None:
    filled(path, [sighting()])[0].close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(StoreError, match="a gallery of version 7, this program reads version 1"):
        SqliteReader(path)


def test_half_written_stores(path: Path, tmp_path: Path) -> None:
    store, _ = filled(path, [sighting("left", k, k, k + 0.5) for k in range(200)])
    store.close()
    whole = path.read_bytes()
    for length in (50, 100, 4096, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.db").write_bytes(whole[:length])
        with pytest.raises(StoreError, match=r"damaged or cut off .* bytes\)"):
            SqliteStore(tmp_path / "cut.db")
    garbled = bytearray(whole)
    garbled[4096 : len(whole) // 2] = os.urandom(len(whole) // 2 - 4096)
    (tmp_path / "garbled.db").write_bytes(garbled)
    with pytest.raises(StoreError, match="damaged or cut off"):
        SqliteReader(tmp_path / "garbled.db").find(Filter())
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(StoreError, match="holds nothing yet"):
        SqliteReader(empty)
    SqliteStore(empty).close()
    SqliteReader(empty).close()


def test_a_read_only_store_can_be_searched(path: Path) -> None:
    filled(path, [sighting()])[0].close()
    with SqliteReader(path) as reader:
        assert len(reader.find(Filter())) == 1
        with pytest.raises(StoreError, match="is read-only"):
            SqliteStore.decide(reader, [Decision(SAME, 1, 2)])  # type: ignore[arg-type]

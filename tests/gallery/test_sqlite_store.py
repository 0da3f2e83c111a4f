"""The file of a gallery: full disks, other files, other versions and damage are one line each."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from gallery_samples import filled, progress, sighting

from pose_tracking.core.errors import StoreError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.gallery.sqlite_store import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


def test_a_full_disk_is_one_line_and_loses_nothing(path: Path) -> None:
    store, (number,) = filled(path, [sighting("left", 1)])
    ((pages,),) = store._rows("PRAGMA page_count")
    store._rows(f"PRAGMA max_page_count = {pages + 2}")
    large = sighting("left", 2, 4, 5)
    large.crops = [replace(crop, image=os.urandom(200_000)) for crop in large.crops]
    with pytest.raises(StoreError, match=r"the disk is full: make room"):
        store.add(1, [large], progress(0, 5))
    assert [s.id for s in store.find(Filter())] == [number]
    store._rows("PRAGMA max_page_count = 1000000")
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

"""Many recordings by several processes: each once, whoever dies; and the same into a file and on a server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from batch_work import attempts, change, content, work_for, write_recordings

from pose_tracking.core.errors import StoreError
from pose_tracking.gallery.batch import BatchReport, ingest_batch
from pose_tracking.gallery.jobs import IngestJob
from pose_tracking.gallery.local_engine import LocalEngine
from pose_tracking.gallery.postgres_schema import is_postgres
from pose_tracking.gallery.stores import open_store


def take_in(place: str, jobs: list[IngestJob], told: list[str] | None = None, retries: int = 2) -> BatchReport:
    """Two processes; into a file they do not write themselves."""
    work = work_for(place if is_postgres(place) else None)
    with open_store(place, make=True) as store:
        return ingest_batch(jobs, store, LocalEngine(2, retries), work, (told if told is not None else []).append)


def test_workers_that_die_are_replaced_and_everything_is_there_once(place: str, tmp_path: Path) -> None:
    jobs = write_recordings(tmp_path, 6)
    expected_store = str(tmp_path / "expected.db")
    assert take_in(expected_store, jobs).taken_in == 6
    (tmp_path / "attempts").unlink()

    change(jobs[1], deaths=1)
    change(jobs[2], deaths=99)
    change(jobs[4], damaged=True)
    told: list[str] = []
    report = take_in(place, jobs, told)
    assert (report.taken_in, report.before, len(report.failed)) == (4, 0, 2)
    assert any("bag_002: its worker was killed 3 times" in line for line in report.failed)
    assert any("bag_004: is damaged" in line for line in report.failed)
    assert [attempts(tmp_path).count(f"bag_{k:03d}") for k in range(6)] == [1, 2, 3, 1, 1, 1]
    assert sorted(line.partition("/")[0] for line in told) == [f"[{k}" for k in range(1, 7)]

    # Repaired and given again: only what was missing is done.
    change(jobs[2], deaths=0)
    change(jobs[4], damaged=False)
    report = take_in(place, jobs)
    assert (report.taken_in, report.before, report.failed) == (2, 4, [])
    assert attempts(tmp_path).count("bag_000") == 1
    with open_store(place) as store, open_store(expected_store) as expected:
        assert len(content(expected)) == 12
        assert content(store) == content(expected)
        assert all(recording.is_done for recording in store.recordings())


def test_what_contradicts_the_store_is_named_and_the_others_are_taken_in(place: str, tmp_path: Path) -> None:
    jobs = write_recordings(tmp_path, 3, cameras=1)
    assert take_in(place, jobs[:1]).taken_in == 1
    # The same time again under another name, the same recording as another camera's, one that is not there, a copy.
    change(jobs[1], first=3)
    copy = tmp_path / "copies"
    copy.mkdir()
    (copy / "bag_002").write_bytes((tmp_path / "bag_002").read_bytes())
    wrong = [jobs[1], replace(jobs[0], camera="other"), replace(jobs[0], recording="none"), jobs[2]]
    report = take_in(place, [*wrong, replace(jobs[2], recording=str(copy / "bag_002"))])
    assert report.taken_in == 1
    failed = "\n".join(report.failed)
    assert "two cameras need two names" in failed
    assert "as camera 'camera 0': a recording is of one camera" in failed
    assert "none: no such file or folder" in failed
    assert "copies/bag_002: is the same recording as" in failed
    assert len(report.failed) == 4


def test_a_store_that_fails_ends_it_with_a_line(tmp_path: Path) -> None:
    jobs = write_recordings(tmp_path, 4)
    place = str(tmp_path / "gallery.db")
    with open_store(place, make=True) as store:
        ((pages,),) = store._rows("PRAGMA page_count")
        store._rows(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StoreError, match="the disk is full: make room and repeat the command"):
            ingest_batch(jobs, store, LocalEngine(2, 1), work_for(None))
    report = take_in(place, jobs)
    assert (report.taken_in, report.failed) == (4, [])


def run_whole(place: str, jobs: list[IngestJob]) -> None:
    take_in(place, jobs)


def test_killed_itself_it_goes_on_and_leaves_no_process_behind(place: str, tmp_path: Path) -> None:
    """kill -9 of the command: what it told of is there, its workers end, and the same command finishes the rest."""
    jobs = write_recordings(tmp_path, 5, seconds=0.5)
    (tmp_path / "attempts").touch()
    command = multiprocessing.get_context("forkserver").Process(target=run_whole, args=(place, jobs))
    command.start()
    deadline = time.monotonic() + 240
    while len(attempts(tmp_path)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert command.pid is not None
    os.kill(command.pid, signal.SIGKILL)
    command.join()
    workers = {int(line.split()[1]) for line in (tmp_path / "attempts").read_text().splitlines()}
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert take_in(place, jobs).failed == []
    with open_store(place) as store:
        assert len(content(store)) == 10
        assert len({row[:4] for row in content(store)}) == 10

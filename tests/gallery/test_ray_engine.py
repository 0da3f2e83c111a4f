"""A Ray cluster of two nodes on this machine, one of which dies: every recording is there, once, as by `local`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from batch_work import attempts, change, content, work_for, write_recordings

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.batch import ingest_batch
from pose_tracking.gallery.local_engine import LocalEngine
from pose_tracking.gallery.postgres_schema import is_postgres
from pose_tracking.gallery.ray_engine import RayEngine
from pose_tracking.gallery.stores import open_store

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
pytest.importorskip("ray")
pytestmark = pytest.mark.timeout(1800)


def node_of(cpus: int) -> dict[str, Any]:
    """A node with little besides: each of its helpers is a process that has to start in time."""
    less = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}
    return {"num_cpus": cpus, "object_store_memory": 80 * 2**20, **less}


@pytest.fixture(autouse=True)
def _helpers_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


@pytest.fixture
def cluster() -> Iterator[tuple[Any, Any]]:
    """A head without room for jobs, with two nodes with room for one each; and the first of these."""
    started, node = in_time(start_cluster)
    yield started, node
    started.shutdown()


def start_cluster() -> tuple[Any, Any]:
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args=node_of(0))
    try:
        nodes = [started.add_node(**node_of(1)) for _ in range(2)]
        started.wait_for_nodes()
    except BaseException:
        started.shutdown()
        raise
    return started, nodes[0]


def in_time(start: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
    """Ray gives a node 15 s to start its helpers, whatever it is told: too little on a machine that does much else."""
    for _ in range(5):
        with suppress(Exception):
            return start()
    return start()


def test_a_node_that_dies(cluster: tuple[Any, Any], place: str, tmp_path: Path) -> None:
    head, node = cluster
    jobs = write_recordings(tmp_path, 8, seconds=0.5)
    expected_store = str(tmp_path / "expected.db")
    with open_store(expected_store, make=True) as expected:
        assert ingest_batch(jobs, expected, LocalEngine(2, 0), work_for(None)).failed == []
    (tmp_path / "attempts").unlink()
    (tmp_path / "attempts").touch()

    def kill_a_node() -> None:
        while len(attempts(tmp_path)) < 4:
            time.sleep(0.02)
        head.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    engine = RayEngine(head.address, None, retries=3, cpus=1, gpus=0)
    with open_store(place, make=True) as store:
        report = ingest_batch(jobs, store, engine, work_for(place if is_postgres(place) else None))
        killer.join()
        assert (report.taken_in, report.failed) == (8, [])
        assert len(attempts(tmp_path)) > 8  # what the dead node had was done again
        with open_store(expected_store) as expected:
            assert len(content(expected)) == 16
            assert content(store) == content(expected)
        assert ingest_batch(jobs, store, engine, work_for(None)).before == 8


def test_a_recording_that_kills_its_worker_is_named(tmp_path: Path) -> None:
    jobs = write_recordings(tmp_path, 3)
    change(jobs[1], deaths=99)
    with open_store(tmp_path / "gallery.db", make=True) as store:
        report = ingest_batch(jobs, store, RayEngine(None, 1, retries=1, cpus=1, gpus=0), work_for(None))
        assert report.taken_in == 2
        assert "bag_001: its worker died 2 times" in report.failed[0]
        assert len(content(store)) == 4


def test_no_cluster(tmp_path: Path) -> None:
    jobs = write_recordings(tmp_path, 1)
    engine = RayEngine("127.0.0.1:1", None, retries=1, cpus=1, gpus=0)
    with open_store(tmp_path / "gallery.db", make=True) as store, pytest.raises(ConfigError, match="no Ray cluster"):
        ingest_batch(jobs, store, engine, work_for(None))


def test_nothing_is_reported_to_anyone() -> None:
    from ray._common.usage.usage_lib import usage_stats_enabled

    RayEngine(None, 1, retries=1, cpus=1, gpus=0)
    assert not usage_stats_enabled()

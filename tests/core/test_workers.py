"""Work on several things at once."""

from __future__ import annotations

import threading
import time

import pytest

from pose_tracking.core import workers
from pose_tracking.core.workers import compute_threads, map_at_once


def with_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(workers, "compute_threads", lambda: count)


@pytest.mark.parametrize("threads", [1, 2, 3, 40])
def test_results_come_in_order(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    with_threads(monkeypatch, threads)
    assert map_at_once(lambda x: x * x, range(30)) == [x * x for x in range(30)]
    assert map_at_once(str, []) == []


def test_two_threads_are_at_work_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with_threads(monkeypatch, 2)
    met = threading.Barrier(2, timeout=20.0)
    names = map_at_once(lambda _: (met.wait(), threading.current_thread().name)[1], range(2))
    assert len(set(names)) == 2
    assert threading.current_thread().name in names


def test_one_thread_does_it_all_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with_threads(monkeypatch, 1)
    names = map_at_once(lambda _: threading.current_thread().name, range(5))
    assert set(names) == {threading.current_thread().name}


def test_the_caller_does_what_no_thread_is_free_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads of the pool are held up elsewhere: nothing waits for them."""
    with_threads(monkeypatch, 4)
    go_on = threading.Event()
    held = [workers._helpers().submit(go_on.wait, 60.0) for _ in range(workers.MOST_THREADS)]
    try:
        assert map_at_once(lambda x: x + 1, range(20)) == list(range(1, 21))
    finally:
        go_on.set()
        for future in held:
            future.result()


def test_within_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with_threads(monkeypatch, 3)
    assert map_at_once(lambda x: sum(map_at_once(lambda y: x * y, range(6))), range(6)) == [15 * x for x in range(6)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_failure_is_raised(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    with_threads(monkeypatch, threads)

    def fails_from_3(x: int) -> int:
        if x >= 3:
            raise ValueError(str(x))
        time.sleep(0.001)
        return x

    with pytest.raises(ValueError, match="3"):
        map_at_once(fails_from_3, range(8))


def test_threads_are_those_of_torch() -> None:
    import torch

    assert compute_threads() == torch.get_num_threads()

"""The worker thread with its short mailbox."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pose_tracking.ros.node import worker
from pose_tracking.ros.node.worker import LatestWorker

PATIENCE = 60.0  # seconds; beside other processes a thread may not have its turn for long


class Bench:
    """A worker whose items wait for a gate, and what became of them."""

    def __init__(self, most_waiting: int = 1) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.done: list[object] = []
        self.replaced: list[object] = []
        self.errors: list[Exception] = []
        self.worker: LatestWorker[object] = LatestWorker(
            self._process, self.replaced.append, self.errors.append, most_waiting=most_waiting
        )

    def _process(self, item: object) -> None:
        self.started.set()
        assert self.gate.wait(PATIENCE)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def finish(self) -> None:
        """Let everything through and wait for it."""
        self.gate.set()
        flushed = threading.Event()
        self.worker.call(flushed.set)
        assert flushed.wait(PATIENCE)
        assert self.worker.stop(PATIENCE)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.gate.set()
    bench.worker.stop(PATIENCE)


def test_the_newest_item_wins(bench):
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in (2, 3, 4):
        bench.worker.put(item)  # returns at once although 1 is still in the works
    assert bench.replaced == [2, 3]
    bench.gate.set()
    while len(bench.done) < 2:
        pass
    assert bench.done == [1, 4]
    bench.finish()


def test_those_that_come_during_a_slow_one_are_done_after_it():
    bench = Bench(most_waiting=3)
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in (2, 3, 4, 5):
        bench.worker.put(item)
    assert bench.replaced == [2]  # there is room for three
    bench.gate.set()
    while len(bench.done) < 4:
        pass
    bench.finish()
    assert bench.done == [1, 3, 4, 5]


def test_where_all_are_slow_only_the_newest_waits(monkeypatch):
    clock = [0.0]  # a machine that does something else for a second makes no worker fast
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    bench = Bench(most_waiting=3)
    bench.gate.set()
    bench.worker.put(0)  # the first does not count
    while len(bench.done) < 1:
        pass
    for number in range(1, 6):
        bench.gate.clear()
        bench.started.clear()
        bench.worker.put(number)
        assert bench.started.wait(PATIENCE)
        clock[0] += 0.1
        bench.gate.set()
        flushed = threading.Event()
        bench.worker.call(flushed.set)  # it has taken its time by then
        assert flushed.wait(PATIENCE)
    bench.gate.clear()
    bench.started.clear()
    bench.worker.put(6)
    assert bench.started.wait(PATIENCE)
    for item in (7, 8, 9):
        bench.worker.put(item)  # at once, and each takes long
    assert bench.replaced == [7, 8]
    bench.finish()


def test_what_an_item_would_have_taken_counts_in_place_of_what_it_took(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    started, gate = threading.Event(), threading.Event()
    replaced: list[object] = []

    def process(item: object) -> tuple[float, float]:
        started.set()
        assert gate.wait(PATIENCE)
        clock[0] += 0.1  # all the time there is until the next
        return 0.03, 0.04  # and yet, with several at hand, less would do

    latest: LatestWorker[object] = LatestWorker(process, replaced.append, replaced.append, most_waiting=3)
    gate.set()
    for number in range(7):
        latest.put(number)
        flushed = threading.Event()
        while latest._mailbox:
            pass
        latest.call(flushed.set)
        assert flushed.wait(PATIENCE)
    gate.clear()
    started.clear()
    latest.put(7)
    assert started.wait(PATIENCE)
    for number in (8, 9, 10):
        latest.put(number)
    assert not replaced
    gate.set()
    assert latest.stop(PATIENCE)


def test_an_error_is_reported_and_the_thread_goes_on(bench):
    bench.gate.set()
    error = RuntimeError("broken")
    bench.worker.put(error)
    while not bench.errors:
        pass
    bench.worker.put("next")
    while not bench.done:
        pass
    assert bench.errors == [error]
    assert bench.done == ["next"]


def test_actions_run_before_the_waiting_item(bench):
    order: list[str] = []
    bench.worker.put("first")
    assert bench.started.wait(PATIENCE)
    bench.worker.put("second")
    bench.worker.call(lambda: order.append(f"action after {len(bench.done)}"))
    bench.finish()
    assert order == ["action after 1"]


def test_an_action_that_raises_costs_no_later_one(bench):
    order: list[str] = []
    error = ValueError("broken action")

    def broken() -> None:
        raise error

    bench.worker.put("first")
    assert bench.started.wait(PATIENCE)
    bench.worker.call(broken)
    bench.worker.call(lambda: order.append("second action"))
    bench.worker.put("second")
    bench.finish()
    assert bench.errors == [error]
    assert order == ["second action"]


def test_clear_takes_the_waiting_item_back(bench):
    bench.worker.put("first")
    assert bench.started.wait(PATIENCE)
    bench.worker.put("second")
    assert bench.worker.clear() == ["second"]
    assert bench.worker.clear() == []
    bench.finish()
    assert bench.done == ["first"]
    assert bench.replaced == []


def test_stop_says_whether_the_thread_ended(bench):
    bench.worker.put("stuck")
    assert bench.started.wait(PATIENCE)
    assert not bench.worker.stop(0.05)
    bench.gate.set()
    assert bench.worker.stop(PATIENCE)


class AheadBench:
    """A worker that looks ahead, with gates before both kinds of work."""

    def __init__(self, takes: bool = True, most_waiting: int = 1) -> None:
        self.takes, self.gate, self.started = takes, threading.Event(), threading.Event()
        self.ahead: list[object] = []
        self.places: list[int] = []
        self.done: list[object] = []
        self.replaced: list[object] = []
        self.errors: list[Exception] = []
        self.worker: LatestWorker[object] = LatestWorker(
            self._process, self.replaced.append, self.errors.append, self._look_ahead, most_waiting=most_waiting
        )

    def _process(self, item: object) -> None:
        self.started.set()
        assert self.gate.wait(PATIENCE)
        self.done.append(item)

    def _look_ahead(self, item: object, ahead: int) -> bool:
        self.ahead.append(item)
        self.places.append(ahead)
        if isinstance(item, Exception):
            raise item
        return self.takes

    def finish(self) -> None:
        """Let everything through and wait for it."""
        self.gate.set()
        for _ in range(2):  # an action goes before the items that wait
            flushed = threading.Event()
            while self.worker._mailbox:
                pass
            self.worker.call(flushed.set)
            assert flushed.wait(PATIENCE)
        assert self.worker.stop(PATIENCE)


def test_work_begins_on_the_next_item_which_nothing_overtakes():
    bench = AheadBench()
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in (2, 3, 4):
        bench.worker.put(item)
    assert bench.ahead == [2]
    assert bench.replaced == [3]
    bench.finish()
    assert bench.done == [1, 2, 4]
    assert bench.ahead == [2, 4]  # when 2 had its turn
    assert not bench.errors


def test_where_several_may_wait_work_begins_on_several():
    bench = AheadBench(most_waiting=4)
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in range(2, 9):
        bench.worker.put(item)
    assert (bench.ahead, bench.places) == ([2, 3, 4], [1, 2, 3])
    assert bench.replaced == [5, 6]  # and no more wait than ever
    bench.finish()
    assert bench.done == [1, 2, 3, 4, 7, 8]
    assert bench.ahead == [2, 3, 4, 7, 8]


def test_where_work_on_one_does_not_begin_none_begins_on_those_after_it():
    bench = AheadBench(takes=False, most_waiting=4)
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in (2, 3, 4):
        bench.worker.put(item)
    assert set(bench.ahead) == {2}
    bench.finish()
    assert bench.done == [1, 2, 3, 4]


def test_what_is_overtaken_is_done_in_a_hurry_where_that_is_possible():
    bench, hurried = Bench(), []
    order: list[tuple[str, object]] = []

    def process(item: object) -> None:
        bench._process(item)
        order.append(("full", item))

    def hurry(item: object) -> None:
        order.append(("hurried", item))
        hurried.append(item)
        if item == 4:
            raise RuntimeError("in a hurry")

    worker: LatestWorker[object] = LatestWorker(
        process, bench.replaced.append, bench.errors.append, hurry=hurry, most_waiting=2
    )
    worker._throughput.room = lambda most: 1  # type: ignore[method-assign]
    worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in range(2, 7):
        worker.put(item)
    assert bench.replaced == [2, 3]  # two of the overtaken are kept
    took = len(worker._throughput._took)
    bench.gate.set()
    while len(bench.done) < 2:
        pass
    assert worker.stop(PATIENCE)
    assert order == [("full", 1), ("hurried", 4), ("hurried", 5), ("full", 6)]
    assert [str(error) for error in bench.errors] == ["in a hurry"]
    assert len(worker._throughput._took) <= took + 1  # they tell nothing of the pace of the others
    bench.worker.stop(PATIENCE)


def test_an_item_on_which_no_work_begins_is_overtaken_as_ever():
    bench = AheadBench(takes=False)
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    for item in (2, 3, 4):
        bench.worker.put(item)
    assert bench.replaced == [2, 3]
    bench.finish()
    assert bench.done == [1, 4]


def test_with_nothing_in_the_works_no_work_begins_ahead():
    bench = AheadBench()
    bench.gate.set()
    bench.worker.put(1)
    bench.finish()
    assert bench.done == [1]
    assert not bench.ahead


def test_looking_ahead_in_vain_is_reported_and_the_item_has_its_turn():
    bench, error = AheadBench(), ValueError("torn")
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    bench.worker.put(error)
    assert bench.errors == [error]
    bench.finish()
    assert bench.done == [1, error]


def test_an_item_whose_work_has_begun_is_taken_back_too():
    bench = AheadBench()
    bench.worker.put(1)
    assert bench.started.wait(PATIENCE)
    bench.worker.put(2)
    bench.worker.put(3)
    assert bench.worker.clear() == [2, 3]
    bench.finish()
    assert bench.done == [1]


def test_items_from_many_threads_are_each_done_or_replaced():
    bench = AheadBench()
    bench.gate.set()

    def put(numbers: range) -> None:
        for number in numbers:
            bench.worker.put(number)

    threads = [threading.Thread(target=put, args=(range(1 + 200 * k, 201 + 200 * k),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bench.finish()
    assert len(bench.done) + len(bench.replaced) == 800
    assert {*bench.done, *bench.replaced} == {*range(1, 801)}

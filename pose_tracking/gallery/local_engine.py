"""Runs jobs in several processes of this machine; one that dies is replaced, and its job tried again."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for

from .batch import Outcome, Work
from .jobs import IngestJob

_PRELOADED = ("torch", "torchvision", "cv2", "numba", "scipy.spatial")  # seconds, and memory that workers share


class LocalEngine:
    """`Engine` on this machine.

    Args:
        workers: number of processes.
        retries: how often a job is tried again whose process was killed.
    """

    def __init__(self, workers: int, retries: int) -> None:
        self._workers, self._retries = workers, retries

    def run(self, jobs: Sequence[IngestJob], work: Work) -> Iterator[Outcome]:
        """See `Engine`."""
        slots = [_Slot(work, self._retries) for _ in range(min(self._workers, len(jobs)))]
        free, pending = list(slots), {}
        with ThreadPoolExecutor(max(1, len(slots))) as threads:
            try:
                waiting = iter(jobs)
                while True:
                    while free and (job := next(waiting, None)) is not None:
                        slot = free.pop()
                        pending[threads.submit(slot.run, job)] = slot
                    if not pending:
                        return
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        free.append(pending.pop(future))
                        yield future.result()
            finally:
                for slot in slots:
                    slot.stop()


class _Slot:
    """One process at a time: so it is known whose job has killed it, which a pool of several does not tell."""

    def __init__(self, work: Work, retries: int) -> None:
        self._work, self._retries = work, retries
        self._is_stopped = False
        self._process = self._new()

    @staticmethod
    def _new() -> ProcessPoolExecutor:
        # Not forked from here, where libraries have threads: from a process that has only imported them.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        return ProcessPoolExecutor(1, context, initializer=_die_with_parent)

    def run(self, job: IngestJob) -> Outcome:
        for _ in range(1 + self._retries):
            try:
                future: Future[Outcome] = self._process.submit(self._work, job)
                return future.result()
            except BrokenProcessPool:
                self._process.shutdown()
                if self._is_stopped:
                    break
                self._process = self._new()
        times = 1 + self._retries
        return Outcome(
            job,
            error=f"{job.recording}: its worker was killed {times} times: is there enough memory? try --workers 1",
        )

    def stop(self) -> None:
        """End the process, whatever it does: what it has not told of is done again next time."""
        self._is_stopped = True
        for process in list((getattr(self._process, "_processes", None) or {}).values()):
            process.kill()
        self._process.shutdown(cancel_futures=True)


def _die_with_parent() -> None:
    """A worker would wait for work for ever if its parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

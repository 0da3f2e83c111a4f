"""Runs jobs on a Ray cluster, which sends them to its machines and does again what a dead one had."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

from pose_tracking.core.errors import ConfigError, PoseTrackingError

from .batch import Outcome, Work
from .jobs import IngestJob

_CONNECT_SECONDS = 10.0
_AHEAD = 2  # jobs for each place to run one: none waits, and few results do


class RayEngine:
    """`Engine` on the machines of a Ray cluster. All have this package, the models and the recordings' paths.

    Args:
        address: of the cluster, ``HOST:PORT`` or ``ray://HOST:10001``; None: RAY_ADDRESS, else this machine.
        workers: most jobs at one time; None: as many as the cluster has room for.
        retries: how often a job is tried again whose process or machine died.
        cpus, gpus: what a job takes.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, address: str | None, workers: int | None, retries: int, cpus: int, gpus: int) -> None:
        # Before Ray is imported: it would report its use to its makers.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Where something else than Ray listens it would try 20 times for 40 s each.
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise ConfigError("--engine ray needs Ray: pip install 'pose_tracking[ray]'") from error
        self._address, self._workers, self._retries = address, workers, retries
        self._cpus, self._gpus = cpus, gpus

    def run(self, jobs: Sequence[IngestJob], work: Work) -> Iterator[Outcome]:
        """See `Engine`."""
        import ray

        if not jobs:
            return
        is_ours = not ray.is_initialized()
        if is_ours:
            self._connect()
        try:
            yield from self._run(jobs, work)
        finally:
            if is_ours:
                ray.shutdown()

    def _connect(self) -> None:
        import logging

        import ray

        _check_listening(self._address or os.environ.get("RAY_ADDRESS"))
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _unreachable(self._address, error) from error

    def _run(self, jobs: Sequence[IngestJob], work: Work) -> Iterator[Outcome]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        # What a job itself raises is not tried again: it would be raised again.
        task = ray.remote(num_cpus=self._cpus, num_gpus=self._gpus, max_retries=self._retries)(_run_one)
        shared = ray.put(work)
        waiting = iter(jobs)
        pending: dict[ray.ObjectRef, IngestJob] = {}
        while True:
            while len(pending) < self._most() and (job := next(waiting, None)) is not None:
                pending[task.remote(shared, job)] = job
            if not pending:
                return
            (done,), _ = ray.wait(list(pending), num_returns=1)
            job = pending.pop(done)
            try:
                outcome = ray.get(done)
            except RayTaskError as error:
                if isinstance(error.cause, PoseTrackingError):
                    raise error.cause from None
                reason = str(error.cause).strip().splitlines()[0]
                raise ConfigError(
                    f"a machine of the cluster cannot run it ({reason}): is the same version there?"
                ) from error
            except RayError as error:
                lines = str(error).strip().splitlines() or [""]
                reason = f"{type(error).__name__}: {lines[0]}"
                told = f"{job.recording}: its worker died {1 + self._retries} times ({reason}): is there enough memory?"
                outcome = Outcome(job, error=told)
            yield outcome

    def _most(self) -> int:
        """How many jobs are sent; asked again and again, for machines come and go."""
        import ray

        if self._workers is not None:
            return self._workers
        room = ray.cluster_resources()
        places = room.get("CPU", 1) / self._cpus
        if self._gpus:
            places = min(places, room.get("GPU", 0) / self._gpus)
        return max(1, int(_AHEAD * places))


def _check_listening(address: str | None) -> None:
    """Raise where nobody listens at ``[ray://]HOST:PORT``: Ray itself would try for a quarter of an hour."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # of this machine, or of a kind that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str | None, error: Exception) -> ConfigError:
    message = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ConfigError(f"--address {address}: no Ray cluster can be reached there ({message})")


def _run_one(work: Work, job: IngestJob) -> Outcome:
    return work(job)

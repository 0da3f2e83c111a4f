"""How many threads a process computes with, and how they wait. Imports torch and OpenCV only where they are used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

# By default threads of OpenMP spin while they wait for each other. With one other busy process on the machine that
# makes torch 12 times slower; sleeping costs next to nothing on an idle one.
WAIT_POLICY = ("OMP_WAIT_POLICY", "passive")
# How long one thread of Python may keep another waiting. A network's small operations let go of the interpreter one by
# one and would wait as long for each of them: with Python's 5 ms a frame of the node took a quarter longer.
SWITCH_SECONDS = 0.0005
MOST_THREADS = 8  # networks of this size gain nothing from more


def wait_passively() -> None:
    """Let waiting threads sleep, unless the user has chosen otherwise; counts only before torch is imported."""
    os.environ.setdefault(*WAIT_POLICY)


def wait_variables() -> dict[str, str]:
    """The environment variable that lets the threads of a child sleep; none where the user has set one."""
    name, value = WAIT_POLICY
    return {} if name in os.environ else {name: value}


def use_threads(count: int | None, at_once: int = 1) -> None:
    """Let torch and OpenCV, and networks that are compiled from now on, compute with `count` CPU threads.

    0 takes `free_cores`, or what the user has set as ``OMP_NUM_THREADS``; None leaves everything as it is. Of the
    free cores each of those that compute `at_once`, as the stages of a pipeline that looks ahead, takes its share.
    """
    if count is None:
        return
    import cv2
    import torch

    if at_once > 1:
        take_turns()
    if count == 0:
        count = torch.get_num_threads() if os.environ.get("OMP_NUM_THREADS") else max(1, free_cores() // at_once)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def take_turns() -> None:
    """Let threads of Python take turns quickly: where several are at work, each waits for the others all the time."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))


def free_cores() -> int:
    """Cores for the threads of this process: those it may use, at most `MOST_THREADS`.

    Bound by its affinity, with the two threads of a core counted once, and by the processor time that a container or
    a service is given, rounded down: a process that uses it up is halted for the rest of each tenth of a second.
    """
    bound = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return max(1, int(min(physical_cores(bound), cpu_quota(), MOST_THREADS)))


def physical_cores(processors: Iterable[int], root: Path = Path("/")) -> int:
    """Number of cores that the logical `processors` belong to; `root` is that of the file system."""
    cores = set()
    for number in processors:
        siblings = root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        cores.add(_text(siblings) or str(number))
    return len(cores)


def cpu_quota(root: Path = Path("/")) -> float:
    """Processors' worth of time that the control groups of this process allow; infinite without a limit."""
    quotas = [float("inf")]
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
            continue
        base = root / "sys/fs/cgroup" / controllers
        # In a container the path may be that of the host, with the container's own group at the base.
        folder = base / path.strip("/")
        for group in (folder, *folder.parents):
            quotas += _quota_of(group)
            if group == base:
                break
    return min(quotas)


def _quota_of(group: Path) -> list[float]:
    """The limit of one control group, of version 2 or 1; empty without one."""
    words = _text(group / "cpu.max").split()
    if not words:
        words = [_text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")]
    try:
        quota, period = float(words[0]), float(words[1])
    except (ValueError, IndexError):  # "max", or no such files
        return []
    return [quota / period] if quota > 0 and period > 0 else []


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""

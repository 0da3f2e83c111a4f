"""How many threads a process takes, and how they wait."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from pose_tracking.core import threads
from pose_tracking.core.threads import cpu_quota, free_cores, physical_cores, use_threads, wait_variables


@pytest.fixture
def restored() -> Iterator[None]:
    before, interval = (torch.get_num_threads(), cv2.getNumThreads()), sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.usefixtures("restored")
def test_threads_hold_for_torch_and_opencv() -> None:
    for count in (2, None):
        use_threads(count)
        assert torch.get_num_threads() == 2
        assert cv2.getNumThreads() == 2


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize(("users", "count"), [("", 3), ("2", 2)])
def test_automatic_threads_are_the_users_or_the_free_cores(
    monkeypatch: pytest.MonkeyPatch, users: str, count: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", users)
    monkeypatch.setattr(threads, "free_cores", lambda: 3)
    torch.set_num_threads(2)  # what torch has made of the variable
    use_threads(0)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (count, count)


@pytest.mark.usefixtures("restored")
def test_stages_that_compute_at_once_share_the_cores_and_take_turns_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    monkeypatch.setattr(threads, "free_cores", lambda: 5)
    use_threads(0, at_once=2)
    assert torch.get_num_threads() == 2
    assert sys.getswitchinterval() == pytest.approx(threads.SWITCH_SECONDS)
    monkeypatch.setattr(threads, "free_cores", lambda: 1)
    use_threads(0, at_once=2)
    assert torch.get_num_threads() == 1
    use_threads(3, at_once=2)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("bound", "quota", "expected"), [(2, math.inf, 2), (6, 3.9, 3), (6, 0.5, 1), (64, math.inf, threads.MOST_THREADS)]
)
def test_free_cores_are_bound_by_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, bound: int, quota: float, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(bound)), raising=False)
    monkeypatch.setattr(threads, "physical_cores", lambda processors: len(processors))
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert free_cores() == expected


def test_this_machine_has_at_least_one() -> None:
    assert 1 <= free_cores() <= threads.MOST_THREADS


def test_two_threads_of_a_core_count_once(tmp_path: Path) -> None:
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        write(tmp_path, f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list", f"{siblings}\n")
    assert physical_cores({0, 1, 2, 3}, tmp_path) == 2
    assert physical_cores({1, 3}, tmp_path) == 1
    assert physical_cores({0, 7, 8}, tmp_path) == 3  # what is not known counts for itself


def test_the_quota_of_the_control_group_and_those_above_holds(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) == math.inf
    write(tmp_path, "proc/self/cgroup", "0::/user.slice/tracker.service\n")
    write(tmp_path, "sys/fs/cgroup/user.slice/tracker.service/cpu.max", "max 100000\n")
    assert cpu_quota(tmp_path) == math.inf
    write(tmp_path, "sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n")
    assert cpu_quota(tmp_path) == 2.5
    write(tmp_path, "sys/fs/cgroup/user.slice/tracker.service/cpu.max", "50000 100000\n")
    assert cpu_quota(tmp_path) == 0.5


def test_the_quota_of_a_container_stands_at_the_root(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "0::/docker/0123\n")  # the path of the host is not there
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    assert cpu_quota(tmp_path) == 1.5


def test_the_quota_of_version_1(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/a\n")
    for name, value in (("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "100000")):
        write(tmp_path, f"sys/fs/cgroup/cpu,cpuacct/a/{name}", f"{value}\n")
    assert cpu_quota(tmp_path) == math.inf
    write(tmp_path, "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n")
    assert cpu_quota(tmp_path) == 3


@pytest.mark.parametrize("chosen", [None, "active"])
def test_children_sleep_while_they_wait_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    if chosen is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        assert wait_variables() == {"OMP_WAIT_POLICY": "passive"}
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
        assert wait_variables() == {}

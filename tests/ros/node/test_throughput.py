"""How often frames come, and whether a worker keeps up with them."""

from __future__ import annotations

import pytest

from pose_tracking.ros.node.throughput import CameraRate, Throughput


def run(took: list[float], interval: float, times: int = 10) -> Throughput:
    throughput = Throughput()
    for k in range(times * len(took)):
        throughput.came(k * interval)
        throughput.took(took[k % len(took)])
    return throughput


def test_a_worker_of_which_nothing_is_known_keeps_up() -> None:
    throughput = Throughput()
    assert throughput.load == 0
    for k in range(4):
        throughput.came(0.03 * k)
        throughput.took(0.7 if k == 0 else 0.1)  # as the first may
    assert throughput.room(4) == 4
    throughput.took(0.1)
    assert throughput.load == pytest.approx(0.1 / 0.03)
    assert throughput.room(4) == 1


@pytest.mark.parametrize(
    ("took", "room"),
    [([0.008] * 4 + [0.11], 4), ([0.008] * 4 + [0.15], 1), ([0.035], 1), ([0.031], 2), ([0.02], 4)],
)
def test_what_counts_is_the_average(took: list[float], room: int) -> None:
    assert run(took, 1 / 30).room(4) == room
    assert run(took, 1 / 30).room(1) == 1


def test_the_slow_ones_of_the_beginning_tell_nothing_of_the_others() -> None:
    throughput = Throughput()
    for k, seconds in enumerate([0.7, 0.13, 0.14, 0.08, 0.17, 0.09, 0.14, 0.16, *[0.07] * 20]):
        throughput.came(0.1 * k)
        throughput.took(seconds)
        assert throughput.room(4) == 4


def test_of_two_threads_the_slower_counts() -> None:
    throughput = Throughput()
    for k in range(40):
        throughput.came(0.1 * k)
        throughput.took(*((0.05, 0.11), (0.11, 0.05))[k % 2])  # in turn, as both have work all the time
    assert throughput.load == pytest.approx(0.8)
    throughput = Throughput()
    for k in range(40):
        throughput.came(0.1 * k)
        throughput.took(0.05, 0.11)
    assert throughput.load == pytest.approx(1.1)


def test_a_worker_that_became_slower_does_not_keep_up_any_more() -> None:
    throughput = run([0.01], 0.03)
    for k in range(30):
        throughput.came(1.0 + 0.03 * k)
        throughput.took(0.05)
    assert throughput.room(4) == 1


def test_the_interval_of_a_camera_is_that_of_its_stamps() -> None:
    rate = CameraRate()
    late = [0.0, 0.004, 0.02, 0.02, 0.0, 0.01, 0.003, 0.0, 0.02, 0.0] * 3  # seconds after which they are noticed
    found = [rate.interval(100 + k / 30, 5 + k / 30 + late[k]) for k in range(30)]
    assert found[0] is None
    assert found[1:5] == pytest.approx([1 / 30] * 4)
    assert found[15:] == pytest.approx([1 / 30] * 15, rel=0.05)


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_a_bag_is_played_at_another_speed(speed: float) -> None:
    rate = CameraRate()
    found = [rate.interval(100 + k / 10, k / 10 / speed) for k in range(20)]
    assert found[-1] == pytest.approx(0.1 / speed)


def test_after_a_frame_that_is_missing_the_interval_is_twice_as_long() -> None:
    rate = CameraRate()
    found = [rate.interval(k / 10, k / 10) for k in (0, 1, 2, 3, 4, 5, 7, 8)]
    assert found[1:] == pytest.approx([0.1] * 5 + [0.2, 0.1])


def test_a_bag_that_begins_anew_has_no_interval() -> None:
    rate = CameraRate()
    for k in range(10):
        rate.interval(100 + k / 10, k / 10)
    assert rate.interval(100.0, 1.0) is None
    assert rate.interval(100.1, 1.1) == pytest.approx(0.1)

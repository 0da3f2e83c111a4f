"""The rules on people, on the simulated person's joints with noise: what it does is told, and nothing else."""

from __future__ import annotations

from collections import Counter
from functools import partial

import numpy as np
import pytest
from walker import told

from pose_tracking.simulation.clips.body import Person, Posture
from pose_tracking.simulation.clips.gaits import falling, running, standing, walking

SEEDS = range(6)
MOTIONS = {"standing": standing, "walking": walking, "running": running}


def _between(first: float, last: float, seconds: float) -> bool:
    return first < seconds < last


def _person(seed: int):
    rng = np.random.default_rng(seed)
    return Person(rng), rng


@pytest.mark.parametrize("rate", [10, 15, 30])
@pytest.mark.parametrize("label", list(MOTIONS))
def test_seen_from_the_side_it_is_told_what_someone_does(label, rate):
    right = wrong = 0
    for seed in SEEDS:
        person, rng = _person(seed)
        motion = MOTIONS[label](rng, person.height)
        said = told(motion, person, np.arange(0, 2.5, 1 / rate), azimuth=motion(0.0).heading + np.pi / 2)
        counts = Counter(each for each in said if each is not None)
        right += counts[label]
        wrong += sum(counts.values()) - counts[label]
        assert counts["falling"] == 0
    assert right > 4 * wrong


def test_towards_the_camera_the_feet_tell_a_walk():
    found: Counter[str | None] = Counter()
    for seed in SEEDS:
        person, rng = _person(seed)
        motion = walking(rng, person.height)
        found.update(told(motion, person, np.arange(0, 2, 1 / 20), azimuth=motion(0.0).heading))
    assert found["walking"] > 5 * found["standing"]
    assert found["falling"] == 0


@pytest.mark.parametrize("rate", [6, 10, 15, 25, 60])
def test_a_fall_is_told_at_rates_from_6_to_60_hz(rate):
    fell = 0
    for seed in range(8):
        person, rng = _person(seed)
        motion, lies = falling(rng, person.height, 1.0)
        said = told(motion, person, np.arange(0, 3.2, 1 / rate), azimuth=motion(1.0).heading + np.pi / 2)
        fell += "falling" in said
        first = said.index("falling") / rate if "falling" in said else lies
        assert 1.0 < first < lies + 0.6
    assert fell >= 6  # of those who fall across the picture; towards the camera a trunk only gets short


@pytest.mark.parametrize("rate", [1, 2])
def test_at_too_low_a_rate_nothing_is_made_up(rate):
    for label in ("standing", "running"):
        person, rng = _person(3)
        assert set(told(MOTIONS[label](rng, person.height), person, np.arange(0, 8, 1 / rate))) == {None}
    person, rng = _person(3)
    motion, _ = falling(rng, person.height, 3.0)
    assert "falling" not in told(motion, person, np.arange(0, 8, 1 / rate))


def test_who_lies_down_slowly_has_not_fallen():
    person, _ = _person(1)

    def lie_down(seconds: float) -> Posture:
        angle = np.pi / 2 * np.clip((seconds - 1) / 4, 0, 1)
        return Posture(tilt=(0.0, float(angle), 0.0))

    said = told(lie_down, person, np.arange(0, 7, 0.1), azimuth=np.pi / 2)
    assert "falling" not in said
    assert said[-1] is None


def test_who_is_lost_in_mid_fall_is_unknown_and_no_fall_is_made_up_of_the_rest():
    for seed in range(4):
        person, rng = _person(seed)
        motion, lies = falling(rng, person.height, 1.0)
        said = told(
            motion,
            person,
            np.arange(0, 3.5, 0.1),
            azimuth=motion(1.0).heading + np.pi / 2,
            unseen=partial(_between, 1.3, lies + 0.4),
        )
        assert "falling" not in said
        assert said[-1] is None


def test_dropped_frames_and_a_changing_rate():
    rng = np.random.default_rng(0)
    person, draw = _person(2)
    motion = walking(draw, person.height)
    times = np.sort(rng.choice(np.arange(0, 3, 1 / 60), 60, replace=False))
    found = Counter(told(motion, person, times, azimuth=motion(0.0).heading + np.pi / 2))
    assert found["walking"] > 0.5 * len(times)
    assert found["falling"] == found["standing"] == 0


def test_before_it_has_been_seen_for_a_while_nothing_is_known():
    person, rng = _person(1)
    assert set(told(standing(rng, person.height), person, np.arange(0, 0.5, 0.1))) == {None}

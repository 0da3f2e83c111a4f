"""A turn that the poses do not tell, as that of a mug whose handle is hidden, is no motion; all else is."""

from __future__ import annotations

import numpy as np
import pytest
from event_story import SIZE, about_vertical, kinds, standing, told, turned, unknown_turn

from pose_tracking.simulation.sequences.scripted import Carry, Push, PushedOff

OFF = -0.015  # metres from the middle of a mug to the axis of its body


def _guessed(path, every=0.5, most=90.0, seed=1):
    """A path with a turn about the vertical that is guessed anew now and then."""
    guesses = np.random.default_rng(seed).uniform(-most, most, 200)
    return lambda t: about_vertical(path(t), guesses[int(t / every)], OFF)


def _scripted(motion, begin=2.0):
    return lambda t: motion.before if t < begin else motion.pose(min(t - begin, motion.seconds))


def _told(path, seconds, rate, degrees=25.0):
    return told(path, seconds, rate, unknown=lambda t: unknown_turn(path(t), degrees, OFF))


@pytest.mark.parametrize("rate", [2, 10, 30, 60])
def test_a_turn_guessed_anew_moves_nothing(rate):
    assert _told(_guessed(lambda t: standing()), 20, rate) == []


@pytest.mark.parametrize("rate", [10, 30])
def test_small_turns_guessed_anew_move_nothing(rate):
    assert _told(_guessed(lambda t: standing(), most=40.0), 20, rate, degrees=15.0) == []


@pytest.mark.parametrize("rate", [10, 30])
def test_what_has_an_unknown_turn_is_moved_and_carried_and_falls_as_others_do(rate):
    push = _scripted(Push(standing(), standing(0.1, 0.03), 0.8))
    carry = _scripted(Carry(standing(), standing(0.3, 0.1), 2.0, 0.15))
    fall = _scripted(PushedOff(standing(0, 0, 0.5), standing(0.15, 0, 0.5), standing(0.25, 0, 0), 0.6))

    assert kinds(_told(_guessed(push, every=0.7), 6, rate)) == ["moved"]
    assert sorted(kinds(_told(_guessed(carry, every=0.7), 8, rate))) == ["carried", "moved", "placed"]
    assert sorted(kinds(_told(_guessed(fall, every=0.7), 8, rate))) == ["fell", "moved"]


@pytest.mark.parametrize("rate", [10, 30])
def test_a_small_push_is_seen_beside_an_unknown_turn(rate):
    path = _scripted(Push(standing(), standing(0.04, 0.0), 0.6))

    assert kinds(_told(path, 6, rate)) == ["moved"]


def test_a_turn_about_a_known_axis_is_motion():
    path = _guessed(lambda t: turned(standing(), "x", 40 * float(np.clip((t - 2) / 0.6, 0, 1))), most=0.0)

    assert kinds(_told(path, 6, 30)) == ["moved"]


def test_a_turn_in_its_place_that_is_known_is_motion():
    def path(t):
        return turned(standing(), "z", 40 * float(np.clip((t - 2) / 0.5, 0, 1)))

    assert kinds(told(path, 6, 30)) == ["moved"]
    assert kinds(told(path, 6, 10)) == ["moved"]


def test_a_jump_that_nothing_turns_as_fast_is_no_motion_whatever_the_covariance_says():
    def path(t):
        return turned(standing(), "z", (0.0, 40.0, -10.0, 25.0)[int(t / 1.5) % 4])

    assert told(path, 20, 30) == []


def test_what_flips_and_is_then_pushed_has_moved():
    push = _scripted(Push(standing(), standing(0.1, 0.03), 0.8), begin=2.2)

    def path(t):
        return turned(push(t), "z", 180) if t > 2 else push(t)

    assert kinds(told(path, 6, 30)) == ["moved"]


def _lying(x=0.0, degrees=0.0):
    """The box on its side, turned about its long axis, which is level."""
    pose = turned(standing(x), "x", 90)
    pose[2, 3] = SIZE[1] / 2
    return about_vertical(pose, degrees)


@pytest.mark.parametrize("rate", [10, 30])
def test_what_most_poses_tell_of_a_place_counts(rate):
    # In every third frame the turn about its long axis is unknown, and in the middle one of the first.
    def unknown(t):
        return unknown_turn(_lying(), 50) if round(t * rate) % 3 == 2 and t < 2 else np.zeros((6, 6))

    def rolls(t):
        return _lying(degrees=140 * np.clip((t - 2) / 0.5, 0, 1))

    assert sorted(kinds(told(rolls, 5, rate, unknown=unknown))) == ["knocked_over", "moved"]


def test_what_is_seen_to_turn_over_is_knocked_over_though_its_turn_is_unknown_at_rest():
    def unknown(t):
        return np.zeros((6, 6)) if 2 < t < 2.5 else unknown_turn(_lying(), 50)

    def rolls(t):
        share = np.clip((t - 2) / 0.5, 0, 1)
        return _lying(0.06 * share, 90 * share)

    assert sorted(kinds(told(rolls, 5, 10, unknown=unknown))) == ["knocked_over", "moved"]


def test_a_turn_guessed_anew_after_a_push_is_not_knocked_over():
    def pushed(t):
        return _lying(0.1 * np.clip((t - 2) / 0.5, 0, 1), 0 if t < 2.3 else 90)

    assert kinds(told(pushed, 5, 10, unknown=lambda t: unknown_turn(_lying(), 50))) == ["moved"]

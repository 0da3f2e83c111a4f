"""The articulated person: how it stands, walks, runs and falls, before anything is rendered; and one clip of it."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.simulation.clips.body import Person, Posture
from pose_tracking.simulation.clips.gaits import falling, running, standing, walking
from pose_tracking.simulation.clips.people import person_clip


def _heights(person: Person, posture: Posture) -> tuple[float, float]:
    """Lowest and highest point (m)."""
    z = [body.caster.mesh.vertices @ body.pose[2, :3] + body.pose[2, 3] for body in person.bodies(posture)]
    return min(map(np.min, z)), max(map(np.max, z))


def _speed(motion) -> float:
    return float(np.linalg.norm(np.subtract(motion(1.5).place, motion(0.0).place)) / 1.5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_person_stands_on_the_floor_and_is_as_tall_as_it_says(seed):
    person = Person(np.random.default_rng(seed))
    low, high = _heights(person, Posture())
    assert low == pytest.approx(0, abs=1e-6)
    assert high == pytest.approx(person.height, rel=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_who_runs_is_faster_than_who_walks(seed):
    rng = np.random.default_rng(seed)
    assert _speed(standing(rng, 1.7)) < 0.05
    assert 0.7 < _speed(walking(rng, 1.7)) < 2.2
    assert 2.2 < _speed(running(rng, 1.7)) < 6.0


@pytest.mark.parametrize("seed", range(6))
def test_who_falls_lies_after_a_second_or_so(seed):
    rng = np.random.default_rng(seed)
    person = Person(rng)
    motion, lies = falling(rng, person.height, 0.5)
    assert 0.9 < lies < 2.0
    assert _heights(person, motion(0.4))[1] > 0.85 * person.height
    low, high = _heights(person, motion(lies))
    assert low == pytest.approx(0, abs=1e-6)
    assert high < 0.75 * person.height  # some fall onto their hands
    # Nothing jumps: between two frames at 30 Hz the pelvis goes no more than a running person's and a falling one's.
    places = np.array([motion(t).place for t in np.arange(0, 2, 1 / 30)])
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.3


def test_a_clip_shows_the_person_and_the_same_seed_shows_the_same():
    clip, again = person_clip(43000), person_clip(43000)
    assert clip is not None
    assert again is not None
    assert clip.frames.shape == (16, 112, 112, 3)
    assert np.median(clip.masks.sum((1, 2))) > 20
    np.testing.assert_array_equal(clip.frames, again.frames)
    assert (clip.label, clip.source) == (again.label, "person:43000")

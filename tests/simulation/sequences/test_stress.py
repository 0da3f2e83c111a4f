"""The stress preset: who leaves, who hides, who crosses, and that the frame rate changes nothing of it."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import invert_transform, rotation_angle
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.placement.separation import apart
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.sequences.stress import Identities, StressConfig, StressSequence, look_alikes
from pose_tracking.simulation.sequences.trajectories import LOOP
from pose_tracking.simulation.sequences.visibility import runs

SEEDS = (92006, 92010, 93000)
FPS = 15


def config(fps, **changes):
    return StressConfig(frames=round(LOOP * fps), fps=fps, width=160, height=120, focal=142.5, min_visible=1, **changes)


@pytest.fixture(scope="module")
def sequences(demo_objects):
    """Sequences of 20 s at 15 Hz, and per frame the truth by the number of the body among the known ones."""
    out = []
    for seed in SEEDS:
        simulator = StressSequence(demo_objects, config(FPS), seed)
        known = [body for body in simulator.placed if body.obj_id]
        frames = []
        for index in range(len(simulator)):
            camera, seconds = simulator.path.pose(index / FPS), index / FPS
            places = np.stack([body.pose(seconds)[:3, 3] for body in known])
            frame = {}
            for entry in simulator.truth(index):
                distances = np.linalg.norm(places - (camera @ entry.pose)[:3, 3], axis=1)
                assert distances.min() < 1e-9
                frame[int(distances.argmin())] = entry
            frames.append(frame)
        out.append((simulator, known, frames))
    return out


def appearances(frames, number):
    """Frame numbers and truth of one body."""
    return [(index, frame[number]) for index, frame in enumerate(frames) if number in frame]


def visibility(frames, count):
    return np.array([[frame[n].visibility if n in frame else 0.0 for n in range(count)] for frame in frames])


def test_look_alikes_have_at_least_three_copies_of_one_material(demo_objects, sequences):
    mugs = {demo_objects.by_name("mug_blue").obj_id, demo_objects.by_name("mug_red").obj_id}
    assert set(look_alikes(demo_objects)) == mugs
    for simulator, known, _ in sequences:
        counts = Counter(body.obj_id for body in known)
        assert all(counts.pop(mug) >= 3 for mug in mugs)
        assert 1 <= len(counts) <= 3
        assert set(counts.values()) == {1}
        materials: dict[int, Material] = {}
        for body, material in zip(simulator.placed, simulator._materials, strict=True):
            if body.obj_id in mugs:
                assert materials.setdefault(body.obj_id, material) is material
                np.testing.assert_array_equal(material.tint, np.eye(3))


def test_rates_agree_in_world_and_identities(demo_objects):
    slow, fast = (StressSequence(demo_objects, config(fps), SEEDS[0]) for fps in (5, 30))
    assert len(fast) == 6 * len(slow) == 600
    for index in range(0, len(slow), 4):
        np.testing.assert_array_equal(slow.path.pose(index / 5), fast.path.pose(6 * index / 30))
        for a, b in zip(slow.truth(index), fast.truth(6 * index), strict=True):
            assert (a.obj_id, a.instance_id) == (b.obj_id, b.instance_id)
            np.testing.assert_array_equal(a.pose, b.pose)
            np.testing.assert_array_equal(a.mask, b.mask)


def test_the_world_depends_on_the_seed_alone(demo_objects, sequences):
    simulator, known, _ = sequences[1]
    again = StressSequence(demo_objects, config(30), SEEDS[1])
    other = [body for body in StressSequence(demo_objects, config(FPS), SEEDS[0]).placed if body.obj_id]
    for t in (0.0, 7.3, 15.1):
        np.testing.assert_array_equal(simulator.path.pose(t), again.path.pose(t))
        for a, b in zip(simulator.placed, again.placed, strict=True):
            np.testing.assert_array_equal(a.pose(t), b.pose(t))
    assert not np.allclose(known[0].pose(0.0), other[0].pose(0.0))


def test_copies_that_return_are_new_and_singles_stay_who_they_are(sequences):
    for _, known, frames in sequences:
        counts = Counter(body.obj_id for body in known)
        renewed: set[int] = set()
        used: set[int] = set()
        returned_single = False
        for number, body in enumerate(known):
            seen = appearances(frames, number)
            mine = {entry.instance_id for _, entry in seen}
            assert not mine & used
            used |= mine
            assert {entry.obj_id for _, entry in seen} == {body.obj_id}
            for (before, a), (after, b) in itertools.pairwise(seen):
                unmatched = (after - before) / FPS
                if a.instance_id != b.instance_id:
                    assert counts[body.obj_id] > 1
                    assert 1.4 < unmatched < 5
                    renewed.add(body.obj_id)
                elif unmatched > 1.4:
                    assert counts[body.obj_id] == 1
                    returned_single = True
        assert renewed == {obj_id for obj_id, count in counts.items() if count > 1}
        assert returned_single


def test_some_copies_are_always_there(sequences):
    for _, _, frames in sequences:
        assert min(len(frame) for frame in frames) >= 3


def test_things_are_hidden_but_never_for_more_than_a_second(sequences):
    total = 0
    for simulator, known, frames in sequences:
        first = len(simulator.placed) - len(known)
        shown = visibility(frames, len(known))
        for number in range(len(known)):
            absences = simulator.layout.absences[first + number]
            for begin, end in runs(shown[:, number] < 0.1):
                away = sum(max(0, min(b, end / FPS) - max(a, begin / FPS)) for a, b in absences)
                assert (end - begin) / FPS - away <= 1.0
                total += away == 0
    assert total >= 2 * len(sequences)


def test_absences_last_as_long_as_they_should(sequences):
    for simulator, known, frames in sequences:
        first = len(simulator.placed) - len(known)
        for number in range(len(known)):
            for start, end in simulator.layout.absences[first + number]:
                assert 1.5 <= end - start <= 4.0
                inside = [index for index, _ in appearances(frames, number) if start < index / FPS < end]
                assert not inside


def test_things_cross_in_the_picture(sequences):
    for _, known, frames in sequences:
        swaps = 0
        for a, b in itertools.combinations(range(len(known)), 2):
            for before, after in itertools.pairwise(frames):
                if not all(number in frame for number in (a, b) for frame in (before, after)):
                    continue
                sides = []
                for frame in (before, after):
                    one, two = frame[a].box, frame[b].box
                    meet = (np.minimum(one[2:], two[2:]) > np.maximum(one[:2], two[:2])).all()
                    sides.append(np.sign(one[0] + one[2] - two[0] - two[2]) if meet else 0)
                swaps += sides[0] * sides[1] < 0
        assert swaps >= 5


def test_nothing_runs_into_anything_or_sinks_into_the_table(sequences):
    times = np.arange(0, LOOP, 1 / 29)  # not the grid the trajectories were chosen on
    for simulator, _, _ in sequences:
        for body in simulator.placed:
            for t in (0.0, 4.4, 11.0):
                pose = body.pose(t)
                assert (body.shape.caster.mesh.vertices @ pose[2, :3] + pose[2, 3]).min() > -1e-4
        for a, b in itertools.combinations(simulator.placed, 2):
            assert apart(a.outlines(times), b.outlines(times), gap=0.002)


def test_speeds(sequences):
    times = np.arange(0, LOOP, 1 / 60)
    for simulator, _, _ in sequences:
        fastest = 0.0
        for view in simulator.layout.views:
            speed = np.linalg.norm(np.diff(view.places, axis=0), axis=1) * 60
            fastest = max(fastest, float(speed[~view.outside[1:]].max()))
        assert 0.2 < fastest < 0.41
        poses = np.stack([simulator.path.pose(t) for t in times])
        steps = invert_transform(poses[:-1]) @ poses[1:]
        assert 0.1 < np.linalg.norm(steps[:, :3, 3], axis=1).max() * 60 < 0.35
        assert 12 < np.degrees(rotation_angle(steps[:, :3, :3])).max() * 60 < 35


def test_the_hull_silhouettes_judge_visibility_well(sequences):
    simulator, known, frames = sequences[0]
    first = len(simulator.placed) - len(known)
    shares = simulator.layout.shares[:, first:]
    shown = visibility(frames, len(known))
    times = np.arange(len(shares)) * LOOP / len(shares)
    common = [(row, round(t * FPS)) for row, t in enumerate(times) if abs(t * FPS - round(t * FPS)) < 1e-6]
    errors = np.abs([shares[row] - shown[index] for row, index in common])
    assert len(common) > 30
    assert np.percentile(errors, 95) < 0.15


def test_after_twenty_seconds_it_begins_again_with_new_copies(demo_objects, sequences):
    simulator, known, _ = sequences[0]
    for index in (0, 100):
        lap = len(simulator)
        first, second = simulator.truth(index), simulator.truth(index + lap)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(a.pose, b.pose, atol=1e-9)
    start, end = (simulator.truth(i) for i in (0, lap))
    returned = [b.instance_id for a, b in zip(start, end, strict=True) if a.instance_id != b.instance_id]
    assert returned
    assert min(returned) > len(known)


spans = st.lists(st.tuples(st.floats(0.5, 16), st.floats(0.2, 3)), max_size=3).map(
    lambda pairs: [(a, a + d) for (a, d), (b, _) in itertools.pairwise([*sorted(pairs), (19.0, 0)]) if a + d < b]
)


@given(st.lists(spans, min_size=1, max_size=5))
def test_identities_are_never_shared_nor_taken_up_again(absences):
    identities = Identities(absences)
    times = np.arange(0, 3 * LOOP, 0.1)
    table = np.array([identities.at(float(t)) for t in times])
    owners: dict[int, int] = {}
    for number in range(len(absences)):
        for identity in np.unique(table[:, number]):
            assert owners.setdefault(int(identity), number) == number
            when = np.flatnonzero(table[:, number] == identity)
            assert when[-1] - when[0] + 1 == len(when)
        long = sum(b - a >= 1 for a, b in absences[number])
        assert len(np.unique(table[:, number])) == 1 + 3 * long
    assert sorted(table[0]) == list(range(1, 1 + len(absences)))


def test_one_object_alone_cannot_be_mixed_up(demo_objects):
    with pytest.raises(ConfigError, match="at least two objects"):
        StressSequence(ObjectSet({1: demo_objects[1]}), config(FPS))


def test_a_view_too_narrow_is_an_error(demo_objects):
    with pytest.raises(ConfigError, match="wider view"):
        StressSequence(demo_objects, StressConfig(focal=3000.0))


def test_a_frame_is_a_picture_with_depth(sequences):
    sample = sequences[0][0].render(31)
    sample.frame.check()
    assert sample.frame.color.shape == (120, 160, 3)
    for a, b in zip(sample.objects, sequences[0][0].truth(31), strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)

"""Sequences in which things happen: what their script says is what their poses do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.events import EventKind
from pose_tracking.simulation.sequences.actions import ActionsConfig, ActionsSequence
from pose_tracking.simulation.sequences.presets import make_simulator, preset_config
from pose_tracking.simulation.sequences.scripted import ScriptedBody, Tip
from pose_tracking.simulation.sequences.video import START_NS

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def objects():
    return ModelBundle.load("demo").objects


@pytest.fixture(scope="module")
def sequences(objects):
    return [ActionsSequence(objects, seed=seed) for seed in SEEDS]


def _known(sequence):
    return [body for body in sequence.placed if body.obj_id]


def _lowest(body, seconds):
    pose = body.pose(seconds)
    return body.shape.lowest(pose[2, :3]) + pose[2, 3]


def test_all_kinds_happen(sequences):
    counts = Counter(event.kind for sequence in sequences for event in sequence.events())

    kinds = (EventKind.MOVED, EventKind.CARRIED, EventKind.PLACED, EventKind.FELL, EventKind.KNOCKED_OVER)
    assert all(counts[kind] >= len(SEEDS) for kind in kinds), counts


def test_same_seed_same_script_at_any_rate(objects, sequences):
    def script(sequence):
        return [[(begin, type(motion), motion.seconds) for begin, motion in body.script] for body in _known(sequence)]

    assert script(ActionsSequence(objects, seed=1)) == script(sequences[0])
    fast = ActionsSequence(objects, ActionsConfig(frames=900, fps=30.0), seed=1)
    assert script(fast) == script(sequences[0])


def test_nothing_moves_but_by_its_script(sequences):
    for sequence in sequences:
        for body in _known(sequence):
            spans = [(begin, begin + motion.seconds) for begin, motion in body.script]
            for time in np.arange(0, 30, 0.1):
                moved = np.abs(body.pose(time + 0.1) - body.pose(time)).max() > 1e-6
                assert not moved or any(a < time + 0.1 and time < b for a, b in spans)


def test_no_jumps(sequences):
    for sequence in sequences:
        for body in _known(sequence):
            places = np.array([body.pose(t)[:3, 3] for t in np.arange(0, 30, 0.01)])
            assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.035  # 3.5 m/s, the end of a fall


def test_things_rest_on_table_or_ledge(sequences):
    for sequence in sequences:
        ledge = np.ptp(sequence.placed[0].shape.hull[:, 2])
        for body in _known(sequence):
            for seconds in (0.0, 29.9):
                assert min(abs(_lowest(body, seconds)), abs(_lowest(body, seconds) - ledge)) < 1e-6


def test_falls_are_free(sequences):
    falls = 0
    for sequence in sequences:
        for number, body in enumerate(_known(sequence), start=1):
            for event in sequence.events():
                if event.identity != number or event.kind != EventKind.FELL:
                    continue
                falls += 1
                end = (event.end_ns - START_NS) * 1e-9
                times = end - 0.1 - np.array([0.1, 0.075, 0.05])
                heights = [body.pose(t)[2, 3] for t in times]
                assert np.diff(heights, 2)[0] / 0.025**2 == pytest.approx(-9.81, rel=0.01)
    assert falls >= len(SEEDS)


def test_events_are_over_within_the_sequence_and_come_with_their_frames(objects):
    sequence = ActionsSequence(objects, ActionsConfig(frames=100, width=64, height=48, focal=57.0), seed=2)
    events = sequence.events()
    by_frame = [sample.events or [] for sample in sequence]

    assert events
    assert sum(map(len, by_frame)) == len(events)
    assert all(e.onset_ns <= e.end_ns <= START_NS + round(9.9e9) for e in events)


def test_without_actions_nothing_happens(objects):
    still = ActionsSequence(objects, ActionsConfig(actions=False), seed=3)

    assert still.events() == []
    assert all(not body.script for body in still.placed)


def test_preset(objects):
    config = preset_config("actions", 30.0)

    assert isinstance(config, ActionsConfig)
    assert config.frames == 900
    assert isinstance(make_simulator(objects, config, 1), ActionsSequence)
    with pytest.raises(ConfigError, match="actions preset draws its own rooms"):
        make_simulator(objects, config, 1, backgrounds=object())  # type: ignore[arg-type]


def test_a_body_of_revolution_that_rolls_over_is_not_knocked_over(sequences):
    def about(axis, degrees):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
        return pose

    round_about_z = np.array([about("z", 10.0 * step) for step in range(36)])
    lies = about("x", 90)
    rolled, stood_up = lies @ about("z", 70), about("x", 180)
    shape = _known(sequences[0])[0].shape
    for after, kinds in ((rolled, ["moved"]), (stood_up, ["moved", "knocked_over"])):
        body = ScriptedBody(shape, 1, lies, [(1.0, Tip(lies, after, 0.5, shape))])
        assert [kind.value for kind, *_ in body.events(round_about_z)] == kinds
        assert [kind.value for kind, *_ in body.events()] == ["moved", "knocked_over"]

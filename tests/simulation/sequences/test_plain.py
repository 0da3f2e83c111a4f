from __future__ import annotations

import itertools

import numpy as np
import pytest

from pose_tracking.core.geometry import invert_transform, rotation_angle
from pose_tracking.simulation.placement.separation import apart
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

SEEDS = range(4)
STEPS = range(0, 100, 14)


@pytest.fixture(scope="module")
def sequences(demo_objects):
    """Default sequences (640x480, 100 frames at 10 Hz) and their ground truth every 1.4 s."""
    simulators = [SequenceSimulator(demo_objects, seed=seed) for seed in SEEDS]
    return [(s, [s.truth(index) for index in STEPS]) for s in simulators]


@pytest.fixture(scope="module")
def rendered(sequences):
    """Frames 0 and 14 of the first sequence."""
    return [sequences[0][0].render(index) for index in (0, 14)]


def test_size_rate_and_stamps(sequences, rendered):
    simulator, truths = sequences[0]
    assert len(simulator) == 100
    for sample in rendered:
        assert sample.frame.color.shape == (480, 640, 3)
        sample.frame.check()
    assert rendered[0].frame.stamp_ns > 0
    assert rendered[1].frame.stamp_ns - rendered[0].frame.stamp_ns == 14 * 100_000_000
    for a, b in zip(rendered[1].objects, truths[1], strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_array_equal(a.pose, b.pose)


def test_five_to_nine_instances_one_class_three_times(sequences):
    for simulator, _ in sequences:
        ids = [p.obj_id for p in simulator.placed if p.obj_id]
        assert 5 <= len(ids) <= 9
        assert max(ids.count(i) for i in ids) >= 3


def test_distances_are_those_of_a_table_top(sequences):
    for _, truths in sequences:
        distances = [np.linalg.norm(o.pose[:3, 3]) for truth in truths for o in truth]
        assert min(distances) >= 0.5
        assert max(distances) <= 1.3


def test_a_third_is_partly_hidden_at_any_time(sequences):
    for simulator, truths in sequences:
        count = sum(p.obj_id > 0 for p in simulator.placed)
        hidden = [count - sum(o.visibility >= 0.9 for o in truth) for truth in truths]
        assert min(hidden) / count >= 1 / 3 - 1e-9
        assert np.mean(hidden) / count < 0.9  # and not all of it


def test_camera_and_some_objects_move_smoothly(sequences, rendered):
    np.testing.assert_allclose(rendered[1].frame.camera_pose, sequences[0][0].path.pose(1.4), atol=1e-12)
    for simulator, _ in sequences:
        poses = [simulator.path.pose(t) for t in np.arange(0, 10, 0.1)]
        steps = [invert_transform(a) @ b for a, b in itertools.pairwise(poses)]
        assert max(np.linalg.norm(s[:3, 3]) for s in steps) < 0.04
        assert max(float(rotation_angle(s[:3, :3])) for s in steps) < np.radians(3)
        assert np.ptp([p[:3, 3] for p in poses], axis=0).max() > 0.1
        known = [p for p in simulator.placed if p.obj_id]
        moving = {p.motion.moves for p in known}
        assert True in moving
        assert False in moving


def test_identities_last_and_rest_in_the_fixed_frame(sequences):
    for simulator, truths in sequences:
        known = [p for p in simulator.placed if p.obj_id]
        for index, truth in zip(STEPS, truths, strict=True):
            for entry in truth:
                placed = known[entry.instance_id - 1]
                assert placed.obj_id == entry.obj_id
                fixed = simulator.path.pose(index / 10) @ entry.pose
                np.testing.assert_allclose(fixed, placed.pose(index / 10), atol=1e-9)


def test_objects_stand_on_the_table_and_do_not_touch(sequences):
    times = np.arange(0, 10, 0.1)
    for simulator, _ in sequences:
        for placed in simulator.placed:
            for t in (0.0, 3.3):
                pose = placed.pose(t)
                lowest = (placed.shape.caster.mesh.vertices @ pose[:3, :3].T + pose[:3, 3])[:, 2].min()
                assert lowest == pytest.approx(0, abs=1e-4)
        for a, b in itertools.combinations(simulator.placed, 2):
            assert apart(a.outlines(times), b.outlines(times), gap=0.002)


def test_the_same_seed_gives_the_same_sequence(demo_objects, sequences, rendered):
    again = SequenceSimulator(demo_objects, seed=0).render(14).frame
    np.testing.assert_array_equal(again.color, rendered[1].frame.color)
    np.testing.assert_array_equal(again.depth, rendered[1].frame.depth)
    assert [p.obj_id for p in sequences[1][0].placed] != [p.obj_id for p in sequences[0][0].placed]


def test_a_sequence_on_a_recorded_table(demo_objects, data_dir):
    recorded = RecordedBackgrounds(data_dir / "mosd", "test")
    simulator = SequenceSimulator(demo_objects, SequenceConfig(frames=20), 0, recorded)
    samples = [simulator.render(index) for index in (0, 19)]
    assert samples[0].objects is not None
    assert len(samples[0].objects) >= 4
    for sample in samples:
        sample.frame.check()
        assert (sample.frame.depth > 0).mean() > 0.3
    poses = [s.frame.camera_pose for s in samples]
    assert poses[0] is not None
    assert poses[1] is not None
    assert np.linalg.norm(poses[0][:3, 3] - poses[1][:3, 3]) > 0.005


def test_another_view_sees_the_same_world_from_elsewhere(demo_objects):
    own, other = (SequenceSimulator(demo_objects, SequenceConfig(frames=40, view=v), seed=1) for v in (0, 1))
    poses = [s.path.pose(2.0) for s in (own, other)]
    assert np.linalg.norm(poses[0][:3, 3] - poses[1][:3, 3]) > 0.2
    first, second = (
        {t.instance_id: (pose @ t.pose)[:3, 3] for t in s.truth(20)}
        for s, pose in zip((own, other), poses, strict=True)
    )
    common = set(first) & set(second)
    assert len(common) >= 4
    for instance in common:
        np.testing.assert_allclose(first[instance], second[instance], atol=1e-9)
    pictures = [s.render(20).frame.color for s in (own, other)]
    assert (pictures[0] != pictures[1]).mean() > 0.5
    np.testing.assert_array_equal(own._lamp.pose, other._lamp.pose)


def test_another_room_has_the_same_things_elsewhere(demo_objects):
    own, other = (SequenceSimulator(demo_objects, SequenceConfig(frames=40, room=r), seed=1) for r in (0, 2))
    for number, tint in other.tints.items():
        np.testing.assert_array_equal(tint, own.tints[number])
    first, second = ({t.instance_id: t for t in s.truth(0)} for s in (own, other))
    common = set(first) & set(second)
    assert len(common) >= 4
    assert [first[n].obj_id for n in common] == [second[n].obj_id for n in common]
    here, there = (
        np.array([(s.path.pose(0) @ t[n].pose)[:3, 3] for n in common]) for s, t in ((own, first), (other, second))
    )
    assert np.linalg.norm(here - there, axis=1).max() > 0.05


def test_objects_are_drawn_at_the_scale_that_the_truth_states(demo_objects):
    same = SequenceSimulator(demo_objects, SequenceConfig(frames=1), seed=0)
    simulator = SequenceSimulator(demo_objects, SequenceConfig(frames=1, scale=(0.7, 1.4)), seed=0)
    scales = {truth.obj_id: truth.scale for truth in simulator.truth(0)}
    assert all(0.7 <= scale <= 1.4 for scale in scales.values())
    assert len(set(scales.values())) == len(scales) > 1
    for placed in simulator.placed:
        if placed.obj_id:
            extent = np.ptp(placed.shape.caster.mesh.vertices, axis=0)
            np.testing.assert_allclose(extent, scales[placed.obj_id] * demo_objects[placed.obj_id].size, rtol=1e-3)
    assert {truth.scale for truth in same.truth(0)} == {1.0}

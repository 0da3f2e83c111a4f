"""Simulated sequences as a source."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator
from pose_tracking.simulation.sequences.source import SimulatedSequences, parse_seeds


def test_seeds() -> None:
    assert parse_seeds("simulated:90001") == [90001]
    assert parse_seeds("simulated:3-5,9") == [3, 4, 5, 9]
    for text in ("simulated:", "simulated:x", "simulated:5-3", "simulated:1-", "simulated:-3"):
        if text == "simulated:1-":
            assert parse_seeds(text) == [1]
            continue
        with pytest.raises(ConfigError, match="simulated:SEED"):
            parse_seeds(text)


def test_each_seed_is_a_scene_and_equals_its_own_simulation(demo_objects) -> None:
    config = SequenceConfig(frames=2, width=160, height=120, focal=140.0, instances=(2, 2), repeats=1, clutter=(0, 1))
    source = SimulatedSequences(demo_objects, [4, 6], config)
    samples = list(source)
    assert len(source) == len(samples) == 4
    assert [(s.scene_id, s.image_id) for s in samples] == [(4, 0), (4, 1), (6, 0), (6, 1)]
    assert all(s.complete for s in samples)
    alone = SequenceSimulator(demo_objects, config, 6).render(1)
    np.testing.assert_array_equal(samples[3].frame.color, alone.frame.color)
    np.testing.assert_array_equal(source[1].frame.depth, samples[1].frame.depth)

"""Presets by name, and as sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose_tracking.cli.sources import open_sources
from pose_tracking.core.errors import ConfigError
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.sequences import presets
from pose_tracking.simulation.sequences.plain import SequenceConfig
from pose_tracking.simulation.sequences.presets import make_simulator, preset_config
from pose_tracking.simulation.sequences.source import SimulatedSequences
from pose_tracking.simulation.sequences.stress import StressConfig, StressSequence

DEMO = Path(__file__).resolve().parents[3] / "models" / "demo"
SEED = 92006


def test_defaults():
    plain, stress = preset_config("plain"), preset_config("stress")
    assert plain == SequenceConfig()
    assert isinstance(stress, StressConfig)
    assert (stress.frames, stress.fps) == (200, 10.0)
    assert preset_config("stress", 30).frames == 600
    assert preset_config("stress", 30, 7).frames == 7
    assert preset_config("plain", 30).frames == 100


def test_the_name_of_the_version_before_is_taken_with_a_warning(demo_objects, caplog):
    presets._current_name.cache_clear()
    with caplog.at_level("WARNING"):
        assert preset_config("hard", 30, 7) == preset_config("stress", 30, 7)
        preset_config("hard")
    (record,) = caplog.records
    assert "'hard'" in record.message
    assert "'stress'" in record.message
    assert presets.PRESETS == ("plain", "stress", "actions")


def test_an_error_of_the_former_name_says_that_of_today():
    with pytest.raises(ConfigError, match="preset stress: fps"):
        preset_config("hard", 0.0)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("hardest",), "hardest"),
        (("stress", 0.0), "fps = 0"),
        (("plain", 1000.0), "1000"),
        (("stress", 5, 0), "frames = 0"),
    ],
)
def test_bad_values_are_named(arguments, culprit):
    with pytest.raises(ConfigError, match=culprit) as error:
        preset_config(*arguments)
    assert "\n" not in str(error.value)


def test_a_stress_sequence_has_its_own_room(demo_objects):
    stills = object.__new__(RecordedBackgrounds)
    with pytest.raises(ConfigError, match="backgrounds"):
        make_simulator(demo_objects, StressConfig(), SEED, stills)


def test_sources_take_preset_rate_and_length(demo_objects):
    text = f"simulated:{SEED}-{SEED + 1}"
    (source,) = open_sources([text], lambda: demo_objects, preset="stress", rate=5)
    assert isinstance(source, SimulatedSequences)
    assert len(source) == 2 * 100
    assert len(open_sources([text], lambda: demo_objects)[0]) == 2 * 100
    assert len(open_sources([text], lambda: demo_objects, preset="stress", rate=30, limit=4)[0]) == 2 * 4
    assert len(open_sources([text], lambda: demo_objects, preset="stress", frames=3)[0]) == 2 * 3
    with pytest.raises(ConfigError, match="hardest"):
        open_sources([text], lambda: demo_objects, preset="hardest")
    with pytest.raises(ConfigError, match="fps = -1"):
        open_sources([text], lambda: demo_objects, rate=-1)


def test_a_source_of_stress_sequences_equals_the_simulation(demo_objects):
    config = StressConfig(frames=2, fps=5, width=160, height=120, focal=142.5)
    samples = list(SimulatedSequences(demo_objects, [SEED], config))
    alone = StressSequence(demo_objects, config, SEED).render(1)
    assert [(s.scene_id, s.image_id) for s in samples] == [(SEED, 0), (SEED, 1)]
    np.testing.assert_array_equal(samples[1].frame.color, alone.frame.color)
    np.testing.assert_array_equal(samples[1].frame.depth, alone.frame.depth)

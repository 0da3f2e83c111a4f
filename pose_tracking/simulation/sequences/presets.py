"""Kinds of simulated sequences by name: `plain`, a quiet table top, `stress`, made to mix up identities, `actions`."""

from __future__ import annotations

import functools
import logging

from pose_tracking.core.config import validate
from pose_tracking.core.errors import ConfigError
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

from .actions import ActionsConfig, ActionsSequence
from .plain import SequenceConfig, SequenceSimulator
from .stress import StressConfig, StressSequence
from .trajectories import LOOP
from .video import VideoConfig, VideoSimulator

LOGGER = logging.getLogger(__name__)
PRESETS = ("plain", "stress", "actions")
FORMER = {"hard": "stress"}  # names of the version before, still taken, with a warning


def preset_config(preset: str, rate: float | None = None, frames: int | None = None) -> VideoConfig:
    """The config of a preset.

    Args:
        preset: one of `PRESETS`.
        rate: frames a second (Hz); None: 10.
        frames: number of frames; None: 100, or 20 s for `stress` and 30 s for `actions`.

    Raises:
        ConfigError: an unknown preset, or a value out of range.
    """
    preset = _current_name(preset)
    if preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is not one of {', '.join(PRESETS)}")
    config: VideoConfig
    if preset == "stress":
        fps = StressConfig().fps if rate is None else rate
        length = max(1, round(LOOP * fps)) if frames is None else frames
        config = StressConfig(frames=length, fps=fps)
    elif preset == "actions":
        fps = ActionsConfig().fps if rate is None else rate
        config = ActionsConfig(frames=max(1, round(30 * fps)) if frames is None else frames, fps=fps)
    else:
        config = SequenceConfig(
            frames=SequenceConfig().frames if frames is None else frames,
            fps=SequenceConfig().fps if rate is None else rate,
        )
    validate(config, f"preset {preset}")
    return config


def make_simulator(
    objects: ObjectSet, config: VideoConfig, seed: int = 0, backgrounds: RecordedBackgrounds | None = None
) -> VideoSimulator:
    """The simulator that a config belongs to.

    Raises:
        ConfigError: no meshes, or backgrounds for a preset that makes its own.
    """
    if isinstance(config, (StressConfig, ActionsConfig)):
        if backgrounds is not None:
            name = "stress" if isinstance(config, StressConfig) else "actions"
            raise ConfigError(f"the {name} preset draws its own rooms and fits no recorded table: no --backgrounds")
        if isinstance(config, ActionsConfig):
            return ActionsSequence(objects, config, seed)
        return StressSequence(objects, config, seed)
    if not isinstance(config, SequenceConfig):
        raise ConfigError(f"{type(config).__name__} is the config of no preset")
    return SequenceSimulator(objects, config, seed, backgrounds)


@functools.cache
def _current_name(preset: str) -> str:
    """The name of today of a preset; that of the version before is answered once with a warning."""
    if preset not in FORMER:
        return preset
    LOGGER.warning("preset %r is now called %r; the old name goes with the next version", preset, FORMER[preset])
    return FORMER[preset]

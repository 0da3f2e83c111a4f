"""Simulated sequences as a source that renders its frames when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

from .plain import SequenceConfig
from .presets import make_simulator
from .video import VideoConfig, VideoSimulator

PREFIX = "simulated:"


def parse_seeds(text: str) -> list[int]:
    """Seeds of ``simulated:90001``, ``simulated:90001-90005`` or ``simulated:1,5,7-9``.

    Raises:
        ConfigError: not of that form.
    """
    seeds: list[int] = []
    for part in text.removeprefix(PREFIX).split(","):
        low, _, high = part.partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()) or (high and int(high) < int(low)):
            raise ConfigError(f"{text!r}: expected {PREFIX}SEED, {PREFIX}FIRST-LAST or a list of these with commas")
        seeds.extend(range(int(low), int(high or low) + 1))
    return seeds


class SimulatedSequences:
    """One sequence after the other, a scene each, with the seed as its number; one is held in memory at a time.

    Args:
        objects: the known objects, with meshes.
        seeds: one sequence each.
        config: what the sequences look like; see `presets`.
        backgrounds: recorded stills to place them in.
    """

    def __init__(
        self,
        objects: ObjectSet,
        seeds: Sequence[int],
        config: VideoConfig | None = None,
        backgrounds: RecordedBackgrounds | None = None,
    ) -> None:
        objects.require_meshes("to render")
        self.objects, self.seeds, self.backgrounds = objects, list(seeds), backgrounds
        self.config: VideoConfig = config or SequenceConfig()
        self.name = f"simulated {self.seeds[0]}" if len(self.seeds) == 1 else f"{len(self.seeds)} simulated sequences"
        self._current: tuple[int, VideoSimulator] | None = None

    @property
    def simulator(self) -> VideoSimulator | None:
        """That of the frame rendered last."""
        return None if self._current is None else self._current[1]

    def __len__(self) -> int:
        return len(self.seeds) * self.config.frames

    def __getitem__(self, index: int) -> Sample:
        seed, frame = self.seeds[index // self.config.frames], index % self.config.frames
        if self._current is None or self._current[0] != seed:
            self._current = seed, make_simulator(self.objects, self.config, seed, self.backgrounds)
        return replace(self._current[1].render(frame), scene_id=seed, image_id=frame, complete=True)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self[index]

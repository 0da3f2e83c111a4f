"""What the commands that run the pipeline take as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pose_tracking.core.errors import ConfigError

if TYPE_CHECKING:
    from pose_tracking.datasets.sample import Source
    from pose_tracking.objects import ObjectSet

SIMULATED = "simulated:"
SOURCE_HELP = (
    "BOP scene or split, Linemod_preprocessed folder, bag, packed file, or simulated:SEED (simulated:90001-90005: five "
    "sequences), rendered on the fly."
)


@dataclass(frozen=True)
class SourceOptions:
    """How sources are opened, see `open_sources`."""

    backgrounds: Path | None = None
    preset: str = "plain"
    rate: float | None = None
    frames: int | None = None
    split: str = "all"
    absent: bool = False
    complete: bool = False

    def open(self, texts: Sequence[str], objects: ObjectSet) -> Source:
        """The sources as one.

        Raises:
            ConfigError: an option is given that none of them could heed.
            PoseTrackingError: something cannot be opened.
        """
        from pose_tracking.datasets.selection import Pool

        self._check(texts)
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        opened = open_sources(texts, lambda: objects, **given)
        return opened[0] if len(opened) == 1 else Pool(opened)

    @property
    def of_simulated(self) -> list[str]:
        """Names of the options given that are for simulated sources alone."""
        given = {
            "--backgrounds": self.backgrounds is not None,
            "--preset": self.preset != "plain",
            "--rate": self.rate is not None,
            "--frames": self.frames is not None,
        }
        return [name for name, is_given in given.items() if is_given]

    @property
    def of_recorded(self) -> list[str]:
        """Names of the options given that are for recorded sources alone."""
        given = {"--split": self.split != "all", "--absent": self.absent, "--complete": self.complete}
        return [name for name, is_given in given.items() if is_given]

    def _check(self, texts: Sequence[str]) -> None:
        """Refuse what says nothing of any of the sources."""
        simulated = [text.startswith(SIMULATED) for text in texts]
        if not any(simulated) and self.of_simulated:
            name = self.of_simulated[0]
            instead = ": --max-frames takes the first frames of a recording" if name == "--frames" else ""
            raise ConfigError(f"{name} is for simulated sources, and {', '.join(texts)} is none: leave it out{instead}")
        if all(simulated) and self.of_recorded:
            name = self.of_recorded[0]
            raise ConfigError(f"{name} is for recorded sources, and all here are simulated: leave it out")


def open_sources(
    texts: Sequence[str],
    objects: Callable[[], ObjectSet],
    *,
    backgrounds: Path | None = None,
    background_split: str = "test",
    preset: str = "plain",
    rate: float | None = None,
    frames: int | None = None,
    split: str = "all",
    absent: bool = False,
    complete: bool = False,
    limit: int | None = None,
) -> list[Source]:
    """Open what was named on the command line.

    Args:
        texts: paths, or ``simulated:SEEDS``.
        objects: gives the object set, asked only where something is to be simulated.
        backgrounds, background_split: recorded stills for what is simulated.
        preset, rate, frames: kind, frame rate (Hz) and length of a simulated sequence; see `preset_config`.
        split, absent, complete: see `datasets.selection`; simulated sequences have neither splits nor lack anything.
        limit: at most so many frames of each source, spread evenly; of each sequence where it is simulated.

    Raises:
        PoseTrackingError: something cannot be opened.
    """
    from pose_tracking.datasets import open_source
    from pose_tracking.datasets.selection import Part, split_indices, spread

    sources: list[Source] = []
    for text in texts:
        if text.startswith(SIMULATED):
            from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
            from pose_tracking.simulation.sequences.presets import preset_config
            from pose_tracking.simulation.sequences.source import SimulatedSequences, parse_seeds

            seeds, config = parse_seeds(text), preset_config(preset, rate, frames)
            stills = None if backgrounds is None else RecordedBackgrounds(backgrounds, background_split)
            simulated = SimulatedSequences(objects(), seeds, config, stills)
            length = config.frames
            starts = range(0, len(simulated), length)
            some = [start + i for start in starts for i in spread(range(length), limit or length)]
            sources.append(simulated if limit is None else Part(simulated, some))
            continue
        opened = open_source(text)
        chosen = split_indices(opened, split)
        chosen = chosen if limit is None else spread(chosen, limit)
        if len(chosen) < len(opened) or absent or complete:
            opened = Part(opened, chosen, absent=absent, complete=complete)
        sources.append(opened)
    return sources

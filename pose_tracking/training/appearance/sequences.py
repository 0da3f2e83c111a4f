"""Sequences in which instances are followed: simulated ones, and those of annotated recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import even_indices
from pose_tracking.datasets.open import open_source
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

from .observations import IdentityOptions

HELD_OUT_SEED = 500_000  # added to the seed of held-out sequences


def simulated_sequence(
    objects: ObjectSet,
    options: IdentityOptions,
    seed: int,
    number: int,
    held_out: bool,
    backgrounds: RecordedBackgrounds | None = None,
) -> SequenceSimulator:
    """Short sequence `number` of series `seed`, frames far apart; every second one in a recording where there are."""
    rng = np.random.default_rng([seed, number, held_out])
    jitter = options.jitter[0] if held_out else float(rng.uniform(*options.jitter))
    config = SequenceConfig(
        frames=options.frames,
        fps=1 / options.interval,
        instances=options.instances,
        repeats=options.repeats,
        hidden=options.hidden,
        jitter=jitter,
    )
    series = 1_000_000 * (seed + 1) + HELD_OUT_SEED * held_out + number
    return _Quick(objects, config, series, backgrounds if number % 2 else None)


class _Quick(SequenceSimulator):
    """Takes a layout that is nearly as wanted; searching for better ones would cost more than the frames."""

    LAYOUTS = 4


def recorded_sequences(path: str | Path, frames: int) -> Iterator[list[Sample]]:
    """Sequences of annotated data (any layout `open_source` knows), each thinned evenly to at most `frames` frames.

    A new one begins where the scene changes or time does not go on.
    """
    current: list[Sample] = []
    # Frames are kept while a sequence lasts: long ones are thinned as they grow, so that memory does not.
    step, seen = 1, 0
    last: Sample | None = None
    for sample in _samples(Path(path)):
        if last and (sample.scene_id != last.scene_id or sample.frame.stamp_ns <= last.frame.stamp_ns):
            yield [current[i] for i in even_indices(len(current), frames)]
            current, step, seen = [], 1, 0
        last = sample
        if seen % step == 0:
            current.append(sample)
            if len(current) >= 4 * frames:
                current, step = current[::2], 2 * step
        seen += 1
    if current:
        yield [current[i] for i in even_indices(len(current), frames)]


def _samples(path: Path) -> Iterator[Sample]:
    if path.suffix != ".zip":
        yield from open_source(path)
        return
    # `open_source` takes packed frames for unrelated ones, which those of a sequence are not.
    packed = PackedDataset(path)
    for index in range(len(packed)):
        yield packed[index]

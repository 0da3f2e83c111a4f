"""Sequences in which instances are followed: simulated ones, and those of annotated recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import even_indices
from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.mot import PEDESTRIAN, MotSequence, is_mot, known_classes, open_mot
from pose_tracking.datasets.mot_rows import UNKNOWN
from pose_tracking.datasets.open import open_source
from pose_tracking.datasets.packed import PackedDataset
from pose_tracking.datasets.sample import GroundTruthObject, Sample
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


def recorded_sequences(path: str | Path, frames: int, objects: ObjectSet) -> Iterator[list[Sample]]:
    """Sequences of annotated data, each thinned evenly to at most `frames` frames.

    A new one begins where the scene changes or time does not go on.

    Args:
        path: any layout that `open_source` knows, or MOTChallenge's, whose classes go by name.
        frames: most frames of a sequence.
        objects: the known objects.

    Raises:
        DatasetError: the data cannot be read, or have none of the objects.
    """
    if is_mot(path):
        for sequence in open_mot(path):
            yield annotated_frames(sequence, frames, objects)
        return
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


def annotated_frames(sequence: MotSequence, frames: int, objects: ObjectSet) -> list[Sample]:
    """At most `frames` frames of a sequence in MOTChallenge's layout, with the boxes that count there.

    Raises:
        DatasetError: it is not annotated, has no class that is one of `objects`, or an image cannot be read.
    """
    ids = known_classes(sequence.class_names, {m.obj_id: m.name for m in objects.values()})
    if not ids:
        raise DatasetError(
            f"{sequence.folder}: its classes ({', '.join(sequence.class_names.values())}) are none of the model's: "
            f"{', '.join(m.name for m in objects.values())}"
        )
    if not sequence.truths:
        raise DatasetError(f"{sequence.folder}: has no gt/gt.txt with boxes to learn from")
    by_frame: dict[int, list[GroundTruthObject]] = {}
    for row in sequence.truths:
        obj_id = ids.get(PEDESTRIAN if row.label == UNKNOWN and sequence.labels is None else row.label)
        if obj_id is not None and row.conf != 0:
            seen = row.visibility if row.visibility >= 0 else None
            entry = GroundTruthObject(obj_id, np.full((4, 4), np.nan), seen, row.box, instance_id=row.identity)
            by_frame.setdefault(row.frame, []).append(entry)
    numbers = sorted(by_frame)
    chosen = [numbers[i] for i in even_indices(len(numbers), frames)]
    return [Sample(sequence.frame(number), by_frame[number]) for number in chosen]


def _samples(path: Path) -> Iterator[Sample]:
    if path.suffix != ".zip":
        yield from open_source(path)
        return
    # `open_source` takes packed frames for unrelated ones, which those of a sequence are not.
    packed = PackedDataset(path)
    for index in range(len(packed)):
        yield packed[index]

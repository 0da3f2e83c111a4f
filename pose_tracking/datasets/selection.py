"""Sources made of other sources: several in one, a split of one, a few frames of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pose_tracking.core.arrays import even_indices
from pose_tracking.core.errors import DatasetError

from .bop import BopScene
from .sample import Sample, Source

# Frames whose image number divides by this are held out of training when they serve as backgrounds.
HELD_OUT_EVERY = 5
SPLITS = ("train", "test", "all")


def in_split(image_id: int, split: str) -> bool:
    """Whether a still belongs to a split: "test" has every 5th, "train" the others, "all" has all."""
    return split == "all" or (image_id % HELD_OUT_EVERY == 0) == (split == "test")


class Pool:
    """Several sources one after the other, as if they were one.

    Scenes keep their numbers where they are free and get the next free one where not, so that no two scenes of
    different sources are taken for one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        names = [source.name for source in self.sources]
        self.name = ", ".join(names) if len(names) <= 3 else f"{names[0]} and {len(names) - 1} more"

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __iter__(self) -> Iterator[Sample]:
        taken: set[int] = set()
        for source in self.sources:
            numbers: dict[int, int] = {}
            for sample in source:
                if sample.scene_id not in numbers:
                    free = sample.scene_id not in taken and sample.scene_id not in numbers.values()
                    numbers[sample.scene_id] = sample.scene_id if free else max(taken | set(numbers.values())) + 1
                yield replace(sample, scene_id=numbers[sample.scene_id])
            taken |= set(numbers.values())


class Part:
    """Some frames of a source.

    Args:
        source: gives its samples by number (``source[i]``) or in order.
        indices: which ones, rising.
        absent: none of the model's objects is in these frames, whatever annotation they have or lack.
        complete: every object of the model that is in these frames is annotated.
    """

    def __init__(self, source: Source, indices: Sequence[int], *, absent: bool = False, complete: bool = False) -> None:
        self.source, self.indices, self.name = source, list(indices), source.name
        self._absent, self._complete = absent, complete

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Sample]:
        for sample in self._take():
            if self._absent:
                yield replace(sample, objects=[], complete=True)
            else:
                yield replace(sample, complete=sample.complete or self._complete)

    def _take(self) -> Iterator[Sample]:
        take = getattr(self.source, "__getitem__", None)
        if take is not None:
            yield from (take(index) for index in self.indices)
        elif self.indices:
            wanted, last = set(self.indices), self.indices[-1]
            for index, sample in enumerate(self.source):
                if index in wanted:
                    yield sample
                if index == last:
                    return


def split_indices(source: Source, split: str) -> list[int]:
    """Numbers of the frames of `source` that belong to a split of `SPLITS`.

    Raises:
        DatasetError: the source's images have no numbers, or none is left.
    """
    if split not in SPLITS:
        raise DatasetError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    if split == "all":
        return list(range(len(source)))
    if not isinstance(source, BopScene):
        raise DatasetError(f"{source.name}: split {split!r} needs numbered images, that is a BOP scene")
    chosen = [i for i, image_id in enumerate(source.image_ids) if in_split(image_id, split)]
    if not chosen:
        raise DatasetError(f"{source.name}: its {len(source)} frames leave none for split {split!r}")
    return chosen


def spread(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of `indices`, spread evenly."""
    return [indices[i] for i in even_indices(len(indices), count)]

"""Files of simulated clips."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.clips import Clip, ClipWriter
from pose_tracking.objects import ObjectSet

from .people import person_clips
from .things import thing_clips

KINDS = ("things", "people")


def clips(objects: ObjectSet | None, kind: str, seed: int) -> Iterator[Clip]:
    """Clips of a kind without an end; the same seed gives the same ones.

    Args:
        objects: the known objects, with meshes; of ``things`` only.
        kind: one of `KINDS`.
        seed: of the first sequence, or person.

    Raises:
        ConfigError: no such kind, or things without objects.
    """
    if kind not in KINDS:
        raise ConfigError(f"clips of {kind!r} cannot be simulated: choose from {', '.join(KINDS)}")
    if kind == "people":
        return person_clips(seed)
    if objects is None:
        raise ConfigError("clips of things need the objects of a model")
    known = objects
    return itertools.chain.from_iterable(thing_clips(known, each) for each in itertools.count(seed))


def write_clips(out: str | Path, objects: ObjectSet | None, kinds: list[str], count: int, seed: int) -> dict[str, int]:
    """Render `count` clips, as many of each kind, into a file; returns how many there are of each label."""
    from tqdm import tqdm

    sources = [clips(objects, kind, seed) for kind in kinds]
    found: dict[str, int] = {}
    with ClipWriter(out) as writer:
        for source in tqdm(
            itertools.islice(itertools.cycle(sources), count), total=count, desc=Path(out).name, unit="clip",
            disable=None,
        ):  # fmt: skip
            clip = next(source)
            writer.add(clip)
            found[clip.label] = found.get(clip.label, 0) + 1
    return found

"""Clips of things out of the sequences of actions: fell, knocked over, placed, carried, moved, still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pose_tracking.core.events import EventKind
from pose_tracking.datasets.clips import Clip
from pose_tracking.events.clips.windows import AFTER, HELD, STILL
from pose_tracking.networks.clips.shape import SPAN
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.sequences.actions import ActionsConfig, ActionsSequence
from pose_tracking.simulation.sequences.scripted import ScriptedBody

from .rendering import render_clip
from .timing import clip_times

SECONDS = 24.0
_FINENESS = 160  # pixels of the map of the shadows: those of a clip's picture span about as much
_STILL = 0.5  # chance of each body for a clip of it at rest: else they would be most of all clips


def thing_clips(objects: ObjectSet, seed: int) -> Iterator[Clip]:
    """The clips of one sequence of actions, one of each thing that happens in it and a few of things at rest.

    Args:
        objects: the known objects, with meshes; each of a size and colours drawn for the sequence.
        seed: of the sequence.
    """
    rng = np.random.default_rng([seed, 71])
    config = ActionsConfig(frames=round(SECONDS * 10), pause=(0.9, 1.6), jitter=1.0, scale=(0.75, 1.3))
    config = replace(config, sway=float(rng.choice([0.0, 3.0, 6.0])))
    sequence = ActionsSequence(objects, config, seed)
    for number, body in enumerate(sequence.placed):
        if not body.obj_id:
            continue
        for label, end in _windows(body, rng):
            clip = _clip(sequence, number, label, end, rng)
            if clip is not None:
                yield replace(clip, source=f"actions:{seed}")


def _windows(body: ScriptedBody, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Label and end (s) of the clips of one body."""
    told = body.events()
    for kind, onset, end in told:
        others = {k for k, o, e in told if k != kind and o <= end and e >= onset}
        if kind == EventKind.MOVED and others:
            continue  # told by what moved it
        low, high = AFTER[kind]
        last = end + rng.uniform(low, high)
        if kind == EventKind.CARRIED and end - onset > 0.5:
            last = rng.uniform(onset + HELD, end + AFTER[kind][1])
        if SPAN < last < SECONDS:
            yield kind.value, float(last)
    for _ in range(20 if rng.random() < _STILL else 0):
        last = rng.uniform(SPAN, SECONDS)
        if all(onset > last + 0.05 or end < last - SPAN - 0.15 for _, onset, end in told):
            yield STILL, float(last)
            break


def _clip(sequence: ActionsSequence, number: int, label: str, end: float, rng: np.random.Generator) -> Clip | None:
    body, intrinsics = sequence.placed[number], sequence.intrinsics
    times = clip_times(end, rng)
    boxes = []
    for seconds in times:
        pose = np.linalg.inv(sequence.path.pose(float(seconds))) @ body.pose(float(seconds))
        boxes.append(body.shape.caster.region(pose, intrinsics))
    return render_clip(
        np.array(boxes, float),
        times,
        intrinsics,
        lambda seconds, camera: sequence.view(seconds, camera, rng, number, _FINENESS),
        rng,
        label,
    )

"""Clips of things out of the sequences of actions: fell, knocked over, placed, carried, moved, still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pose_tracking.core.events import EventKind
from pose_tracking.core.geometry import invert_transform
from pose_tracking.datasets.clips import Clip
from pose_tracking.events.clips.steadying import anchors
from pose_tracking.events.clips.windows import AFTER, HELD, STILL
from pose_tracking.networks.clips.shape import SPAN
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.sequences.actions import ActionsConfig, ActionsSequence
from pose_tracking.simulation.sequences.camera_paths import PanningPath
from pose_tracking.simulation.sequences.scripted import ScriptedBody

from .rendering import render_clip
from .timing import clip_times

SECONDS = 24.0
_FINENESS = 160  # pixels of the map of the shadows: those of a clip's picture span about as much
_STILL = 0.7  # chance of each body for a clip of it at rest: else they would be most of all clips
_BESIDE = 0.8  # the same for one while something happens to another
_PANS, _PAN = 0.5, (0.02, 0.09)  # chance of a camera that turns about, and by how much (rad)
_STEADIED = 0.6  # share of the clips whose squares go with the camera, as where its pose is known


def thing_clips(objects: ObjectSet, seed: int) -> Iterator[Clip]:
    """The clips of one sequence of actions, one of each thing that happens in it and a few of things at rest.

    Args:
        objects: the known objects, with meshes; each of a size and colours drawn for the sequence.
        seed: of the sequence.
    """
    rng = np.random.default_rng([seed, 71])
    config = ActionsConfig(frames=round(SECONDS * 10), pause=(0.9, 1.6), jitter=1.0, scale=(0.75, 1.3))
    config = replace(config, sway=float(rng.choice([0.0, 6.0, 20.0])))
    sequence = ActionsSequence(objects, config, seed)
    if rng.random() < _PANS:
        sequence.path = PanningPath.random(sequence.path, rng, float(rng.uniform(*_PAN)))
    for number, body in enumerate(sequence.placed):
        if not body.obj_id:
            continue
        others = [event for other in sequence.placed if other is not body and other.obj_id for event in other.events()]
        for label, end in _windows(body, others, rng):
            clip = _clip(sequence, number, label, end, rng)
            if clip is not None:
                yield replace(clip, source=f"actions:{seed}")


def _windows(
    body: ScriptedBody, others: list[tuple[EventKind, float, float]], rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """Label and end (s) of the clips of one body; `others` is what happens to the others."""
    told = body.events()
    for kind, onset, end in told:
        meanwhile = {k for k, o, e in told if k != kind and o <= end and e >= onset}
        if kind == EventKind.MOVED and meanwhile:
            continue  # told by what moved it
        low, high = AFTER[kind]
        last = end + rng.uniform(low, high)
        if kind == EventKind.CARRIED and end - onset > 0.5:
            last = rng.uniform(onset + HELD, end + AFTER[kind][1])
        if SPAN < last < SECONDS:
            yield kind.value, float(last)
    anywhere = rng.uniform(SPAN, SECONDS, 20 if rng.random() < _STILL else 0)
    ends = [end for _, onset, end in others if end - onset < SPAN]
    beside = rng.permutation(ends) + rng.uniform(-0.2, 0.6, len(ends))
    beside = beside[: len(beside) if rng.random() < _BESIDE else 0]
    for lasts in (anywhere, beside):
        for last in lasts:
            free = all(onset > last + 0.05 or end < last - SPAN - 0.15 for _, onset, end in told)
            if free and SPAN < last < SECONDS:
                yield STILL, float(last)
                break


def _clip(sequence: ActionsSequence, number: int, label: str, end: float, rng: np.random.Generator) -> Clip | None:
    body, intrinsics = sequence.placed[number], sequence.intrinsics
    times = clip_times(end, rng)
    cameras = np.array([sequence.path.pose(float(seconds)) for seconds in times])
    poses = [invert_transform(camera) @ body.pose(float(t)) for camera, t in zip(cameras, times, strict=True)]
    boxes = [body.shape.caster.region(pose, intrinsics) for pose in poses]
    place = body.pose(float(times[-1]))[:3, 3]
    seen = anchors(cameras, place, intrinsics) if rng.random() < _STEADIED else None
    return render_clip(
        np.array(boxes, float),
        times,
        intrinsics,
        lambda seconds, camera: sequence.view(seconds, camera, rng, number, _FINENESS),
        rng,
        label,
        seen,
    )

"""The frames that the pipeline is timed on: moving sequences, or independent stills."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pose_tracking.core.errors import PoseTrackingError
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet

SEQUENCE, INDEPENDENT = "sequence", "independent"
SIZE = (640, 480)  # of the image, pixels
STILLS = 2  # different stills per number of objects
WARM_UP = {SEQUENCE: 5, INDEPENDENT: 2}  # frames before the clock counts: tracks begin, allocators and kernels settle
_COPIES = 3  # of one object in a sequence, at most
_DENSITY = 9  # objects that fit on a table of the usual size


def render_sequence(
    objects: ObjectSet, count: int, frames: int, seed: int, size: tuple[int, int] = SIZE
) -> list[Sample]:
    """`frames` frames of `size` at 10 Hz of a table with `count` objects, some of which move, as the camera does.

    The camera's pose is not told, as by default to the node. Another size shows the same picture, as far as its shape
    allows, by a camera with as much larger a focal length.

    Raises:
        PoseTrackingError: not so many find a place.
    """
    from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator

    usual = SequenceConfig()
    spread = usual.spread * max(1.0, float(np.sqrt(count / _DENSITY)))
    config = replace(
        usual,
        frames=frames,
        instances=(count, count),
        repeats=min(_COPIES, count),
        hidden=usual.hidden if count > _COPIES else 0.0,
        spread=spread,
        distance=(usual.distance[0], usual.distance[1] + 2 * (spread - usual.spread)),
        width=size[0],
        height=size[1],
        focal=usual.focal * min(size[0] / usual.width, size[1] / usual.height),
    )
    simulator = SequenceSimulator(objects, config, seed)
    placed = sum(body.obj_id > 0 for body in simulator.placed)
    if placed < count:
        raise PoseTrackingError(f"only {placed} of {count} objects find a place in a sequence: ask for fewer (--count)")
    samples = (simulator.render(index) for index in range(frames))
    return [replace(sample, frame=replace(sample.frame, camera_pose=None)) for sample in samples]


def render_stills(objects: ObjectSet, count: int, seed: int) -> list[Sample]:
    """`STILLS` frames of 640x480 that have nothing to do with each other, with exactly `count` instances in view.

    Raises:
        PoseTrackingError: there are none.
    """
    from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes

    config = replace(RandomSceneConfig(), instances=(count, count), clutter=(2, 4), distance=(0.5, 1.1))
    scenes = RandomScenes(objects, config)
    found: list[Sample] = []
    for index in range(200):
        sample = scenes.render(seed, index)
        if len(sample.objects or ()) == count:
            found.append(sample)
        if len(found) == STILLS:
            return found
    raise PoseTrackingError(f"no frames with {count} objects in view could be rendered: ask for fewer (--count)")

"""Playing a short or still recording for longer, with the sensor noise a camera would add afresh to every frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from pose_tracking.datasets.sample import Sample

from .sensor import SensorConfig, measure_color, measure_depth

# The first stamp of a restamped recording: ROS takes stamp 0 for "no time given".
FIRST_STAMP_NS = 1_000_000_000


def noise_config(depth_scale_mm: float = 1.0) -> SensorConfig:
    """Sensor noise for images that a real sensor has recorded.

    Shadows, jagged outlines, blind spots and blur are in the recording already; what changes from frame to frame is
    the axial noise (growing with the square of the distance), the holes along depth edges and the noise of the colour
    image.

    Args:
        depth_scale_mm: the recording's depth step; whole millimetres stay whole millimetres.
    """
    return SensorConfig(
        lateral=0.0,
        edge_dropout=0.15,
        flying_pixels=0.0,
        shadow_baseline=0.0,
        grazing_angle=90.0,
        dark_dropout=0.0,
        specular_dropout=0.0,
        quantisation="millimetre" if depth_scale_mm == 1.0 else "none",
        max_depth=20.0,
        color_noise=2.5,
        blur=0.0,
    )


def repeat_samples(
    source: Iterable[Sample],
    count: int = 1,
    fps: float | None = None,
    noise: SensorConfig | None = None,
    depth_noise: bool = False,
    color_noise: bool = False,
    seed: int = 0,
) -> Iterator[Sample]:
    """The samples of `source`, `count` times over.

    Args:
        source: what to play; it can be gone through `count` times.
        count: how often.
        fps: frame rate to restamp to. None keeps the stamps of a source that is played once (moved by a second if they
            begin at 0, which ROS takes for "no time"), and means 10 Hz for one that is repeated.
        noise: strength of the noise; `noise_config` by default.
        depth_noise, color_noise: add fresh noise to every frame.
        seed: each frame's noise depends on it and on the frame's number alone.
    """
    noise = noise or noise_config()
    if fps is None and count > 1:
        fps = 10.0
    number, shift = 0, None
    for _ in range(count):
        for sample in source:
            frame = sample.frame
            if fps is not None:
                stamp = FIRST_STAMP_NS + round(number * 1e9 / fps)
            else:
                shift = (FIRST_STAMP_NS if frame.stamp_ns == 0 else 0) if shift is None else shift
                stamp = frame.stamp_ns + shift
            frame = replace(frame, stamp_ns=stamp)
            rng = np.random.default_rng([seed, number])
            if depth_noise:
                frame = replace(frame, depth=measure_depth(frame.depth, frame.intrinsics, noise, rng))
            if color_noise:
                frame = replace(frame, color=measure_color(frame.color.astype(np.float32), noise, rng))
            yield replace(sample, frame=frame)
            number += 1

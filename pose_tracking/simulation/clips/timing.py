"""When the 16 pictures of a clip are taken."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.networks.clips.shape import FRAMES, STEP


def clip_times(end: float, rng: np.random.Generator) -> Float:
    """(16,) times (s) of the pictures of a clip that ends at about `end`, as frames of a random rate come.

    A live clip takes, for each of its times, the frame that is nearest: that is off by up to half an interval. One in
    ten clips has lost two frames, in whose place the ones before are shown.
    """
    rate = float(rng.choice([10.0, 15.0, 20.0, 25.0, 30.0]))
    wanted = end - STEP * np.arange(FRAMES)[::-1]
    phase = rng.uniform(0, 1 / rate)
    times = np.round((wanted - phase) * rate) / rate + phase
    if rng.random() < 0.1:
        for lost in rng.integers(1, FRAMES, 2):
            times[lost] = times[lost - 1]
    return np.maximum.accumulate(times)

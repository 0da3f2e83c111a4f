"""A fixed piece of work, timed in the same run: the pipeline's time over its own says how fast the code is.

Both halves of the pipeline are in it, convolutions and many operations on small arrays, so that the ratio changes less
from machine to machine, and from a busy one to an idle one, than milliseconds do.
"""

from __future__ import annotations

import time

import numpy as np

ROUNDS = 5
_CONVOLUTIONS, _SMALL = 6, 400


def reference_ms() -> float:
    """Processor time of the work in milliseconds, all threads together: the median of `ROUNDS`."""
    import torch

    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 32, 120, 160, generator=generator)
    kernel = torch.rand(32, 32, 3, 3, generator=generator) / 288
    points = np.random.default_rng(0).random((400, 3))
    times = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        with torch.inference_mode():
            out = image
            for _ in range(_CONVOLUTIONS):
                out = torch.relu(torch.nn.functional.conv2d(out, kernel, padding=1))
        for _ in range(_SMALL):
            turned = points @ np.eye(3) + 0.1
            np.linalg.norm(turned - points.mean(0), axis=1)
        times.append(time.process_time() - start)
    return float(np.median(times[1:])) * 1e3

"""The scale of a track's object over its mesh: the median of what its views say, with a deviation that shrinks."""

from __future__ import annotations

import numpy as np

# Standard deviation of the logarithm of one measured scale, and of what all measurements of a track share.
_NOISE, _SHARED = 0.03, 0.016
# Measurements kept: the scale of a thing does not change.
_MOST = 60


class ScaleFilter:
    """What is known of one scale.

    Attributes:
        scale: size of the object over that of its mesh.
        sigma: standard deviation of it, relative.
    """

    def __init__(self) -> None:
        self._logs: list[float] = []
        self.scale, self.sigma = 1.0, 1.0

    def add(self, scale: float) -> None:
        """Take in a measured scale."""
        self._logs = [*self._logs, float(np.log(scale))][-_MOST:]
        self._fuse()

    def continue_from(self, other: ScaleFilter) -> None:
        """Turn out to be of the object of `other`: take over what it knows."""
        self._logs = [*other._logs, *self._logs][-_MOST:]
        self._fuse()

    def _fuse(self) -> None:
        logs = np.array(self._logs)
        middle = float(np.median(logs))
        # Of a median, from the spread there is: 1.4826 MAD is the deviation of a normal distribution.
        spread = max(1.4826 * float(np.median(np.abs(logs - middle))), _NOISE)
        self.scale = float(np.exp(middle))
        self.sigma = float(np.hypot(1.25 * spread / np.sqrt(len(logs)), _SHARED))

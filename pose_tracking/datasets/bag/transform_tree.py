"""The frames of a recording over time, from its ``/tf`` and ``/tf_static`` messages."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from pose_tracking.core.geometry import make_transform


class TransformTree:
    """Transforms between named frames, each known at some stamps; interpolated between two of them."""

    def __init__(self, max_gap_ns: int = 500_000_000) -> None:
        """`max_gap_ns`: how far a moving transform may lie from the stamp that is asked for, nanoseconds."""
        self.max_gap_ns = max_gap_ns
        self._parents: dict[str, str] = {}
        self._static: dict[str, NDArray[np.float64]] = {}
        self._moving: dict[str, list[tuple[int, NDArray[np.float64]]]] = {}

    def add(
        self, parent: str, child: str, transform: NDArray[np.float64], stamp_ns: int, is_static: bool = False
    ) -> None:
        """Add the (4, 4) pose of `child` in `parent` at `stamp_ns`."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        self._parents[child] = parent
        if is_static:
            self._static[child] = transform
        else:
            bisect.insort(self._moving.setdefault(child, []), (stamp_ns, transform), key=lambda item: item[0])

    def pose_in_root(self, frame: str, stamp_ns: int) -> NDArray[np.float64] | None:
        """(4, 4) pose of `frame` in the root of its tree at `stamp_ns`.

        None where the tree does not know the frame, or not around that stamp.
        """
        frame = frame.lstrip("/")
        if frame not in self._parents:
            return None
        pose, seen = np.eye(4), set()
        while frame in self._parents and frame not in seen:
            seen.add(frame)
            step = self._static.get(frame)
            if step is None:
                step = self._interpolate(self._moving[frame], stamp_ns)
            if step is None:
                return None
            pose, frame = step @ pose, self._parents[frame]
        return pose

    def _interpolate(self, samples: list[tuple[int, NDArray[np.float64]]], stamp_ns: int) -> NDArray[np.float64] | None:
        after = bisect.bisect_left(samples, stamp_ns, key=lambda item: item[0])
        if after < len(samples) and samples[after][0] == stamp_ns:
            return samples[after][1]
        if after == 0 or after == len(samples):  # only one side is known: hold it
            stamp, pose = samples[min(after, len(samples) - 1)]
            return pose if abs(stamp - stamp_ns) <= self.max_gap_ns else None
        (t0, a), (t1, b) = samples[after - 1], samples[after]
        if min(stamp_ns - t0, t1 - stamp_ns) > self.max_gap_ns:
            return None
        share = (stamp_ns - t0) / (t1 - t0)
        rotation = Slerp([0.0, 1.0], Rotation.from_matrix([a[:3, :3], b[:3, :3]]))(share).as_matrix()
        return make_transform(rotation, (1 - share) * a[:3, 3] + share * b[:3, 3])

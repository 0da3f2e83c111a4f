"""Coordinate frames over time: a tree of transforms, each static or known at some stamps, as TF has it."""

from __future__ import annotations

import bisect
import threading

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp

from .arrays import Float
from .geometry import invert_transform, make_transform, rotation_from_quaternion_xyzw


class TransformUnavailable(LookupError):
    """The transform asked for is not (yet) known; the message says why."""


class TransformTree:
    """Transforms between named frames: `add` them in any order, then `lookup`. Safe to use from several threads.

    Between two samples the translation is interpolated linearly and the rotation by slerp, as tf2 does. A slash before
    a frame's name does not count.

    Args:
        history_ns: how long samples are kept, nanoseconds; None keeps all. Where given, a sample older than that
            against the newest one means that time was set back, and the frame starts anew.
        max_gap_ns: how far from the nearest sample a moving transform is known, nanoseconds: beyond the first and the
            last one it is held that long. None: it is not held at all, but interpolated over any gap.
    """

    def __init__(self, history_ns: int | None = None, max_gap_ns: int | None = None) -> None:
        self._history_ns, self._max_gap_ns = history_ns, max_gap_ns
        self._lock = threading.Lock()
        self._parent: dict[str, str] = {}
        self._static: dict[str, Float] = {}
        self._stamps: dict[str, list[int]] = {}
        self._samples: dict[str, list[tuple[Float, Float]]] = {}

    def add(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        translation: ArrayLike,
        quaternion_xyzw: ArrayLike,
        static: bool = False,
    ) -> None:
        """Take ``T_parent_child``: (3,) metres and (4,) quaternion of any norm; what is unusable is ignored."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        translation, quaternion = np.asarray(translation, float), np.asarray(quaternion_xyzw, float)
        norm = float(np.linalg.norm(quaternion))
        usable = np.isfinite(translation).all() and 1e-6 < norm < np.inf
        if not child or not parent or child == parent or not usable:
            return
        with self._lock:
            self._parent[child] = parent
            if static:
                self._static[child] = _transform(translation, quaternion / norm)
            else:
                self._static.pop(child, None)
                self._add_sample(child, stamp_ns, (translation, quaternion / norm))

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """(4, 4) ``T_target_source`` at `stamp_ns`.

        Raises:
            TransformUnavailable: the frames are not connected, or not known at that time.
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        with self._lock:
            up_target, root_target = self._to_root(target, stamp_ns)
            up_source, root_source = self._to_root(source, stamp_ns)
            if root_target != root_source:
                raise TransformUnavailable(f"TF does not connect {source!r} with {target!r}")
        return invert_transform(up_target) @ up_source

    def pose_in_root(self, frame: str, stamp_ns: int) -> Float:
        """(4, 4) pose of `frame` in the root of its tree at `stamp_ns`.

        Raises:
            TransformUnavailable: the frame has no parent, or is not known at that time.
        """
        frame = frame.lstrip("/")
        with self._lock:
            pose, root = self._to_root(frame, stamp_ns)
        if root == frame:
            raise TransformUnavailable(f"TF knows no frame above {frame!r}")
        return pose

    def _add_sample(self, child: str, stamp_ns: int, sample: tuple[Float, Float]) -> None:
        stamps, samples = self._stamps.setdefault(child, []), self._samples.setdefault(child, [])
        if self._history_ns is not None and stamps and stamp_ns < stamps[-1] - self._history_ns:
            stamps.clear()
            samples.clear()
        index = bisect.bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            samples[index] = sample
        else:
            stamps.insert(index, stamp_ns)
            samples.insert(index, sample)
        if self._history_ns is not None:
            old = bisect.bisect_left(stamps, stamps[-1] - self._history_ns)
            del stamps[:old], samples[:old]

    def _to_root(self, frame: str, stamp_ns: int) -> tuple[Float, str]:
        transform, seen = np.eye(4), {frame}
        while frame in self._parent:
            transform = self._at(frame, stamp_ns) @ transform
            frame = self._parent[frame]
            if frame in seen:
                raise TransformUnavailable(f"TF has a loop at {frame!r}")
            seen.add(frame)
        return transform, frame

    def _at(self, child: str, stamp_ns: int) -> Float:
        """``T_parent_child`` at `stamp_ns`."""
        if child in self._static:
            return self._static[child]
        stamps, samples = self._stamps[child], self._samples[child]
        after = bisect.bisect_left(stamps, stamp_ns)
        if after < len(stamps) and stamps[after] == stamp_ns:
            return _transform(*samples[after])
        nearest = min(range(max(after - 1, 0), min(after + 1, len(stamps))), key=lambda i: abs(stamps[i] - stamp_ns))
        away = stamps[nearest] - stamp_ns
        outside = after in (0, len(stamps))
        too_far = outside if self._max_gap_ns is None else abs(away) > self._max_gap_ns
        if too_far:
            raise TransformUnavailable(
                f"TF of {child!r} is not known at the image's stamp (nearest {away * 1e-9:+.3f} s away)"
            )
        if outside:
            return _transform(*samples[nearest])
        share = (stamp_ns - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        (t0, q0), (t1, q1) = samples[after - 1], samples[after]
        rotation = Slerp([0.0, 1.0], Rotation.from_quat([q0, q1]))(share).as_matrix()
        return make_transform(rotation, t0 + share * (t1 - t0))


def _transform(translation: Float, quaternion: Float) -> Float:
    return make_transform(rotation_from_quaternion_xyzw(quaternion), translation)

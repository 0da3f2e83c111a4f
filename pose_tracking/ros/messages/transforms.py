"""Poses between coordinate frames: tracked objects in another frame, and where TF says that frame is."""

from __future__ import annotations

import bisect
import threading
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from pose_tracking.core.geometry import invert_transform, make_transform, rotation_from_quaternion_xyzw
from pose_tracking.core.results import TrackedObject

Float = NDArray[np.float64]
HISTORY_NS = 10_000_000_000


class TransformUnavailable(LookupError):
    """TF does not (yet) know the transform asked for; the message says why."""


class TransformLookup(Protocol):
    """Where frames are, over time."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """(4, 4) ``T_target_source`` at `stamp_ns`; raises TransformUnavailable."""
        ...


def in_frame(tracked: TrackedObject, transform: Float) -> TrackedObject:
    """`tracked` with pose, covariance and velocity in the frame `transform` (``T_new_old``, (4, 4)) leads to.

    Velocities are turned, not corrected for a motion of the frames against each other.
    """
    turn = np.kron(np.eye(2), transform[:3, :3])
    return replace(
        tracked,
        pose=None if tracked.pose is None else transform @ tracked.pose,
        covariance=None if tracked.covariance is None else turn @ tracked.covariance @ turn.T,
        velocity=None if tracked.velocity is None else turn @ tracked.velocity,
    )


class TransformBuffer:
    """The last 10 s of a TF tree, for where tf2's own buffer is not installed: `add` transforms, then `lookup`.

    Between two samples the translation is interpolated linearly and the rotation by slerp, as tf2 does; it never
    extrapolates.
    """

    def __init__(self, history_ns: int = HISTORY_NS) -> None:
        self._history_ns = history_ns
        self._lock = threading.Lock()
        self._parent: dict[str, str] = {}
        self._static: dict[str, Float] = {}
        self._stamps: dict[str, list[int]] = {}
        self._samples: dict[str, list[tuple[Float, Float]]] = {}

    def add(
        self, parent: str, child: str, stamp_ns: int, translation: Float, quaternion_xyzw: Float, static: bool = False
    ) -> None:
        """Take ``T_parent_child``: (3,) translation (m) and (4,) quaternion. Unusable values are ignored."""
        translation, quaternion = np.asarray(translation, float), np.asarray(quaternion_xyzw, float)
        norm = np.linalg.norm(quaternion)
        if not child or not parent or child == parent or not np.isfinite(translation).all() or not norm > 1e-6:
            return
        quaternion = quaternion / norm
        with self._lock:
            self._parent[child] = parent
            if static:
                self._static[child] = make_transform(rotation_from_quaternion_xyzw(quaternion), translation)
                return
            self._static.pop(child, None)
            stamps, samples = self._stamps.setdefault(child, []), self._samples.setdefault(child, [])
            if stamps and stamp_ns < stamps[-1] - self._history_ns:  # time was set back
                stamps.clear()
                samples.clear()
            index = bisect.bisect_left(stamps, stamp_ns)
            if index < len(stamps) and stamps[index] == stamp_ns:
                samples[index] = (translation, quaternion)
            else:
                stamps.insert(index, stamp_ns)
                samples.insert(index, (translation, quaternion))
            old = bisect.bisect_left(stamps, stamps[-1] - self._history_ns)
            del stamps[:old], samples[:old]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float:
        """(4, 4) ``T_target_source`` at `stamp_ns`; raises TransformUnavailable."""
        with self._lock:
            up_target, root_target = self._to_root(target, stamp_ns)
            up_source, root_source = self._to_root(source, stamp_ns)
            if root_target != root_source:
                raise TransformUnavailable(f"TF does not connect {source!r} with {target!r}")
        return invert_transform(up_target) @ up_source

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
        if child in self._static:
            return self._static[child]
        stamps, samples = self._stamps[child], self._samples[child]
        index = bisect.bisect_left(stamps, stamp_ns)
        if index < len(stamps) and stamps[index] == stamp_ns:
            translation, quaternion = samples[index]
            return make_transform(rotation_from_quaternion_xyzw(quaternion), translation)
        if index == 0 or index == len(stamps):
            edge = (stamps[0] if index == 0 else stamps[-1]) - stamp_ns
            raise TransformUnavailable(
                f"TF of {child!r} is not known at the image's stamp (nearest {edge * 1e-9:+.3f} s away)"
            )
        share = (stamp_ns - stamps[index - 1]) / (stamps[index] - stamps[index - 1])
        (t0, q0), (t1, q1) = samples[index - 1], samples[index]
        rotation = Slerp([0.0, 1.0], Rotation.from_quat([q0, q1]))(share).as_matrix()
        return make_transform(rotation, t0 + share * (t1 - t0))

"""Ways of a camera: smoothly around a table, or held by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.simulation.scenery.rooms import looking_at

from .trajectories import LOOP

if TYPE_CHECKING:
    from .video import Path


@dataclass(frozen=True)
class CameraPath:
    """A smooth way around a target (m): angles in radians; the camera always looks at the target's surroundings."""

    target: Float
    azimuth: float
    elevation: float
    distance: float
    sway: float
    phases: Float
    correction: Float

    def turned(self, angle: float) -> CameraPath:
        """The way of another camera, which stands `angle` (rad) further around the table and sways alike."""
        return replace(self, azimuth=self.azimuth + angle)

    def pose(self, seconds: float) -> Float:
        """(4, 4) ``T_table_camera`` at a time."""
        waves = np.sin(2 * np.pi * seconds / np.array([16.0, 11.0, 13.0, 9.0]) + self.phases)
        small = min(1.0, self.sway / np.radians(20))
        pose = looking_at(
            self.target + small * np.array([0.02 * waves[3], 0.02 * waves[2], 0.0]),
            self.azimuth + self.sway * waves[0],
            self.elevation + np.radians(4) * small * waves[1],
            self.distance * (1 + 0.05 * small * waves[2]),
        )
        return pose @ self.correction


@dataclass(frozen=True, eq=False)
class HandheldPath:
    """A camera that sways around a table, turns about and trembles as a wrist does, every `LOOP` the same way.

    Each of nine channels is a sum of sinusoids: azimuth, elevation (rad), distance (as a factor), the point looked at
    (x, y; m), pan, tilt and roll (rad).

    Attributes:
        azimuth, elevation, distance: mean view (rad, m).
        size: length that the motion of the point looked at is measured in (m).
        amplitudes, cycles, phases: (8, J) of the sinusoids; cycles a loop are whole numbers.
    """

    azimuth: float
    elevation: float
    distance: float
    size: float
    amplitudes: Float
    cycles: Float
    phases: Float

    @classmethod
    def random(cls, rng: np.random.Generator, size: float, strength: float) -> HandheldPath:
        """A random one for a scene of `size` (1: a table top seen from 1 m), `strength` times as lively as usual."""
        degree = np.pi / 180
        # Sway: slow, wide. (channel: amplitude, fewest and most cycles a loop)
        slow = [
            (9 * degree, 4, 5),
            (3.5 * degree, 4, 6),
            (0.04, 3, 6),
            (0.02, 3, 6),
            (0.02, 3, 6),
            (4 * degree, 6, 9),
            (1.5 * degree, 5, 8),
            (2 * degree, 4, 6),
        ]
        # Tremor: 0.7 to 3 Hz, the faster the smaller.
        tremor = np.array([0.12, 0.12, 0.001 / degree, 0.001 / degree, 0.001 / degree, 0.4, 0.4, 0.4]) * degree
        shake = np.array([14, 20, 27, 37, 46, 60])
        amplitudes, cycles = np.zeros((8, 7)), np.zeros((8, 7))
        for channel, (amplitude, low, high) in enumerate(slow):
            amplitudes[channel, 0], cycles[channel, 0] = amplitude, rng.integers(low, high + 1)
            amplitudes[channel, 1:] = tremor[channel] * 14 / shake * rng.uniform(0.3, 1.0, 6)
            cycles[channel, 1:] = shake + rng.integers(-3, 4, 6)
        phases = rng.uniform(0, 2 * np.pi, (8, 7))
        return cls(
            rng.uniform(0, 2 * np.pi),
            np.radians(rng.uniform(34, 41)),
            size * rng.uniform(0.93, 1.02),
            size,
            strength * amplitudes,
            cycles,
            phases,
        )

    @property
    def towards(self) -> Float:
        """(2, 2) lane frame as columns: across the mean view to the right, and away from the camera."""
        c, s = np.cos(self.azimuth), np.sin(self.azimuth)
        return np.array([[-s, -c], [c, -s]])

    def pose(self, seconds: float) -> Float:
        """(4, 4) ``T_table_camera`` at a time."""
        waves = (self.amplitudes * np.sin(2 * np.pi * self.cycles * seconds / LOOP + self.phases)).sum(1)
        pose = looking_at(
            self.size * np.array([waves[3], waves[4], 0.03]),
            self.azimuth + waves[0],
            self.elevation + waves[1],
            self.distance * (1 + waves[2]),
        )
        pose[:3, :3] = pose[:3, :3] @ _camera_turn(*waves[5:])
        return pose


@dataclass(frozen=True, eq=False)
class PanningPath:
    """A camera on the way of another that turns about meanwhile: one held by hand, or on a robot's head.

    Attributes:
        path: the way.
        amplitudes, periods, phases: (3, J) of the sinusoids of pan, tilt and roll (rad, s, rad).
    """

    path: Path
    amplitudes: Float
    periods: Float
    phases: Float

    @classmethod
    def random(cls, path: Path, rng: np.random.Generator, strength: float) -> PanningPath:
        """One that pans by up to `strength` (rad) in seconds, tilts by half of that, and trembles a little."""
        amplitudes = strength * np.array([[1.0, 0.06], [0.5, 0.06], [0.15, 0.03]]) * rng.uniform(0.3, 1.0, (3, 2))
        periods = np.stack([rng.uniform(2.0, 7.0, 3), rng.uniform(0.4, 1.0, 3)], axis=1)
        return cls(path, amplitudes, periods, rng.uniform(0, 2 * np.pi, (3, 2)))

    @property
    def azimuth(self) -> float:
        """Direction (rad) about the table's z axis in which the camera stands on average."""
        return self.path.azimuth

    def pose(self, seconds: float) -> Float:
        """(4, 4) ``T_table_camera`` at a time."""
        pose = np.array(self.path.pose(seconds))
        angles = (self.amplitudes * np.sin(2 * np.pi * seconds / self.periods + self.phases)).sum(1)
        pose[:3, :3] = pose[:3, :3] @ _camera_turn(*angles)
        return pose


def _camera_turn(pan: float, tilt: float, roll: float) -> Float:
    """(3, 3) rotation of an optical frame: about y, then x, then z."""
    c, s = np.cos([pan, tilt, roll]), np.sin([pan, tilt, roll])
    about_y = np.array([[c[0], 0, s[0]], [0, 1, 0], [-s[0], 0, c[0]]])
    about_x = np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]])
    about_z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return about_y @ about_x @ about_z

"""The light of simulated rooms: one lamp that throws shadows, a weak one without, and ambient light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform

from .renderer import Body, Light, Surface, contact_shadows, shade
from .shadows import SIZE, shadow_map


@dataclass(frozen=True, eq=False)
class Lamp:
    """Where a lamp hangs and what colour its light has.

    Attributes:
        pose: (4, 4) of an optical frame at the lamp that looks at the scene, in the frame of the room.
        white: (3,) linear RGB of its light, about 1 each.
        distance: from the lamp to the middle of the scene (m).
        radius: around that, within which shadows are thrown (m).
    """

    pose: Float
    white: Float
    distance: float = 1.8
    radius: float = 0.5

    def light(
        self,
        surface: Surface,
        bodies: list[Body],
        camera_pose: Float,
        intrinsics: CameraIntrinsics,
        fineness: int = SIZE,
    ) -> Float32:
        """(H, W, 3) the lit image, sRGB, of what a camera at `camera_pose` (4, 4) sees.

        Shadows are as fine as a map of them with `fineness` pixels a side: small pictures need no more than their own.
        """
        to_camera = invert_transform(camera_pose)
        lamp = to_camera @ self.pose
        reaching = shadow_map(
            surface, bodies, intrinsics, lamp, self.distance, self.radius, bias=0.006 * SIZE / fineness, size=fineness
        )
        up = to_camera[:3, 2]
        lights = [
            Light(lamp[:3, 3], 0.65 * self.white, reaching=reaching),
            Light(up + np.array([0.3, 0.0, -0.5]), 0.2 * self.white[::-1], directional=True),
        ]
        image = shade(surface, intrinsics, lights, 0.42 * self.white)
        # A photograph is lit already: it only takes the shadows of what was put into it.
        photo = ~surface.lit & (surface.depth > 0)
        image[photo] *= (0.55 + 0.45 * reaching)[photo][:, None]
        return contact_shadows(image, surface, bodies, intrinsics)

"""A simple articulated person: twelve limbs of random proportions and clothes, and where they are in a posture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.rendering.renderer import Body, Material
from pose_tracking.simulation.rendering.textures import random_color, texture_bank
from pose_tracking.simulation.scenery.primitives import Part, box, build_mesh, ellipsoid, lathe

# Lengths as shares of the height (Drillis and Contini 1966).
_THIGH, _SHIN, _FOOT, _TRUNK, _UPPER_ARM, _FOREARM = 0.245, 0.246, 0.039, 0.288, 0.186, 0.254
_SIDES = (1, -1)  # left, right


@dataclass(frozen=True)
class Posture:
    """Angles of the joints (rad), and where the pelvis is; x is forward, y left, z up.

    Attributes:
        place: (2,) of the pelvis on the floor (m).
        heading: direction it faces, about z.
        tilt: (3,) rotation vector of the whole body in the frame of its heading; 0 is upright.
        lean: of the trunk, forward.
        hips, knees, shoulders, elbows: flexion, left and right.
        abduction: of the arms, away from the body, left and right.
        lift: height of the lowest point over the floor (m): a runner's flight.
    """

    place: tuple[float, float] = (0.0, 0.0)
    heading: float = 0.0
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lean: float = 0.0
    hips: tuple[float, float] = (0.0, 0.0)
    knees: tuple[float, float] = (0.05, 0.05)
    shoulders: tuple[float, float] = (0.0, 0.0)
    elbows: tuple[float, float] = (0.2, 0.2)
    abduction: tuple[float, float] = (0.1, 0.1)
    lift: float = 0.0


@dataclass(frozen=True, eq=False)
class _Limb:
    caster: MeshRaycaster
    material: Material
    middle: Float  # (3,) of the mesh in the frame of the joint


@dataclass(eq=False)
class Person:
    """A person that can be posed.

    Args:
        rng: draws height, build, clothes.

    Attributes:
        height: metres.
    """

    rng: np.random.Generator
    height: float = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng
        self.height = float(rng.uniform(1.5, 1.95))
        self._build = float(rng.uniform(0.85, 1.3))
        skin = np.array([224, 172, 140]) * rng.uniform(0.35, 1.1)
        shirt, trousers, shoes, hair = (self._cloth() for _ in range(4))
        bare = Material(np.eye(3, dtype=np.float32), 0.05)
        sleeve = shirt if rng.random() < 0.6 else (skin, bare)
        shin = trousers if rng.random() < 0.75 else (skin, bare)
        h, b = self.height, self._build
        self._limbs = {
            "trunk": self._limb([_trunk(h, b, shirt[0], trousers[0])], shirt[1]),
            "head": self._limb(_head(h, skin, hair[0]), bare),
            "upper_arm": self._limb([_capsule(_UPPER_ARM * h, 0.028 * h * b, 0.022 * h * b, shirt[0])], shirt[1]),
            "forearm": self._limb([_capsule(_FOREARM * h, 0.022 * h * b, 0.018 * h, sleeve[0])], sleeve[1]),
            "thigh": self._limb([_capsule(_THIGH * h, 0.048 * h * b, 0.034 * h * b, trousers[0])], trousers[1]),
            "shin": self._limb([_capsule(_SHIN * h, 0.034 * h * b, 0.022 * h, shin[0])], shin[1]),
            "foot": self._limb([box([0.15 * h, 0.055 * h, _FOOT * h], shoes[0]).moved([0.04 * h, 0, 0])], shoes[1]),
        }

    def _cloth(self) -> tuple[Float32, Material]:
        color, bank = random_color(self.rng), texture_bank()
        texture = bank[self.rng.integers(len(bank))] if self.rng.random() < 0.5 else None
        return color, Material(np.eye(3, dtype=np.float32), 0.03, 20.0, texture, 0.4, float(self.rng.uniform(0.1, 0.5)))

    def _limb(self, parts: list[Part], material: Material) -> _Limb:
        corners = np.concatenate([part.vertices for part in parts])
        middle = (corners.min(0) + corners.max(0)) / 2  # a mesh is centred on its bounding box
        return _Limb(MeshRaycaster(build_mesh(parts)), material, middle)

    def bodies(self, posture: Posture) -> list[Body]:
        """The limbs in a posture, touching the floor (z = 0), in the frame of the room."""
        h, b = self.height, self._build
        turn = Rotation.from_euler("z", posture.heading) * Rotation.from_rotvec(posture.tilt)
        pelvis = make_transform(turn.as_matrix(), np.zeros(3))
        trunk = pelvis @ _about_y(posture.lean)
        joints: list[tuple[str, Float]] = [("trunk", trunk), ("head", trunk @ _moved(0.01 * h, 0, _TRUNK * h))]
        for number, side in enumerate(_SIDES):
            shoulder = trunk @ _moved(0, side * 0.115 * h * b**0.5, (_TRUNK - 0.02) * h)
            arm = shoulder @ _about_x(side * posture.abduction[number]) @ _about_y(-posture.shoulders[number])
            elbow = arm @ _moved(0, 0, -_UPPER_ARM * h) @ _about_y(-posture.elbows[number])
            thigh = pelvis @ _moved(0, side * 0.055 * h, 0) @ _about_y(-posture.hips[number])
            knee = thigh @ _moved(0, 0, -_THIGH * h) @ _about_y(posture.knees[number])
            sole = posture.hips[number] - posture.knees[number]
            foot = knee @ _moved(0, 0, -_SHIN * h) @ _about_y(0.6 * sole)
            joints += [("upper_arm", arm), ("forearm", elbow), ("thigh", thigh), ("shin", knee), ("foot", foot)]
        poses = [(self._limbs[name], joint @ _moved(*self._limbs[name].middle)) for name, joint in joints]
        lowest = min(float((limb.caster.mesh.vertices @ pose[2, :3]).min() + pose[2, 3]) for limb, pose in poses)
        shift = _moved(*posture.place, posture.lift - lowest)
        return [Body(limb.caster, shift @ pose, material=limb.material) for limb, pose in poses]


def _capsule(length: float, top: float, bottom: float, color: Float32 | Float) -> Part:
    """A limb that hangs from its joint at the origin along -z, its ends rounded."""
    up = np.linspace(-np.pi / 2, 0, 4)
    low = [(bottom * np.cos(a), -length + bottom * np.sin(a)) for a in up]
    high = [(top * np.cos(a), -top * np.sin(a)) for a in up[::-1]]
    return lathe([*low, *high], 10, color)


def _trunk(height: float, build: float, shirt: Float32 | Float, trousers: Float32 | Float) -> Part:
    """From the pelvis at the origin to the neck; the belt is a little above the hips."""
    length = _TRUNK * height

    def paint(centres: Float) -> Float:
        return np.where(centres[:, 2:] < 0.1 * length, trousers, shirt)

    profile = [(0, -0.25), (0.07, -0.22), (0.09, 0.0), (0.085, 0.1), (0.08, 0.4), (0.1, 0.75), (0.09, 0.95)]
    profile += [(0.035, 1.05), (0.03, 1.2), (0, 1.2)]
    body = lathe([(r * height, z * length) for r, z in profile], 14, paint)
    return Part(body.vertices * [0.75 * build, 1.15 * build**0.5, 1.0], body.faces, body.colors)


def _head(height: float, skin: Float, hair: Float32 | Float) -> list[Part]:
    """From the neck up, the hair on top and behind."""

    def paint(centres: Float) -> Float:
        covered = (centres[:, 2:] > 0.03 * height) | (centres[:, :1] < -0.02 * height)
        return np.where(covered, hair, skin)

    head = ellipsoid([0.055 * height, 0.045 * height, 0.066 * height], 14, paint)
    return [head.moved([0.0, 0.0, 0.11 * height])]


def _moved(x: float, y: float, z: float) -> Float:
    return make_transform(np.eye(3), np.array([x, y, z], float))


def _about_x(angle: float) -> Float:
    return make_transform(Rotation.from_euler("x", angle).as_matrix(), np.zeros(3))


def _about_y(angle: float) -> Float:
    return make_transform(Rotation.from_euler("y", angle).as_matrix(), np.zeros(3))

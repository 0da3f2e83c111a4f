"""Clips of a person in a hall: standing, walking, running, falling."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pose_tracking.core.arrays import Bool, Float, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.datasets.clips import Clip
from pose_tracking.networks.clips.shape import SPAN
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.rendering.lamps import Lamp
from pose_tracking.simulation.rendering.renderer import Body, Material, draw, soften_edges
from pose_tracking.simulation.rendering.textures import random_color, texture_bank
from pose_tracking.simulation.scenery.primitives import box, build_mesh
from pose_tracking.simulation.scenery.rooms import Room, looking_at
from pose_tracking.simulation.sensor import SensorConfig, measure_color

from .body import Person
from .gaits import Motion, falling, running, standing, walking
from .rendering import render_clip
from .timing import clip_times

LABELS = ("standing", "walking", "running", "falling")
_SHARES = (0.35, 0.35, 0.18, 0.12)  # falls are rare, as they are anywhere
_FINENESS = 160  # pixels of the map of the shadows
_SENSOR = SensorConfig()


def person_clip(seed: int) -> Clip | None:
    """A clip of one person; None where the camera did not see enough of it."""
    rng = np.random.default_rng([seed, 72])
    label = str(rng.choice(LABELS, p=_SHARES))
    scene = _Hall(rng)
    end = SPAN + float(rng.uniform(0, 0.3))
    height = scene.person.height
    if label == "falling":
        motion, lies = falling(rng, height, float(rng.uniform(0.1, 0.7)))
        end = max(end, lies + float(rng.uniform(-0.1, 0.5)))
    else:
        motion = {"standing": standing, "walking": walking, "running": running}[label](rng, height)
    times = clip_times(end, rng)
    scene.look_at(motion, float(times[len(times) // 2]))
    clip = render_clip(np.array([scene.box(float(t)) for t in times]), times, scene.intrinsics, scene.view, rng, label)
    return None if clip is None else Clip(clip.frames, clip.masks, label, f"person:{seed}")


def person_clips(first_seed: int) -> Iterator[Clip]:
    """Clips without an end, one a seed."""
    seed = first_seed
    while True:
        clip = person_clip(seed)
        if clip is not None:
            yield clip
        seed += 1


class _Hall:
    """A hall with a few boxes, a person, a lamp and a camera."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.person = Person(rng)
        self.intrinsics = CameraIntrinsics(640, 480, 570.0, 570.0, 319.5, 239.5)
        self._room = Room(rng, calm=bool(rng.random() < 0.7), table=(5.0, 8.0))
        self._boxes = [self._box() for _ in range(rng.integers(0, 5))]
        self._azimuth = float(rng.uniform(-np.pi, np.pi))
        self._motion: Motion
        warmth = rng.normal(0, 0.05)
        pose = looking_at(np.array([0, 0, 0.8]), rng.uniform(-np.pi, np.pi), rng.uniform(0.8, 1.4), 5.0)
        self._lamp = Lamp(pose, np.array([1 + warmth, 1.0, 1 - warmth]), distance=5.0, radius=2.5)

    def _box(self) -> Body:
        rng, bank = self._rng, texture_bank()
        size = rng.uniform([0.3, 0.3, 0.3], [1.2, 1.2, 1.6])
        angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(1.2, 3.5)
        turn = np.eye(3)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        place = make_transform(turn, np.array([far * np.cos(2 * angle), far * np.sin(2 * angle), size[2] / 2]))
        material = Material(specular=0.05, texture=bank[rng.integers(len(bank))], texture_weight=0.6)
        return Body(MeshRaycaster(build_mesh([box(size, random_color(rng), 2)])), place, material=material)

    def look_at(self, motion: Motion, seconds: float) -> None:
        """Film a motion, the person being about in the middle of the picture at a time."""
        rng = self._rng
        self._motion, middle = motion, np.append(motion(seconds).place, 0.5 * self.person.height)
        distance, elevation = rng.uniform(2.8, 7.5), np.radians(rng.uniform(-2, 35))
        self._start = middle + rng.normal(0, [0.3, 0.3, 0.15])
        self._camera = looking_at(self._start, self._azimuth, float(elevation), float(distance))
        self._camera[2, 3] = max(self._camera[2, 3], 0.5)
        self._camera[:2, 3] -= middle[:2]  # the way begins at such a place that its middle is that of the hall
        self._shift = np.append(middle[:2], 0.0)

    def _people(self, seconds: float) -> list[Body]:
        limbs = self.person.bodies(self._motion(seconds))
        for limb in limbs:
            limb.pose[:3, 3] -= self._shift
        return limbs

    def _seen(self, seconds: float) -> list[Body]:
        to_camera = invert_transform(self._camera)
        return [
            Body(each.caster, to_camera @ each.pose, material=each.material)
            for each in [*self._people(seconds), *self._boxes]
        ]

    def box(self, seconds: float) -> Float:
        """(4,) around the person in the whole picture, px."""
        limbs = self._seen(seconds)[: -len(self._boxes) or None]
        regions = np.array([limb.caster.region(limb.pose, self.intrinsics) for limb in limbs], float)
        regions = regions[(regions[:, 2] > regions[:, 0]) & (regions[:, 3] > regions[:, 1])]
        if not len(regions):
            return np.zeros(4)
        return np.concatenate([regions[:, :2].min(0), regions[:, 2:].max(0)])

    def view(self, seconds: float, camera: CameraIntrinsics) -> tuple[UInt8, Bool]:
        """Picture and the person's visible pixels."""
        bodies = self._seen(seconds)
        surface = self._room.render(self._camera, camera).surface
        draw(surface, bodies, camera)
        image = self._lamp.light(surface, bodies, self._camera, camera, _FINENESS)
        image = soften_edges(image, surface.index, 0.7)
        person = (surface.index >= 0) & (surface.index < len(bodies) - len(self._boxes))
        return measure_color(image, _SENSOR, self._rng), person

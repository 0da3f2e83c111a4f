"""A camera moves around a table on which known objects stand, slide and turn: RGB-D video with full ground truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..camera import CameraIntrinsics
from ..config import option
from ..datasets.sample import GroundTruthObject, Sample
from ..errors import ConfigError
from ..frame import RGBDFrame
from ..geometry import invert_transform, make_transform
from ..objects import ObjectSet
from ..objects.raycasting import MeshRaycaster
from .backgrounds import Background, RecordedBackgrounds
from .clutter import Clutter
from .layout import Placed, place
from .random_scenes import ground_truth
from .randomization import random_material
from .recorded_scene import RecordedScene
from .renderer import Body, Light, Material, Surface, contact_shadows, draw, shade, soften_edges
from .rooms import Room, looking_at
from .sensor import SensorConfig, measure_color, measure_depth
from .shadows import shadow_map
from .shapes import Shape

Array = NDArray[np.float64]
START_NS = 1_000_000_000  # a stamp of zero means "not set" to many programs


@dataclass(frozen=True)
class SequenceConfig:
    """What a simulated sequence looks like."""

    frames: int = option(100, "number of frames", unit="frames", range=(1, 1_000_000))
    fps: float = option(10.0, "frame rate", unit="Hz", range=(0.1, 240))
    width: int = option(640, "image width", unit="px", range=(64, 4096))
    height: int = option(480, "image height", unit="px", range=(48, 4096))
    focal: float = option(570.0, "focal length", unit="px", range=(20, 10000))
    instances: tuple[int, int] = option((5, 9), "fewest and most instances of known objects", range=(1, 100))
    repeats: int = option(3, "instances of one class", range=(1, 100))
    clutter: tuple[int, int] = option((1, 3), "fewest and most distractors", range=(0, 100))
    distance: tuple[float, float] = option((0.5, 1.3), "nearest and farthest object centre", unit="m", range=(0.1, 10))
    hidden: float = option(1 / 3, "share of the instances that are partly hidden at any time", range=(0, 1))
    hidden_below: float = option(0.9, "visibility under which an instance counts as partly hidden", range=(0, 1))
    moving: float = option(1 / 3, "share of the instances that slide or turn", range=(0, 1))
    sway: float = option(24.0, "amplitude of the camera's way around the table", unit="deg", range=(0, 180))
    min_visible: int = option(
        10, "instances with fewer visible pixels are left out of the truth", unit="px", range=(1, 10000)
    )
    jitter: float = option(0.4, "strength of colour variation between instances", range=(0, 2))
    sensor: SensorConfig = field(default_factory=SensorConfig)


class World(Protocol):
    """What objects are put into: a drawn room or a recorded scene; the table frame has z up."""

    def render(self, camera_pose: Array, intrinsics: CameraIntrinsics) -> Background: ...


@dataclass(frozen=True)
class CameraPath:
    """A smooth way around a target (m): angles in radians; the camera always looks at the target's surroundings."""

    target: Array
    azimuth: float
    elevation: float
    distance: float
    sway: float
    phases: Array
    correction: Array

    def pose(self, seconds: float) -> Array:
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


class SequenceSimulator:
    """Simulates one sequence; iterate to get its samples (again from the start each time).

    A layout is drawn until, at every time looked at, the wanted share of the instances is partly hidden, all are in
    view and within `config.distance`; the best of the drawn ones is taken.

    Args:
        objects: the known objects, with meshes.
        config: what the sequence looks like.
        seed: the sequence depends on it and the config alone.
        backgrounds: recorded stills: the sequence then takes place on the table of one of them.

    Raises:
        ConfigError: the object set has no meshes.
    """

    name = "simulated"
    LAYOUTS = 60

    def __init__(
        self,
        objects: ObjectSet,
        config: SequenceConfig | None = None,
        seed: int = 0,
        backgrounds: RecordedBackgrounds | None = None,
    ) -> None:
        if not objects.has_meshes:
            raise ConfigError("the object set has no meshes to render: give their folder with --objects")
        self.config = config or SequenceConfig()
        self._seed = seed
        rng = np.random.default_rng([seed, 1])
        self._shapes = {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in objects.items() if m.mesh is not None}
        self._clutter = Clutter(objects, count=12)
        config = self.config
        self.intrinsics = CameraIntrinsics(
            config.width, config.height, config.focal, config.focal, config.width / 2 - 0.5, config.height / 2 - 0.5
        )
        self._world: World
        if backgrounds is None:
            self._world, recorded = Room(rng, calm=True), None
        else:
            self._world = recorded = RecordedScene(backgrounds, rng)
        self.path, self.placed = self._arrange(recorded, rng)
        self._materials = [self._material(p, rng) for p in self.placed]
        self._key = looking_at(
            np.zeros(3), self.path.azimuth + rng.uniform(-1.3, 1.3), np.radians(rng.uniform(45, 75)), 1.8
        )
        warmth = rng.normal(0, 0.05)
        self._white = np.array([1 + warmth, 1.0, 1 - warmth])

    def __len__(self) -> int:
        return self.config.frames

    @property
    def tints(self) -> dict[int, NDArray[np.float32]]:
        """(3, 3) colour matrix of every instance's material by instance id: what copies of one object differ in."""
        materials = [m for entry, m in zip(self.placed, self._materials, strict=True) if entry.obj_id]
        return {number: material.tint for number, material in enumerate(materials, start=1)}

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self.config.frames):
            yield self.render(index)

    def render(self, index: int) -> Sample:
        """Frame `index` with its ground truth."""
        rng = np.random.default_rng([self._seed, 2, index])
        config, camera_pose = self.config, self.path.pose(index / self.config.fps)
        surface, bodies, objects = self._scene(index)
        image = self._light(surface, bodies, camera_pose)
        image = soften_edges(image, surface.index, 0.7)
        color = measure_color(image, config.sensor, rng)
        depth = measure_depth(surface.depth, self.intrinsics, config.sensor, rng, color=color)
        stamp = START_NS + round(index * 1e9 / config.fps)
        frame = RGBDFrame(color, depth, self.intrinsics, stamp, camera_pose=camera_pose)
        return Sample(frame, objects)

    def truth(self, index: int) -> list[GroundTruthObject]:
        """Ground truth of frame `index` alone, at a fraction of the time a picture takes."""
        return self._scene(index)[2]

    def _scene(self, index: int) -> tuple[Surface, list[Body], list[GroundTruthObject]]:
        """What the camera sees in frame `index`, before light."""
        seconds = index / self.config.fps
        camera_pose = self.path.pose(seconds)
        surface = self._world.render(camera_pose, self.intrinsics).surface
        bodies = self._bodies(camera_pose, seconds)
        draw(surface, bodies, self.intrinsics)
        return surface, bodies, ground_truth(surface, bodies, self.config.min_visible)

    def _light(self, surface: Surface, bodies: list[Body], camera_pose: Array) -> NDArray[np.float32]:
        """The lit image: one lamp that throws shadows, a weak one without, and ambient light."""
        to_camera = invert_transform(camera_pose)
        lamp = to_camera @ self._key
        reaching = shadow_map(surface, bodies, self.intrinsics, lamp, distance=1.8)
        up = to_camera[:3, 2]
        lights = [
            Light(lamp[:3, 3], 0.65 * self._white, reaching=reaching),
            Light(up + np.array([0.3, 0.0, -0.5]), 0.2 * self._white[::-1], directional=True),
        ]
        image = shade(surface, self.intrinsics, lights, 0.42 * self._white)
        # A photograph is lit already: it only takes the shadows of what was put into it.
        photo = ~surface.lit & (surface.depth > 0)
        image[photo] *= (0.55 + 0.45 * reaching)[photo][:, None]
        return contact_shadows(image, surface, bodies, self.intrinsics)

    def _bodies(self, camera_pose: Array, seconds: float) -> list[Body]:
        to_camera = invert_transform(camera_pose)
        bodies, instance = [], 0
        for entry, material in zip(self.placed, self._materials, strict=True):
            instance += entry.obj_id > 0
            pose = to_camera @ entry.pose(seconds)
            bodies.append(Body(entry.shape.caster, pose, entry.obj_id, instance if entry.obj_id else None, material))
        return bodies

    def _material(self, entry: Placed, rng: np.random.Generator) -> Material:
        if entry.obj_id:
            return random_material(rng, self.config.jitter, 0.15)
        return Material(specular=0.1)

    def _arrange(self, recorded: RecordedScene | None, rng: np.random.Generator) -> tuple[CameraPath, list[Placed]]:
        """The camera's path and the best of the layouts drawn for it."""
        config = self.config
        duration = config.frames / config.fps
        times = np.arange(0, min(duration, 40.0) + 0.2, 0.2)
        best: tuple[float, CameraPath, list[Placed]] | None = None
        for _ in range(self.LAYOUTS):
            path = self._path(recorded, rng)
            away = np.array([np.cos(path.azimuth), np.sin(path.azimuth)])
            placed = place(
                self._wanted(rng),
                times,
                rng,
                sample=_disc if recorded is None else recorded.sample,
                is_free=_on_disc if recorded is None else recorded.is_free,
                towards_camera=away,
                moving=config.moving,
            )
            score = self._score(path, placed, duration)
            if best is None or score > best[0]:
                best = (score, path, placed)
            if score >= 0:
                break
        assert best is not None
        return best[1], best[2]

    def _wanted(self, rng: np.random.Generator) -> list[tuple[Shape, int]]:
        """The shapes of a layout in random order: one class `repeats` times, any others, and distractors."""
        config = self.config
        count = int(rng.integers(config.instances[0], config.instances[1] + 1))
        classes = rng.permutation(list(self._shapes))
        repeated = [int(classes[0])] * min(config.repeats, count)
        others = classes[1:] if len(classes) > 1 else classes
        ids = repeated + [int(i) for i in rng.choice(others, count - len(repeated))]
        ids += [0] * int(rng.integers(config.clutter[0], config.clutter[1] + 1))
        shapes = []
        for obj_id in rng.permutation(ids):
            shape = self._shapes[int(obj_id)] if obj_id else self._clutter.draw(rng)[0]
            shapes.append((shape, int(obj_id)))
        return shapes

    def _path(self, recorded: RecordedScene | None, rng: np.random.Generator) -> CameraPath:
        config, phases = self.config, rng.uniform(0, 2 * np.pi, 4)
        if recorded is None:
            middle = (config.distance[0] + config.distance[1]) / 2
            elevation = np.radians(rng.uniform(27, 40))
            azimuth = rng.uniform(0, 2 * np.pi)
            return CameraPath(
                np.array([0, 0, 0.03]), azimuth, elevation, middle, np.radians(config.sway), phases, np.eye(4)
            )
        # Near the recording's own camera, beyond which little is known of the scene.
        pose = recorded.camera_pose
        target = pose[:3, 3] + pose[:3, 2] * (-pose[2, 3] / pose[2, 2])
        away = pose[:3, 3] - target
        distance = float(np.linalg.norm(away))
        azimuth, elevation = float(np.arctan2(away[1], away[0])), float(np.arcsin(away[2] / distance))
        level = looking_at(target, azimuth, elevation, distance)
        correction = make_transform(level[:3, :3].T @ pose[:3, :3], np.zeros(3))
        sway = np.radians(min(config.sway, 5.0))
        return CameraPath(target, azimuth, elevation, distance, sway, phases, correction)

    def _score(self, path: CameraPath, placed: list[Placed], duration: float) -> float:
        """0 where a layout has all that is asked for, else minus what is missing, judged on small pictures."""
        config = self.config
        known = [p for p in placed if p.obj_id]
        counts = np.bincount([p.obj_id for p in known], minlength=1)
        repeats = min(config.repeats, config.instances[1])
        missing = max(0, config.instances[0] - len(known)) + max(0, repeats - int(counts.max()))
        if missing:
            return -10.0 * missing
        small = 4
        camera = CameraIntrinsics(
            config.width // small, config.height // small, config.focal / small, config.focal / small,
            config.width / small / 2 - 0.5, config.height / small / 2 - 0.5,
        )  # fmt: skip
        penalty, seen = 0.0, []
        for seconds in np.linspace(0, duration, int(np.clip(duration / 1.2, 3, 24))):
            pose = path.pose(float(seconds))
            to_camera = invert_transform(pose)
            bodies = [Body(p.shape.caster, to_camera @ p.pose(float(seconds)), p.obj_id) for p in placed]
            surface = Surface.empty(camera.height, camera.width)
            draw(surface, bodies, camera)
            visible = np.bincount(surface.index[surface.index >= 0], minlength=len(bodies))
            share = visible / np.maximum(surface.silhouettes, 1)
            share = share[[b.obj_id > 0 for b in bodies]]
            distances = np.array([np.linalg.norm(b.pose[:3, 3]) for b in bodies if b.obj_id])
            low, high = config.distance
            penalty += 4.0 * float(((distances < low + 0.01) | (distances > high - 0.01)).sum())
            # A small picture judges visibility to a few per cent.
            short = config.hidden - float((share < config.hidden_below - 0.04).mean())
            penalty += max(0.0, short)
            seen.append(share)
        # Nothing may be out of sight all the time.
        penalty += float((np.mean(seen, axis=0) < 0.2).sum())
        return -penalty


def _disc(rng: np.random.Generator) -> Array:
    radius, angle = 0.24 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    return np.array([radius * np.cos(angle), radius * np.sin(angle)])


def _on_disc(points: Array) -> bool:
    return bool((np.linalg.norm(points, axis=1) < 0.36).all())

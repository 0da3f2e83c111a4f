"""RGB-D video of a small world, frame by frame: moving bodies, a moving camera, light, sensor and truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pose_tracking.core.arrays import Bool, Float, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option
from pose_tracking.core.events import Event
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.ground_truth import ground_truth
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.lamps import Lamp
from pose_tracking.simulation.rendering.renderer import Body, Material, Surface, draw, soften_edges
from pose_tracking.simulation.scenery.backgrounds import Background
from pose_tracking.simulation.scenery.materials import object_material
from pose_tracking.simulation.scenery.rooms import looking_at
from pose_tracking.simulation.sensor import SensorConfig, measure_color, measure_depth

START_NS = 1_000_000_000  # a stamp of zero means "not set" to many programs


@dataclass(frozen=True)
class VideoConfig:
    """What every simulated sequence has: length, rate, camera and sensor."""

    frames: int = option(100, "number of frames", unit="frames", range=(1, 1_000_000))
    fps: float = option(10.0, "frame rate", unit="Hz", range=(0.1, 240))
    width: int = option(640, "image width", unit="px", range=(64, 4096))
    height: int = option(480, "image height", unit="px", range=(48, 4096))
    focal: float = option(570.0, "focal length", unit="px", range=(20, 10000))
    min_visible: int = option(
        10, "instances with fewer visible pixels are left out of the truth", unit="px", range=(1, 10000)
    )
    jitter: float = option(0.4, "strength of colour variation between instances", range=(0, 2))
    scale: tuple[float, float] = option(
        (1.0, 1.0),
        "least and largest size of the known objects over that of their meshes; drawn anew for each class, even in "
        "its logarithm",
        range=(0.1, 10),
    )
    sensor: SensorConfig = field(default_factory=SensorConfig)


class World(Protocol):
    """What objects are put into: a drawn room or a recorded scene; the table frame has z up."""

    def render(self, camera_pose: Float, intrinsics: CameraIntrinsics, *, colors: bool = True) -> Background:
        """The world without objects, seen by a camera at `camera_pose` (4, 4); depth will do without `colors`."""
        ...


class Path(Protocol):
    """The path of a camera."""

    @property
    def azimuth(self) -> float:
        """Direction (rad) about the table's z axis in which the camera stands on average."""
        ...

    def pose(self, seconds: float) -> Float:
        """(4, 4) ``T_table_camera`` at a time."""
        ...


class Entity(Protocol):
    """A thing in the world; `obj_id` 0 is a distractor."""

    @property
    def shape(self) -> Shape: ...

    @property
    def obj_id(self) -> int: ...

    def pose(self, seconds: float) -> Float:
        """(4, 4) ``T_table_object`` at a time."""
        ...


class VideoSimulator(ABC):
    """Simulates one sequence; iterate to get its samples (again from the start each time).

    Subclasses say what the world is like (`_build`), how its things are painted (`_paint`) and who is who
    (`_instances`).

    Args:
        objects: the known objects, with meshes.
        config: what the sequence looks like.
        seed: the sequence depends on it and the config alone.

    Raises:
        ConfigError: the object set has no meshes.
    """

    name = "simulated"
    SHADOWS = 0.5  # radius (m) around the table's centre within which shadows are thrown

    config: VideoConfig

    def __init__(self, objects: ObjectSet, config: VideoConfig, seed: int) -> None:
        objects.require_meshes("to render")
        self.config = config
        self._seed = seed
        rng = np.random.default_rng([seed, 1])
        self._shapes = self._scaled_shapes(objects)
        self.intrinsics = CameraIntrinsics(
            config.width, config.height, config.focal, config.focal, config.width / 2 - 0.5, config.height / 2 - 0.5
        )
        self._world: World
        self.path: Path
        self.placed: Sequence[Entity]
        self._build(objects, rng)
        self._materials = self._paint(rng)
        self._hang_lamp(rng)

    @abstractmethod
    def _build(self, objects: ObjectSet, rng: np.random.Generator) -> None:
        """Set `_world`, `path` and `placed`."""

    def _hang_lamp(self, rng: np.random.Generator) -> None:
        """Draw where the lamp hangs and what colour its light has."""
        pose = looking_at(np.zeros(3), self.path.azimuth + rng.uniform(-1.3, 1.3), np.radians(rng.uniform(45, 75)), 1.8)
        warmth = rng.normal(0, 0.05)
        self._lamp = Lamp(pose, np.array([1 + warmth, 1.0, 1 - warmth]), radius=self.SHADOWS)

    def _noise_key(self, index: int) -> list[int]:
        """What the noise of a picture depends on."""
        return [self._seed, 2, index]

    def _scaled_shapes(self, objects: ObjectSet) -> dict[int, Shape]:
        """Shapes of the known objects by id, each of a size drawn for this sequence."""
        rng, shapes = np.random.default_rng([self._seed, 3]), {}
        for obj_id, model in objects.items():
            assert model.mesh is not None  # `require_meshes` has made sure
            scale = float(np.exp(rng.uniform(*np.log(self.config.scale))))
            shapes[obj_id] = Shape.of(MeshRaycaster(model.mesh.scaled(scale)), scale)
        return shapes

    def _paint(self, rng: np.random.Generator) -> list[Material]:
        """A material for each of `placed`."""
        jitter = self.config.jitter
        return [
            object_material(rng, entry.shape, jitter, 0.15, painted=jitter > 0)
            if entry.obj_id
            else Material(specular=0.1)
            for entry in self.placed
        ]

    def _instances(self, seconds: float) -> list[int]:
        """Identities, from 1, of the known objects among `placed` at a time."""
        return list(range(1, 1 + sum(entry.obj_id > 0 for entry in self.placed)))

    def __len__(self) -> int:
        return self.config.frames

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self.config.frames):
            yield self.render(index)

    def render(self, index: int) -> Sample:
        """Frame `index` with its ground truth."""
        rng = np.random.default_rng(self._noise_key(index))
        config, camera_pose = self.config, self.path.pose(index / self.config.fps)
        surface, bodies, objects = self._scene(index)
        image = self._lamp.light(surface, bodies, camera_pose, self.intrinsics)
        image = soften_edges(image, surface.index, 0.7)
        color = measure_color(image, config.sensor, rng)
        depth = measure_depth(surface.depth, self.intrinsics, config.sensor, rng, color=color)
        stamp = START_NS + round(index * 1e9 / config.fps)
        frame = RGBDFrame(color, depth, self.intrinsics, stamp, camera_pose=camera_pose)
        told = self.events()
        over = None if told is None else [event for event in told if event.end_ns == stamp]
        return Sample(frame, objects, events=over)

    def view(
        self, seconds: float, intrinsics: CameraIntrinsics, rng: np.random.Generator, body: int, fineness: int
    ) -> tuple[UInt8, Bool]:
        """Picture (H, W, 3) at a time by another camera at the same place, e.g. of one square of the whole picture.

        Args:
            seconds: since the beginning.
            intrinsics: of that camera.
            rng: of the sensor's noise.
            body: index among `placed` of the thing whose visible pixels (H, W) are returned, too.
            fineness: of the shadows, see `Lamp.light`.
        """
        camera_pose = self.path.pose(seconds)
        surface, bodies = self._world.render(camera_pose, intrinsics).surface, self._bodies(camera_pose, seconds)
        draw(surface, bodies, intrinsics)
        image = self._lamp.light(surface, bodies, camera_pose, intrinsics, fineness)
        image = soften_edges(image, surface.index, 0.7)
        return measure_color(image, self.config.sensor, rng), surface.index == body

    def events(self) -> list[Event] | None:
        """What happens, by instance IDs, in the order of time; None where the sequence tells no events."""
        return None

    def truth(self, index: int) -> list[GroundTruthObject]:
        """Ground truth of frame `index` alone, at a fraction of the time a picture takes."""
        return self._scene(index, colors=False)[2]

    def _scene(self, index: int, colors: bool = True) -> tuple[Surface, list[Body], list[GroundTruthObject]]:
        """What the camera sees in frame `index`, before light."""
        seconds = index / self.config.fps
        camera_pose = self.path.pose(seconds)
        surface = self._world.render(camera_pose, self.intrinsics, colors=colors).surface
        bodies = self._bodies(camera_pose, seconds)
        draw(surface, bodies, self.intrinsics)
        return surface, bodies, ground_truth(surface, bodies, self.config.min_visible)

    def _bodies(self, camera_pose: Float, seconds: float) -> list[Body]:
        to_camera, identities = invert_transform(camera_pose), iter(self._instances(seconds))
        return [
            Body(
                entry.shape.caster,
                to_camera @ entry.pose(seconds),
                entry.obj_id,
                next(identities) if entry.obj_id else None,
                material,
                entry.shape.scale,
            )
            for entry, material in zip(self.placed, self._materials, strict=True)
        ]

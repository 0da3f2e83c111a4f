"""A camera moves around a table on which known objects stand, slide and turn: RGB-D video with full ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.placement.bodies import PlacedBody
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Body, Surface, draw
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds
from pose_tracking.simulation.scenery.clutter import Clutter
from pose_tracking.simulation.scenery.recorded_scene import RecordedScene
from pose_tracking.simulation.scenery.rooms import Room, looking_at

from .camera_paths import CameraPath
from .sliding import Sliding, SlidingLayout
from .video import VideoConfig, VideoSimulator


@dataclass(frozen=True)
class SequenceConfig(VideoConfig):
    """What a simulated sequence looks like."""

    instances: tuple[int, int] = option((5, 9), "fewest and most instances of known objects", range=(1, 100))
    repeats: int = option(3, "instances of one class", range=(1, 100))
    clutter: tuple[int, int] = option((1, 3), "fewest and most distractors", range=(0, 100))
    distance: tuple[float, float] = option((0.5, 1.3), "nearest and farthest object centre", unit="m", range=(0.1, 10))
    hidden: float = option(1 / 3, "share of the instances that are partly hidden at any time", range=(0, 1))
    hidden_below: float = option(0.9, "visibility under which an instance counts as partly hidden", range=(0, 1))
    moving: float = option(1 / 3, "share of the instances that slide or turn", range=(0, 1))
    spread: float = option(0.24, "radius of the disc that things stand on", unit="m", range=(0.05, 3))
    sway: float = option(24.0, "amplitude of the camera's way around the table", unit="deg", range=(0, 180))
    view: int = option(
        0,
        "which camera sees it: 0 is the sequence's own, the others stand 45 degrees to its left, to its right, 90 to "
        "its left, ... and see the same world at the same times",
        range=(0, 7),
    )
    room: int = option(
        0, "which table the things stand on: 0 is the sequence's own, on each other one they stand anew", range=(0, 99)
    )


class SequenceSimulator(VideoSimulator):
    """A quiet sequence: things stand close together, some of them slide a little, and no one comes or goes.

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

    LAYOUTS = 60

    VIEW_ANGLE = 45.0  # degrees between two cameras

    config: SequenceConfig
    path: CameraPath
    placed: list[PlacedBody[Sliding]]

    def __init__(
        self,
        objects: ObjectSet,
        config: SequenceConfig | None = None,
        seed: int = 0,
        backgrounds: RecordedBackgrounds | None = None,
    ) -> None:
        self._backgrounds = backgrounds
        self._things: list[tuple[Shape, int]] | None = None
        super().__init__(objects, config or SequenceConfig(), seed)
        self._numbers = super()._instances(0.0)
        if self.config.room:
            self._move_to(self.config.room)
        if self.config.view:
            steps = (self.config.view + 1) // 2 * (1 if self.config.view % 2 else -1)
            self.path = self.path.turned(np.radians(self.VIEW_ANGLE) * steps)

    @property
    def tints(self) -> dict[int, Float32]:
        """(3, 3) colour matrix of every instance's material by instance id: what copies of one object differ in."""
        materials = [m for entry, m in zip(self.placed, self._materials, strict=True) if entry.obj_id]
        return {number: material.tint for number, material in zip(self._numbers, materials, strict=True)}

    def _instances(self, seconds: float) -> list[int]:
        return self._numbers

    def _noise_key(self, index: int) -> list[int]:
        key, own = super()._noise_key(index), [self.config.view, self.config.room]
        return [*key, *own] if any(own) else key

    def _move_to(self, room: int) -> None:
        """Put the same things, known by the same numbers, anew on the table of another room."""
        if self._backgrounds is not None:
            raise ConfigError("room is for tables that are drawn and contradicts recorded backgrounds")
        rng = np.random.default_rng([self._seed, 3, room])
        numbers = iter(self._numbers)
        left = [
            (entry.shape, entry.obj_id, material, next(numbers) if entry.obj_id else 0)
            for entry, material in zip(self.placed, self._materials, strict=True)
        ]
        self._things = [(shape, obj_id) for shape, obj_id, _, _ in left]
        self._world = Room(rng, calm=True)
        self.path, self.placed = self._arrange(None, rng)
        self._materials, self._numbers = [], []
        for entry in self.placed:  # those that found a place, in their order
            thing = next(thing for thing in left if thing[0] is entry.shape)
            left.remove(thing)
            self._materials.append(thing[2])
            if entry.obj_id:
                self._numbers.append(thing[3])
        self._hang_lamp(rng)

    def _build(self, objects: ObjectSet, rng: np.random.Generator) -> None:
        recorded = None if self._backgrounds is None else RecordedScene(self._backgrounds, rng)
        self._world = recorded or Room(rng, calm=True)
        self._clutter = Clutter(objects, count=12)
        self.path, self.placed = self._arrange(recorded, rng)

    def _arrange(
        self, recorded: RecordedScene | None, rng: np.random.Generator
    ) -> tuple[CameraPath, list[PlacedBody[Sliding]]]:
        """The camera's path and the best of the layouts drawn for it."""
        config = self.config
        duration = config.frames / config.fps
        times = np.arange(0, min(duration, 40.0) + 0.2, 0.2)
        best: tuple[float, CameraPath, list[PlacedBody[Sliding]]] | None = None
        for _ in range(self.LAYOUTS):
            path = self._path(recorded, rng)
            away = np.array([np.cos(path.azimuth), np.sin(path.azimuth)])
            layout = SlidingLayout(
                times,
                sample=self._disc if recorded is None else recorded.sample,
                is_free=self._on_disc if recorded is None else recorded.is_free,
                towards_camera=away,
                moving=config.moving,
            )
            placed = layout.draw(self._wanted(rng), rng)
            score = self._score(path, placed, duration)
            if best is None or score > best[0]:
                best = (score, path, placed)
            if score >= 0:
                break
        assert best is not None
        return best[1], best[2]

    def _wanted(self, rng: np.random.Generator) -> list[tuple[Shape, int]]:
        """The shapes of a layout in random order: one class `repeats` times, any others, and distractors."""
        if self._things is not None:
            return self._things
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

    def _score(self, path: CameraPath, placed: list[PlacedBody[Sliding]], duration: float) -> float:
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

    def _disc(self, rng: np.random.Generator) -> Float:
        radius, angle = self.config.spread * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        return np.array([radius * np.cos(angle), radius * np.sin(angle)])

    def _on_disc(self, points: Float) -> bool:
        return bool((np.linalg.norm(points, axis=1) < 1.5 * self.config.spread).all())

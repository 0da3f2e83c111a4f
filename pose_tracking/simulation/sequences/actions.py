"""Things that are pushed, carried, thrown down and knocked over, one after the other, before a camera that sways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.config import option
from pose_tracking.core.events import Event
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.bodies import about_z
from pose_tracking.simulation.placement.resting import resting_directions, stand
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.rendering.textures import random_color, texture_bank
from pose_tracking.simulation.scenery.materials import object_material
from pose_tracking.simulation.scenery.primitives import box, build_mesh
from pose_tracking.simulation.scenery.rooms import Room

from .camera_paths import CameraPath
from .scripted import CARRY_DOWN, Carry, G, Push, PushedOff, ScriptedBody, ScriptedMotion, Tip
from .video import START_NS, VideoConfig, VideoSimulator

_TRIES = 60
_GAP = 0.02  # metres between the circles around two footprints
_REACH = 0.27  # metres around the table's centre within which things are put down
_CAREFUL = 3.5  # m/s^2, highest acceleration of what is carried
_KINDS = ("push", "carry", "fall", "tip")


@dataclass(frozen=True)
class ActionsConfig(VideoConfig):
    """What a sequence of actions looks like."""

    frames: int = option(300, "number of frames", unit="frames", range=(1, 1_000_000))
    instances: tuple[int, int] = option((4, 6), "fewest and most known objects", range=(1, 20))
    ledge: tuple[float, float] = option(
        (0.25, 0.4), "height of the box that things are pushed off", unit="m", range=(0.05, 2.0)
    )
    pause: tuple[float, float] = option((1.5, 2.5), "rest between two actions", unit="s", range=(0.1, 1e6))
    actions: bool = option(True, "whether anything happens at all")
    sway: float = option(6.0, "amplitude of the camera's way around the table", unit="deg", range=(0, 180))


class ActionsSequence(VideoSimulator):
    """A table with a box on it as high as a shelf, and known objects on both, to which one thing after the other
    happens: pushed, carried, pushed off the box, knocked over. No hand is drawn.

    Args:
        objects: the known objects, with meshes.
        config: what the sequence looks like.
        seed: the sequence depends on it and the config alone.

    Raises:
        ConfigError: the object set has no meshes.
    """

    config: ActionsConfig
    placed: list[ScriptedBody]

    def __init__(self, objects: ObjectSet, config: ActionsConfig | None = None, seed: int = 0) -> None:
        super().__init__(objects, config or ActionsConfig(), seed)
        self._names = {obj_id: model.name for obj_id, model in objects.items()}
        self._symmetries = {obj_id: model.symmetries for obj_id, model in objects.items()}

    def events(self) -> list[Event]:
        """What happens, by instance IDs; stamps are those of the frames after.

        What is tipped onto another side that by the symmetries of the object is the same one has only moved: a body of
        revolution that rolls over.
        """
        fps = self.config.fps
        known = [body for body in self.placed if body.obj_id]
        out = []
        for number, body in enumerate(known, start=1):
            for kind, *times in body.events(self._symmetries[body.obj_id]):
                onset, end = (START_NS + round(int(np.ceil(t * fps - 1e-9)) * 1e9 / fps) for t in times)
                out.append(Event(kind, number, body.obj_id, self._names[body.obj_id], onset, end))
        last = START_NS + round((self.config.frames - 1) * 1e9 / fps)
        return sorted((e for e in out if e.end_ns <= last), key=lambda e: (e.onset_ns, e.end_ns))

    def _build(self, objects: ObjectSet, rng: np.random.Generator) -> None:
        config = self.config
        self._world = Room(rng, calm=True, table=(0.6, 0.8))
        azimuth = rng.uniform(0, 2 * np.pi)
        height = float(rng.uniform(*config.ledge))
        away = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        distance = 0.95 + 0.6 * height
        self.path = CameraPath(
            0.35 * height * np.array([0, 0, 1.0]),
            azimuth,
            np.radians(rng.uniform(24, 34)),
            distance,
            np.radians(config.sway),
            rng.uniform(0, 2 * np.pi, 4),
            np.eye(4),
        )
        stage = _Stage(rng, away[:2], height)
        count = int(rng.integers(config.instances[0], config.instances[1] + 1))
        ids = [int(i) for i in rng.permutation(np.resize(rng.permutation(list(self._shapes)), count))]
        for number, obj_id in enumerate(ids):
            stage.put(self._shapes[obj_id], obj_id, on_ledge=number < 2)
        if config.actions:
            stage.script(config.frames / config.fps, config.pause)
        self.placed = [stage.ledge, *stage.bodies]

    def _paint(self, rng: np.random.Generator) -> list[Material]:
        bank = texture_bank()
        jitter = self.config.jitter
        return [
            object_material(rng, body.shape, jitter, 0.15, painted=jitter > 0)
            if body.obj_id
            else Material(specular=0.05, texture=bank[rng.integers(len(bank))], texture_weight=0.5)
            for body in self.placed
        ]


class _Stage:
    """A table and a ledge, and who is where on them while the script is written."""

    def __init__(self, rng: np.random.Generator, towards_camera: Float, height: float) -> None:
        self._rng, self._towards, self._height = rng, towards_camera, height
        self._aside = np.array([-towards_camera[1], towards_camera[0]])
        self._depth, self._width = 0.2, 0.42
        self._middle = -0.16 * towards_camera
        mesh = build_mesh([box(np.array([self._depth, self._width, height]), random_color(rng), 4)])
        turn = about_z(np.arctan2(towards_camera[1], towards_camera[0]))
        shape = Shape.of(MeshRaycaster(mesh))
        lowest = shape.lowest(np.array([0.0, 0.0, 1.0]))
        self.ledge = ScriptedBody(shape, 0, make_transform(turn, np.append(self._middle, -lowest)))
        self.bodies: list[ScriptedBody] = []

    def put(self, shape: Shape, obj_id: int, *, on_ledge: bool) -> None:
        """Stand a thing on the ledge or the table, where there is room."""
        rest, _ = stand(shape, self._rng, upright=0.8)
        radius = _radius(shape, rest)
        spot = self._free(radius, on_ledge, None)
        if spot is not None:
            self.bodies.append(ScriptedBody(shape, obj_id, self._standing(rest, spot, on_ledge)))

    def script(self, seconds: float, pause: tuple[float, float]) -> None:
        """Let one thing after the other happen until the time is over."""
        now, kinds = 2.0, list[str]()
        while now < seconds - 1.5 and self.bodies:
            kinds = kinds or [str(kind) for kind in self._rng.permutation(_KINDS)]
            kind = kinds.pop()
            for number in self._rng.permutation(len(self.bodies)):
                motion = getattr(self, f"_{kind}")(self.bodies[number])
                if motion is not None:
                    if now + motion.seconds < seconds - 1.2:
                        self.bodies[number].script.append((now, motion))
                    now += motion.seconds + self._rng.uniform(*pause)
                    break

    def _push(self, body: ScriptedBody) -> ScriptedMotion | None:
        if self._is_on_ledge(body.end):
            return None
        spot = self._free(_radius(body.shape, body.end), False, body, near=(0.06, 0.15), clear=True)
        if spot is None:
            return None
        return Push(body.end, self._moved(body.end, spot, 0.6), self._rng.uniform(0.5, 1.2))

    def _carry(self, body: ScriptedBody) -> ScriptedMotion | None:
        free_ledge = not any(self._is_on_ledge(b.end) for b in self.bodies)
        up = free_ledge or self._rng.random() < 0.3
        spot = self._free(_radius(body.shape, body.end), up, body, near=(0.12, 0.6))
        if spot is None:
            return None
        after = self._moved(body.end, spot, 1.5)
        after[2, 3] += self._height * (int(up) - int(self._is_on_ledge(body.end)))
        height = self._rng.uniform(0.12, 0.18)
        way = height + abs(after[2, 3] - body.end[2, 3])
        # No faster than a careful hand: the acceleration of a minimum-jerk path is at most 5.77 times way over time^2.
        slowest = np.sqrt(5.77 * way / _CAREFUL) / CARRY_DOWN
        return Carry(body.end, after, max(slowest, self._rng.uniform(1.4, 2.6)), height)

    def _fall(self, body: ScriptedBody) -> ScriptedMotion | None:
        if not self._is_on_ledge(body.end):
            return None
        radius, place = _radius(body.shape, body.end), _place(body.end)
        drop_seconds = np.sqrt(2 * self._height / G)
        sides = [(self._towards, self._depth), (self._aside, self._width), (-self._aside, self._width)]
        for number in self._rng.permutation(len(sides)):
            direction, across = sides[number]
            to_edge = across / 2 - float((place - self._middle) @ direction)
            over = place + (to_edge + radius + 0.005) * direction
            landing = over + direction * self._rng.uniform(0.25, 0.45) * drop_seconds
            if self._is_free(landing, radius, False, body, reach=_REACH + 0.2):
                edge, after = self._moved(body.end, over, 0.0), self._moved(body.end, landing, 0.5)
                after[2, 3] -= self._height
                return PushedOff(body.end, edge, after, self._rng.uniform(0.45, 0.8))
        return None

    def _tip(self, body: ScriptedBody) -> ScriptedMotion | None:
        directions = resting_directions(body.shape)[0]
        down = -body.end[2, :3]
        others = directions[directions @ down < np.cos(np.radians(60))]
        tall = np.ptp(body.shape.hull @ down) > 0.9 * _radius(body.shape, body.end)
        if len(others) == 0 or not tall or self._is_on_ledge(body.end):
            return None
        other = others[self._rng.integers(len(others))]
        # The shortest turn that brings the other side down.
        target = body.end[:3, :3] @ other
        axis = np.cross(target, [0, 0, -1.0])
        if np.linalg.norm(axis) < 1e-3:
            return None
        angle = np.arctan2(np.linalg.norm(axis), -target[2])
        turn = _about(axis, float(angle)) @ body.end[:3, :3]
        height = -body.shape.lowest(turn[2])
        # It rolls over its edge: about half of its height.
        way = np.array([-axis[1], axis[0]]) / np.linalg.norm(axis[:2]) * -1.0
        spot = _place(body.end) + way * 0.5 * float(np.ptp(body.shape.hull @ down))
        after = make_transform(turn, np.append(spot, height))
        if not self._is_free(_place(after), _radius(body.shape, after), False, body):
            return None
        return Tip(body.end, after, self._rng.uniform(0.35, 0.6), body.shape)

    def _is_on_ledge(self, pose: Float) -> bool:
        return bool(pose[2, 3] > 0.9 * self._height)

    def _standing(self, rest: Float, spot: Float, on_ledge: bool) -> Float:
        turn = make_transform(about_z(self._rng.uniform(0, 2 * np.pi)), np.zeros(3))
        pose = turn @ rest
        pose[:3, 3] += np.append(spot, self._height if on_ledge else 0.0)
        return np.asarray(pose)

    def _moved(self, pose: Float, spot: Float, turn: float) -> Float:
        """The pose at another place on the same height, turned by up to `turn` (rad)."""
        out = np.array(pose)
        out[:3, :3] = about_z(self._rng.uniform(-turn, turn)) @ pose[:3, :3]
        out[:2, 3] = spot
        return out

    def _free(
        self,
        radius: float,
        on_ledge: bool,
        mover: ScriptedBody | None,
        near: tuple[float, float] = (0.0, np.inf),
        clear: bool = False,
    ) -> Float | None:
        """(2,) a free place, `near` (m) so far from where the `mover` is; with `clear` so is the way to it."""
        for _ in range(_TRIES):
            if on_ledge:
                along = self._rng.uniform(-0.5, 0.5) * (self._width - 2 * radius)
                spot = self._middle + along * self._aside + 0.02 * self._towards
            else:
                angle, far = self._rng.uniform(0, 2 * np.pi), _REACH * np.sqrt(self._rng.random())
                spot = far * np.array([np.cos(angle), np.sin(angle)])
            if mover is not None and not near[0] <= np.linalg.norm(spot - _place(mover.end)) <= near[1]:
                continue
            way = [spot]
            if clear and mover is not None:
                way = list(np.linspace(_place(mover.end), spot, 12))
            if all(self._is_free(step, radius, on_ledge, mover) for step in way):
                return np.asarray(spot)
        return None

    def _is_free(
        self, spot: Float, radius: float, on_ledge: bool, mover: ScriptedBody | None, reach: float = _REACH + 0.1
    ) -> bool:
        for body in self.bodies:
            if body is mover or self._is_on_ledge(body.end) != on_ledge:
                continue
            if np.linalg.norm(_place(body.end) - spot) < radius + _radius(body.shape, body.end) + _GAP:
                return False
        if on_ledge:
            return True
        off = np.abs([(spot - self._middle) @ self._towards, (spot - self._middle) @ self._aside])
        beside = off[0] > self._depth / 2 + radius + _GAP or off[1] > self._width / 2 + radius + _GAP
        return bool(beside and np.linalg.norm(spot) < reach)


def _place(pose: Float) -> Float:
    """(2,) of the origin of a body on the table."""
    return np.asarray(pose[:2, 3])


def _radius(shape: Shape, pose: Float) -> float:
    """Radius (m) of the circle around the origin that the body takes of the table at a pose."""
    return float(np.linalg.norm(shape.hull @ pose[:2, :3].T, axis=1).max())


def _about(axis: Float, angle: float) -> Float:
    return np.asarray(Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix())

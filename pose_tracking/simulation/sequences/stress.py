"""A stress sequence: many copies of two look-alikes that cross, hide and leave before a camera held by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.rendering.textures import random_color, texture_bank
from pose_tracking.simulation.scenery.materials import object_material
from pose_tracking.simulation.scenery.primitives import box, build_mesh
from pose_tracking.simulation.scenery.rooms import Room

from .camera_paths import HandheldPath
from .lane_planner import Planner, Wanted
from .trajectories import LOOP
from .video import VideoConfig, VideoSimulator

RENEWED_AFTER = 1.0  # seconds out of the picture after which a copy that comes back counts as another one


@dataclass(frozen=True)
class StressConfig(VideoConfig):
    """What a stress sequence looks like."""

    frames: int = option(200, "number of frames", unit="frames", range=(1, 1_000_000))
    jitter: float = option(0.4, "strength of colour variation of the single objects", range=(0, 2))
    copies: int = option(3, "copies of each of the two look-alikes", range=(2, 4))
    singles: tuple[int, int] = option((1, 3), "fewest and most single objects of other classes", range=(0, 3))
    posts: tuple[int, int] = option((1, 2), "fewest and most tall things that hide others", range=(0, 3))
    shake: float = option(1.0, "strength of the camera's motion", range=(0, 1.5))


class StressSequence(VideoSimulator):
    """A world that depends on the seed alone: frames of any rate show the same 20 s, again and again.

    Copies of the two objects that are hardest to tell apart, all of one material, and some single objects slide on
    parallel lanes with stops and starts, cross each other, are hidden for up to 1 s, and some leave the picture for 1.5
    to 4 s. A copy that was altogether out of the picture for at least 1 s is another instance when it comes back; a
    single object stays the same, and hiding changes nothing.

    Args:
        objects: the known objects, with meshes.
        config: what the sequence looks like.
        seed: the sequence depends on it and the config alone.

    Raises:
        ConfigError: the object set has fewer than two objects or no meshes.
    """

    SHADOWS = 0.8

    config: StressConfig

    def __init__(self, objects: ObjectSet, config: StressConfig | None = None, seed: int = 0) -> None:
        super().__init__(objects, config or StressConfig(), seed)

    def _build(self, objects: ObjectSet, rng: np.random.Generator) -> None:
        config = self.config
        twins = look_alikes(objects)
        size = float(np.clip(np.mean([objects[i].diameter for i in twins]) / 0.124, 0.7, 1.6))
        self._world = Room(rng, calm=True, table=(1.1 * size, 1.4 * size))
        path = HandheldPath.random(rng, size, config.shake)
        tangents = config.width / 2 / config.focal, config.height / 2 / config.focal
        others = [i for i in objects if i not in twins and objects[i].diameter < 2 * 0.124 * size]
        singles = rng.permutation(others)[: rng.integers(config.singles[0], config.singles[1] + 1)]
        wanted = []
        for obj_id in twins:
            leavers = int(rng.integers(1, config.copies))
            wanted += [Wanted(self._shapes[obj_id], obj_id, leaves=k < leavers) for k in range(config.copies)]
        for number, obj_id in enumerate(singles):
            rests = number > 0 and rng.random() < 0.3
            wanted.append(Wanted(self._shapes[int(obj_id)], int(obj_id), number == 0, rests))
        posts = [_post(size, rng) for _ in range(rng.integers(config.posts[0], config.posts[1] + 1))]
        self.layout = Planner(path, tangents, size, rng).plan(wanted, posts)
        self.path, self.placed = path, self.layout.bodies
        self.twins = twins
        known = [k for k, body in enumerate(self.placed) if body.obj_id]
        self._identities = Identities(
            [self.layout.absences[k] if self.placed[k].obj_id in twins else [] for k in known]
        )

    def _paint(self, rng: np.random.Generator) -> list[Material]:
        jitter = self.config.jitter
        materials = {i: object_material(rng, self._shapes[i], 0.0, 0.15, painted=jitter > 0) for i in self.twins}
        for entry in self.placed:
            if entry.obj_id and entry.obj_id not in materials:
                materials[entry.obj_id] = object_material(rng, entry.shape, jitter, 0.15, painted=jitter > 0)
        bank = texture_bank()
        return [
            materials[entry.obj_id]
            if entry.obj_id
            else Material(specular=0.05, texture=bank[rng.integers(len(bank))], texture_weight=0.7)
            for entry in self.placed
        ]

    def _instances(self, seconds: float) -> list[int]:
        return self._identities.at(seconds)


class Identities:
    """Who is who: every body has a number from 1 at the start, and a new one after each long absence.

    Args:
        absences: per body, times (start, end) in seconds of the loop when it is out of the picture, in order.
    """

    def __init__(self, absences: Sequence[Sequence[tuple[float, float]]]) -> None:
        self._count = len(absences)
        long = [[(a, b) for a, b in spans if b - a >= RENEWED_AFTER] for spans in absences]
        ends = sorted((end, body) for body, spans in enumerate(long) for _, end in spans)
        # The change falls into the middle of an absence, where no frame shows it.
        self._changes = [[((a + b) / 2, ends.index((b, body))) for a, b in spans] for body, spans in enumerate(long)]
        self._returns = len(ends)

    def at(self, seconds: float) -> list[int]:
        """The number of every body at a time."""
        lap, now = divmod(seconds, LOOP)
        out = []
        for body, changes in enumerate(self._changes):
            past = [number for time, number in changes if time <= now]
            if past:
                out.append(1 + self._count + int(lap) * self._returns + past[-1])
            elif changes and lap:
                out.append(1 + self._count + int(lap - 1) * self._returns + changes[-1][1])
            else:
                out.append(1 + body)
        return out


def look_alikes(objects: ObjectSet) -> tuple[int, int]:
    """The two objects that differ least in size and mean colour, both relative.

    Raises:
        ConfigError: there are fewer than two objects.
    """
    if len(objects) < 2:
        raise ConfigError(f"the stress preset needs at least two objects to mix up, the object set has {len(objects)}")
    colors = {i: _mean_color(m.mesh) for i, m in objects.items() if m.mesh is not None}

    def unlike(pair: tuple[int, int]) -> float:
        a, b = (objects[i] for i in pair)
        size = np.linalg.norm(np.sort(a.size) - np.sort(b.size)) / (0.5 * np.linalg.norm(a.size + b.size))
        return float(np.hypot(size, np.linalg.norm(colors[pair[0]] - colors[pair[1]]) / 255))

    return min(combinations(colors, 2), key=unlike)


def _mean_color(mesh: Mesh) -> Float:
    """(3,) RGB, 0 to 255, averaged over the surface."""
    corners = mesh.vertices[mesh.faces].astype(float)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return np.asarray(np.average(mesh.colors[mesh.faces].mean(1), axis=0, weights=areas))


def _post(size: float, rng: np.random.Generator) -> Shape:
    """A box like a packet of cereals: wider and much taller than what passes behind it."""
    extent = np.array([rng.uniform(0.13, 0.17), rng.uniform(0.04, 0.07), rng.uniform(0.21, 0.27)]) * size
    return Shape.of(MeshRaycaster(build_mesh([box(extent, random_color(rng), 4)])))

"""Independent, domain-randomised frames for training: any frame follows from (seed, index) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..camera import CameraIntrinsics
from ..config import option
from ..datasets.sample import GroundTruthObject, Sample
from ..errors import ConfigError
from ..frame import RGBDFrame
from ..geometry import make_transform
from ..objects import ObjectSet
from ..objects.raycasting import MeshRaycaster
from .backgrounds import Background, RecordedBackgrounds
from .clutter import Clutter
from .renderer import Body, Light, Material, Surface, contact_shadows, draw, shade, soften_edges
from .rooms import draw_room
from .sensor import SensorConfig, jpeg, measure_color, measure_depth
from .shapes import Shape

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RandomSceneConfig:
    """What random training frames look like."""

    width: int = option(640, "image width", unit="px", range=(64, 4096))
    height: int = option(480, "image height", unit="px", range=(48, 4096))
    focal: tuple[float, float] = option((525.0, 620.0), "range of the focal length", unit="px", range=(20, 10000))
    instances: tuple[int, int] = option((8, 14), "fewest and most instances of known objects", range=(0, 100))
    clutter: tuple[int, int] = option((3, 10), "fewest and most distractors", range=(0, 100))
    distance: tuple[float, float] = option((0.4, 1.4), "distance of object centres", unit="m", range=(0.05, 10))
    upright: float = option(0.5, "share of the objects that stand on the plane", range=(0, 1))
    crowding: float = option(0.55, "share of the objects put before or behind another one", range=(0, 1))
    recorded: float = option(0.6, "share of the frames with a recorded background, where there are any", range=(0, 1))
    jitter: float = option(1.0, "strength of colour and light variation", range=(0, 2))
    min_visible: int = option(
        10, "instances with fewer visible pixels are left out of the truth", unit="px", range=(1, 10000)
    )
    sensor: SensorConfig = field(default_factory=SensorConfig)


def random_frames(
    objects: ObjectSet,
    config: RandomSceneConfig | None = None,
    seed: int = 0,
    *,
    backgrounds: RecordedBackgrounds | None = None,
    start: int = 0,
    count: int | None = None,
) -> Iterator[Sample]:
    """Random training frames number `start` and on, endless where `count` is None. See `RandomScenes`."""
    scenes = RandomScenes(objects, config, backgrounds)
    index = start
    while count is None or index < start + count:
        yield scenes.render(seed, index)
        index += 1


class RandomScenes:
    """Renders domain-randomised frames of an object set.

    Args:
        objects: the known objects, with meshes.
        config: what frames look like.
        backgrounds: recorded backgrounds to use beside the drawn ones.

    Raises:
        ConfigError: the object set has no meshes.
    """

    def __init__(
        self,
        objects: ObjectSet,
        config: RandomSceneConfig | None = None,
        backgrounds: RecordedBackgrounds | None = None,
    ) -> None:
        if not objects.has_meshes:
            raise ConfigError("the object set has no meshes to render: give their folder with --objects")
        self.objects = objects
        self.config = config or RandomSceneConfig()
        self._backgrounds = backgrounds
        self._shapes = {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in objects.items() if m.mesh is not None}
        self._clutter = Clutter(objects)

    def render(self, seed: int, index: int) -> Sample:
        """Frame `index` of series `seed`; the same frame whenever and wherever it is rendered."""
        rng = np.random.default_rng([seed, index])
        config = self.config
        intrinsics = self._camera(rng)
        if self._backgrounds is not None and rng.random() < config.recorded:
            background = self._backgrounds.sample(intrinsics, rng)
        else:
            background = draw_room(intrinsics, rng)
        bodies = self._place(background, intrinsics, rng)
        surface = background.surface
        draw(surface, bodies, intrinsics)
        lights, ambient = random_lights(rng, background, config.jitter)
        image = shade(surface, intrinsics, lights, ambient)
        if rng.random() < 0.7:
            image = contact_shadows(image, surface, bodies, intrinsics)
        image = soften_edges(image, surface.index, float(rng.uniform(0.5, 1.1)))
        image = _expose(image, background, rng)
        sensor = random_sensor(config.sensor, rng)
        color = measure_color(image, sensor, rng)
        if rng.random() < 0.5:
            color = jpeg(color, int(rng.integers(60, 96)))
        recorded = background.recorded & (surface.index < 0)
        depth = measure_depth(surface.depth, intrinsics, sensor, rng, color=color, protected=recorded)
        frame = RGBDFrame(color, depth, intrinsics, stamp_ns=index * 100_000_000)
        return Sample(frame, ground_truth(surface, bodies, config.min_visible))

    def _camera(self, rng: np.random.Generator) -> CameraIntrinsics:
        config = self.config
        focal = float(rng.uniform(*config.focal))
        return CameraIntrinsics(
            config.width,
            config.height,
            focal,
            focal * float(rng.uniform(0.995, 1.005)),
            config.width / 2 + float(rng.normal(0, 4)),
            config.height / 2 + float(rng.normal(0, 4)),
        )

    def _place(self, background: Background, intrinsics: CameraIntrinsics, rng: np.random.Generator) -> list[Body]:
        config = self.config
        count = int(rng.integers(config.instances[0], config.instances[1] + 1))
        extra = int(rng.integers(config.clutter[0], config.clutter[1] + 1))
        # Few classes at a time make repeated ones.
        ids = rng.permutation(list(self.objects))[: int(rng.integers(2, len(self.objects) + 1))]
        wanted = np.concatenate([rng.choice(ids, count), np.zeros(extra, int)])
        bodies: list[Body] = []
        centres: list[tuple[Array, float]] = []
        gloss = float(rng.choice([0.02, 0.1, 0.3, 0.6]))
        for obj_id in rng.permutation(wanted):
            if obj_id:
                shape = self._shapes[int(obj_id)]
                material = random_material(rng, config.jitter, gloss)
            else:
                shape, material = self._clutter.draw(rng)
            for _ in range(12):
                pose = self._pose(shape, background, intrinsics, centres, rng)
                centre = pose[:3, 3]
                if all(np.linalg.norm(centre - c) > 0.55 * (shape.radius + r) for c, r in centres):
                    bodies.append(Body(shape.caster, pose, int(obj_id), None, material))
                    centres.append((centre, shape.radius))
                    break
        return bodies

    def _pose(
        self,
        shape: Shape,
        background: Background,
        intrinsics: CameraIntrinsics,
        centres: list[tuple[Array, float]],
        rng: np.random.Generator,
    ) -> Array:
        config = self.config
        low, high = config.distance
        depth, plane = background.surface.depth, background.plane
        near = None
        if centres and rng.random() < config.crowding:
            near, near_radius = centres[rng.integers(len(centres))]
            if near[2] <= 0.05:
                near = None
        if near is not None:
            u, v = intrinsics.project(near) + rng.normal(0, 0.8, 2) * near_radius * intrinsics.fx / near[2]
            u, v = np.clip([u, v], 0, [intrinsics.width - 1, intrinsics.height - 1])
        else:
            u, v = rng.uniform(0, intrinsics.width - 1), rng.uniform(0, intrinsics.height - 1)
        ray = np.array([(u - intrinsics.cx) / intrinsics.fx, (v - intrinsics.cy) / intrinsics.fy, 1.0])
        if plane is not None and rng.random() < config.upright and background.support[int(v), int(u)]:
            rotation = standing_rotation(plane[:3], rng)
            if -plane[3] / (plane[:3] @ ray) * ray[2] <= high + 0.1:
                foot = -plane[3] / (plane[:3] @ ray) * ray
                centre = foot - plane[:3] * shape.lowest(rotation.T @ plane[:3])
                if centre[2] >= low:
                    return make_transform(rotation, centre)
        rotation = Rotation.random(rng=rng).as_matrix()
        behind = float(depth[int(v), int(u)]) or high
        if near is not None and rng.random() < 0.7:
            step = (shape.radius + near_radius) * rng.uniform(0.6, 1.6) * (1 if rng.random() < 0.5 else -1)
            z = near[2] + step
        elif rng.random() < 0.5:
            z = behind - shape.radius * rng.uniform(0.3, 2.0)  # close to what is behind it
        else:
            z = rng.uniform(low, high)
        ceiling = max(low, min(high, behind - 0.5 * shape.radius))
        return make_transform(rotation, ray * np.clip(z, low, ceiling))


def standing_rotation(up: Array, rng: np.random.Generator) -> Array:
    """(3, 3) random rotation with the object's z axis along `up` (camera frame), or rarely lying on a side."""
    z = up / np.linalg.norm(up)
    x = np.cross(z, rng.normal(size=3))
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    if rng.random() < 0.25:
        rotation = (
            rotation @ Rotation.from_euler("xz", [rng.choice([90, 180, 270]), rng.uniform(0, 360)], True).as_matrix()
        )
    return rotation


def random_material(rng: np.random.Generator, jitter: float, gloss: float) -> Material:
    """An object's own colours, jittered in brightness, saturation and a little in hue."""
    bright = np.exp(rng.normal(0, 0.16 * jitter))
    saturation = np.exp(rng.normal(0, 0.15 * jitter))
    luma = np.array([0.299, 0.587, 0.114])
    desaturate = np.outer(np.ones(3), luma)
    hue = Rotation.from_rotvec(np.ones(3) / np.sqrt(3) * rng.normal(0, np.radians(4) * jitter)).as_matrix()
    tint = bright * np.diag(np.exp(rng.normal(0, 0.04 * jitter, 3))) @ hue
    tint = tint @ (saturation * np.eye(3) + (1 - saturation) * desaturate)
    return Material(tint.astype(np.float32), gloss * float(rng.uniform(0.3, 1.2)), float(rng.uniform(8, 60)))


def random_lights(
    rng: np.random.Generator, background: Background, jitter: float = 1.0
) -> tuple[list[Light], NDArray[np.float64]]:
    """One to four lights above the scene and an ambient colour, of one or two colour temperatures."""
    up = np.array([0.0, -0.8, -0.6]) if background.plane is None else background.plane[:3]
    warmth = rng.normal(0, 0.10 * jitter)
    white = np.array([1 + warmth, 1.0, 1 - warmth])
    count = int(rng.integers(1, 5))
    shares = rng.dirichlet(np.ones(count))
    ambient_share = rng.uniform(0.25, 0.7)
    level = float(np.exp(rng.normal(-0.1, 0.3 * jitter)))
    lights = []
    for share in shares:
        direction = up / np.linalg.norm(up) + rng.normal(0, 0.55, 3)
        direction /= np.linalg.norm(direction)
        color = level * (1 - ambient_share) * 1.6 * share * white * np.exp(rng.normal(0, 0.05 * jitter, 3))
        position = np.array([0, 0, 0.8]) + direction * rng.uniform(0.8, 3.0)
        lights.append(Light(direction if rng.random() < 0.4 else position, color, bool(rng.random() < 0.4)))
    for light in lights:
        if light.directional:
            light.position = light.position / np.linalg.norm(light.position)
    return lights, level * ambient_share * white


def random_sensor(base: SensorConfig, rng: np.random.Generator) -> SensorConfig:
    """A sensor whose effects are between absent and twice as strong as in `base`."""
    strength = rng.uniform(0.3, 1.8, 4)
    return replace(
        base,
        axial_base=base.axial_base * strength[0],
        axial_quadratic=base.axial_quadratic * strength[0],
        lateral=base.lateral * strength[1],
        edge_dropout=float(np.clip(base.edge_dropout * 2 * rng.random(), 0, 1)),
        flying_pixels=float(np.clip(base.flying_pixels * strength[1], 0, 1)),
        shadow_baseline=base.shadow_baseline * float(rng.choice([0, 0, 0.5, 1, 1, -0.7])),
        dark_dropout=float(np.clip(base.dark_dropout * 2 * rng.random(), 0, 1)),
        quantisation=str(rng.choice(["millimetre", "disparity", "disparity"]))
        if base.quantisation != "none"
        else "none",
        color_noise=base.color_noise * strength[2],
        blur=base.blur * strength[3] * 1.2,
    )


def ground_truth(surface: Surface, bodies: list[Body], min_visible: int) -> list[GroundTruthObject]:
    """What is visible of the known objects among `bodies`, largest first not implied; order of drawing."""
    out = []
    counts = np.bincount(surface.index[surface.index >= 0].ravel(), minlength=len(bodies))
    for number, body in enumerate(bodies):
        if body.obj_id == 0 or counts[number] < min_visible:
            continue
        mask = surface.index == number
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        box = np.array([x, y, x + width, y + height], float)
        visibility = float(min(1.0, counts[number] / max(surface.silhouettes[number], 1)))
        out.append(GroundTruthObject(body.obj_id, body.pose, visibility, box, mask, body.instance_id))
    return out


def _expose(image: NDArray[np.float32], background: Background, rng: np.random.Generator) -> NDArray[np.float32]:
    """Automatic exposure of the whole frame, imperfect as it is: a gain, a gamma and a white balance."""
    mean = float(image.mean())
    gain = np.clip(rng.uniform(85, 150) / max(mean, 1), 0.7, 1.6) if rng.random() < 0.7 else rng.uniform(0.6, 1.2)
    gamma = rng.uniform(0.85, 1.2)
    balance = np.exp(rng.normal(0, 0.04, 3)).astype(np.float32)
    # A camera's response bends before it clips, so that white things keep some shape.
    level = np.linspace(0, 1, 1024)[:, None] ** gamma * (gain * balance)
    table = (255 * level / (1 + level**4) ** 0.25).astype(np.float32)
    steps = (np.clip(image, 0, 255) * np.float32(1023 / 255) + np.float32(0.5)).astype(np.int16)
    return np.stack([table[steps[..., c], c] for c in range(3)], axis=-1)

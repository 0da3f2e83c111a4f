"""Independent, domain-randomised frames for training: any frame follows from (seed, index) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.ground_truth import ground_truth
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material, contact_shadows, draw, shade, soften_edges
from pose_tracking.simulation.scenery.backgrounds import Background, RecordedBackgrounds
from pose_tracking.simulation.scenery.distractors import Distractors
from pose_tracking.simulation.scenery.materials import object_material
from pose_tracking.simulation.scenery.rooms import draw_room
from pose_tracking.simulation.sensor import SensorConfig, jpeg, measure_color, measure_depth

from .items import Item
from .randomization import camouflage, cast_shadows, darken, expose, random_lights, random_sensor
from .scattered import Scattered
from .tabletop import Tabletop

TABLE_ELEVATION = (16.0, 60.0)  # degrees from above at which a drawn table is seen
SAME_PAINT = 0.3  # share of the things that have the paint of an object without a colour of its own
MIN_TABLE = 0.06  # share of the picture that a table must cover to hold a layout


@dataclass(frozen=True)
class RandomSceneConfig:
    """What random training frames look like.

    Each part of the randomisation has its switch: `jitter` 0 (light and material), `clutter` (0, 0), `recorded` 0,
    `noise` 0 (sensor), `crowding` and `thin` 0 (occlusion), `tables` 0, `camouflage` and `dark` 0 (backgrounds).
    """

    width: int = option(640, "image width", unit="px", range=(64, 4096))
    height: int = option(480, "image height", unit="px", range=(48, 4096))
    focal: tuple[float, float] = option((525.0, 620.0), "range of the focal length", unit="px", range=(20, 10000))
    instances: tuple[int, int] = option((8, 14), "fewest and most instances of known objects", range=(0, 100))
    clutter: tuple[int, int] = option((3, 10), "fewest and most distractors", range=(0, 100))
    distance: tuple[float, float] = option((0.4, 1.4), "distance of object centres", unit="m", range=(0.05, 10))
    upright: float = option(0.5, "share of the objects that stand on the plane", range=(0, 1))
    crowding: float = option(0.55, "share of the objects put before or behind another one", range=(0, 1))
    tables: float = option(0.4, "share of the frames in which all stand close together on a table", range=(0, 1))
    thin: float = option(0.5, "share of the table frames with thin things that cut objects in two", range=(0, 1))
    camouflage: float = option(0.2, "share of the frames whose table has the colours of an object", range=(0, 1))
    dark: float = option(0.15, "share of the frames with a near black, featureless region", range=(0, 1))
    recorded: float = option(0.6, "share of the frames with a recorded background, where there are any", range=(0, 1))
    jitter: float = option(1.0, "strength of colour and light variation; 0 is one plain light", range=(0, 2))
    noise: float = option(1.0, "strength of all effects of `sensor`; 0 is a perfect sensor", range=(0, 2))
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
        objects.require_meshes("to render")
        self.objects = objects
        self.config = config or RandomSceneConfig()
        self._backgrounds = backgrounds
        self._shapes = {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in objects.items() if m.mesh is not None}
        self._distractors = Distractors(objects)

    def render(self, seed: int, index: int) -> Sample:
        """Frame `index` of series `seed`; the same frame whenever and wherever it is rendered."""
        rng = np.random.default_rng([seed, index])
        config = self.config
        intrinsics = self._camera(rng)
        background, table = self._background(intrinsics, rng)
        wanted = self._wanted(rng)
        if rng.random() < config.camouflage and wanted and wanted[0].obj_id:
            worn = wanted[0].material.texture
            texture = self._distractors.texture(wanted[0].obj_id, rng) if worn is None else worn
            camouflage(background, texture, intrinsics, rng)
        if rng.random() < config.dark:
            darken(background, rng)
        if table is None:
            space = Scattered(background, intrinsics, config.distance, config.upright)
            bodies = space.arrange(wanted, config.crowding, rng)
        else:
            bodies = table.arrange(self._with_thin(wanted, rng), min(1.0, config.crowding * rng.uniform(0.7, 1.7)), rng)
        surface = background.surface
        draw(surface, bodies, intrinsics)
        lights, ambient = random_lights(rng, background, config.jitter)
        shadows = None
        if table is not None and bodies and rng.random() < 0.6:
            shadows = cast_shadows(surface, bodies, lights, intrinsics, rng)
        image = shade(surface, intrinsics, lights, ambient)
        if shadows is not None:
            image *= shadows[..., None]
        if rng.random() < 0.7:
            image = contact_shadows(image, surface, bodies, intrinsics)
        image = soften_edges(image, surface.index, float(rng.uniform(0.5, 1.1)))
        if config.jitter > 0:
            image = expose(image, rng)
        sensor = random_sensor(config.sensor, rng, config.noise, background.quantum, intrinsics)
        color = measure_color(image, sensor, rng)
        if config.noise > 0 and rng.random() < 0.5:
            color = jpeg(color, int(rng.integers(60, 96)))
        recorded = background.recorded & (surface.index < 0)
        depth = measure_depth(surface.depth, intrinsics, sensor, rng, color=color, protected=recorded)
        frame = RGBDFrame(color, depth, intrinsics, stamp_ns=index * 100_000_000)
        return Sample(frame, ground_truth(surface, bodies, config.min_visible))

    def _background(self, intrinsics: CameraIntrinsics, rng: np.random.Generator) -> tuple[Background, Tabletop | None]:
        """An empty scene, and its table where the frame is to be a table-top layout."""
        config = self.config
        wants_table = rng.random() < config.tables
        background = None
        if self._backgrounds is not None and rng.random() < config.recorded:
            background = self._backgrounds.sample(intrinsics, rng)
        elif not wants_table:
            background = draw_room(intrinsics, rng)
        if wants_table:
            # A recording without room on its table, or a camera that looks past the drawn one, gets another try.
            for _ in range(3):
                if background is None:
                    background = draw_room(intrinsics, rng, TABLE_ELEVATION)
                if background.plane is not None:
                    table = Tabletop(background, intrinsics, config.distance)
                    if table.share > MIN_TABLE:
                        return background, table
                last, background = background, None
            background = last
        assert background is not None
        return background, None

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

    def _wanted(self, rng: np.random.Generator) -> list[Item]:
        """What the frame is to show, in random order but for a known object first, where there is any."""
        config = self.config
        count = int(rng.integers(config.instances[0], config.instances[1] + 1))
        extra = int(rng.integers(config.clutter[0], config.clutter[1] + 1))
        # Few classes at a time make repeated ones.
        ids = rng.permutation(list(self.objects))[: int(rng.integers(min(2, len(self.objects)), len(self.objects) + 1))]
        wanted = rng.permutation(np.concatenate([rng.choice(ids, count), np.zeros(extra, int)]))
        if count:
            first = int(np.flatnonzero(wanted)[0])
            wanted[[0, first]] = wanted[[first, 0]]
        gloss = float(rng.choice([0.02, 0.1, 0.3, 0.6])) if config.jitter > 0 else 0.1
        items: list[Item] = []
        paints: list[Material] = []  # of meshes without colour
        for obj_id in map(int, wanted):
            if obj_id:
                shape = self._shapes[obj_id]
                material = object_material(rng, shape, config.jitter, gloss, painted=config.jitter > 0)
            else:
                shape, material = self._distractors.draw(rng)
            # Copies of a thing look the same, and other things have its colours too: only shape tells them apart.
            if paints and (obj_id == 0 or material.texture is not None) and rng.random() < SAME_PAINT:
                material = paints[int(rng.integers(len(paints)))]
            elif obj_id and material.texture is not None:
                paints.append(material)
            items.append(Item(shape, obj_id, material))
        return items

    def _with_thin(self, wanted: list[Item], rng: np.random.Generator) -> list[Item]:
        """`wanted` with, at times, a few thin things that stand before objects; they come last."""
        if rng.random() >= self.config.thin:
            return wanted
        thin = [self._distractors.draw_thin(rng) for _ in range(int(rng.integers(1, 4)))]
        return wanted + [Item(shape, 0, material, thin=True) for shape, material in thin]

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import transform_points
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.frames.items import Item
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes
from pose_tracking.simulation.frames.tabletop import Tabletop
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.scenery.distractors import Distractors
from pose_tracking.simulation.scenery.rooms import draw_room

CAMERA = CameraIntrinsics(320, 240, 285.0, 285.0, 159.5, 119.5)
CONFIG = RandomSceneConfig(width=320, height=240, focal=(262.0, 310.0), tables=1.0)


@pytest.fixture(scope="module")
def shapes(demo_objects):
    return {i: Shape.of(MeshRaycaster(m.mesh)) for i, m in demo_objects.items()}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_everything_stands_on_the_table_apart_from_the_rest(shapes, seed):
    rng = np.random.default_rng(seed)
    background = draw_room(CAMERA, rng, (25, 50))
    table = Tabletop(background, CAMERA, (0.4, 1.4))
    if table.share < 0.06:
        return
    items = [Item(shapes[int(i)], int(i), Material()) for i in rng.integers(1, 7, 8)]
    bodies = table.arrange(items, 0.7, rng)
    assert background.plane is not None
    up, offset = background.plane[:3], background.plane[3]
    centres = []
    for body in bodies:
        height = transform_points(body.pose, body.caster.mesh.vertices) @ up + offset
        assert height.min() == pytest.approx(0, abs=1e-5)  # neither floats nor sinks
        np.testing.assert_allclose(body.pose[:3, :3] @ body.pose[:3, :3].T, np.eye(3), atol=1e-9)
        centres.append(body.pose[:3, 3])
    for a in range(len(centres)):  # footprints do not meet, so nothing stands in the middle of anything else
        for b in range(a):
            assert np.linalg.norm(centres[a] - centres[b]) > 0.02


def test_about_a_third_of_the_objects_is_partly_hidden(demo_objects):
    scenes = RandomScenes(demo_objects, CONFIG)
    seen = [o.visibility for index in range(10) for o in scenes.render(3, index).objects or ()]
    assert len(seen) > 50
    assert 0.2 < np.mean(np.array(seen) < 0.9) < 0.65


def test_thin_things_cut_objects_in_two(demo_objects):
    import cv2

    def cut(config):
        scenes, count = RandomScenes(demo_objects, config), 0
        for index in range(6):
            for entry in scenes.render(5, index).objects or ():
                assert entry.mask is not None
                _, _, stats, _ = cv2.connectedComponentsWithStats(entry.mask.astype(np.uint8))
                count += (stats[1:, cv2.CC_STAT_AREA] > 20).sum() > 1
        return count

    assert cut(replace(CONFIG, thin=1.0)) > cut(replace(CONFIG, thin=0.0))


def test_no_distractor_has_an_objects_shape_and_colours(demo_objects):
    distractors = Distractors(demo_objects)
    sides = [np.sort(np.ptp(m.mesh.vertices, axis=0)) for m in demo_objects.values()]
    assert distractors._deformed
    for shape, _ in distractors._deformed:
        own = np.sort(np.ptp(shape.hull, axis=0))
        assert all(np.maximum(own / s, s / own).max() > 1.25 for s in sides)

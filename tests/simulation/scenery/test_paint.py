"""Objects whose meshes have no colour are shown in any; those that have keep theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from presence import present

from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes
from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.scenery.distractors import Distractors
from pose_tracking.simulation.scenery.materials import object_material
from pose_tracking.simulation.scenery.paint import printed_texture, random_paint, recolored_texture
from pose_tracking.simulation.sequences.plain import SequenceConfig, SequenceSimulator
from pose_tracking.simulation.sequences.stress import StressConfig, StressSequence

CONFIG = RandomSceneConfig(width=320, height=240, focal=(262.0, 310.0), noise=0.0)


@pytest.fixture(scope="module")
def colorless(demo_objects, tmp_path_factory):
    """Two of the demo objects as CAD files have them: in one grey."""
    folder = tmp_path_factory.mktemp("colorless")
    models = {}
    for obj_id in (2, 4):
        model, path = demo_objects[obj_id], folder / f"obj_{obj_id:06d}.ply"
        save_mesh(replace(model.mesh, colors=np.full_like(model.mesh.colors, 128)), path)
        models[obj_id] = replace(model, mesh_path=path)
    return ObjectSet(models)


def instance_colors(objects, config, frames):
    """(N, 3) median RGB of the instances that are well seen."""
    scenes = RandomScenes(objects, config)
    samples = [scenes.render(3, index) for index in range(frames)]
    masks = [(s.frame.color, present(o.mask)) for s in samples for o in s.objects or ()]
    return np.array([np.median(color[mask], axis=0) for color, mask in masks if mask.sum() > 300])


def test_an_object_without_colour_is_shown_in_all_colours(colorless):
    colors = instance_colors(colorless, CONFIG, 6)
    assert len(colors) > 20
    # The light alone makes some spread, but no hues: a mesh shown grey stays below 13 here.
    assert np.percentile(np.ptp(colors, axis=1), 60) > 25
    assert (np.ptp(colors, axis=0) > 100).all()


def test_without_jitter_it_stays_as_its_mesh_is(colorless):
    colors = instance_colors(colorless, replace(CONFIG, jitter=0.0), 2)
    assert np.ptp(colors, axis=1).max() <= 8


def test_copies_of_one_paint_and_others_in_it_are_in_a_frame(colorless):
    scenes = RandomScenes(colorless, CONFIG)
    worn = [item for seed in range(10) for item in scenes._wanted(np.random.default_rng(seed))]
    known = {id(item.material): 0 for item in worn if item.obj_id}
    assert all(item.material.texture is not None for item in worn if item.obj_id)
    for item in worn:
        if id(item.material) in known:
            known[id(item.material)] += 1
    alike = [item for item in worn if item.obj_id == 0 and id(item.material) in known]
    assert sum(count > 1 for count in known.values()) > 10
    assert len(alike) > 5


def test_a_mesh_with_colours_keeps_them(demo_objects, colorless):
    mixed = ObjectSet({1: demo_objects[1], 2: colorless[2]})
    scenes = RandomScenes(mixed, CONFIG)
    items = [item for seed in range(6) for item in scenes._wanted(np.random.default_rng(seed)) if item.obj_id]
    assert {item.obj_id for item in items} == {1, 2}
    for item in items:
        assert (item.material.texture is None) == (item.obj_id == 1)


def test_no_distractor_is_left_grey_for_an_object_that_is_not(colorless):
    """Else what is grey would be known to be no object."""
    distractors, rng = Distractors(colorless), np.random.default_rng(0)
    drawn = [distractors.draw(rng) for _ in range(300)]
    stock = {id(shape) for shape, _ in distractors._deformed}
    deformed = [material for shape, material in drawn if id(shape) in stock]
    assert len(deformed) > 20
    assert all(material.texture is not None for material in deformed)
    textures = [distractors.texture(2, rng) for _ in range(20)]
    assert np.ptp([texture.mean((0, 1)) for texture in textures], axis=0).min() > 60


@pytest.mark.parametrize("make", [printed_texture, recolored_texture])
def test_paints_have_several_colours_and_repeat_by_seed(make):
    counts = []
    for seed in range(12):
        texture = make(np.random.default_rng(seed))
        np.testing.assert_array_equal(texture, make(np.random.default_rng(seed)))
        counts.append(len(np.unique(texture.reshape(-1, 3), axis=0)))
    assert np.median(counts) >= 2
    assert max(counts) > 5


def test_a_paint_covers_the_object_at_its_own_scale():
    """A thing twice as large with the same draw has the same picture on it, twice as large."""
    small, large = (random_paint(np.random.default_rng(5), extent) for extent in (0.1, 0.2))
    np.testing.assert_array_equal(small.texture, large.texture)
    np.testing.assert_allclose(present(small.texture_frame)[:, :3], 2 * present(large.texture_frame)[:, :3])


def test_sequences_paint_it_too_and_copies_in_stress_alike(colorless):
    plain = SequenceSimulator(colorless, SequenceConfig(frames=2, width=160, height=120, focal=142.5), 92001)
    worn = [m for entry, m in zip(plain.placed, plain._materials, strict=True) if entry.obj_id]
    assert all(material.texture is not None for material in worn)
    assert len({id(material) for material in worn}) == len(worn)
    stress = StressSequence(colorless, StressConfig(frames=2, fps=1, width=160, height=120, focal=142.5), 92006)
    for obj_id in stress.twins:
        worn = [m for entry, m in zip(stress.placed, stress._materials, strict=True) if entry.obj_id == obj_id]
        assert worn[0].texture is not None
        assert len({id(material) for material in worn}) == 1


def test_the_shape_says_whether_a_mesh_is_painted(demo_objects, colorless):
    rng = np.random.default_rng(0)
    for objects, painted in ((demo_objects, False), (colorless, True)):
        shape = Shape.of(MeshRaycaster(objects[2].mesh))
        assert (object_material(rng, shape, 1.0, 0.1).texture is not None) == painted

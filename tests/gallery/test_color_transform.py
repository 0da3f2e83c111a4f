"""What colours a copy has beside its model, from any side and in any light."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.gallery.color_transform import (
    COLOR_DIMENSIONS,
    COLOR_WEIGHT,
    PRIOR,
    VIEWS_DIFFER,
    WITH_COLORS,
    ColorSamples,
    color_features,
    color_matrix,
    color_transform,
    distance_of_picture,
    with_colors,
)
from pose_tracking.gallery.model_colors import CopyColors, ModelColors
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.rendering.renderer import Body, Light, Material, Surface, draw, shade

PALETTE = np.array([[200, 40, 40], [40, 60, 190], [220, 220, 210], [240, 200, 60], [60, 150, 70]], float)
CAMERA = CameraIntrinsics(160, 160, 300.0, 300.0, 79.5, 79.5)


def samples(parameters: np.ndarray, rng: np.random.Generator, count: int = 300, noise: float = 2.0) -> ColorSamples:
    """Pixels of a copy, each lit as it happens to be."""
    expected = PALETTE[rng.integers(len(PALETTE), size=count)]
    shading = rng.uniform(0.35, 0.95, (count, 1))
    observed = shading * (expected @ color_matrix(parameters).T) + rng.normal(0, noise, (count, 3))
    return ColorSamples(np.clip(observed, 1, 255).astype(np.float32), expected.astype(np.float32))


def test_the_transform_is_found_under_any_shading():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        true = rng.normal(0, 0.6 * PRIOR)
        assert np.abs(color_transform(samples(true, rng)) - true).max() < 0.03


def test_parts_of_something_else_hardly_move_it():
    rng = np.random.default_rng(1)
    true = np.array([0.1, 0.05, -0.04, 0.03])
    clean = samples(true, rng)
    other = clean.observed.copy()
    other[:45] = (30, 160, 90)  # 15 % of the mask
    assert np.abs(color_transform(ColorSamples(other, clean.expected)) - true).max() < 0.05


def test_what_shows_no_colour_is_taken_for_the_models_own():
    grey = np.full((100, 3), 120, np.float32)
    # Hue and saturation of grey cannot be seen; a red tinge can be light or paint, and is shared out.
    assert np.allclose(color_transform(ColorSamples(grey, grey)), 0, atol=1e-6)
    assert np.allclose(color_transform(ColorSamples(grey * np.array([1.1, 1, 1], np.float32), grey))[:2], 0, atol=0.02)


def test_features_compare_transforms_as_a_gaussian_does_and_only_within_a_class():
    rng = np.random.default_rng(0)
    zero = np.zeros(4)
    errors = []
    for _ in range(200):
        transform = rng.normal(0, VIEWS_DIFFER)
        a, b = color_features("mug", zero), color_features("mug", transform)
        assert np.linalg.norm(b) == pytest.approx(1, abs=1e-5)
        errors.append(float(a @ b) - np.exp(-0.5 * ((transform / (1.5 * VIEWS_DIFFER)) ** 2).sum()))
    assert np.sqrt(np.mean(np.square(errors))) < 0.15
    assert abs(float(color_features("mug", zero) @ color_features("top", zero))) < 0.4
    assert len(color_features("mug", zero)) == COLOR_DIMENSIONS


def test_a_picture_whose_colours_are_unknown_is_as_far_as_its_looks_say():
    looks = np.eye(8, dtype=np.float32)[:1]
    near = (0.96 * np.eye(8)[0] + np.sqrt(1 - 0.96**2) * np.eye(8)[1]).astype(np.float32)[None]
    known = with_colors(near, color_features("mug", np.zeros(4))[None])
    picture = with_colors(looks, None)
    assert np.linalg.norm(known) == pytest.approx(1)
    distance = 1 - (known @ picture.T).item()
    kind = "pooled detector features" + WITH_COLORS
    assert distance == pytest.approx(1 - 0.96 * np.sqrt(1 - COLOR_WEIGHT), abs=1e-5)
    assert distance_of_picture(distance, picture[0], kind) == pytest.approx(0.04, abs=1e-5)
    assert distance_of_picture(distance, known[0], kind) == distance
    assert distance_of_picture(distance, picture[0], "pooled detector features") == distance


def view(
    objects: ObjectSet, obj_id: int, turn: Rotation, tint: np.ndarray, lamp: float
) -> tuple[RGBDFrame, TrackedObject]:
    """An object from some side, in some light, and what a tracker would say of it."""
    mesh = objects[obj_id].mesh
    assert mesh is not None
    pose, caster = make_transform(turn.as_matrix(), [0, 0, 0.45]), MeshRaycaster(mesh)
    surface = Surface.empty(160, 160)
    draw(surface, [Body(caster, pose, obj_id, 1, Material(tint.astype(np.float32)))], CAMERA)
    lights = [Light(np.array([lamp, -1.0, -0.5]), 0.6 * np.ones(3))]
    image = shade(surface, CAMERA, lights, 0.4 * np.ones(3))
    mask = surface.index == 0
    frame = RGBDFrame(np.clip(image, 0, 255).astype(np.uint8), surface.depth, CAMERA, 1)
    size = objects[obj_id].size
    thing = TrackedObject(
        1, obj_id, objects[obj_id].name, TrackState.CONFIRMED, pose, None, None, size, 1.0, 1.0, np.zeros(4), 3, 1.0, 0,
        0.0, 3, mask,
    )  # fmt: skip
    return frame, thing


def test_a_copy_is_known_from_its_other_side(demo_objects: ObjectSet) -> None:
    """The sides of a house differ far more than two houses do: a plain comparison of colours is of no use."""
    obj_id = next(i for i, model in demo_objects.items() if model.name == "house")
    colors = ModelColors(demo_objects)
    paints = [color_matrix(np.array([0.0, hue, 0.0, 0.0])) for hue in (-0.08, 0.08)]
    found, means = {}, {}
    for paint, tint in enumerate(paints):
        for side in range(4):
            turn = Rotation.from_euler("xy", [-0.7, side * np.pi / 2])
            frame, thing = view(demo_objects, obj_id, turn, tint, lamp=1.0 if side % 2 else -1.0)
            samples = colors.sample(frame, thing)
            assert samples is not None
            found[paint, side] = CopyColors.of("house", samples).transform
            assert thing.mask is not None
            means[paint, side] = frame.color[thing.mask].mean(0)
    hues = {key: transform[1] for key, transform in found.items()}
    assert max(hues[0, side] for side in range(4)) < -0.03
    assert min(hues[1, side] for side in range(4)) > 0.03
    # While the mean colours of two sides differ more than those of the two houses.
    sides = np.mean([np.linalg.norm(means[0, a] - means[0, b]) for a in range(4) for b in range(a)])
    copies = np.mean([np.linalg.norm(means[0, a] - means[1, a]) for a in range(4)])
    assert sides > copies


def test_what_is_not_known_is_not_sampled(demo_objects: ObjectSet) -> None:
    obj_id = next(iter(demo_objects))
    frame, thing = view(demo_objects, obj_id, Rotation.identity(), np.eye(3), 1.0)
    colors = ModelColors(demo_objects)
    assert colors.sample(frame, thing) is not None
    thing.mask = np.zeros_like(frame.depth, bool)
    assert colors.sample(frame, thing) is None
    thing.pose = None
    assert colors.sample(frame, thing) is None
    assert np.array_equal(CopyColors.of("house", None).transform, np.zeros(4))
    grey = ObjectSet({i: model for i, model in demo_objects.items() if i == obj_id})
    assert ModelColors.are_known(grey)
    assert not ModelColors.are_known(ObjectSet({}))

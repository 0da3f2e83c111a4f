from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.simulation.ground_truth import ground_truth
from pose_tracking.simulation.rendering.renderer import Body, Light, Material, Surface, draw, shade, soften_edges
from pose_tracking.simulation.scenery.primitives import box, build_mesh, ellipsoid

CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)


def body(shape, position, obj_id=1):
    return Body(MeshRaycaster(build_mesh([shape])), make_transform(np.eye(3), position), obj_id)


def rendered(*bodies):
    surface = Surface.empty(CAMERA.height, CAMERA.width)
    draw(surface, list(bodies), CAMERA)
    return surface


def test_depth_of_a_box_front_is_exact():
    surface = rendered(body(box((0.2, 0.2, 0.1), (200, 0, 0)), (0, 0, 0.8)))
    assert surface.depth[60, 80] == pytest.approx(0.75, abs=1e-5)
    seen = surface.index >= 0
    # 0.2 m at 0.75 m and 150 px: 40 px wide, pixel centres at integers.
    assert seen[60].sum() == pytest.approx(40, abs=1)
    assert np.abs(surface.depth[seen] - 0.75).max() < 1e-4


def test_depth_of_a_sphere_follows_the_formula():
    radius, distance = 0.1, 0.6
    surface = rendered(body(ellipsoid((radius,) * 3, 96, (0, 0, 200)), (0, 0, distance)))
    rows, cols = np.nonzero(surface.index == 0)
    ray = np.stack([(cols - 80) / 150, (rows - 60) / 150, np.ones(len(rows))], 1)
    a, b, c = (ray**2).sum(1), -2 * distance, distance**2 - radius**2
    root = b**2 - 4 * a * c
    inner = root > 0.02  # the very rim is where a polygon differs from a sphere
    expected = (-b - np.sqrt(root[inner])) / (2 * a[inner])
    np.testing.assert_allclose(surface.depth[rows, cols][inner], expected, atol=1.5e-3)


def test_visibility_is_the_share_that_is_not_hidden():
    back = body(box((0.2, 0.2, 0.02), (0, 200, 0)), (0, 0, 0.80), obj_id=2)
    front = body(box((0.2, 0.2, 0.02), (200, 0, 0)), (0.075, 0, 0.60), obj_id=0)
    surface = rendered(back, front)
    truth = ground_truth(surface, [back, front], 10)
    assert [o.obj_id for o in truth] == [2]  # clutter is no ground truth
    whole = (rendered(back).index == 0).sum()
    visibility, mask, box_px = truth[0].visibility, truth[0].mask, truth[0].box
    assert visibility is not None
    assert mask is not None
    assert box_px is not None
    assert visibility == pytest.approx(mask.sum() / whole)
    assert 0.1 < visibility < 0.9
    x0, y0, x1, y1 = box_px.astype(int)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert mask[:, x1 - 1].any()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_body_wins_in_any_order(order):
    bodies = [
        body(box((0.2, 0.2, 0.02), (0, 200, 0)), (0, 0, 0.80), obj_id=2),
        body(box((0.1, 0.1, 0.02), (200, 0, 0)), (0, 0, 0.60), obj_id=1),
    ]
    surface = rendered(*(bodies[i] for i in order))
    assert bodies[order[surface.index[60, 80]]].obj_id == 1
    assert surface.depth[60, 80] == pytest.approx(0.59, abs=1e-4)


def test_a_silhouette_cut_by_the_image_border_counts_in_full():
    cut = body(box((0.2, 0.2, 0.02), (0, 200, 0)), (0.8 * 80 / 150, 0, 0.8))  # centred on the right border
    truth = ground_truth(rendered(cut), [cut], 10)
    assert truth[0].visibility == pytest.approx(0.5, abs=0.08)


def test_less_than_the_smallest_visible_area_is_left_out():
    far = body(box((0.01, 0.01, 0.01), (0, 200, 0)), (0, 0, 0.7))
    surface = rendered(far)
    visible = int((surface.index == 0).sum())
    assert visible > 0
    assert ground_truth(surface, [far], visible)
    assert not ground_truth(surface, [far], visible + 1)


def test_light_falls_off_with_the_cosine():
    surface = rendered(body(box((0.2, 0.2, 0.02), (255, 255, 255)), (0, 0, 0.8)))
    surface.specular[:] = 0
    values = []
    for angle in (0, 60):
        direction = np.array([np.sin(np.radians(angle)), 0, -np.cos(np.radians(angle))])
        image = shade(surface, CAMERA, [Light(direction, np.full(3, 0.5), directional=True)], np.zeros(3))
        values.append((image[60, 80, 0] / 255) ** 2.2)
    assert values[0] == pytest.approx(0.5, abs=0.01)
    assert values[1] == pytest.approx(0.25, abs=0.01)


def test_edges_are_softened_and_the_inside_is_not():
    surface = rendered(body(box((0.2, 0.2, 0.02), (255, 255, 255)), (0, 0, 0.8)))
    soft = soften_edges(surface.albedo, surface.index, 0.8)
    changed = np.abs(soft - surface.albedo).max(2) > 1
    assert changed.any()
    assert not changed[55:65, 75:85].any()


def test_a_texture_lies_where_its_frame_says():
    """Half red, half blue, the border at x = 2 cm of the object."""
    texture = np.zeros((256, 256, 3), np.uint8)
    texture[:128, :, 0], texture[128:, :, 2] = 255, 255
    frame = np.array([[0, 1, 0, 0.5], [0, 0, 1, 0.5], [5, 0, 0, 0.4]], np.float32)  # v = 5 x + 0.4
    painted = Body(
        MeshRaycaster(build_mesh([box((0.2, 0.2, 0.1), (90, 90, 90))])),
        make_transform(np.eye(3), (0, 0, 0.8)),
        material=Material(texture=texture, texture_frame=frame),
    )
    surface = rendered(painted)
    row = surface.albedo[60]
    for x, channel in ((-0.08, 0), (0.01, 0), (0.03, 2), (0.08, 2)):
        column = round(80 + x * 150 / 0.75)
        assert row[column, channel] > 250
        assert row[column, 2 - channel] < 5

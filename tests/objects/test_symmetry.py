from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pose_tracking.core.geometry import rotation_angle, transform_points
from pose_tracking.objects import symmetry_transforms

HALF_TURN = [-1, 0, 0, 20, 0, -1, 0, 10, 0, 0, 1, 0, 0, 0, 0, 1]


def test_no_symmetry_is_the_identity() -> None:
    np.testing.assert_array_equal(symmetry_transforms({}), np.eye(4)[None])


def test_discrete_symmetries_are_scaled_to_metres() -> None:
    transforms = symmetry_transforms({"symmetries_discrete": [HALF_TURN]})
    assert transforms.shape == (2, 4, 4)
    np.testing.assert_array_equal(transforms[0], np.eye(4))
    np.testing.assert_allclose(transforms[1][:3, 3], [0.02, 0.01, 0])
    np.testing.assert_allclose(transforms[1] @ transforms[1], np.eye(4), atol=1e-12)


@given(
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda a: np.linalg.norm(a) > 0.1),
    st.tuples(*[st.floats(-50, 50)] * 3),
    st.integers(2, 40),
)
def test_a_continuous_symmetry_turns_about_its_axis(
    axis: tuple[float, ...], offset: tuple[float, ...], steps: int
) -> None:
    info = {"symmetries_continuous": [{"axis": axis, "offset": offset}]}
    transforms = symmetry_transforms(info, continuous_steps=steps)
    assert transforms.shape == (steps, 4, 4)
    on_axis = np.array(offset) / 1000 + np.array([[0.0], [0.1], [-0.3]]) * np.array(axis)
    np.testing.assert_allclose(
        transform_points(transforms, on_axis), np.broadcast_to(on_axis, (steps, 3, 3)), atol=1e-9
    )
    turned = np.sort(rotation_angle(transforms[:, :3, :3]))
    expected = 2 * np.pi * np.arange(steps) / steps
    np.testing.assert_allclose(turned, np.sort(np.minimum(expected, 2 * np.pi - expected)), atol=1e-6)


def test_discrete_and_continuous_symmetries_combine() -> None:
    info = {
        "symmetries_discrete": [[1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1]],
        "symmetries_continuous": [{"axis": [0, 0, 1], "offset": [0, 0, 0]}],
    }
    transforms = symmetry_transforms(info, continuous_steps=8)
    assert transforms.shape == (16, 4, 4)
    np.testing.assert_allclose(transforms[0], np.eye(4))
    up = transforms[:, 2, 2]
    np.testing.assert_allclose(up, [1] * 8 + [-1] * 8, atol=1e-12)
    assert len(np.unique(np.round(transforms, 6), axis=0)) == 16


def test_real_symmetries_map_the_mesh_onto_itself(linemod_objects) -> None:
    from scipy.spatial import cKDTree

    assert [o for o, m in linemod_objects.items() if m.is_symmetric] == [10, 11]
    for obj_id in (10, 11):
        model = linemod_objects[obj_id]
        points, _ = model.mesh.sample_surface(20000)
        distance, _ = cKDTree(points).query(transform_points(model.symmetries[1], points[:2000]))
        assert np.median(distance) < 0.03 * model.diameter

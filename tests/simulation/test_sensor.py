from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.simulation.sensor import SensorConfig, jpeg, measure_color, measure_depth, quantise

CAMERA = CameraIntrinsics(320, 240, 285.0, 285.0, 160.0, 120.0)
QUIET = SensorConfig(
    axial_base=0, axial_quadratic=0, lateral=0, edge_dropout=0, flying_pixels=0, shadow_baseline=0, grazing_angle=90,
    dark_dropout=0, specular_dropout=0, speckle_dropout=0, quantisation="none", color_noise=0, blur=0,
)  # fmt: skip


def flat(distance):
    return np.full((240, 320), distance, np.float32)


def step():
    depth = flat(1.2)
    depth[80:160, 120:200] = 0.7
    return depth


def test_a_quiet_sensor_reads_the_truth():
    np.testing.assert_array_equal(measure_depth(step(), CAMERA, QUIET, np.random.default_rng(0)), step())


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_axial_noise_has_the_stated_sigma(distance):
    config = replace(QUIET, axial_base=0.001, axial_quadratic=0.002, axial_correlation=0.0)
    noise = measure_depth(flat(distance), CAMERA, config, np.random.default_rng(1)) - distance
    sigma = 0.001 + 0.002 * (distance - 0.4) ** 2
    assert noise.std() == pytest.approx(sigma, rel=0.03)
    assert abs(noise.mean()) < 0.05 * sigma


def test_correlated_noise_is_shared_by_neighbours():
    def correlation(share):
        config = replace(QUIET, axial_base=0.002, axial_correlation=share)
        noise = measure_depth(flat(1.0), CAMERA, config, np.random.default_rng(1)) - 1
        return np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]

    assert abs(correlation(0.0)) < 0.02
    assert correlation(0.8) > 0.25


def test_outlines_lose_readings_or_fly_but_surfaces_do_not():
    config = replace(QUIET, edge_dropout=0.5, flying_pixels=0.3)
    read = measure_depth(step(), CAMERA, config, np.random.default_rng(2))
    changed = read != step()
    near_edge = np.zeros_like(changed)
    near_edge[77:163, 117:203] = True
    near_edge[83:157, 123:197] = False
    assert not changed[~near_edge].any()
    flying = (read > 0.705) & (read < 1.195)
    assert flying.sum() > 20
    assert (read[near_edge] == 0).mean() > 0.1


def test_a_projector_to_the_right_leaves_a_shadow_to_the_left():
    config = replace(QUIET, shadow_baseline=0.075)
    holes = measure_depth(step(), CAMERA, config, np.random.default_rng(0)) == 0
    width = 285 * 0.075 * (1 / 0.7 - 1 / 1.2)
    assert holes[120, :120].sum() == pytest.approx(width, abs=2)
    assert not holes[120, 120:].any()
    mirrored = measure_depth(step(), CAMERA, replace(config, shadow_baseline=-0.075), np.random.default_rng(0)) == 0
    assert mirrored[120, 200:].sum() == pytest.approx(width, abs=2)
    assert not mirrored[120, :200].any()


def test_grazing_surfaces_have_no_reading():
    cols = np.arange(320, dtype=np.float32)
    # depth of a plane 85 degrees from facing the camera, kept in front of it
    depth = np.broadcast_to(1 / (1 - (cols - 160) / 285 * np.tan(np.radians(60))), (240, 320)).astype(np.float32)
    depth = np.where((depth > 0) & (depth < 3), depth, 0)
    lost = {
        limit: float(
            (measure_depth(depth, CAMERA, replace(QUIET, grazing_angle=limit), np.random.default_rng(0)) == 0).mean()
        )
        for limit in (40.0, 88.0)
    }
    assert lost[40.0] > lost[88.0] + 0.2


def test_dark_surfaces_lose_patches():
    color = np.full((240, 320, 3), 120, np.uint8)
    color[:, :160] = 5
    read = measure_depth(flat(1.0), CAMERA, replace(QUIET, dark_dropout=0.5), np.random.default_rng(0), color=color)
    assert 0.3 < (read[:, :160] == 0).mean() < 0.7
    assert (read[:, 160:] > 0).all()


@settings(deadline=None, max_examples=30)
@given(st.floats(0.3, 4.0), st.sampled_from(["none", "millimetre", "disparity"]))
def test_quantisation_stays_within_half_a_step_and_keeps_holes(distance, kind):
    depth = np.array([[distance, 0.0]], np.float32)
    out = quantise(depth, CAMERA, replace(QUIET, quantisation=kind))
    half = {"none": 1e-6, "millimetre": 5.1e-4}.get(kind)
    if half is None:
        scale = CAMERA.fx * 0.075 / 0.125
        half = 0.5 * distance**2 / (scale - 0.5 * distance) + 6e-4
    assert abs(out[0, 0] - distance) <= half
    assert out[0, 1] == 0


def test_protected_pixels_get_no_second_noise():
    protected = np.zeros((240, 320), bool)
    protected[:, :100] = True
    config = replace(QUIET, axial_base=0.002)
    read = measure_depth(flat(1.0), CAMERA, config, np.random.default_rng(0), protected=protected)
    assert (read[:, :100] == 1).all()
    assert read[:, 100:].std() > 0.001


def test_too_far_is_not_read():
    assert not measure_depth(flat(5.0), CAMERA, replace(QUIET, max_depth=4.0), np.random.default_rng(0)).any()


def test_color_noise_has_about_the_stated_sigma_and_grows_with_brightness():
    def spread(level):
        image = np.full((240, 320, 3), level, np.float32)
        return measure_color(image, replace(QUIET, color_noise=4), np.random.default_rng(0)).astype(float).std()

    assert spread(128) == pytest.approx(4, rel=0.3)
    assert spread(200) > spread(30)


def test_jpeg_keeps_the_picture_roughly():
    gradient = np.broadcast_to(np.arange(320, dtype=np.uint16)[None, :, None] * 255 // 319, (240, 320, 3)).astype(
        np.uint8
    )
    out = jpeg(gradient, 80)
    assert out.shape == gradient.shape
    assert np.abs(out.astype(int) - gradient).mean() < 3
    assert (out != gradient).any()


def test_before_a_recorded_background_the_grain_of_the_depth_is_a_real_sensors():
    """Second differences along rows of recorded tables are zero in 45 to 65 % of the pixels, 1.2 mm at 1 m else."""
    from pose_tracking.simulation.frames.randomization import random_sensor
    from pose_tracking.simulation.scenery.backgrounds import KINECT_QUANTUM

    shares, spreads = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        sensor = random_sensor(SensorConfig(), rng, 1.0, KINECT_QUANTUM, CAMERA)
        slope = np.linspace(0.9, 1.1, CAMERA.height, dtype=np.float32)[:, None]
        depth = measure_depth(np.repeat(slope, CAMERA.width, 1), CAMERA, sensor, rng)
        middle, read = depth[:, 1:-1], (depth[:, 2:] > 0) & (depth[:, 1:-1] > 0) & (depth[:, :-2] > 0)
        second = (middle - (depth[:, 2:] + depth[:, :-2]) / 2)[read]
        shares.append(np.mean(np.abs(second) < 1e-4))
        spreads.append(second[np.abs(second) < 0.01].std())
    assert 0.4 < np.mean(shares) < 0.75
    assert 0.0006 < np.mean(spreads) < 0.0018
    assert max(shares) < 0.95  # never without noise


def test_a_perfect_sensor_changes_nothing():
    from pose_tracking.simulation.frames.randomization import random_sensor

    rng = np.random.default_rng(0)
    sensor = random_sensor(SensorConfig(), rng, 0.0, 0.003, CAMERA)
    depth = rng.uniform(0.5, 2.0, (CAMERA.height, CAMERA.width)).astype(np.float32)
    np.testing.assert_array_equal(measure_depth(depth, CAMERA, sensor, rng), depth)

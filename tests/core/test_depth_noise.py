"""What the models say of a reading, and what is measured where the image is asked."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pose_tracking.core.depth_noise import MODELS, DepthNoise, DepthNoiseConfig, measured_noise

Z = np.array([0.4, 1.0, 2.0])


def slanted(sigma: float, holes: float = 0.0, seed: int = 0) -> np.ndarray:
    """(480, 640) depth of a slanted floor, 0.7 to 1.7 m, with boxes on it, and independent noise."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:480, :640]
    depth = 1 / (1.4 - 0.0015 * rows) + 0.0002 * cols
    for _ in range(20):
        y, x = rng.integers(0, 440), rng.integers(0, 600)
        depth[y : y + 40, x : x + 40] -= 0.1
    depth += rng.normal(0, 1, depth.shape) * sigma
    depth[rng.random(depth.shape) < holes] = 0
    return depth.astype(np.float32)


def test_the_default_is_the_noise_of_a_kinect_to_the_bit() -> None:
    expected = 0.0012 + 0.0019 * np.maximum(Z - 0.4, 0.0) ** 2
    np.testing.assert_array_equal(DepthNoise(DepthNoiseConfig()).sigma(Z), expected)
    assert DepthNoise(DepthNoiseConfig()).excess(1.0) == 0.0


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (DepthNoiseConfig("stereo", baseline=0.05, focal=400.0, subpixel=0.1), [0.0008, 0.005, 0.02]),
        (DepthNoiseConfig("time_of_flight"), [0.001525, 0.0025, 0.004125]),
        (DepthNoiseConfig("astra"), [0.00048, 0.003, 0.012]),
        (DepthNoiseConfig("astra", scale=2.0), [0.00096, 0.006, 0.024]),
    ],
)
def test_each_kind_of_sensor_has_its_law(config: DepthNoiseConfig, expected: list[float]) -> None:
    np.testing.assert_allclose(DepthNoise(config).sigma(Z), expected)


def test_what_comes_on_top_of_a_kinect_adds_up_in_quadrature() -> None:
    noise = DepthNoise(DepthNoiseConfig(scale=5.0))
    kinect = float(DepthNoise(DepthNoiseConfig()).sigma(1.0))
    assert np.hypot(noise.excess(1.0), kinect) == pytest.approx(5 * kinect)
    assert DepthNoise(DepthNoiseConfig(scale=0.5)).excess(1.0) == 0.0


@pytest.mark.parametrize("sigma", [0.003, 0.005, 0.008])
@pytest.mark.parametrize("holes", [0.0, 0.6, 0.8])
def test_noise_is_measured_between_edges_and_holes(sigma: float, holes: float) -> None:
    noise = DepthNoise(DepthNoiseConfig("auto"), slanted(sigma, holes))
    np.testing.assert_allclose(noise.sigma(np.array([0.8, 1.0, 1.3])), sigma, rtol=0.25)


@pytest.mark.parametrize("model", ["stereo", "time_of_flight", "astra"])
def test_an_image_clearly_noisier_than_the_stated_sensor_is_believed(model: str) -> None:
    config = DepthNoiseConfig(model)
    stated = DepthNoise(config)
    for image in (slanted(0.002), slanted(0.002, holes=0.6)):  # as stated: nothing is changed
        noise = DepthNoise(config, image)
        np.testing.assert_array_equal(noise.sigma(Z), stated.sigma(Z))
        assert noise.exceeds() == 1.0
    worse = DepthNoise(config, slanted(0.015))
    np.testing.assert_allclose(worse.sigma(np.array([0.8, 1.0])), 0.015, rtol=0.25)
    assert worse.exceeds() > 2.0
    assert DepthNoise(DepthNoiseConfig(model, scale=8.0), slanted(0.015)).exceeds() == 1.0


def test_a_kinect_is_taken_at_its_word() -> None:
    """The default, which nobody stated: the check is fitted to it."""
    noise = DepthNoise(DepthNoiseConfig(), slanted(0.015))
    np.testing.assert_array_equal(noise.sigma(Z), DepthNoise(DepthNoiseConfig()).sigma(Z))


def test_a_finer_image_counts_as_a_kinects() -> None:
    """What neighbours share cannot be measured, so that none is taken to be better."""
    noise, kinect = DepthNoise(DepthNoiseConfig("auto"), slanted(0.0)), DepthNoise(DepthNoiseConfig())
    np.testing.assert_array_equal(noise.sigma(Z), kinect.sigma(Z))


@pytest.mark.parametrize("image", [np.zeros((480, 640)), np.full((16, 16), np.nan), np.ones((5, 5))])
def test_an_image_without_enough_readings_counts_as_a_kinects(image: np.ndarray) -> None:
    assert measured_noise(image.astype(np.float32)) is None
    noise = DepthNoise(DepthNoiseConfig("auto"), image.astype(np.float32))
    np.testing.assert_array_equal(noise.sigma(Z), DepthNoise(DepthNoiseConfig()).sigma(Z))


def test_an_image_of_nothing_but_noise_lets_not_everything_pass() -> None:
    image = np.random.default_rng(0).uniform(0, 3, (480, 640)).astype(np.float32)
    assert DepthNoise(DepthNoiseConfig("auto"), image).sigma(1.0) <= 0.02


@pytest.mark.parametrize("model", MODELS)
def test_any_depth_has_a_noise(model: str) -> None:
    sigma = DepthNoise(DepthNoiseConfig(model), slanted(0.005)).sigma(np.array([[0.1, 0.5], [3.0, 10.0]]))
    assert sigma.shape == (2, 2)
    assert (sigma > 0).all()


def test_measuring_takes_next_to_no_time() -> None:
    image, seconds = slanted(0.005), []
    for _ in range(10):
        start = time.thread_time()
        measured_noise(image)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.01  # CPU time: 1.5 ms where nothing else runs

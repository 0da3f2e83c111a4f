"""What an RGB-D sensor makes of a scene: depth noise, holes and shadows, quantisation; colour noise and blur.

Depth noise follows measurements of the Kinect: axial noise grows with the square of the distance (Khoshelham and
Elberink 2012; Nguyen, Izadi and Lovell 2012), lateral noise is below a pixel, and the disparity has 1/8 pixel steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option

from .rendering.textures import smooth_noise


@dataclass(frozen=True)
class SensorConfig:
    """Noise of the simulated RGB-D sensor; the defaults are close to a Kinect's."""

    axial_base: float = option(0.0008, "axial noise (sigma) at 0.4 m", unit="m", range=(0, 0.1))
    axial_quadratic: float = option(0.0019, "growth of the axial noise with (z - 0.4 m)^2", unit="1/m", range=(0, 1))
    axial_correlation: float = option(
        0.6, "share of the axial noise that neighbouring pixels have in common", range=(0, 1)
    )
    axial_width: int = option(3, "width of the patches that have noise in common", unit="px", range=(1, 50))
    lateral: float = option(0.7, "lateral noise (sigma): jagged outlines", unit="px", range=(0, 5))
    edge_dropout: float = option(0.35, "probability that a pixel at a depth step has no reading", range=(0, 1))
    flying_pixels: float = option(
        0.08, "probability that a pixel at a depth step reads between the surfaces", range=(0, 1)
    )
    shadow_baseline: float = option(
        0.075,
        "distance of the pattern projector, whose shadow is without reading; 0 is none",
        unit="m",
        range=(-0.3, 0.3),
    )
    grazing_angle: float = option(82.0, "angle of incidence past which readings fail", unit="deg", range=(0, 90))
    dark_dropout: float = option(0.12, "probability that patches of near black surface have no reading", range=(0, 1))
    specular_dropout: float = option(0.15, "probability that a saturated highlight has no reading", range=(0, 1))
    speckle_dropout: float = option(0.0005, "probability of an isolated hole", range=(0, 1))
    quantisation: str = option("disparity", "depth steps", choices=("none", "millimetre", "disparity"))
    disparity_baseline: float = option(0.075, "stereo baseline of the disparity steps", unit="m", range=(0.001, 1))
    disparity_step: float = option(0.125, "size of a disparity step", unit="px", range=(0.001, 2))
    max_depth: float = option(4.0, "farthest reading", unit="m", range=(0.1, 20))
    color_noise: float = option(2.5, "colour noise (sigma) at mid grey, of 255", range=(0, 100))
    blur: float = option(0.6, "blur of the colour image (sigma)", unit="px", range=(0, 10))


def measure_depth(
    depth: Float32,
    intrinsics: CameraIntrinsics,
    config: SensorConfig,
    rng: np.random.Generator,
    *,
    color: UInt8 | None = None,
    protected: Bool | None = None,
) -> Float32:
    """Depth as the sensor reads it.

    Args:
        depth: (H, W) float32 true depth in metres, 0 where there is nothing to read.
        intrinsics: camera of `depth`.
        config: strength of each effect.
        rng: source of randomness.
        color: (H, W, 3) uint8 RGB; near black and saturated surfaces fail where given.
        protected: (H, W) bool pixels that already hold a sensor's reading (a recorded background): they get holes
            and shadows, but no second noise.

    Returns:
        (H, W) float32 metres, 0 where there is no reading.
    """
    height, width = depth.shape
    out = _shift_outlines(depth, config, rng) if config.lateral > 0 else depth.copy()
    read = out > 0
    step = 0.02 + 0.01 * out
    low = cv2.erode(np.where(read, out, np.float32(100)), np.ones((3, 3), np.uint8))
    high = cv2.dilate(out, np.ones((3, 3), np.uint8))
    edge = read & ((high - low) > step) & (low < 100)
    chance = rng.random((height, width), dtype=np.float32)
    flying = edge & (chance < config.flying_pixels)
    out[flying] = low[flying] + rng.random(int(flying.sum()), dtype=np.float32) * (high - low)[flying]
    # Edge holes come in runs, not as salt and pepper.
    out[edge & _patches(rng, depth.shape, width // 6, config.edge_dropout)] = 0
    if config.grazing_angle < 90:
        out[_grazing(depth, intrinsics, config.grazing_angle) & (chance < 0.8)] = 0
    if config.shadow_baseline:
        out[_projector_shadow(depth, intrinsics, config.shadow_baseline)] = 0
    if color is not None and (config.dark_dropout > 0 or config.specular_dropout > 0):
        red, green, blue = cv2.split(color)
        darkness, brightness = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
        out[(darkness < 28) & _patches(rng, depth.shape, width // 16, config.dark_dropout)] = 0
        out[(brightness > 250) & _patches(rng, depth.shape, width // 16, config.specular_dropout)] = 0
    if config.speckle_dropout > 0:
        out[chance > 1 - config.speckle_dropout] = 0
    sigma = config.axial_base + config.axial_quadratic * np.maximum(out - 0.4, 0) ** 2
    common = np.float32(config.axial_correlation)
    noise = common * cv2.resize(
        rng.standard_normal((height // config.axial_width, width // config.axial_width), dtype=np.float32),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    ) + np.sqrt(1 - common**2, dtype=np.float32) * rng.standard_normal((height, width), dtype=np.float32)
    if protected is not None:
        noise[protected] = 0
    out = np.where(out > 0, out + sigma * noise, 0)
    out[(out > config.max_depth) | (out < 0.05)] = 0
    return quantise(out.astype(np.float32), intrinsics, config)


def quantise(depth: Float32, intrinsics: CameraIntrinsics, config: SensorConfig) -> Float32:
    """Depth (m) rounded to the sensor's steps: whole millimetres or whole disparity steps; 0 stays 0."""
    if config.quantisation == "none":
        return depth
    if config.quantisation == "millimetre":
        return (np.round(depth * 1000) / 1000).astype(np.float32)
    scale = np.float32(intrinsics.fx * config.disparity_baseline / config.disparity_step)
    disparity = np.round(scale / np.maximum(depth, np.float32(1e-3)))
    snapped = np.round(scale / np.maximum(disparity, 1) * 1000) / 1000  # drivers hand out whole millimetres
    return np.where(depth > 0, snapped, 0).astype(np.float32)


def measure_color(
    image: Float32, config: SensorConfig, rng: np.random.Generator, *, blur: float | None = None
) -> UInt8:
    """(H, W, 3) uint8 RGB as the sensor reads it: blur, then noise that is stronger in bright pixels (shot noise)."""
    sigma = config.blur if blur is None else blur
    out = cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.2 else image.copy()
    if config.color_noise > 0:
        height, width = image.shape[:2]
        # Luma noise by pixel and weaker chroma noise in 2x2 blocks, as demosaicing leaves it.
        luma = rng.standard_normal((height, width, 1), dtype=np.float32)
        chroma = cv2.resize(rng.standard_normal((height // 2, width // 2, 3), dtype=np.float32), (width, height))
        gain = np.sqrt(0.3 + 0.7 * np.clip(out[..., 1:2], 0, 255) / 128, dtype=np.float32)
        out += np.float32(config.color_noise) * gain * (0.8 * luma + 0.6 * chroma)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def jpeg(color: UInt8, quality: int) -> UInt8:
    """The image after JPEG compression at `quality` (1 to 100)."""
    _, encoded = cv2.imencode(".jpg", color[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _patches(rng: np.random.Generator, shape: tuple[int, ...], cells: int, share: float) -> Bool:
    """(H, W) bool patches, about `cells` across the image, that cover `share` of it."""
    if share <= 0:
        return np.zeros(shape, bool)
    noise = smooth_noise(rng, shape[0], shape[1], max(2, cells))
    return np.asarray(noise <= np.quantile(noise[::5, ::5], min(share, 1.0)))


def _shift_outlines(depth: Float32, config: SensorConfig, rng: np.random.Generator) -> Float32:
    """Read each pixel's depth from up to a few pixels away: outlines become jagged, smooth surfaces barely change."""
    height, width = depth.shape
    cols, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    cols += config.lateral * smooth_noise(rng, height, width, width // 3)
    rows += config.lateral * smooth_noise(rng, height, width, width // 3)
    shifted = cv2.remap(depth, cols, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shifted, np.float32)


def _grazing(depth: Float32, intrinsics: CameraIntrinsics, limit: float) -> Bool:
    """Pixels whose surface is seen at more than `limit` degrees from its normal."""
    slope_x = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8) * np.float32(intrinsics.fx)
    slope_y = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8) * np.float32(intrinsics.fy)
    tangent = np.sqrt(slope_x**2 + slope_y**2)
    return (tangent > np.tan(np.radians(limit)) * np.maximum(depth, 1e-3)) & (depth > 0)


def _projector_shadow(depth: Float32, intrinsics: CameraIntrinsics, baseline: float) -> Bool:
    """Pixels that a projector `baseline` metres to the right of the camera (left where negative) does not reach."""
    offset = np.float32(intrinsics.fx * baseline) / np.where(depth > 0, depth, np.float32(1e6))
    cols = np.arange(depth.shape[1], dtype=np.float32)
    if baseline > 0:
        seen = cols - offset
        farthest = np.minimum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
        return (seen > farthest + 1.5) & (depth > 0)
    seen = cols - offset
    return (seen < np.maximum.accumulate(seen, axis=1) - 1.5) & (depth > 0)

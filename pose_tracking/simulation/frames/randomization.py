"""The random part of training frames beside where things stand: light, sensor, exposure, backgrounds."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.simulation.rendering.planes import PlaneTexture
from pose_tracking.simulation.rendering.renderer import Body, Light, Surface
from pose_tracking.simulation.rendering.shadows import shadow_map
from pose_tracking.simulation.scenery.backgrounds import Background, paint_plane
from pose_tracking.simulation.scenery.rooms import looking_at
from pose_tracking.simulation.sensor import SensorConfig


def random_lights(rng: np.random.Generator, background: Background, jitter: float = 1.0) -> tuple[list[Light], Float]:
    """One to four lights above the scene and an ambient colour, of one or two colour temperatures.

    Without jitter it is always one white light from above.
    """
    up = np.array([0.0, -0.8, -0.6]) if background.plane is None else background.plane[:3]
    if jitter == 0:
        return [Light(up + np.array([0.3, 0.0, -0.5]), np.full(3, 0.75), directional=True)], np.full(3, 0.45)
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


def random_sensor(
    base: SensorConfig,
    rng: np.random.Generator,
    noise: float = 1.0,
    quantum: float | None = None,
    intrinsics: CameraIntrinsics | None = None,
) -> SensorConfig:
    """A sensor whose effects are between absent and twice as strong as in `base`, times `noise`; 0 is a perfect one.

    Before a recorded background (`quantum`, see `Background`) it has the steps and the smooth noise of the sensor that
    recorded it, so that what is drawn cannot be told from what is recorded by the grain of its depth.
    """
    strength = noise * rng.uniform(0.3, 1.8, 4)
    sensor = replace(
        base,
        axial_base=base.axial_base * strength[0],
        axial_quadratic=base.axial_quadratic * strength[0],
        lateral=base.lateral * strength[1],
        edge_dropout=_share(base.edge_dropout * 2 * noise * rng.random()),
        flying_pixels=_share(base.flying_pixels * strength[1]),
        shadow_baseline=base.shadow_baseline * float(rng.choice([0, 0, 0.5, 1, 1, -0.7])),
        dark_dropout=_share(base.dark_dropout * 2 * noise * rng.random()),
        specular_dropout=_share(base.specular_dropout * noise),
        speckle_dropout=_share(base.speckle_dropout * noise),
        quantisation=str(rng.choice(["millimetre", "disparity", "disparity"]))
        if base.quantisation != "none"
        else "none",
        color_noise=base.color_noise * strength[2],
        blur=base.blur * strength[3] * 1.2,
    )
    if noise == 0:
        return replace(sensor, shadow_baseline=0.0, grazing_angle=90.0, quantisation="none")
    # Block matching leaves patches of a few pixels with one error; white noise as in `base` is the other extreme.
    if quantum is not None or rng.random() < 0.5:
        correlation, width = float(rng.uniform(0.95, 1.0)), int(rng.integers(4, 10))
        sensor = replace(sensor, axial_correlation=correlation, axial_width=width)
    if quantum is not None and intrinsics is not None and base.quantisation != "none":
        step = quantum * intrinsics.fx * base.disparity_baseline
        sensor = replace(sensor, quantisation="disparity", disparity_step=step)
    return sensor


def _share(value: float) -> float:
    return float(np.clip(value, 0, 1))


def expose(image: Float32, rng: np.random.Generator) -> Float32:
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


def cast_shadows(
    surface: Surface,
    bodies: list[Body],
    lights: list[Light],
    intrinsics: CameraIntrinsics,
    rng: np.random.Generator,
) -> Float32:
    """Let the strongest light throw shadows; returns the (H, W) factor they put on a photographed background."""
    key = max(lights, key=lambda light: float(light.color.sum()))
    target = np.median([body.pose[:3, 3] for body in bodies], axis=0)
    away = key.position * 1.8 if key.directional else key.position - target
    distance = max(float(np.linalg.norm(away)), 0.8)
    away = away / np.linalg.norm(away)
    pose = looking_at(target, float(np.arctan2(away[1], away[0])), float(np.arcsin(away[2])), distance)
    softness = float(np.exp(rng.uniform(np.log(1.0), np.log(6.0))))
    key.reaching = shadow_map(surface, bodies, intrinsics, pose, distance, softness=softness)
    dark = np.float32(rng.uniform(0.15, 0.5))
    photo = ~surface.lit & (surface.depth > 0)
    return np.where(photo, 1 - dark + dark * key.reaching, 1).astype(np.float32)


def camouflage(background: Background, texture: UInt8, intrinsics: CameraIntrinsics, rng: np.random.Generator) -> None:
    """Give the table of a background the colours of an object that is to stand on it."""
    if background.plane is None or not background.support.any():
        return
    spread = PlaneTexture.random(background.plane[:3], rng)
    spread = PlaneTexture(texture, spread.axes, spread.offset)
    surface = background.surface
    paint_plane(surface.albedo, background.support, spread, surface.depth, intrinsics, flat=bool(surface.lit.any()))


def darken(background: Background, rng: np.random.Generator) -> None:
    """Make a part of a background near black and featureless, at times without a reading, like cloth and screens."""
    surface = background.surface
    height, width = surface.depth.shape
    if rng.random() < 0.4 and background.support.any():
        region = background.support.copy()
    else:
        centre = rng.uniform(0, 1, 2) * [width, height]
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 8))))
        reach = rng.uniform(0.15, 0.5, len(angle))[:, None] * height
        corners = centre + reach * np.stack([np.cos(angle), np.sin(angle)], 1)
        region = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners.astype(np.int32)], 1) > 0
    color = rng.uniform(6, 45) * np.exp(rng.normal(0, 0.08, 3))
    surface.albedo[region] = color.astype(np.float32) + 0.05 * surface.albedo[region]
    if rng.random() < 0.4:
        surface.depth[region & (rng.random() < 0.5 or ~background.support)] = 0

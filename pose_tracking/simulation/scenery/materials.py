"""Materials of the known objects: their own colours, a little jittered, or any paint where a mesh has no colour."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.simulation.placement.shapes import Shape
from pose_tracking.simulation.rendering.renderer import Material

from .paint import random_paint


def object_material(
    rng: np.random.Generator, shape: Shape, jitter: float, gloss: float, painted: bool = True
) -> Material:
    """A random material of an instance of a known object.

    Args:
        rng: source of randomness.
        shape: the object's.
        jitter: strength of the variation of its own colours.
        gloss: strength of its highlights, 0 to 1, about.
        painted: whether a mesh without colour gets a paint of its own; otherwise it stays grey.
    """
    if painted and not shape.caster.mesh.colored:
        return random_paint(rng, 2 * shape.radius)
    return random_material(rng, jitter, gloss)


def random_material(rng: np.random.Generator, jitter: float, gloss: float) -> Material:
    """An object's own colours, jittered in brightness, saturation and a little in hue."""
    bright = np.exp(rng.normal(0, 0.16 * jitter))
    saturation = np.exp(rng.normal(0, 0.15 * jitter))
    luma = np.array([0.299, 0.587, 0.114])
    desaturate = np.outer(np.ones(3), luma)
    hue = Rotation.from_rotvec(np.ones(3) / np.sqrt(3) * rng.normal(0, np.radians(4) * jitter)).as_matrix()
    tint = bright * np.diag(np.exp(rng.normal(0, 0.04 * jitter, 3))) @ hue
    tint = tint @ (saturation * np.eye(3) + (1 - saturation) * desaturate)
    return Material(tint.astype(np.float32), gloss * float(rng.uniform(0.3, 1.2)), float(rng.uniform(8, 60)))

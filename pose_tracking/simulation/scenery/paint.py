"""Paints for objects whose meshes do not say what they look like: of any colour, of several, printed, glossy.

A CAD file knows the shape of a thing and not its colour. Shown in one grey, a detector learns that the object is the
grey thing; shown differently each time, it has only the shape to learn (domain randomisation, Tobin et al. 2017).
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.simulation.rendering.renderer import Material
from pose_tracking.simulation.rendering.textures import SIZE, random_color, texture_bank

PLAIN, PRINTED = 0.35, 0.35  # shares of the paints of one colour, and of those with bands and labels
VIVID = 0.5  # share of the colours that are saturated and bright, as goods and toys are
SPECULAR = (0.0, 0.05, 0.2, 0.5, 0.8)


def random_paint(rng: np.random.Generator, extent: float) -> Material:
    """Anything a thing of `extent` (m, its largest) may be painted with; the vertex colours no longer show."""
    kind = rng.random()
    if kind < PLAIN + PRINTED:
        texture = plain_texture(rng) if kind < PLAIN else printed_texture(rng)
        period = extent * rng.uniform(0.8, 1.6)  # the whole object shows about the whole texture
    else:
        texture = recolored_texture(rng)
        period = extent * float(np.exp(rng.uniform(np.log(0.15), np.log(1.2))))
    # Half of the prints stand straight on the object, as labels do, the others anyhow.
    turn = Rotation.random(rng=rng) if rng.random() < 0.5 else _straight(rng)
    frame = np.concatenate([turn.as_matrix() / period, 0.5 + rng.uniform(-0.25, 0.25, (3, 1))], axis=1)
    return Material(
        specular=float(rng.choice(SPECULAR) * rng.uniform(0.5, 1)),
        shininess=float(np.exp(rng.uniform(np.log(5), np.log(100)))),
        texture=texture,
        texture_frame=frame.astype(np.float32),
    )


def random_texture_of_paint(rng: np.random.Generator) -> UInt8:
    """(S, S, 3) uint8 texture as `random_paint` has them."""
    return (plain_texture, printed_texture, recolored_texture)[rng.integers(3)](rng)


def paint_color(rng: np.random.Generator) -> Float32:
    """(3,) RGB, 0 to 255, of a paint: vivid, or any of `random_color`, which are muted and dark as often."""
    if rng.random() >= VIVID:
        return random_color(rng)
    pixel = np.array([[[rng.uniform(0, 180), rng.uniform(120, 255), rng.uniform(110, 255)]]], np.uint8)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def plain_texture(rng: np.random.Generator) -> UInt8:
    """(S, S, 3) uint8 of one colour."""
    return np.broadcast_to(paint_color(rng).astype(np.uint8), (SIZE, SIZE, 3)).copy()


def printed_texture(rng: np.random.Generator) -> UInt8:
    """(S, S, 3) uint8 as goods are printed: one colour, bands of others across it, labels with prints of their own."""
    image = plain_texture(rng)
    for _ in range(int(rng.integers(0, 4))):
        low = int(rng.integers(0, SIZE))
        image[low : low + int(rng.integers(6, SIZE // 3))] = paint_color(rng)
    for _ in range(int(rng.integers(0, 5))):
        centre, half = rng.integers(0, SIZE, 2), rng.integers(8, SIZE // 4, 2)
        region = np.zeros((SIZE, SIZE), np.uint8)
        if rng.random() < 0.6:
            cv2.rectangle(region, (centre - half).tolist(), (centre + half).tolist(), 1, -1)
        else:
            cv2.ellipse(region, centre.tolist(), half.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
        inside = region > 0
        image[inside] = recolored_texture(rng)[inside] if rng.random() < 0.5 else paint_color(rng)
    return image


def recolored_texture(rng: np.random.Generator) -> UInt8:
    """(S, S, 3) uint8: a pattern of the bank in two or three other colours."""
    bank = texture_bank()
    luma = cv2.cvtColor(bank[rng.integers(len(bank))], cv2.COLOR_RGB2GRAY)
    low, high = int(luma.min()), int(luma.max())
    stops = np.stack([paint_color(rng) for _ in range(int(rng.integers(2, 4)))])
    place = np.clip((np.arange(256) - low) / max(high - low, 1), 0, 1)
    ramp = np.stack([np.interp(place, np.linspace(0, 1, len(stops)), stops[:, c]) for c in range(3)], axis=1)
    return np.asarray(ramp.astype(np.uint8)[luma])


def _straight(rng: np.random.Generator) -> Rotation:
    """One of the 24 rotations that map the axes onto axes."""
    group = Rotation.create_group("O")
    return group[int(rng.integers(len(group)))]

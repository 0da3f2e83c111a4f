"""How the colours of a thing differ from those of its model, whichever side of it is seen.

Two cameras see two sides of a thing, and the sides of one thing differ more in colour than two copies of it do. So
pictures are not compared with each other, but each with what the model shows at its pose; what is left is what sets
the copy apart: a rotation of hue about the grey axis, a change of saturation, and gains of red and blue against green
(von Kries). How bright a pixel is says more of the light on it than of its colour, and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Float, Float32

PARAMETERS = 4  # log saturation, hue (rad), log gain of red, log gain of blue
# Standard deviations, before anything is seen, of what copies differ by.
PRIOR = np.array([0.3, 0.15, 0.12, 0.12])
# Standard deviations of the difference between two views of one thing in two rooms (simulated seeds 41001-41005 and
# 47001-47007, rounded).
VIEWS_DIFFER = np.array([0.15, 0.02, 0.03, 0.03])
COLOR_DIMENSIONS = 64
COLOR_WEIGHT = 0.5  # share of the squared length of a vector that its colour part has
WITH_COLORS = ", colours of copies"  # at the end of the name of such a kind of embedding
_WIDTH = 1.5
# A colour's direction is known to the noise of a pixel and to what highlights and blending do to it; and pixels of a
# surface err alike: so many count as one.
_PIXEL_NOISE, _DIRECTION_NOISE, _ALIKE = 4.0, 0.015, 15.0
_HUBER, _ROUNDS = 1.5, 8
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class ColorSamples:
    """P pixels of a view: (P, 3) float32 RGB (0 to 255) as observed, and the model's own colours there."""

    observed: Float32
    expected: Float32


def color_transform(samples: ColorSamples) -> Float:
    """(4,) log saturation, hue (rad), log gains of red and blue: the most probable given the prior (Gauss-Newton).

    Where a view shows too little of the model's colours to tell, it is 0, the model's own.
    """
    observed, expected = samples.observed.astype(float), samples.expected.astype(float)
    length = np.linalg.norm(observed, axis=1, keepdims=True)
    direction = observed / length
    sigma = (_PIXEL_NOISE / length + _DIRECTION_NOISE) * np.sqrt(max(1.0, len(observed) / _ALIKE))
    found = np.zeros(PARAMETERS)

    def residuals(parameters: Float) -> Float:
        shown = np.clip(expected @ color_matrix(parameters).T, 1.0, None)
        return np.asarray((direction - shown / np.linalg.norm(shown, axis=1, keepdims=True)) / sigma)

    for _ in range(_ROUNDS):
        now, step = residuals(found), 1e-4
        jacobian = np.stack([(residuals(found + step * unit) - now) / step for unit in np.eye(PARAMETERS)], axis=-1)
        # By pixel: a highlight, or a part of something else, pulls no harder than an ordinary error (Huber).
        error = np.linalg.norm(now, axis=1) * np.sqrt(max(1.0, len(observed) / _ALIKE))
        weight = np.minimum(1.0, _HUBER / np.maximum(error, 1e-9))[:, None]
        jtj = np.einsum("pci,pcj->ij", jacobian * weight[..., None], jacobian) + np.diag(PRIOR**-2)
        gradient = np.einsum("pci,pc->i", jacobian * weight[..., None], now) + found / PRIOR**2
        change = np.linalg.solve(jtj, -gradient)
        found = np.clip(found + change, -5 * PRIOR, 5 * PRIOR)
        if np.abs(change / PRIOR).max() < 1e-3:
            break
    return found


def color_matrix(parameters: Float) -> Float:
    """(3, 3) what takes the model's RGB to that of a copy with the four parameters."""
    saturation, hue, red, blue = parameters
    s, c, n = np.exp(saturation), np.cos(hue), np.sin(hue) / np.sqrt(3)
    rotation = c * np.eye(3) + (1 - c) / 3 + n * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])  # Rodrigues
    saturate = s * np.eye(3) + (1 - s) * _LUMA
    return np.asarray(np.diag([np.exp(red), 1.0, np.exp(blue)]) @ rotation @ saturate)


def color_features(class_name: str, transform: Float) -> Float32:
    """(D,) unit vector of a transform: the inner product of two is about ``exp(-d^2 / 2)`` of their distance.

    Distances are in what two views of one thing differ by (`VIEWS_DIFFER`, times `_WIDTH`). Random Fourier features of
    a Gaussian kernel (Rahimi and Recht 2007), so that a search by cosine distance compares transforms. Of two classes
    it is about 0: what differs from one model is no matter of another.
    """
    frequencies = np.random.default_rng(0).normal(size=(COLOR_DIMENSIONS // 2, PARAMETERS))
    phases = np.random.default_rng(list(class_name.encode())).uniform(0, 2 * np.pi, COLOR_DIMENSIONS // 2)
    angles = frequencies @ (transform / (VIEWS_DIFFER * _WIDTH)) + phases
    return np.concatenate([np.cos(angles), np.sin(angles)]).astype(np.float32) / np.float32(
        np.sqrt(COLOR_DIMENSIONS / 2)
    )


def with_colors(vectors: Float32, features: Float32 | None) -> Float32:
    """(N, D + `COLOR_DIMENSIONS`) unit vectors of (N, D) unit vectors and (N, ..) `color_features`; None: unknown."""
    if features is None:
        return np.concatenate([vectors, np.zeros((len(vectors), COLOR_DIMENSIONS), np.float32)], axis=1)
    weights = np.sqrt(np.array([1 - COLOR_WEIGHT, COLOR_WEIGHT], np.float32))
    return np.concatenate([weights[0] * vectors, weights[1] * features], axis=1)


def distance_of_picture(distance: float, vector: Float32, kind: str) -> float:
    """The cosine distance to a picture by what is known of it: without its colours, where these are unknown.

    Args:
        distance: of its (D,) `vector` to one of a thing whose colours are known.
        vector: the picture's.
        kind: name of the embedding.
    """
    if not kind.endswith(WITH_COLORS) or vector[-COLOR_DIMENSIONS:].any():
        return distance
    return 1 - (1 - distance) / float(np.sqrt(1 - COLOR_WEIGHT))

"""The colours of a posed object against the measured ones, under a light that is not known."""

from __future__ import annotations

import numpy as np

from pose_tracking.core.arrays import Float, Float32, UInt8

# Colour features of a mesh without colour: nothing in the picture can speak against it. The score is that of the depth
# terms, as for a coloured object whose colours fit without error; right poses of coloured ones lose about 1 of the
# logit to sensor noise and light.
COLOR_UNKNOWN = {"chroma_error": 0.0, "texture_error": 0.0, "brightness_error": 0.0, "gain": 1.0}
# Exposure and light make an object up to e times darker or brighter than its model without being suspicious.
USUAL_EXPOSURE = 1.0
SHADING_PRIOR = 0.02


def color_features(measured: UInt8, rendered: Float32, normals: Float32) -> dict[str, float]:
    """How well (P, 3) measured colours are explained by rendered ones with (P, 3) normals under an unknown light.

    ``chroma_error`` compares chromaticities (r, g, b over their sum), which brightness leaves alone. ``texture_error``
    is what smooth shading and one gain per channel, close to a common gain, leave unexplained, as a share of the
    measured brightness. ``brightness_error`` is how far the logarithm of the common gain lies beyond what exposure and
    light usually do.
    """
    if len(measured) == 0:
        return {"chroma_error": 1.0, "texture_error": 1.0, "brightness_error": 0.0, "gain": 1.0}
    m, r = measured.astype(np.float64) + 4.0, rendered.astype(np.float64) + 4.0  # dark pixels have no reliable hue
    weight = m.sum(1)
    difference = np.abs(m / m.sum(1, keepdims=True) - r / r.sum(1, keepdims=True)).sum(1)
    gain = float(m.sum() / r.sum())
    balance = np.clip(m.sum(0) / r.sum(0) / gain, 0.85, 1.15)
    unexplained = np.abs(m - r * _shading(m.sum(1), r.sum(1), gain, normals)[:, None] * balance)
    return {
        "chroma_error": float((difference * weight).sum() / weight.sum()),
        "texture_error": float(unexplained.sum() / m.sum()),
        "brightness_error": max(0.0, abs(float(np.log(gain))) - USUAL_EXPOSURE),
        "gain": gain,
    }


def _shading(measured: Float, rendered: Float, gain: float, normals: Float32) -> Float:
    """(P,) gain at each pixel under the light that explains the brightness best: ambient and one direction.

    Args:
        measured, rendered: (P,) brightness.
        gain: of all pixels together; no pixel's gain is far from it.
        normals: (P, 3) unit normals.
    """
    basis = np.column_stack([np.ones(len(normals)), normals.astype(np.float64)])
    design = basis * rendered[:, None]
    # A weak prior for ambient light: what little a few pixels say of the light may not explain their pattern away.
    prior = SHADING_PRIOR * float((rendered * rendered).sum())
    system = design.T @ design + prior * np.diag([0.0, 1.0, 1.0, 1.0]) + 1e-9 * np.eye(4)
    light = np.linalg.solve(system, design.T @ measured)
    return np.asarray(np.clip(basis @ light, 0.3 * gain, 2.0 * gain))

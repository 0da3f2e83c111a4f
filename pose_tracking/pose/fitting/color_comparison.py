"""The colours of a posed object against the measured ones, under a light that is not known."""

from __future__ import annotations

import math

import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.kernels import read_only
from pose_tracking.objects import Mesh

from .comparison_kernels import compare_colors, gather_colors
from .surface_comparison import SurfaceComparison

# Colour features of a mesh without colour: nothing in the picture can speak against it. The score is that of the depth
# terms, as for a coloured object whose colours fit without error; right poses of coloured ones lose about 1 of the
# logit to sensor noise and light.
COLOR_UNKNOWN = {"chroma_error": 0.0, "texture_error": 0.0, "brightness_error": 0.0, "gain": 1.0}
# Exposure and light make an object up to e times darker or brighter than its model without being suspicious.
USUAL_EXPOSURE = 1.0
# What little a few pixels say of the light may not explain their pattern away.
SHADING_PRIOR = 0.02
_DARK = 4.0  # of 255, added to all colours: dark pixels have no reliable hue


def color_features(image: UInt8, mesh: Mesh, compared: SurfaceComparison) -> dict[str, float]:
    """How well the colours of an image (H, W, 3) are explained by those of a mesh under a light that is not known.

    Only where the compared surfaces agree. ``chroma_error`` compares chromaticities (r, g, b over their sum), which
    brightness leaves alone. ``texture_error`` is what smooth shading and one gain per channel, close to a common gain,
    leave unexplained, as a share of the measured brightness. ``brightness_error`` is how far the logarithm of the
    common gain lies beyond what exposure and light usually do.
    """
    hits, most = compared.hits, len(compared.rows)
    measured, rendered = np.empty((2, most, 3))
    basis = np.empty((most, 4))
    count = gather_colors(
        read_only(image),
        compared.rows,
        compared.cols,
        compared.agrees,
        np.ascontiguousarray(mesh.colors),
        np.ascontiguousarray(mesh.faces, np.int32),
        hits.face,
        hits.barycentric,
        hits.normals,
        _DARK,
        measured,
        rendered,
        basis,
    )
    if count == 0:
        return {"chroma_error": 1.0, "texture_error": 1.0, "brightness_error": 0.0, "gain": 1.0}
    errors = np.empty(3)
    compare_colors(measured[:count], rendered[:count], basis[:count], SHADING_PRIOR, errors)
    gain, chroma, texture = errors.tolist()
    return {
        "chroma_error": chroma,
        "texture_error": texture,
        "brightness_error": max(0.0, abs(math.log(gain)) - USUAL_EXPOSURE),
        "gain": gain,
    }

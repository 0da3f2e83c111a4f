"""The noise of single depth readings, in a kernel: `depth_noise` says what its models are."""

from __future__ import annotations

import numpy as np

from .arrays import Float
from .kernels import kernel

MODELS = ("kinect", "stereo", "time_of_flight", "astra", "auto")
# Their numbers, as the first entry of a law.
_STEREO, _TIME_OF_FLIGHT, _ASTRA, _AUTO = (float(MODELS.index(name)) for name in MODELS[1:])

CLEARLY = 1.5  # times the model's noise: what is measured varies by less where the model is right
_MOST = 0.02  # of the depth: an image of nothing but noise must not let anything pass


@kernel
def sigma_at(z: float, law: Float, shown: Float) -> float:
    """Standard deviation (m) of a reading at the depth `z` (m); NaN for NaN.

    Args:
        z: metres.
        law: (5,) number of the model, scale, floor and quadratic of a Kinect, and the stereo model's factor of z^2.
        shown: (2, K) rising depths and the standard deviation at each that an image shows, metres; K may be 0.
    """
    if np.isnan(z):
        return np.nan
    stated = _stated(z, law)
    if shown.shape[1] == 0:
        return stated
    measured = _interpolated(z, shown)
    if law[0] == _AUTO:
        return max(stated, law[1] * min(measured, _MOST * z))
    # Nearer and farther than anything in the image the measured noise goes on as the model's does.
    measured *= stated / _stated(min(max(z, shown[0, 0]), shown[0, -1]), law)
    return min(max(measured, stated), max(_MOST * z, stated)) if measured > CLEARLY * stated else stated


@kernel
def sigmas_at(z: Float, law: Float, shown: Float, sigmas: Float) -> None:
    """`sigma_at` of (N,) depths into `sigmas`."""
    for n in range(len(z)):
        sigmas[n] = sigma_at(z[n], law, shown)


@kernel
def _stated(z: float, law: Float) -> float:
    if law[0] == _STEREO:
        return law[1] * (z * z * law[4])
    if law[0] == _TIME_OF_FLIGHT:
        return law[1] * (0.000875 + 0.001625 * z)
    if law[0] == _ASTRA:
        return law[1] * (0.003 * (z * z))
    beyond = max(z - 0.4, 0.0)
    return law[1] * (law[2] + law[3] * (beyond * beyond))


@kernel
def _interpolated(z: float, shown: Float) -> float:
    depths, values = shown[0], shown[1]
    last = len(depths) - 1
    if z <= depths[0]:
        return values[0]
    for k in range(last):
        if z < depths[k + 1]:
            return values[k] + (values[k + 1] - values[k]) / (depths[k + 1] - depths[k]) * (z - depths[k])
    return values[last]

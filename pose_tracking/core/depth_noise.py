"""How far a depth reading may be off: one model of the sensor's noise for all that judge poses by depth.

sigma(z), metres, of a reading at the depth z:

- ``kinect``: ``floor + quadratic (z - 0.4 m)^2``. Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved
  3D reconstruction and tracking", 3DIMPVT 2012: axial noise of the Kinect v1, 0.0012 and 0.0019 for surfaces that are
  not seen at a grazing angle.
- ``stereo``: ``z^2 subpixel / (focal baseline)``, the derivative of ``z = focal baseline / disparity``; Intel, "Tuning
  depth cameras for best performance" and "Subpixel linearity improvement for RealSense D400", with 90 degrees over 848
  pixels for the D435. Its author names a subpixel of 0.08 for a calibrated camera in practice, 0.03 at best
  (librealsense, issue 3904). Most other active stereo cameras (Orbbec Gemini, ZED) follow it too.
- ``time_of_flight``: ``0.875 mm + 1.625 mm/m z``, through the 2.5 mm at 1 m and 15.5 mm at 9 m of the L515 on a surface
  that reflects 95 % (Intel, librealsense issue 5808). The Azure Kinect's data sheet has a bound only, 17 mm at the end
  of its range (Microsoft, "Azure Kinect DK hardware specifications"); its repeatability close by is better than this
  (Tölgyessy et al., "Evaluation of the Azure Kinect", Sensors 2021).
- ``astra``: ``3 mm/m^2 z^2``: the quadratic law of structured light (Khoshelham and Elberink, Sensors 2012, who have
  1.4 mm/m^2 for the Kinect), at the middle of the 1 to 6 mm at 1 m and 4 to 14 mm at 2 m measured on other sensors of
  this kind (Gonzalez-Jorge et al., Measurement 2013). No figure for the noise of the Astra itself was found; Orbbec
  states accuracies (5 mm at 1 m for the Astra Embedded S).
- ``auto``: measured on each image, see `measured_noise`.

A camera can be noisier than its model: a worn calibration, a plain wall, a low resolution. Where a stated model is
clearly exceeded by what the image shows, it is scaled to that. A Kinect, the default, is taken at its word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Float, Float32, even_indices, valid_depth
from .config import option
from .depth_noise_kernels import CLEARLY, MODELS, sigmas_at

_STEP = 3  # pixels between the readings that are compared: direct neighbours share much of their error
_ROWS, _SAMPLES, _BINS = 240, 8192, 8
_LEAST_SAMPLES = 25  # in each bin


@dataclass(frozen=True)
class DepthNoiseConfig:
    """Noise of the depth sensor: a model of its kind, and what is particular to the camera."""

    model: str = option(
        "kinect",
        "kind of sensor: Kinect v1, stereo (RealSense D400, Orbbec Gemini), time of flight (Azure Kinect, L515, Orbbec "
        "Femto), Orbbec Astra, or measured on each image and never taken to be less than a Kinect's",
        choices=MODELS,
        runtime=True,
    )
    scale: float = option(1.0, "the model's noise times this", range=(0.1, 20.0), runtime=True)
    floor: float = option(0.0012, "kinect: standard deviation close by (Nguyen 2012)", unit="m", range=(0.0, 0.1))
    quadratic: float = option(
        0.0019, "kinect: its growth with the square of the distance beyond 0.4 m", unit="1/m", range=(0.0, 0.1)
    )
    baseline: float = option(
        0.05,
        "stereo: distance of the two infrared cameras (D435 and D405: 0.05 and 0.018, D415: 0.055, D455: 0.095)",
        unit="m",
        range=(0.005, 2.0),
    )
    focal: float = option(
        424.0,
        "stereo: focal length of the infrared images, before depth is aligned to colour (D435 at 848 pixels width)",
        unit="px",
        range=(50.0, 10000.0),
    )
    subpixel: float = option(
        0.08,
        "stereo: standard deviation of the disparity (0.05 on well textured surfaces, 0.1 and more on plain ones)",
        unit="px",
        range=(0.005, 2.0),
    )
    # What all readings near each other share, and no number of them averages out. It sets the covariance only: the
    # check allows for it by its tolerances.
    offset: float = option(
        0.002, "standard deviation of a constant error of all depth", unit="m", range=(0.0, 0.1), runtime=True
    )
    relative: float = option(
        0.005,
        "standard deviation of an error of all depth in proportion to it (baseline, focal length, temperature)",
        range=(0.0, 0.2),
        runtime=True,
    )
    lateral: float = option(
        0.002,
        "standard deviation of the angle between depth and colour, each way: 1 px at a focal length of 500 px",
        unit="rad",
        range=(0.0, 0.1),
        runtime=True,
    )
    warp: float = option(
        0.0015,
        "standard deviation of what surfaces near each other are off in common: depth that bends, and the mesh",
        unit="m",
        range=(0.0, 0.1),
        runtime=True,
    )
    warp_length: float = option(
        0.25, "distance over which they share it", unit="diameters", range=(0.01, 10.0), runtime=True
    )


class DepthNoise:
    """The noise of one depth image.

    Args:
        config: the model.
        image: (H, W) depth in metres as read, which every model but a Kinect's is held against; without it, or with
            too few readings, ``auto`` is a Kinect's noise, and the others are taken at their word.

    Attributes:
        law, shown: what `depth_noise_kernels.sigma_at` takes.
    """

    def __init__(self, config: DepthNoiseConfig, image: Float32 | None = None) -> None:
        self.config = config
        measured = measured_noise(image) if config.model != "kinect" and image is not None else None
        self.shown: Float = np.empty((2, 0)) if measured is None else np.array(measured)
        stereo = config.subpixel / (config.focal * config.baseline)
        self.law: Float = np.array([MODELS.index(config.model), config.scale, config.floor, config.quadratic, stereo])
        # As with most cameras, and asked some hundred times a frame.
        self._is_usual = _law(config) == _law(DepthNoiseConfig())

    def sigma(self, depth: ArrayLike) -> Float:
        """Standard deviation (metres) of readings at `depth` (metres, any shape)."""
        return _sigmas(depth, self.law, self.shown)

    def exceeds(self) -> float:
        """How many times the stated noise the image has, median over its depths; 1 where it is not clearly more."""
        if self.shown.size == 0 or self.config.model == "auto":
            return 1.0
        depths, measured = self.shown
        times = float(np.median(measured / _sigmas(depths, self.law, np.empty((2, 0)))))
        return times if times > CLEARLY else 1.0

    def excess(self, depth: float) -> float:
        """Standard deviation (metres) at `depth` (metres) that comes on top of a Kinect's; 0 where there is none.

        Distances that were chosen for a Kinect's readings are widened by it, in quadrature.
        """
        if self._is_usual:
            return 0.0
        return float(np.sqrt(max(float(self.sigma(depth)) ** 2 - float(_KINECT.sigma(depth)) ** 2, 0.0)))


def _sigmas(depth: ArrayLike, law: Float, shown: Float) -> Float:
    z = np.ascontiguousarray(depth, np.float64)
    sigmas = np.empty(np.shape(depth))
    sigmas_at(z.reshape(-1), law, shown, sigmas.reshape(-1))
    return sigmas


def _law(config: DepthNoiseConfig) -> tuple[str, float, float, float]:
    """What the standard deviation of a single reading depends on, of a Kinect's model."""
    return config.model, config.scale, config.floor, config.quadratic


def measured_noise(image: Float32) -> tuple[Float, Float] | None:
    """Depths and the standard deviation at each, measured on one image.

    Three readings in a row of a plane, evenly spaced, have the second difference 0 but for noise, whose standard
    deviation it shows times the root of 6. The median over readings of like depth leaves out edges. What neighbours
    share is not seen this way.

    Args:
        image: (H, W) depth in metres as the sensor read it; not finite or 0 where it read nothing.

    Returns:
        (K,) rising depths and (K,) standard deviations, metres; None where too few readings stand in a row.
    """
    rows = image[:: max(1, len(image) // _ROWS)]
    left, middle, right = rows[:, : -2 * _STEP], rows[:, _STEP:-_STEP], rows[:, 2 * _STEP :]
    with np.errstate(invalid="ignore"):
        known = valid_depth(rows)
        index = np.flatnonzero(known[:, : -2 * _STEP] & known[:, _STEP:-_STEP] & known[:, 2 * _STEP :])
    bins = min(_BINS, len(index) // _LEAST_SAMPLES)
    if bins == 0:
        return None
    at = np.unravel_index(index[even_indices(len(index), _SAMPLES)], middle.shape)
    depth = middle[at].astype(np.float64)
    residual = np.abs(left[at] - 2 * depth + right[at])
    order = np.argsort(depth, kind="stable")
    parts = [(depth[part], residual[part]) for part in np.array_split(order, bins)]
    depths = np.array([np.median(z) for z, _ in parts])
    # 1.4826 times the median is the standard deviation of a normal distribution.
    return depths, np.array([np.median(r) for _, r in parts]) * (1.4826 / np.sqrt(6.0))


_KINECT = DepthNoise(DepthNoiseConfig())

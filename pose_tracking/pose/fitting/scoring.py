"""Does the frame look as it would if the object were there? Rendered against measured depth and colour.

Each hypothesis is ray-cast on a coarse pixel grid and compared with the frame, which gives a few features (`FEATURES`);
a logistic function of them is the pose confidence. The features are ratios, so that one calibration serves objects of
any size at any distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.config import option
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster, RayHits

Float = NDArray[np.float64]

# What the score is made of, in the order of `VerificationConfig.weights`.
FEATURES = (
    "inlier_fraction",
    "violated_fraction",
    "sunken_fraction",
    "coverage",
    "blind_fraction",
    "visible_fraction",
    "residual",
    "normal_error",
    "chroma_error",
    "texture_error",
    "brightness_error",
    "log_visible",
)

# Exposure and light make an object up to e times darker or brighter than its model without being suspicious.
USUAL_EXPOSURE = 1.0
# Hidden by less than this share of the diameter counts as sunk into what hides it.
SUNKEN = 0.2
SHADING_PRIOR = 0.02


@dataclass(frozen=True)
class VerificationConfig:
    """How hypotheses are compared with the frame."""

    max_rays: int = option(500, "rays cast per hypothesis", range=(50, 100000))
    noise_sigmas: float = option(
        3.0, "depth difference in standard deviations of the sensor that still agrees", range=(0.5, 20.0)
    )
    noise_floor: float = option(
        0.0012, "standard deviation of the sensor's depth close by (Nguyen 2012, Kinect)", unit="m", range=(0.0, 0.1)
    )
    noise_quadratic: float = option(
        0.0019, "its growth with the square of the distance beyond 0.4 m", unit="1/m", range=(0.0, 0.1)
    )
    shape_tolerance: float = option(
        0.025, "depth difference as a share of the diameter that still agrees (mesh and pose errors)", range=(0.0, 0.5)
    )
    # Fitted with `calibration.fit_calibration` on the hypotheses of both bundles for simulated sequences, on those for
    # nine detections of a real frame, and on false detections on a real shelf. The weights of the pattern and of what
    # is sunk were held at -12: real light and sensors are less alike to the model than renders are.
    # `pose-tracking calibrate` fits them to a bundle's own networks.
    bias: float = option(-8.2, "constant of the logistic score", range=(-100.0, 100.0))
    weights: tuple[float, ...] = option(
        (6.5, -12.9, -12.0, 3.4, -3.1, 1.4, -2.8, -2.0, -2.0, -12.0, -2.0, 0.5),
        "weights of the features in the logistic score",
        range=(-100.0, 100.0),
    )


@dataclass(frozen=True)
class InstanceView:
    """A frame and the mask of one instance, prepared once for all of its hypotheses.

    Attributes:
        frame: the frame.
        core: (H, W) bool, the mask without its rim, where it has depth.
        core_px: number of its pixels.
    """

    frame: RGBDFrame
    core: NDArray[np.bool_]
    core_px: int


@dataclass(frozen=True)
class SurfaceComparison:
    """A rendered surface and the measured one, at the P pixels of the image where the object would be seen.

    Attributes:
        rows, cols: (P,) the pixels.
        behind: (P,) float64 how far the measured surface lies behind the rendered one, metres, measured square to the
            latter; NaN where the sensor read nothing.
        tolerance: (P,) float64 metres that still agree.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    behind: Float
    tolerance: Float

    @property
    def agrees(self) -> NDArray[np.bool_]:
        """(P,) whether the surface was measured where it is rendered."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.behind) < self.tolerance)

    @property
    def void(self) -> NDArray[np.bool_]:
        """(P,) whether what was measured lies behind it: the surface cannot be there."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.behind >= self.tolerance)

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(P,) whether what was measured lies before it."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.behind <= -self.tolerance)


@dataclass
class Verification:
    """What the frame says about one hypothesis.

    Attributes:
        score: 0 to 1, confidence that the object is there in this pose.
        features: `FEATURES` and, for people, ``occluded_fraction``, ``visible_px``, ``residual_mm``, ``gain``.
    """

    score: float
    features: dict[str, float]


def depth_sigma(config: VerificationConfig, depth: NDArray[np.floating]) -> Float:
    """Standard deviation of the sensor's depth (m) at `depth` (m): Nguyen, Izadi and Lovell 2012, axial noise."""
    return config.noise_floor + config.noise_quadratic * np.maximum(np.asarray(depth, float) - 0.4, 0.0) ** 2


def score_features(config: VerificationConfig, features: Mapping[str, float]) -> float:
    """Confidence, 0 to 1: the logistic function of the weighted `FEATURES`.

    0 where nothing of the object is seen, or nothing of the mask is the object.
    """
    if len(config.weights) != len(FEATURES):
        raise ConfigError(f"verification: weights has {len(config.weights)} entries, expected {len(FEATURES)}")
    if features["visible_px"] < 1 or features["coverage"] <= 0:
        return 0.0
    logit = config.bias + sum(w * features[name] for w, name in zip(config.weights, FEATURES, strict=True))
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -50, 50))))


class Verifier:
    """Scores hypotheses of the objects of one set; acceleration structures are built at an object's first use."""

    def __init__(self, config: VerificationConfig, objects: ObjectSet) -> None:
        self.config = config
        self.objects = objects
        self._raycasters: dict[int, MeshRaycaster] = {}

    def raycaster(self, obj_id: int) -> MeshRaycaster:
        """The ray caster of object `obj_id`, which must have a mesh."""
        if obj_id not in self._raycasters:
            mesh = self.objects[obj_id].mesh
            if mesh is None:
                raise ValueError(f"object {obj_id} has no mesh")
            self._raycasters[obj_id] = MeshRaycaster(mesh)
        return self._raycasters[obj_id]

    def view(self, frame: RGBDFrame, mask: NDArray[np.bool_]) -> InstanceView:
        """Prepare an instance, given by its `mask` (H, W), for `verify`."""
        with np.errstate(invalid="ignore"):
            core = _without_rim(mask) & np.isfinite(frame.depth) & (frame.depth > 0)
        return InstanceView(frame, core, int(np.count_nonzero(core)))

    def compare(self, frame: RGBDFrame, obj_id: int, pose: Float, max_rays: int | None = None) -> SurfaceComparison:
        """Compare object `obj_id` at `pose` (4, 4) with the depth of the frame.

        `max_rays` is about how many pixels are looked at; None: all that the object covers.
        """
        raycaster = self.raycaster(obj_id)
        x0, y0, x1, y1 = raycaster.region(pose, frame.intrinsics)
        step = 1 if max_rays is None else max(1, int(np.ceil(np.sqrt((x1 - x0) * (y1 - y0) / max_rays))))
        cols, rows = (a.ravel() for a in np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step)))
        if len(cols) == 0:
            return SurfaceComparison(rows, cols, np.zeros(0), np.zeros(0))
        hits = raycaster.cast(pose, frame.intrinsics, np.stack([cols, rows], axis=1))
        hit = hits.depth > 0
        rows, cols, rendered = rows[hit], cols[hit], hits.depth[hit].astype(np.float64)
        measured = frame.depth[rows, cols].astype(np.float64)
        with np.errstate(invalid="ignore"):
            measured[~(np.isfinite(measured) & (measured > 0))] = np.nan
        steepness = np.clip(np.abs(_cosine_to_ray(frame.intrinsics, rows, cols, hits.normals[hit])), 0.3, 1.0)
        tolerance = np.hypot(
            self.config.noise_sigmas * depth_sigma(self.config, rendered),
            self.config.shape_tolerance * self.objects[obj_id].diameter,
        )
        return SurfaceComparison(rows, cols, (measured - rendered) * steepness, tolerance)

    def verify(self, view: InstanceView, obj_id: int, pose: Float) -> Verification:
        """Compare object `obj_id` at `pose` (4, 4) with the frame and the instance's mask."""
        frame = view.frame
        raycaster = self.raycaster(obj_id)
        x0, y0, x1, y1 = raycaster.region(pose, frame.intrinsics)
        # A step per hypothesis keeps the cost constant and small objects finely sampled.
        step = max(1, int(np.ceil(np.sqrt((x1 - x0) * (y1 - y0) / self.config.max_rays))))
        cols, rows = (a.ravel() for a in np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step)))
        if len(cols) == 0:
            return Verification(0.0, dict.fromkeys((*FEATURES, "visible_px"), 0.0))
        hits = raycaster.cast(pose, frame.intrinsics, np.stack([cols, rows], axis=1))
        hit = hits.depth > 0
        features = self._features(view, obj_id, hits, hit, rows, cols, step, raycaster)
        return Verification(score_features(self.config, features), features)

    def _features(
        self,
        view: InstanceView,
        obj_id: int,
        hits: RayHits,
        hit: NDArray[np.bool_],
        rows: NDArray,
        cols: NDArray,
        step: int,
        raycaster: MeshRaycaster,
    ) -> dict[str, float]:
        frame, diameter = view.frame, self.objects[obj_id].diameter
        measured = np.nan_to_num(frame.depth[rows, cols].astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        known = measured > 0
        rendered = hits.depth.astype(np.float64)
        tolerance = np.hypot(
            self.config.noise_sigmas * depth_sigma(self.config, rendered),
            self.config.shape_tolerance * diameter,
        )
        # Distance to the surface rather than along the ray: a pixel of misalignment moves steep surfaces far in depth.
        steepness = np.clip(np.abs(_cosine_to_ray(frame.intrinsics, rows, cols, hits.normals)), 0.3, 1.0)
        difference = (measured - rendered) * steepness
        seen = hit & known
        inlier = seen & (np.abs(difference) < tolerance)
        violated = seen & (difference >= tolerance)
        occluded = seen & (difference <= -tolerance)

        drawn = max(int(hit.sum()), 1)
        inliers, blind = int(inlier.sum()), int((hit & ~known).sum())
        core_px = view.core_px / (step * step)
        features = {
            "inlier_fraction": inliers / max(inliers + int(violated.sum()), 1),
            "violated_fraction": violated.sum() / drawn,
            # Hidden behind something close by: it may be an object that touches this one, but most often it is the
            # table, with a wrong pose sunk into it.
            "sunken_fraction": (occluded & (difference > -SUNKEN * diameter)).sum() / drawn,
            "coverage": min(1.0, (inlier & view.core[rows, cols]).sum() / max(core_px, 1.0)),
            "blind_fraction": blind / max(inliers + int(violated.sum()) + blind, 1),
            "visible_fraction": inliers / drawn,
            "residual": float(np.mean(np.abs(difference[inlier]) / tolerance[inlier])) if inliers else 1.0,
            "normal_error": _normal_error(frame, rows[inlier], cols[inlier], hits.normals[inlier]),
            "occluded_fraction": occluded.sum() / drawn,
            "visible_px": float(inliers * step * step),
            "log_visible": float(np.log10(1 + inliers * step * step)),
            "residual_mm": float(np.median(np.abs(difference[inlier])) * 1e3) if inliers else float("nan"),
        }
        features.update(
            _color_features(
                frame.color[rows[inlier], cols[inlier]], raycaster.colors(hits)[inlier], hits.normals[inlier]
            )
        )
        return {name: float(value) for name, value in features.items()}


def _without_rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask eroded by up to 3 pixels, by which predicted masks are often too large, if enough of it is left."""
    area = np.count_nonzero(mask)
    for size in (7, 5, 3):
        core = cv2.erode(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)
        if np.count_nonzero(core) >= 0.3 * area:
            return core
    return mask


def _cosine_to_ray(intrinsics: CameraIntrinsics, rows: NDArray, cols: NDArray, normals: NDArray[np.float32]) -> Float:
    """(P,) cosine between unit normals (camera frame) and the ray through each pixel."""
    x = (cols - intrinsics.cx) / intrinsics.fx
    y = (rows - intrinsics.cy) / intrinsics.fy
    return (normals[:, 0] * x + normals[:, 1] * y + normals[:, 2]) / np.sqrt(x * x + y * y + 1.0)


def _normal_error(frame: RGBDFrame, rows: NDArray, cols: NDArray, normals: NDArray[np.float32]) -> float:
    """Mean 1 - |cosine| between the rendered normals and those of the measured surface; 0.5 where none is known.

    The measured surface is taken over a few pixels (central differences of the back-projected depth): over one, sensor
    noise drowns the slope.
    """
    height, width = frame.depth.shape
    reach = 4
    inside = (rows >= reach) & (rows < height - reach) & (cols >= reach) & (cols < width - reach)
    rows, cols, normals = rows[inside], cols[inside], normals[inside]
    left, right, up, down = (
        _points(frame, rows + dr, cols + dc) for dr, dc in ((0, -reach), (0, reach), (-reach, 0), (reach, 0))
    )
    cross = np.cross(right - left, down - up)
    norm = np.linalg.norm(cross, axis=1)
    # Differences across a depth edge say nothing about the surface.
    flat = np.abs(np.stack([right - left, down - up])[:, :, 2]).max(0) < 0.03
    with np.errstate(invalid="ignore"):
        known = np.isfinite(norm) & (norm > 1e-9) & flat
    if not known.any():
        return 0.5
    cosine = np.abs((cross[known] * normals[known]).sum(1)) / norm[known]
    return float(np.mean(1 - np.minimum(cosine, 1.0)))


def _points(frame: RGBDFrame, rows: NDArray, cols: NDArray) -> Float:
    """(P, 3) measured points of pixels, NaN where there is none."""
    depth = frame.depth[rows, cols].astype(np.float64)
    depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    camera = frame.intrinsics
    return np.stack([(cols - camera.cx) / camera.fx * depth, (rows - camera.cy) / camera.fy * depth, depth], axis=1)


def _color_features(
    measured: NDArray[np.uint8], rendered: NDArray[np.float32], normals: NDArray[np.float32]
) -> dict[str, float]:
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


def _shading(measured: Float, rendered: Float, gain: float, normals: NDArray[np.float32]) -> Float:
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

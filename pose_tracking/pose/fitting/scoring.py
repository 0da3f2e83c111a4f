"""What a frame says of a hypothesis, as one number: features of the surface comparison and of the colours, scored.

A hypothesis is ray-cast on a coarse pixel grid and compared with the frame, which gives a few features (`FEATURES`);
a logistic function of them is the pose confidence. The features are ratios, so that one calibration serves objects of
any size at any distance.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.depth_noise import DepthNoise, DepthNoiseConfig
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.pose.config import VerificationConfig

from .color_comparison import COLOR_UNKNOWN, color_features
from .comparison_kernels import count_depth, sum_normal_errors
from .mask_core import core_of
from .outline import continued_fraction
from .picture_edge import cut_fraction
from .surface_comparison import SurfaceComparison, compare_surface

LOGGER = logging.getLogger(__name__)

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
# What the score takes beside them, each with a weight of its own.
BESIDE = ("continued_fraction", "cut_fraction")

# Hidden by less than this share of the diameter counts as sunk into what hides it.
SUNKEN = 0.2
# Beyond so much of the outline of right poses the surface seems to go on: noise, and what they stand on.
USUALLY_CONTINUED = 0.1
_NORMAL_REACH, _NORMAL_STEP = 4, 0.03  # pixels, and metres of depth that are an edge


@dataclass(frozen=True)
class InstanceView:
    """A frame and the mask of one instance, prepared once for all of its hypotheses.

    Attributes:
        frame: the frame.
        core: (h, w) bool, the mask without its rim, where it has depth: of the frame, or of a part that has all of it.
        core_px: number of its pixels.
        corner: row and column of the frame at which `core` begins.
    """

    frame: RGBDFrame
    core: Bool
    core_px: int
    corner: tuple[int, int] = (0, 0)


@dataclass
class Verification:
    """What the frame says about one hypothesis.

    Attributes:
        score: 0 to 1, confidence that the object is there in this pose.
        features: `FEATURES`, `BESIDE` and, for people, ``occluded_fraction``, ``visible_px``,
            ``residual_mm``, ``gain``.
    """

    score: float
    features: dict[str, float]


class Verifier:
    """Scores hypotheses of the objects of one set; acceleration structures are built at an object's first use.

    Args:
        config: options.
        objects: the known objects.
        depth_noise: noise of the depth sensor; a Kinect's by default.
    """

    def __init__(
        self, config: VerificationConfig, objects: ObjectSet, depth_noise: DepthNoiseConfig | None = None
    ) -> None:
        self.config = config
        self.depth_noise = depth_noise or DepthNoiseConfig()
        self.objects = objects
        self._raycasters: dict[int, MeshRaycaster] = {}
        self._noises: tuple[tuple[RGBDFrame, DepthNoise], ...] = ()
        self._warned: DepthNoiseConfig | None = None

    def raycaster(self, obj_id: int) -> MeshRaycaster:
        """The ray caster of object `obj_id`, which must have a mesh."""
        if obj_id not in self._raycasters:
            mesh = self.objects[obj_id].mesh
            if mesh is None:
                raise ValueError(f"object {obj_id} has no mesh")
            self._raycasters[obj_id] = MeshRaycaster(mesh)
        return self._raycasters[obj_id]

    def noise(self, frame: RGBDFrame) -> DepthNoise:
        """The noise of a frame's depth; what has to be measured is measured once.

        Two threads may ask at once, each for a frame of its own (`pipeline.detector_thread`).
        """
        for known, noise in self._noises:
            if known is frame and noise.config is self.depth_noise:
                return noise
        noise = DepthNoise(self.depth_noise, frame.depth if frame.readings is None else frame.readings)
        self._noises = ((frame, noise), *self._noises[:1])
        self._warn(noise)
        return noise

    def _warn(self, noise: DepthNoise) -> None:
        """Say once for each setting that the depth is noisier than stated."""
        times = noise.exceeds()
        if times > 1.0 and self._warned is not noise.config:
            self._warned = noise.config
            LOGGER.warning(
                "the depth is %.1f times as noisy as pose.depth_noise.model '%s' says, and counts as that noisy; "
                "set pose.depth_noise.scale to %.1f times what it is, or the model to 'auto'",
                times,
                noise.config.model,
                times,
            )

    def view(self, frame: RGBDFrame, mask: Bool, corner: tuple[int, int] = (0, 0)) -> InstanceView:
        """Prepare an instance, given by its mask, for `verify`.

        Args:
            frame: the frame.
            mask: (h, w) of the frame, or of a part of it with a few pixels around the instance.
            corner: row and column of the frame at which the mask begins.
        """
        return InstanceView(frame, *core_of(mask, frame.depth, corner), corner)

    def compare(
        self,
        frame: RGBDFrame,
        obj_id: int,
        pose: Float,
        max_rays: int | None = None,
        region: tuple[int, int, int, int] | None = None,
    ) -> SurfaceComparison:
        """Compare object `obj_id` at `pose` (4, 4) with the depth of the frame; see `compare_surface`."""
        diameter, raycaster = self.objects[obj_id].diameter, self.raycaster(obj_id)
        return compare_surface(self.config, self.noise(frame), raycaster, diameter, frame, pose, max_rays, region)

    def verify(self, view: InstanceView, obj_id: int, pose: Float) -> Verification:
        """Score object `obj_id` at `pose` (4, 4) by the frame and the instance's mask."""
        compared = self.compare(view.frame, obj_id, pose, self.config.max_rays)
        if not compared.in_picture:
            return Verification(0.0, dict.fromkeys((*FEATURES, *BESIDE, "visible_px"), 0.0))
        model = self.objects[obj_id]
        features = depth_features(compared, view, model.diameter)
        features["continued_fraction"] = continued_fraction(view.frame, compared, float(np.min(model.size)))
        features["cut_fraction"] = cut_fraction(view.frame.intrinsics, model, pose, compared.region)
        features |= self._color_features(view.frame, obj_id, compared)
        return Verification(score_features(self.config, features), features)

    def _color_features(self, frame: RGBDFrame, obj_id: int, compared: SurfaceComparison) -> dict[str, float]:
        """`color_features` where the surface agrees; those of a mesh without colour say nothing of the frame."""
        mesh = self.raycaster(obj_id).mesh
        return color_features(frame.color, mesh, compared) if mesh.colored else dict(COLOR_UNKNOWN)


def score_features(config: VerificationConfig, features: Mapping[str, float]) -> float:
    """Confidence, 0 to 1: the logistic function of the weighted `FEATURES`, of the outline and the picture's edge.

    0 where nothing of the object is seen, nothing of the mask is the object, hardly anything was measured of what
    nothing hides (`VerificationConfig.max_blind`), or the surface goes on where the object ends
    (`VerificationConfig.max_continued`).

    Raises:
        ConfigError: there are not as many weights as features.
    """
    if len(config.weights) != len(FEATURES):
        raise ConfigError(f"verification: weights has {len(config.weights)} entries, expected {len(FEATURES)}")
    if features["visible_px"] < 1 or features["coverage"] <= 0 or features["blind_fraction"] > config.max_blind:
        return 0.0
    continued = features.get("continued_fraction", 0.0)
    if continued > config.max_continued:
        return 0.0
    against = config.continued_weight * max(continued - USUALLY_CONTINUED, 0.0)
    against += config.cut_weight * features.get("cut_fraction", 0.0)
    logit = config.bias - against + sum(w * features[name] for w, name in zip(config.weights, FEATURES, strict=True))
    return 1.0 / (1.0 + math.exp(-min(max(float(logit), -50.0), 50.0)))


def depth_features(compared: SurfaceComparison, view: InstanceView, diameter: float) -> dict[str, float]:
    """What the depth says of a hypothesis.

    Args:
        compared: the object's surface at the pose and the measured one.
        view: the instance.
        diameter: of the object, metres.
    """
    drawn = max(len(compared.rows), 1)
    counts, sizes = np.empty(6, np.int64), np.empty(2)
    count_depth(
        compared.rows,
        compared.cols,
        compared.behind,
        compared.tolerance,
        np.ascontiguousarray(view.core),
        *view.corner,
        SUNKEN * diameter,
        counts,
        sizes,
    )
    inliers, violated, hidden, blind, sunken, covered = counts.tolist()
    pixels_per_ray = compared.step * compared.step
    features = {
        "inlier_fraction": inliers / max(inliers + violated, 1),
        "violated_fraction": violated / drawn,
        # Hidden behind something close by: it may be an object that touches this one, but most often it is the
        # table, with a wrong pose sunk into it.
        "sunken_fraction": sunken / drawn,
        "coverage": min(1.0, covered / max(view.core_px / pixels_per_ray, 1.0)),
        "blind_fraction": blind / max(inliers + violated + blind, 1),
        "visible_fraction": inliers / drawn,
        "residual": sizes[0] if inliers else 1.0,
        "normal_error": _normal_error(view.frame, compared),
        "occluded_fraction": hidden / drawn,
        "visible_px": inliers * pixels_per_ray,
        "log_visible": math.log10(1 + inliers * pixels_per_ray / view.frame.intrinsics.density),
        "residual_mm": sizes[1] * 1e3,
    }
    return {name: float(value) for name, value in features.items()}


def _normal_error(frame: RGBDFrame, compared: SurfaceComparison) -> float:
    """Mean 1 - |cosine| between the rendered normals and those of the measured surface; 0.5 where none is known.

    Where the two surfaces agree. The measured one is taken over a few pixels (central differences of the back-projected
    depth): over one, sensor noise drowns the slope.
    """
    total, known = sum_normal_errors(
        np.ascontiguousarray(frame.depth, np.float32),
        compared.camera,
        compared.rows,
        compared.cols,
        compared.agrees,
        compared.hits.normals,
        _NORMAL_REACH,
        _NORMAL_STEP,
    )
    return total / known if known else 0.5

"""Detections made of the ground truth and noise: what a tracker is measured on, apart from detector and pose network.

Boxes, poses, misses and false alarms are drawn; the appearance features are real: RoIAlign features of the rendered or
recorded frame, taken by the bundle's own detector at the noisy boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float, valid_depth
from pose_tracking.core.config import option, validate
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, PoseEstimate
from pose_tracking.core.symmetry_axis import UNKNOWN_ANGLE, symmetry_axis
from pose_tracking.datasets.sample import Sample
from pose_tracking.evaluation.metrics.identities import truth_box, visibility_of
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.tracking.track import UNKNOWN_DIAMETER

MIN_SIDE = 1.0  # px; a box of no extent has no features
MIN_SIGMA = 1e-6  # m and rad; a filter cannot take in a measurement without any doubt
# Scores and pose confidences are uniform in these ranges.
TRUE_SCORES, FALSE_SCORES = (0.7, 1.0), (0.3, 0.7)
# Sides of the box of a false alarm, in projected diameters of its object.
FALSE_SIDES = (0.5, 1.0)


@dataclass(frozen=True)
class NoisyTruthConfig:
    """How far the detections are from the ground truth, and how far they say they are.

    All noise is normal and independent.
    """

    box_noise: float = option(
        2.0, "standard deviation of each corner coordinate of a box", unit="px", range=(0.0, 100.0)
    )
    position_noise: float = option(
        0.005, "standard deviation of a position along each axis", unit="m", range=(0.0, 1.0)
    )
    rotation_noise: float = option(
        3.0, "standard deviation of a rotation about each axis of the optical frame", unit="deg", range=(0.0, 60.0)
    )
    miss_rate: float = option(0.03, "share of the instances that are missed", range=(0.0, 1.0))
    false_alarms: float = option(
        0.05, "mean number of detections of nothing in a frame (Poisson)", unit="1/frame", range=(0.0, 100.0)
    )
    min_visibility: float = option(
        0.1, "instances less visible than this are not detected; unknown counts as 1", range=(0.0, 1.0)
    )
    covariance_scale: float = option(
        1.0,
        "covariance of a pose as the tracker is told it, in times that of its noise: no pose stage knows its own "
        "errors exactly",
        range=(1 / 25, 25.0),
    )
    seed: int = option(0, "seed of the noise", range=(0, 2**63))

    @property
    def pose_sigma(self) -> Float:
        """(6,) standard deviations of the noise of a pose, m and rad along and about the axes of the optical frame."""
        return np.repeat([self.position_noise, np.radians(self.rotation_noise)], 3)

    @property
    def told_covariance(self) -> Float:
        """(6, 6) covariance of a pose that the tracker is told, of what its symmetries leave unknown apart."""
        return np.diag(np.maximum(self.pose_sigma, MIN_SIGMA) ** 2 * self.covariance_scale)


@dataclass(frozen=True)
class _Found:
    """One detection without its appearance features yet."""

    obj_id: int
    score: float
    box: Float
    pose: PoseEstimate


class NoisyTruthDetector:
    """Detects the annotated instances of a frame, with noise.

    What is drawn in a frame depends on the seed, the scene and the frame's number and stamp alone, so that it does not
    matter which frames were looked at before.

    Args:
        segmenter: takes features at given boxes (`Segmenter.instances_at`); None: they have none.
        objects: the object set; other annotated objects are not detected.
        config: how much noise.
        embedding: identity embedding of the features, where the bundle has one.

    Raises:
        ConfigError: an option is out of range.
    """

    def __init__(
        self,
        segmenter: Segmenter | None,
        objects: ObjectSet,
        config: NoisyTruthConfig | None = None,
        embedding: Any = None,
    ) -> None:
        self.config = config or NoisyTruthConfig()
        validate(self.config, "noisy-gt")
        self._segmenter, self._objects, self._embedding = segmenter, objects, embedding

    def detect(self, sample: Sample) -> list[Detection]:
        """The detections of one frame: instances in the order of the annotation, then false alarms.

        Raises:
            ConfigError: the segmenter cannot take features at given boxes.
            DatasetError: the frame is not annotated.
        """
        found = self._find(sample)
        if not found:
            return []
        if self._segmenter is None:
            return [Detection(f.obj_id, f.score, f.box, None, f.pose) for f in found]
        instances = self._segmenter.instances_at(
            sample.frame, np.stack([f.box for f in found]), np.array([f.obj_id for f in found])
        )
        features = descriptors(instances, self._embedding)
        return [
            Detection(f.obj_id, f.score, f.box, feature, f.pose, mask)
            for f, feature, mask in zip(found, features, instances.masks, strict=True)
        ]

    def _find(self, sample: Sample) -> list[_Found]:
        if sample.objects is None:
            where = f"scene {sample.scene_id}, stamp {sample.frame.stamp:.3f} s"
            raise DatasetError(f"{where} is not annotated: noisy-gt needs ground truth")
        config, frame = self.config, sample.frame
        number = 0 if sample.image_id is None else sample.image_id
        key = [config.seed, sample.scene_id, number, frame.stamp_ns]
        rng = np.random.default_rng([value % 2**64 for value in key])
        found = []
        for truth in sample.objects:
            if truth.obj_id not in self._objects:
                continue
            missed = rng.random() < config.miss_rate
            noise = rng.normal(0.0, config.box_noise, 4)
            estimate = self._estimate(truth.pose, self._objects[truth.obj_id], TRUE_SCORES, rng)
            score = float(rng.uniform(*TRUE_SCORES))
            box = truth_box(truth, self._objects, sample)
            if not missed and box is not None and visibility_of(truth) >= config.min_visibility:
                found.append(_Found(truth.obj_id, score, _inside(box + noise, frame), estimate))
        return found + self._false_alarms(frame, rng)

    def _estimate(
        self, pose: Float, model: ObjectModel, confidences: tuple[float, float], rng: np.random.Generator
    ) -> PoseEstimate:
        """A pose that looks like (4, 4) `pose`, but for the noise; which of its symmetries it is nobody can tell."""
        config = self.config
        axis = symmetry_axis(model.symmetries)
        pose = pose @ model.symmetries[rng.integers(len(model.symmetries))]
        if axis is not None:
            turned = Rotation.from_rotvec(rng.uniform(-np.pi, np.pi) * axis[0]).as_matrix()
            pose = pose @ make_transform(turned, axis[1] - turned @ axis[1])
        shift, turn = np.split(rng.normal(0.0, 1.0, 6) * config.pose_sigma, 2)
        noisy = make_transform(Rotation.from_rotvec(turn).as_matrix() @ pose[:3, :3], pose[:3, 3] + shift)
        covariance = config.told_covariance
        if axis is not None:
            direction = noisy[:3, :3] @ axis[0]
            free = np.concatenate([np.cross(direction, -noisy[:3, :3] @ axis[1]), direction])
            covariance = covariance + UNKNOWN_ANGLE * np.outer(free, free)
        return PoseEstimate(noisy, float(rng.uniform(*confidences)), covariance)

    def _false_alarms(self, frame: RGBDFrame, rng: np.random.Generator) -> list[_Found]:
        """Detections of nothing, at the size their object would have on the surface measured there."""
        count = int(rng.poisson(self.config.false_alarms))
        measured = np.flatnonzero(valid_depth(frame.depth)) if count else np.zeros(0, int)
        if len(measured) == 0:
            return []
        found, camera = [], frame.intrinsics
        for _ in range(count):
            obj_id = int(rng.choice(list(self._objects)))
            model = self._objects[obj_id]
            v, u = divmod(int(rng.choice(measured)), frame.depth.shape[1])
            z = float(frame.depth[v, u])
            diameter = model.diameter if model.has_shape else UNKNOWN_DIAMETER
            half = rng.uniform(*FALSE_SIDES, 2) * diameter / z * np.array([camera.fx, camera.fy]) / 2
            centre = np.array([u, v], float)
            position = np.array([(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z])
            pose = make_transform(Rotation.from_quat(rng.normal(size=4)).as_matrix(), position)
            estimate = self._estimate(pose, model, FALSE_SCORES, rng)
            box = _inside(np.concatenate([centre - half, centre + half]), frame)
            found.append(_Found(obj_id, float(rng.uniform(*FALSE_SCORES)), box, estimate))
        return found


def _inside(box: Float, frame: RGBDFrame) -> Float:
    """(4,) box cut to the image, its corners in order and its sides at least `MIN_SIDE`."""
    limits = np.array(frame.depth.shape[::-1], float)
    low = np.clip(np.minimum(box[:2], box[2:]), 0, limits - MIN_SIDE)
    return np.concatenate([low, np.clip(np.maximum(box[:2], box[2:]), low + MIN_SIDE, limits)])

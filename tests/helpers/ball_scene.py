"""A scene the node's tests can see through without networks: coloured balls in front of a grey wall.

The segmenter finds the balls by colour and the estimator places them by depth, so that what comes out of the node
depends on the pixels that went in, as with the real stages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig

RADIUS = 0.04
COLORS = {1: (220, 30, 30), 2: (30, 30, 220)}
NAMES = {1: "red_ball", 2: "blue_ball"}
CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 79.5, 59.5)
WALL = 1.0
PERIOD_NS = 100_000_000


def ball_objects() -> ObjectSet:
    """Two balls without meshes."""
    size = np.full(3, 2 * RADIUS)
    return ObjectSet({i: ObjectModel(i, NAMES[i], 2 * RADIUS, -size / 2, size, np.eye(4)[None]) for i in COLORS})


def shapeless_objects() -> ObjectSet:
    """The same two, of which nothing but the names is known."""
    return ObjectSet({i: ObjectModel.of_unknown_shape(i, NAMES[i]) for i in COLORS})


def positions(index: int) -> dict[int, np.ndarray]:
    """Centre of each ball in frame `index`, metres in the optical frame."""
    return {1: np.array([-0.15 + 0.01 * index, -0.05, 0.6]), 2: np.array([0.12, 0.08 - 0.005 * index, 0.7])}


def render(index: int, stamp_ns: int | None = None) -> RGBDFrame:
    """Frame `index` of the scene."""
    color = np.full((CAMERA.height, CAMERA.width, 3), 128, np.uint8)
    depth = np.full((CAMERA.height, CAMERA.width), WALL, np.float32)
    rays = CAMERA.backproject(np.ones_like(depth))
    for obj_id, centre in positions(index).items():
        # |s * ray - centre| = RADIUS, the nearer solution
        a = (rays**2).sum(-1)
        b = rays @ centre
        root = b**2 - a * (centre @ centre - RADIUS**2)
        hit = root > 0
        z = np.where(hit, (b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
        nearer = hit & (z < depth)
        depth[nearer] = z[nearer]
        color[nearer] = COLORS[obj_id]
    stamp = (index + 1) * PERIOD_NS if stamp_ns is None else stamp_ns
    return RGBDFrame(color, depth.astype(np.float32), CAMERA, stamp, "camera_color_optical_frame")


class ColorSegmenter:
    """Finds connected regions of each ball's colour. Slow or failing on request, by environment variables."""

    def __init__(self) -> None:
        self.config = SegmentationConfig()
        self.delay = float(os.environ.get("BALL_DELAY", "0"))
        self.fail = int(os.environ.get("BALL_FAIL_EVERY", "0"))
        self.count = 0

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in `frame`."""
        self.count += 1
        time.sleep(self.delay)
        if self.fail and self.count % self.fail == 0:
            raise RuntimeError("this stage fails on request")
        ids, masks, boxes, features = [], [], [], []
        for obj_id, color in COLORS.items():
            mask = (np.abs(frame.color.astype(int) - color).sum(-1) < 60).astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
            for label in range(1, count):
                x, y, w, h, area = stats[label]
                if area < 20:
                    continue
                ids.append(obj_id)
                masks.append(labels == label)
                boxes.append((x, y, x + w, y + h))
                features.append(np.eye(4)[obj_id][:, None, None] + np.zeros((4, 7, 7)))
        if not ids:
            return Instances.empty(frame.color.shape[0], frame.color.shape[1], 4, 7)
        scores = np.full(len(ids), 0.9, np.float32)
        keep = scores >= self.config.score_threshold
        return Instances(
            np.array(ids), scores, np.array(boxes, np.float32), np.array(masks), np.array(features, np.float32)
        ).select(keep)


class DepthEstimator:
    """Places a ball behind the nearest point of its mask."""

    config = PoseConfig()

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        """A pose for each instance."""
        points = frame.intrinsics.backproject(frame.depth)
        estimates: list[PoseEstimate | None] = []
        for mask in instances.masks:
            direction = points[mask].mean(0)
            direction = direction / np.linalg.norm(direction)
            nearest = np.linalg.norm(points[mask], axis=1).min()
            pose = make_transform(np.eye(3), direction * (nearest + RADIUS))
            covariance = np.diag([1e-6, 1e-6, 4e-6, 1e-2, 1e-2, 1e-2])
            estimates.append(PoseEstimate(pose, 0.8, covariance))
        return estimates


def shapeless_tracker() -> PoseTracker:
    """The real pipeline and the real pose stage of objects of unknown shape, on the segmenter of this module."""
    bundle = ModelBundle(Path("balls"), BundleConfig(name="shapeless balls"), shapeless_objects())
    return PoseTracker(bundle, segmenter=ColorSegmenter(), estimator=bundle.build_pose_stage())  # type: ignore[arg-type]


def ball_tracker(clip_network: str = "") -> PoseTracker:
    """The real pipeline on the stages of this module."""
    bundle = ModelBundle(Path("balls"), BundleConfig(name="balls"), ball_objects())
    bundle = bundle.with_clip_network(clip_network)
    return PoseTracker(bundle, segmenter=ColorSegmenter(), estimator=DepthEstimator())  # type: ignore[arg-type]

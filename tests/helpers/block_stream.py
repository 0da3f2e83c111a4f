"""The pipeline on a stream of rendered blocks, with a detector and poses that know the scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from block_scenes import CAMERA, render
from scipy.spatial.transform import Rotation

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Instances, PoseEstimate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import PoseConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter

BOARD = 0.5  # distance of what hides things
Placed = list[tuple[int, np.ndarray]]


class Truth(Segmenter):
    """A segmenter that knows the scene; objects in `overlooked` it does not find."""

    def __init__(self) -> None:
        self.config = SegmentationConfig()
        self.placed: Placed = []
        self.masks: list[np.ndarray] = []
        self.overlooked: set[int] = set()
        self.calls: list[int] = []
        self._shown: dict[int, tuple[Placed, list[np.ndarray]]] = {}

    def show(self, stamp_ns: int, placed: Placed, masks: list[np.ndarray]) -> None:
        """What the frame of that stamp shows."""
        self.placed, self.masks = self._shown[stamp_ns] = placed, masks

    def of(self, frame: RGBDFrame) -> tuple[Placed, list[np.ndarray]]:
        """What a frame shows; the newest, for one that was not shown."""
        return self._shown.get(frame.stamp_ns, (self.placed, self.masks))

    def segment(self, frame: RGBDFrame) -> Instances:
        self.calls.append(frame.stamp_ns // 100_000_000)
        placed, masks = self.of(frame)
        seen = [
            i
            for i, mask in enumerate(masks)
            if np.count_nonzero(mask & (frame.depth > BOARD + 0.05)) > 100 and placed[i][0] not in self.overlooked
        ]
        if not seen:
            return Instances.empty(CAMERA.height, CAMERA.width, 4, 7)
        boxes = []
        for i in seen:
            rows, cols = np.nonzero(masks[i])
            boxes.append([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1])
        return Instances(
            np.array([placed[i][0] for i in seen]),
            np.full(len(seen), 0.9, np.float32),
            np.array(boxes, np.float32),
            np.array([masks[i] for i in seen]),
            np.stack([np.eye(4, dtype=np.float32)[placed[i][0]][:, None, None] + np.zeros((4, 7, 7)) for i in seen]),
        )


class TruthEstimator:
    """Poses of the instances from the scene, 2 mm off."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.config = PoseConfig()
        self._rng = np.random.default_rng(0)

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        out: list[PoseEstimate | None] = []
        placed, masks = self.truth.of(frame)
        for mask in instances.masks:
            i = int(np.argmax([np.count_nonzero(mask & m) for m in masks]))
            pose = placed[i][1].copy()
            pose[:3, 3] += self._rng.normal(0, 0.001, 3)
            out.append(PoseEstimate(pose, 0.9, np.diag([4e-6] * 3 + [1e-3] * 3)))
        return out


class Scene:
    """A stream of rendered frames, 0.1 s apart, and the pipeline that watches it."""

    def __init__(self, objects: ObjectSet, **options: object) -> None:
        self.truth = Truth()
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), objects)
        self.tracker = PoseTracker(
            bundle,
            segmenter=self.truth,
            estimator=TruthEstimator(self.truth),
        )
        self.tracker.configure(**options)
        self.time = 0

    def frame(self, placed: Placed, board: tuple[int, int] | None = None) -> RGBDFrame:
        """The next frame; `board` hides the image between two columns."""
        self.time += 1
        frame, masks = render(placed, seed=self.time)
        self.truth.show(self.time * 100_000_000, placed, masks)
        depth, color = frame.depth.copy(), frame.color.copy()
        if board is not None:
            depth[:, slice(*board)], color[:, slice(*board)] = BOARD, 60
        return replace(frame, depth=depth, color=color, stamp_ns=self.time * 100_000_000)

    def show(self, placed: Placed, board: tuple[int, int] | None = None) -> dict[int, np.ndarray]:
        """Track the next frame; the poses of the observed objects by track ID."""
        things = self.tracker.update(self.frame(placed, board))
        return {t.track_id: t.pose for t in things if t.is_observed and t.pose is not None}


def at(x: float, y: float = 0.0, turn: float = 0.5) -> np.ndarray:
    """A block seen from above and one side, at (x, y, 0.7) metres, turned by `turn` radians about its axis."""
    return make_transform(Rotation.from_euler("zx", [turn, -2.2]).as_matrix(), [x, y, 0.7])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between the positions of two poses, metres."""
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3]))

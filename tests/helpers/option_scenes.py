"""Pipelines on small scenes that show what an option does: ground truth of rendered blocks, random networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from block_scenes import STEPS, random_pose, render, write_objects
from pose_scenario import at as flat
from pose_scenario import detect
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from shape_scenes import shape_scene

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Detection, Instances, PoseEstimate
from pose_tracking.networks.clips.classifier import ClipClassifier
from pose_tracking.networks.clips.small import SmallClipNetwork
from pose_tracking.objects import ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.predictor import PoseHypotheses, PosePredictor
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet
from pose_tracking.pose.stage import PoseStage
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn
from pose_tracking.segmentation.segmenter import Segmenter

TRUTH = random_pose(np.random.default_rng(0))

# Random networks give poses that differ little: with wide limits the most different of the pool are kept.
POSE = PoseConfig(
    crop=CropConfig(size=32, points=40), hypotheses=3, hypothesis_angle=3.2, hypothesis_distance=2.0, refine_points=24
)
SEGMENTATION = SegmentationConfig(
    fpn_channels=16, box_head_size=16, mask_head_channels=(8,), proposals=30, max_detections=60,
    score_threshold=0.0, min_depth_coverage=0.0, min_size_ratio=0.0, max_size_ratio=100.0,
)  # fmt: skip


def turned(angle: float) -> np.ndarray:
    """The pose of the scene's object, turned by `angle` radians about the line of sight."""
    out = TRUTH.copy()
    out[:3, :3] = Rotation.from_rotvec([0.0, 0.0, angle]).as_matrix() @ out[:3, :3]
    return out


class Masks(Segmenter):
    """Finds the rendered objects by their masks, each as what `obj_ids` says; none while `blind`."""

    def __init__(self, masks: list[np.ndarray], obj_ids: list[int], score: float = 0.9) -> None:
        self.config = SegmentationConfig()
        self.masks, self.obj_ids, self.score, self.blind = masks, obj_ids, score, False

    def segment(self, frame: RGBDFrame) -> Instances:
        if self.blind:
            height, width = frame.depth.shape
            return Instances.empty(height, width, 4, 7)
        count = len(self.masks)
        spans = [(np.flatnonzero(m.any(0)), np.flatnonzero(m.any(1))) for m in self.masks]
        boxes = np.array([[c[0], r[0], c[-1] + 1, r[-1] + 1] for c, r in spans], np.float32)
        scores, features = np.full(count, self.score, np.float32), np.ones((count, 4, 7, 7), np.float32)
        return Instances(np.array(self.obj_ids), scores, boxes, np.array(self.masks), features)


class Known:
    """Proposes given poses for each instance, the first ones most confidently."""

    def __init__(self, *poses: np.ndarray) -> None:
        self.config = PoseConfig()
        self.poses = np.array(poses)

    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        count, k = len(instances), len(self.poses)
        poses = np.tile(self.poses, (count, 1, 1, 1))
        confidences = np.tile(np.linspace(0.9, 0.5, k, dtype=np.float32), (count, 1))
        return PoseHypotheses(poses, poses, confidences, np.zeros((count, 1, 3), np.float32), np.ones(count, bool))


@dataclass
class Apart:
    """Puts the instances 0.2 m apart, with a given confidence; None: no pose."""

    confidence: float | None = 0.9
    config: PoseConfig = field(default_factory=PoseConfig)

    def estimate(
        self, frame: RGBDFrame, instances: Instances, predicted: Mapping[int, np.ndarray] | None = None
    ) -> list[PoseEstimate | None]:
        poses = [make_transform(np.eye(3), [0.2 * i, 0, 0.8]) for i in range(len(instances))]
        return [None if self.confidence is None else PoseEstimate(p, self.confidence, np.eye(6) * 1e-4) for p in poses]


# Pipelines, each on a scene of its own.


@dataclass
class Running:
    """A pipeline and the frame it sees again and again; with `given` its detections come from there.

    From the second time on it sees `later`, where that is another one.
    """

    tracker: PoseTracker
    frame: RGBDFrame
    given: list[list[Detection]] | None = None
    count: int = 0
    later: RGBDFrame | None = None

    def begin(self) -> None:
        """Start again, and have everything tracked before the frame that matters."""
        self.tracker.reset()
        self.tracker.segmenter.blind = False  # type: ignore[attr-defined]
        self.count = 0
        for _ in range(1 if self.given is None else len(self.given) - 1):
            self.show()

    def show(self) -> list[float]:
        """All numbers that come out for the next frame, 0.1 s after the one before."""
        self.count += 1
        seen = self.frame if self.later is None or self.count == 1 else self.later
        frame = replace(seen, stamp_ns=self.count * 100_000_000)
        if self.given is None:
            things = self.tracker.update(frame)
        else:
            things = self.tracker.update_with(frame, self.given[self.count - 1])
        report = self.tracker.report
        numbers = [float(report.segmented), float(report.recovered), *report.rejected.values(), len(report.events)]
        numbers += [float(since) for since in report.activity_since.values()]
        for said in report.clips.values():
            numbers += [said.end_ns, said.probability, len(said.label)]
        for thing in things:
            numbers += [thing.track_id, thing.obj_id, thing.hits, thing.state, *thing.box]
            if thing.pose is not None and thing.covariance is not None:
                numbers += [*thing.pose.ravel(), *thing.covariance.ravel(), thing.pose_confidence]
        for detection in report.detections:
            numbers += [detection.score, 0.0 if detection.mask is None else float(detection.mask.sum())]
            if detection.pose is not None and detection.pose.refined_pose is not None:
                numbers += detection.pose.refined_pose.ravel().tolist()
        return numbers


class Scenes:
    """Makes pipelines; what they share is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = write_objects(folder)
        self.bare = ObjectSet({i: replace(model, mesh_path=None) for i, model in self.objects.items()})
        self.frame, self.masks = render([(STEPS, TRUTH)], seed=3)
        torch.manual_seed(3)
        self.detector = build_mask_rcnn(SEGMENTATION, 3)
        for layer in (
            self.detector.roi_heads.box_predictor.cls_score,
            self.detector.roi_heads.mask_predictor.mask_fcn_logits,
        ):
            torch.nn.init.normal_(layer.weight, std=0.5)
        self.weights = folder / "pose.safetensors", folder / "refiner.safetensors"
        network, refiner = LightPoseNet(3), PoseRefineNet(3)
        with torch.no_grad():
            refiner.conv3_t.bias.fill_(0.02)
        save_file(network.state_dict(), self.weights[0])
        save_file(refiner.state_dict(), self.weights[1])

    def pipeline(self, estimator: PoseStage, segmenter: Segmenter, meshes: bool = True) -> Running:
        objects = self.objects if meshes else self.bare
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), objects)
        return Running(PoseTracker(bundle, segmenter=segmenter, estimator=estimator), self.frame)

    def checked(self, *poses: np.ndarray, score: float = 0.9, search: Any = None) -> Running:
        """A staircase whose pose is refined and checked, from the hypotheses `poses` on."""
        config = PoseConfig() if search is None else PoseConfig(search=search)
        estimator = PoseEstimator(config, self.objects, Known(*poses))
        return self.pipeline(estimator, Masks(self.masks, [STEPS], score))

    def believed(self, confidence: float | None = 0.9, score: float = 0.9, meshes: bool = False) -> Running:
        """A staircase whose pose is given."""
        return self.pipeline(Apart(confidence), Masks(self.masks, [STEPS], score), meshes)

    def grey(self, score: float) -> Running:
        """The same, and the meshes have no colour."""
        models = {}
        for obj_id, model in self.objects.items():
            path = self.folder / f"grey_{obj_id}.ply"
            if not path.exists():
                assert model.mesh is not None
                save_mesh(replace(model.mesh, colors=np.full_like(model.mesh.colors, 128)), path)
            models[obj_id] = replace(model, mesh_path=path)
        bundle = ModelBundle(Path("grey"), BundleConfig(name="grey"), ObjectSet(models))
        segmenter = Masks(self.masks, [STEPS], score)
        return Running(PoseTracker(bundle, segmenter=segmenter, estimator=Apart()), self.frame)

    def holed(self) -> Running:
        """The same with depth on two thirds of it."""
        running = self.believed()
        depth = self.frame.depth.copy()
        depth[::3] = 0.0
        running.frame = replace(self.frame, depth=depth)
        return running

    def jerked(self) -> Running:
        """The same before a wall with a pattern, which then has moved by 6 pixels."""
        running = self.believed()
        texture = gaussian_filter(np.random.default_rng(0).uniform(0, 255, self.frame.depth.shape), 2.0, mode="wrap")
        texture = ((texture - texture.min()) / np.ptp(texture) * 255).astype(np.uint8)
        depth = np.full_like(self.frame.depth, 0.8)
        running.frame, running.later = (
            replace(
                self.frame, color=np.repeat(np.roll(texture, by, axis=1)[..., None], 3, axis=2), depth=depth + by / 1e4
            )
            for by in (0, 6)
        )
        return running

    def watched(self) -> Running:
        """A staircase whose pose is given, and a random network that looks at clips of it."""
        torch.manual_seed(3)
        return self._watched_by(SmallClipNetwork(3))

    def contradicted(self) -> Running:
        """The same, and the network says that it moved, whatever it sees."""
        network = SmallClipNetwork(3)
        torch.nn.init.zeros_(network.fc.weight)
        network.fc.bias.data = torch.tensor([0.0, 5.0, 0.0])
        return self._watched_by(network)

    def _watched_by(self, network: SmallClipNetwork) -> Running:
        path = self.folder / "clips.safetensors"
        classifier = ClipClassifier(network, ("fell", "moved", "still"), "small")
        save_file(classifier.network.state_dict(), path, classifier.metadata())
        bundle = ModelBundle(Path("blocks"), BundleConfig(name="blocks"), self.bare).with_clip_network(str(path))
        segmenter = Masks(self.masks, [STEPS])
        return Running(PoseTracker(bundle, "cpu", segmenter=segmenter, estimator=Apart()), self.frame)

    def detected(self) -> Running:
        """A random detector, which finds a lot everywhere, on flat shapes."""
        running = self.pipeline(Apart(), TorchvisionSegmenter(SEGMENTATION, (1, 2, 3), self.detector), meshes=False)
        running.tracker.configure(min_unchecked_score=0.0)
        running.frame = shape_scene(1, 160, 120).frame
        return running

    def proposed(self) -> Running:
        """A staircase whose pose random networks propose; nothing checks it."""
        predictor = PosePredictor(POSE, self.bare, *self.weights)
        return self.pipeline(PoseEstimator(POSE, self.bare, predictor), Masks(self.masks, [STEPS]), meshes=False)

    def given(self, *last: Detection) -> Running:
        """Two tracks that differ in appearance, 2 cm apart, and then the detections `last`."""
        running = self.believed()
        pair = [detect(flat(0.0), feature_at(0.0)), detect(flat(0.02), feature_at(0.6))]
        running.given = [pair] * 6 + [list(last)]
        return running


def feature_at(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def behind(detection: Detection) -> Detection:
    """A detection with the same box and a pose far away."""
    assert detection.pose is not None
    return replace(detection, pose=replace(detection.pose, pose=flat(0.0, z=3.0)))


def blind(running: Running) -> None:
    running.tracker.segmenter.blind = True  # type: ignore[attr-defined]

"""The network's pose hypotheses for all instances of a frame, refined."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pose_tracking.core.arrays import Float, Float32, Int
from pose_tracking.core.config import validate
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.engine import Engine, Run, TorchEngine
from pose_tracking.networks.weights import load_weights
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import PoseConfig
from pose_tracking.pose.networks.alignment import align
from pose_tracking.pose.networks.compiled import CompiledLightPoseNet, compile_estimator, compile_refiner
from pose_tracking.pose.networks.light_network import CoordinateOutput, LightPoseNet
from pose_tracking.pose.networks.loss import rotation_from_quaternion
from pose_tracking.pose.networks.network import PoseNet, PoseOutput
from pose_tracking.pose.networks.refiner import PoseRefineNet, refine

from .crops import CropBatch, choose_points, make_crops
from .hypotheses import PoseHypotheses

# Crops that go through the encoder together: bounds the memory of a frame crowded with instances.
CHUNK = 16


class PosePredictor:
    """DenseFusion estimator and refiner over the instances of a frame.

    Args:
        config: options of the pose stage.
        objects: the known objects; their order fixes the outputs of the networks.
        pose_weights: safetensors file of the estimator.
        refiner_weights: safetensors file of the refiner.
        device: torch device.
        engine: what runs the networks; PyTorch without.

    Raises:
        BundleError: a weight file is missing, corrupt or of another network or object set.
    """

    def __init__(
        self,
        config: PoseConfig,
        objects: ObjectSet,
        pose_weights: str | Path,
        refiner_weights: str | Path,
        device: str | torch.device = "cpu",
        engine: Engine | None = None,
    ) -> None:
        validate(config, "pose")
        self.config, self.objects, self.device = config, objects, torch.device(device)
        estimator = build_estimator(config.encoder, len(objects))
        refiner = PoseRefineNet(len(objects))
        load_weights(estimator, pose_weights)
        load_weights(refiner, refiner_weights)
        fuse_batch_norm(estimator.eval())
        self.engine = engine or TorchEngine()
        self.estimator = compile_estimator(estimator.to(self.device), config.crop, self.engine)
        points = min(config.refine_points, config.crop.points)
        self.refiner = compile_refiner(refiner.eval().to(self.device), points, self.engine)
        self._symmetries = {obj_id: torch.from_numpy(model.symmetries).float() for obj_id, model in objects.items()}

    @property
    def is_repeatable(self) -> bool:
        """Whether it says the same of an instance, to the last bit, whichever others it is asked of at once.

        As the light network does in OpenVINO; PyTorch's sums, in fp32, differ by 1e-6 with the size of the batch.
        """
        whole = isinstance(self.estimator, CompiledLightPoseNet) and not self.engine.on_torch
        return whole and self.engine.name == "openvino"

    @torch.inference_mode()
    def predict(self, frame: RGBDFrame, instances: Instances) -> PoseHypotheses:
        """Pose hypotheses of all `instances`; none of them (N = 0) gives empty arrays."""
        config = self.config
        diameters = np.array([self.objects[int(obj_id)].diameter for obj_id in instances.obj_ids])
        crops = make_crops(frame, instances.boxes, instances.masks, diameters, config.crop)
        count = len(crops)
        poses = np.tile(np.eye(4), (count, config.hypotheses, 1, 1))
        raw = poses.copy()
        confidences = np.zeros((count, config.hypotheses), np.float32)
        rows = np.flatnonzero(crops.valid)
        for chunk in (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)):
            part = crops.select(chunk)
            raw_part, refined_part, confidences[chunk] = self._predict(part, instances.obj_ids[chunk])
            raw[chunk], poses[chunk] = part.to_camera(raw_part), part.to_camera(refined_part)
        return PoseHypotheses(poses, raw, confidences, crops.camera_points, crops.valid)

    def _predict(self, crops: CropBatch, obj_ids: Int) -> tuple[Float, Float, Float32]:
        """Raw and refined poses (n, K, 4, 4) in the crop frames, and confidences (n, K)."""
        config = self.config
        image, points, choose = (
            torch.from_numpy(array).to(self.device) for array in (crops.image, crops.points, crops.choose)
        )
        index = torch.tensor([self.objects.index_of(int(obj_id)) for obj_id in obj_ids], device=self.device)
        # Square crops are all of one size.
        square = config.crop.window == "square"
        sizes = None if square else [(int(height), int(width)) for height, width in crops.sizes]
        pool = max(config.hypothesis_pool, config.hypotheses)
        output, chosen = self.estimator.most_confident(image, points, choose, index, pool, sizes)
        candidates = _candidates(output, points, chosen)
        pick = self._diverse(*candidates, crops.scale, obj_ids)
        rows = torch.arange(len(pick), device=self.device)[:, None]
        rotation, translation, confidence = (values[rows, pick] for values in candidates)

        subset = torch.from_numpy(choose_points(points.shape[1], min(config.refine_points, points.shape[1])))
        subset = subset.to(self.device)
        refined = refine_all(
            self.refiner,
            points[:, subset],
            output.embedding[:, :, subset],
            index,
            rotation,
            translation,
            config.refine_iterations,
        )
        return _to_numpy(rotation, translation), _to_numpy(*refined), confidence.float().cpu().numpy()

    def _diverse(self, rotation: Tensor, translation: Tensor, confidence: Tensor, scale: Float, obj_ids: Int) -> Tensor:
        """(n, K) int64, which of M candidates of each instance are kept; see `diverse_hypotheses`.

        Args:
            rotation, translation, confidence: (n, M, 3, 3), (n, M, 3) and (n, M), lengths in `scale` metres.
            scale: (n,).
            obj_ids: (n,).
        """
        config, picks = self.config, []
        for row, obj_id in enumerate(obj_ids.tolist()):
            unit = float(scale[row])
            symmetries = self._symmetries[obj_id].to(self.device).clone()
            symmetries[:, :3, 3] /= unit
            pick = diverse_hypotheses(
                rotation[row],
                translation[row],
                confidence[row],
                symmetries,
                config.hypotheses,
                config.hypothesis_angle,
                config.hypothesis_distance * self.objects[obj_id].diameter / unit,
            )
            picks.append(pick)
        return torch.stack(picks)


def _candidates(output: PoseOutput | CoordinateOutput, points: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations (n, M, 3, 3), translations (n, M, 3) and confidences (n, M) that the network proposes.

    Args:
        output: at the points numbered `chosen` (n, M), the most confident ones.
        points: (n, P, 3).
    """
    rotation = rotation_from_quaternion(output.rotation)
    translation = points.gather(1, chosen[..., None].expand(-1, -1, 3)) + output.translation
    confidence = output.confidence[..., 0]
    if output.coordinates is not None:
        # All points together say more than the best one alone, so their pose leads, with the best one's confidence.
        aligned = align(output.coordinates, points)
        rotation = torch.cat([aligned[:, None, :3, :3], rotation], 1)
        translation = torch.cat([aligned[:, None, :3, 3], translation], 1)
        confidence = torch.cat([confidence[:, :1], confidence], 1)
    return rotation, translation, confidence


def build_estimator(encoder: str, num_objects: int) -> PoseNet | LightPoseNet:
    """The pose network with the encoder of that name; random weights."""
    return LightPoseNet(num_objects) if encoder == "light" else PoseNet(num_objects)


def refine_all(
    refiner: Run,
    points: Tensor,
    embedding: Tensor,
    object_index: Tensor,
    rotation: Tensor,
    translation: Tensor,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Refine K poses of each of B objects in one batch.

    Args:
        refiner: the network (`PoseRefineNet`), or what runs it.
        points, embedding, object_index: (B, N, 3), (B, 32, N) and (B,).
        rotation, translation: (B, K, 3, 3) and (B, K, 3).
        iterations: refinements of each pose.
    """
    batch, hypotheses = rotation.shape[:2]
    points, embedding, object_index = (
        value.repeat_interleave(hypotheses, 0) for value in (points, embedding, object_index)
    )
    rotation, translation = rotation.flatten(0, 1), translation.flatten(0, 1)
    for _ in range(iterations):
        rotation, translation = refine(refiner, points, embedding, object_index, rotation, translation)
    return rotation.unflatten(0, (batch, hypotheses)), translation.unflatten(0, (batch, hypotheses))


def diverse_hypotheses(
    rotation: Tensor,
    translation: Tensor,
    confidence: Tensor,
    symmetries: Tensor,
    count: int,
    angle: float,
    distance: float,
) -> Tensor:
    """Indices of `count` confident poses that differ, of M poses of one object; the most confident first.

    Each next one is the most confident of those that differ from all before by more than `angle` or `distance`
    under every symmetry. Where none does, it is the one that differs most.

    Args:
        rotation, translation: (M, 3, 3) and (M, 3).
        confidence: (M,).
        symmetries: (S, 4, 4) in the unit of `translation`.
        count: how many.
        angle: radians.
        distance: in the unit of `translation`.

    Returns:
        (count,) int64; repeats the last one where M < count.
    """
    turned = rotation[:, None] @ symmetries[:, :3, :3]
    shifted = translation[:, None] + (rotation[:, None] @ symmetries[:, :3, 3:])[..., 0]
    picks = [int(confidence.argmax())]
    difference = torch.full_like(confidence, torch.inf)
    for _ in range(1, min(count, len(confidence))):
        last = picks[-1]
        trace = (turned * rotation[last]).sum((-1, -2))
        angles = torch.arccos(((trace - 1) / 2).clamp(-1, 1)) / max(angle, 1e-6)
        distances = (shifted - translation[last]).norm(dim=-1) / max(distance, 1e-9)
        difference = torch.minimum(difference, torch.maximum(angles, distances).amin(1))
        difference[last] = -1.0
        differs = difference > 1
        picks.append(int((confidence * differs).argmax() if bool(differs.any()) else difference.argmax()))
    return torch.tensor(picks + [picks[-1]] * (count - len(picks)), device=confidence.device)


def fuse_batch_norm(network: nn.Module) -> None:
    """Fold each batch normalisation into the convolution before it, in place; for inference."""
    for parent in list(_sequences(network)):
        for i in range(len(parent) - 1):
            conv, norm = parent[i], parent[i + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                parent[i], parent[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def _sequences(network: nn.Module) -> Iterator[nn.Sequential]:
    return (module for module in network.modules() if isinstance(module, nn.Sequential))


def _to_numpy(rotation: Tensor, translation: Tensor) -> Float:
    """(..., 3, 3) and (..., 3) to (..., 4, 4) float64 with rotations orthonormal to double precision."""
    u, _, vt = np.linalg.svd(rotation.double().cpu().numpy())
    return make_transform(u @ vt, translation.double().cpu().numpy())

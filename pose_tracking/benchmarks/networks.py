"""The networks of the pose stage against each other: published or light, all objects at once or one by one.

Speed does not depend on what a network has learned, so all run with random weights. "One by one" is what the public
code does: batch 1, features of all points concatenated with the repeated global feature, all heads at all points.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.engine import Engine, TorchEngine
from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.pose.hypotheses.crops import make_crops
from pose_tracking.pose.hypotheses.predictor import PosePredictor, build_estimator
from pose_tracking.pose.networks.encoders import sample_embedding
from pose_tracking.pose.networks.loss import rotation_from_quaternion
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet, points_in_pose_frame

from .public_densefusion import PublicDenseFusion

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle

ROUNDS = 5
REFINEMENTS = 2
# The setting of the paper on LineMOD: 500 points, whole crop, metres, the most confident pose.
PUBLISHED = PoseConfig(
    encoder="pspnet_resnet18",
    crop=CropConfig(
        size=120,
        points=500,
        centred=False,
        view_aligned=False,
        unit="metre",
        mask_background=False,
        normalization="raw_imagenet",
    ),
    hypotheses=1,
    hypothesis_pool=1,
    refine_iterations=REFINEMENTS,
    refine_points=500,
)


def compare_networks(
    bundle: ModelBundle, frame: RGBDFrame, instances: Instances, device: str, checkout: Path | None = None
) -> dict[str, Any]:
    """Median milliseconds for all `instances` of `frame`: crops, network and refinements, without ICP or depth check.

    The variants take turns, so that a machine that slows down slows all of them. With a `checkout` of the public code
    (`public_densefusion`) it is one of them, and ours has its weights; how far their poses lie apart is said, too.

    Raises:
        ConfigError: the checkout cannot be used.
    """
    light = replace(PUBLISHED, encoder="light")
    public = None if checkout is None else PublicDenseFusion(checkout, len(bundle.objects), PUBLISHED, device)
    own = replace(bundle.config.pose, hypotheses=1, hypothesis_pool=1, refine_iterations=REFINEMENTS)
    with tempfile.TemporaryDirectory(prefix="pose-tracking-networks-") as folder:
        published, light_predictor, own_predictor = (
            random_predictor(config, bundle.objects, Path(folder), device) for config in (PUBLISHED, light, own)
        )
        engine = choose_engine(bundle.config.inference, device)
        compiled = None if isinstance(engine, TorchEngine) else engine
        fast = random_predictor(PUBLISHED, bundle.objects, Path(folder), device, compiled)
        if public is not None:
            published, fast = (public.ours(bundle.objects, Path(folder), each) for each in (None, compiled))
    crop = bundle.config.pose.crop
    variants: dict[str, Callable[[], object]] = {
        "published, one by one": lambda: predict_one_by_one(published, frame, instances),
        "published, batched": lambda: published.predict(frame, instances),
        "light network, batched": lambda: light_predictor.predict(frame, instances),
        f"as in the bundle ({own.encoder}, {crop.size} px, {crop.points} points)": lambda: own_predictor.predict(
            frame, instances
        ),
    }
    if compiled is not None:
        variants[f"published, batched, {compiled}"] = lambda: fast.predict(frame, instances)
    if public is not None:
        variants["public code, its loop"] = lambda: public.predict(frame, instances, bundle.objects)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(ROUNDS + 1):
        for name, variant in variants.items():
            start = time.perf_counter()
            variant()
            if number > 0:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {
        "count": len(instances),
        "refinements": REFINEMENTS,
        "rounds": ROUNDS,
        "crop_px": PUBLISHED.crop.size,
        "points": PUBLISHED.crop.points,
        "milliseconds": {name: float(np.median(values)) * 1e3 for name, values in seconds.items()},
        "public_apart_mm": None if public is None else _apart(public, published, frame, instances, bundle.objects),
    }


def _apart(
    public: PublicDenseFusion, published: PosePredictor, frame: RGBDFrame, instances: Instances, objects: ObjectSet
) -> float:
    """Largest distance, mm, of an object's position as the public code has it from where ours one by one has it."""
    theirs = [pose[:3, 3] for pose in public.predict(frame, instances, objects)]
    ours = [translation.numpy() for _, translation in predict_one_by_one(published, frame, instances)]
    return max((float(np.linalg.norm(a - b)) * 1e3 for a, b in zip(theirs, ours, strict=True)), default=0.0)


def random_predictor(
    config: PoseConfig, objects: ObjectSet, folder: Path, device: str, engine: Engine | None = None
) -> PosePredictor:
    """A predictor with random weights, made repeatable by a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = {"pose": build_estimator(config.encoder, len(objects)), "refiner": PoseRefineNet(len(objects))}
    for name, network in networks.items():
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return PosePredictor(config, objects, folder / "pose.safetensors", folder / "refiner.safetensors", device, engine)


@torch.inference_mode()
def predict_one_by_one(predictor: PosePredictor, frame: RGBDFrame, instances: Instances) -> list[tuple[Tensor, Tensor]]:
    """Rotation (3, 3) and translation (3,) of each instance that has depth, in its crop's frame, as the public code."""
    poses = []
    for i, obj_id in enumerate(instances.obj_ids):
        objects = predictor.objects
        crops = make_crops(
            frame,
            instances.boxes[i : i + 1],
            instances.masks[i : i + 1],
            [objects[int(obj_id)].diameter],
            predictor.config.crop,
        )
        if not crops.valid[0]:
            continue
        image, points, choose = (
            torch.from_numpy(array).to(predictor.device) for array in (crops.image, crops.points, crops.choose)
        )
        index = torch.tensor([objects.index_of(int(obj_id))], device=predictor.device)
        network = predictor.estimator
        assert isinstance(network, PoseNet)  # what is published has no other
        rotations, offsets, confidences, embedding = published_forward(network, image, points, choose, index)
        best = int(confidences[0].argmax())
        rotation = rotation_from_quaternion(rotations[:, best])
        translation = points[:, best] + offsets[:, best]
        for _ in range(predictor.config.refine_iterations):
            moved = points_in_pose_frame(points, rotation, translation)
            quaternion, shift = predictor.refiner(moved, embedding, index)
            translation = translation + (rotation @ shift[..., None])[..., 0]
            rotation = rotation @ rotation_from_quaternion(quaternion)
        poses.append((rotation[0].cpu(), translation[0].cpu()))
    return poses


def published_forward(
    network: PoseNet, image: Tensor, points: Tensor, choose: Tensor, object_index: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The forward pass as published, without the savings of `PoseNet`: the same numbers, more work.

    Args and results are those of `PoseNet.forward`: rotation (B, N, 4), translation (B, N, 3), confidence (B, N) and
    embedding (B, 32, N).
    """
    embedding = sample_embedding(network.cnn(image), choose, (image.shape[-2], image.shape[-1]))
    features, x = network.feat, points.transpose(1, 2)
    x, e = F.relu(features.conv1(x)), F.relu(features.e_conv1(embedding))
    early = torch.cat([x, e], 1)
    late = torch.cat([F.relu(features.conv2(x)), F.relu(features.e_conv2(e))], 1)
    pooled = F.relu(features.conv6(F.relu(features.conv5(late)))).mean(2, keepdim=True)
    fused = torch.cat([early, late, pooled.expand(-1, -1, points.shape[1])], 1)
    outputs = []
    for head in "rtc":
        y = fused
        for layer in (1, 2, 3):
            y = F.relu(getattr(network, f"conv{layer}_{head}")(y))
        y = getattr(network, f"conv4_{head}")(y).unflatten(1, (network.num_objects, -1))
        outputs.append(y[torch.arange(len(y), device=y.device), object_index].transpose(1, 2))
    rotation, translation, confidence = outputs
    return rotation, translation, confidence[..., 0].sigmoid(), embedding

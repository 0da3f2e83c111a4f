"""Trains the Mask R-CNN of a bundle on packed simulated frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN

from pose_tracking.core.average_precision import MaskAveragePrecision
from pose_tracking.core.config import option
from pose_tracking.core.device import computes_bf16
from pose_tracking.core.errors import BundleError, ConfigError, DatasetError
from pose_tracking.core.regions import Region
from pose_tracking.core.seeds import seed_everything
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter, build_mask_rcnn
from pose_tracking.segmentation.network_input import to_network_input
from pose_tracking.training.checkpoints import export_half
from pose_tracking.training.loop import LoopOptions, TrainingLoop
from pose_tracking.training.start import average_with_start, load_matching

from .crops import CropBatches, CropOptions, Crops, Joined, Samples

FEWEST_VALIDATION_FRAMES = 10  # whatever the time


@dataclass(frozen=True)
class SegmentationTraining:
    """Recipe of the detector's training.

    The published sampling (256 anchors, 512 regions an image) is made for 1333x800 photographs and a GPU; on small
    crops the heads would cost several times the backbone.
    """

    crops: CropOptions = option(CropOptions(), "cutting and augmentation")
    learning_rate: float = option(5e-4, "of AdamW", range=(1e-7, 1.0))
    backbone_rate: float = option(0.3, "share of the learning rate the backbone gets", range=(0.0, 1.0))
    weight_decay: float = option(1e-4, "of AdamW", range=(0.0, 1.0))
    frozen_groups: int = option(2, "block groups after the stem that keep their ImageNet weights", range=(0, 7))
    anchor_samples: int = option(128, "anchors of an image that enter the proposal loss", range=(2, 4096))
    learn_large_kernels: bool = option(
        False,
        "whether 5x5 depthwise kernels learn too: half of a CPU's backward pass",
    )
    region_samples: int = option(32, "regions an image the heads are trained on, a quarter objects", range=(4, 4096))
    proposals: int = option(150, "proposals an image to draw regions from", range=(1, 4096))
    keep_start: float = option(
        0.0, "share of the start weights in those that are written, which are the average of both", range=(0.0, 1.0)
    )
    workers: int = option(0, "processes that prepare batches", range=(0, 64))
    validation_frames: int = option(100, "most frames of an evaluation", unit="frames", range=(1, 1e6))
    validation_share: float = option(
        0.04, "most of the training's minutes that one evaluation takes, with fewer frames", range=(0.0, 1.0)
    )


def train_segmentation(
    config: SegmentationConfig,
    obj_ids: Sequence[int],
    data: Sequence[Samples],
    run_dir: str | Path,
    loop_options: LoopOptions,
    *,
    training: SegmentationTraining | None = None,
    validation: Samples | None = None,
    out: str | Path | None = None,
    start: str | Path | None = None,
    pretrained: bool = True,
    resume: bool = False,
    device: torch.device | str = "cpu",
    seed: int = 0,
) -> dict[str, float] | None:
    """Train a detector and export its weights.

    Args:
        config: architecture.
        obj_ids: object id of every class index.
        data: sets of annotated frames.
        run_dir: checkpoints, log and curves go here; see `TrainingLoop`.
        loop_options: length, schedule, precision.
        training: the recipe.
        validation: held-out frames for the mask average precision.
        out: half-precision safetensors to write at the end; the last weights, which the cosine schedule makes the
            best (``best.safetensors`` in `run_dir` is kept by the validation score).
        start: weights to start from instead of the ImageNet ones, of any object set, with or without depth.
        pretrained: whether to start the backbone from ImageNet weights.
        resume: continue from the checkpoint in `run_dir`, if there is one.
        device: torch device.
        seed: of weights, batches and sampling.

    Returns:
        The last evaluation: ``map`` and ``map50`` (masks); {} without `validation`. None where a signal stopped the
        run before its end: nothing is exported then.

    Raises:
        TrainingError: the loss is not finite.
        DatasetError: there are no frames.
        ConfigError: `SegmentationTraining.keep_start` without `start`.
        BundleError: `start` is of another network, or with `keep_start` of other objects.
    """
    training = training or SegmentationTraining()
    if training.keep_start > 0 and start is None:
        raise ConfigError("keep_start: there are no start weights to average with: give --start")
    device = torch.device(device)
    frames = Joined(data)
    if len(frames) == 0:
        raise DatasetError("the training data has no frames")
    seed_everything(seed)
    model = _start_model(config, len(obj_ids), training, start, pretrained, device)
    optimizer = _optimizer(model, training)
    loop = TrainingLoop(model, optimizer, run_dir, loop_options, device)
    if resume:
        loop.resume()
    batches = CropBatches(frames, {obj_id: i for i, obj_id in enumerate(obj_ids)}, training.crops, seed, config.depth)

    def compute_losses(batch: Crops, step: int) -> dict[str, Tensor]:
        # torchvision samples anchors and regions at random: seeded by step, a resumed run repeats itself.
        torch.manual_seed(seed * 1_000_003 + step)
        return losses(model, batch, config, device)

    def evaluate(current: nn.Module) -> dict[str, float]:
        assert validation is not None
        assert isinstance(current, MaskRCNN)
        minutes = loop_options.minutes
        seconds = None if minutes is None else 60 * minutes * training.validation_share
        return mask_precision(current, config, obj_ids, validation, training.validation_frames, device, seconds=seconds)

    metrics = loop.run(
        lambda first: batches.stream(first, training.workers),
        compute_losses,
        evaluate if validation is not None else None,
        "map50",
        evaluate_at_end=training.keep_start == 0,
    )
    if loop.progress < 1:
        return None
    weights = loop.final_weights()
    if training.keep_start > 0 and start is not None:
        weights = average_with_start(weights, start, training.keep_start)
        model.load_state_dict(weights)
        with torch.no_grad():
            metrics = evaluate(model.eval()) if validation is not None else {}
    if out is not None:
        export_half(
            weights,
            out,
            {"kind": "pose_tracking segmentation", "backbone": config.backbone, "depth": str(config.depth).lower()},
        )
    return metrics


def _start_model(
    config: SegmentationConfig,
    num_classes: int,
    training: SegmentationTraining,
    start: str | Path | None,
    pretrained: bool,
    device: torch.device,
) -> MaskRCNN:
    """The network on `device` with its start weights, frozen where it shall not learn."""
    model = build_training_model(config, num_classes, training)
    if start is not None:
        unlike = load_matching(model, start)
        if unlike and training.keep_start > 0:  # said before the training, not after it
            raise BundleError(
                f"{start}: {len(unlike)} tensors do not fit this network ({unlike[0]}), as for other objects: "
                "there is nothing to average with; leave keep_start at 0"
            )
    elif pretrained and config.backbone == "efficientnet_lite0":
        model.backbone.body.load_imagenet()
    model.backbone.body.freeze(training.frozen_groups, not training.learn_large_kernels)
    model.backbone.body.frozen_in_bf16 = device.type == "cpu" and computes_bf16(device)
    return model.to(device, memory_format=torch.channels_last)


def _optimizer(model: MaskRCNN, training: SegmentationTraining) -> torch.optim.Optimizer:
    backbone = [p for p in model.backbone.body.parameters() if p.requires_grad]
    known = {id(p) for p in backbone}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    rate = training.learning_rate
    groups = [{"params": rest, "lr": rate}, {"params": backbone, "lr": rate * training.backbone_rate}]
    return torch.optim.AdamW(groups, weight_decay=training.weight_decay, fused=True)


def build_training_model(config: SegmentationConfig, num_classes: int, training: SegmentationTraining) -> MaskRCNN:
    """The network with the sampling sizes of `training`."""
    return build_mask_rcnn(
        config,
        num_classes,
        rpn_pre_nms_top_n_train=4 * training.proposals,
        rpn_post_nms_top_n_train=training.proposals,
        rpn_batch_size_per_image=training.anchor_samples,
        box_batch_size_per_image=training.region_samples,
        box_positive_fraction=0.25,
    )


def losses(model: MaskRCNN, batch: Crops, config: SegmentationConfig, device: torch.device) -> dict[str, Tensor]:
    """The five losses of Mask R-CNN (He et al., 2017) on a batch; `model` must be in training mode."""
    targets = [{k: v.to(device) for k, v in target.items()} for target in batch.targets]
    images = to_network_input(batch.images, config, device, batch.depths)
    features = model.backbone(images.tensors)
    proposals, proposal_losses = model.rpn(images, features, targets)
    _, head_losses = model.roi_heads(features, proposals, images.image_sizes, targets)
    return {**proposal_losses, **head_losses}


def mask_precision(
    model: MaskRCNN,
    config: SegmentationConfig,
    obj_ids: Sequence[int],
    frames: Samples,
    limit: int = 100,
    device: torch.device | str = "cpu",
    min_visibility: float = 0.3,
    seconds: float | None = None,
) -> dict[str, float]:
    """COCO mask average precision over evenly spread `frames`.

    Objects less visible than `min_visibility` are neither hit nor miss. Once `seconds` are over no further frame is
    taken, beyond `FEWEST_VALIDATION_FRAMES`.

    Returns:
        ``map`` (IoU 0.5 to 0.95) and ``map50``; NaN where no object is visible.
    """
    # Average precision needs the low-scoring detections too.
    config = replace(config, score_threshold=0.05, max_detections=max(config.max_detections, 50))
    segmenter = TorchvisionSegmenter(config, obj_ids, model, device)
    precision = MaskAveragePrecision()
    end = float("inf") if seconds is None else time.monotonic() + seconds
    indices = np.unique(np.linspace(0, len(frames) - 1, min(limit, len(frames))).astype(int))
    if seconds is not None:  # in mixed order: those that fit the time are spread evenly as well
        indices = np.random.default_rng(0).permutation(indices)
    for number, index in enumerate(indices):
        if number >= FEWEST_VALIDATION_FRAMES and time.monotonic() > end:
            break
        sample = frames[int(index)]
        truths = [
            Region(obj.obj_id, None, obj.mask, ignored=obj.visibility is not None and obj.visibility < min_visibility)
            for obj in sample.objects or []
            if obj.obj_id in obj_ids and obj.mask is not None and obj.mask.any()
        ]
        found = segmenter.segment(sample.frame)
        estimates = [
            Region(int(obj_id), None, mask, float(score))
            for obj_id, score, mask in zip(found.obj_ids, found.scores, found.masks, strict=True)
        ]
        precision.add(estimates, truths)
    return {name: float("nan") if value is None else value for name, value in precision.result().items()}

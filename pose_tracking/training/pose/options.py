"""How the pose networks are trained."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option


@dataclass(frozen=True)
class PoseTrainingOptions:
    """How the pose networks are trained."""

    minutes: float = option(35.0, "training time of both networks", unit="min", range=(0.01, 1e5))
    refiner_fraction: float = option(0.12, "share of the time for the refiner", range=(0.0, 0.9))
    batch_size: int = option(
        32, "crops of a step; the public code collects 8 single ones, a batch here costs little more", range=(1, 1024)
    )
    crops_per_frame: int = option(6, "crops drawn from one decoded frame", range=(1, 64))
    min_points: int = option(
        128,
        "fewest points of a step, the most is the crop's; the pooled feature learns to do with any",
        range=(16, 4096),
    )
    head_points: int = option(
        48, "points of a crop whose poses enter the loss; the others only shape the pooled feature", range=(1, 4096)
    )
    model_points: int = option(128, "surface points of an object in the loss", range=(16, 10000))
    learning_rate: float = option(1e-3, "peak learning rate of AdamW", range=(1e-7, 1.0))
    trunk_rate: float = option(0.4, "factor on the learning rate of pre-trained weights", range=(0.0, 1.0))
    frozen_groups: int = option(
        3,
        "block groups of a pre-trained trunk that keep their weights, with the stem; their gradients are half the time "
        "of a step on a CPU; 0 trains all",
        range=(0, 7),
    )
    refiner_learning_rate: float = option(8e-4, "peak learning rate of the refiner", range=(1e-7, 1.0))
    weight_decay: float = option(1e-3, "AdamW weight decay", range=(0.0, 1.0))
    confidence_weight: tuple[float, float] = option(
        (0.1, 0.03),
        "w at the start and the end, in diameters; the code's 0.015 m is 0.1 diameters of a LineMOD object",
        unit="diameters",
        range=(1e-4, 1.0),
    )
    plain_weight: float = option(
        1.0,
        "weight of the distances beside the loss of the paper, which has none: there a point that has lost confidence "
        "learns next to nothing, which is most points for most of a short training",
        range=(0.0, 10.0),
    )
    coordinate_weight: float = option(1.0, "weight of the object-coordinate loss (not in the paper)", range=(0.0, 10.0))
    symmetric_loss: str = option(
        "listed",
        "distance of symmetric objects: smallest over the listed symmetries, or to the closest point (paper)",
        choices=("listed", "closest"),
    )
    ema: float = option(0.998, "decay of the moving average of the weights", range=(0.0, 0.9999))
    bf16: bool = option(False, "compute in bfloat16")
    imagenet: bool = option(True, "start the light encoder from ImageNet weights")
    validation_crops: int = option(500, "most crops of an evaluation", range=(1, 1e6))
    validation_share: float = option(
        0.02, "most of the minutes that one evaluation takes, with fewer crops", range=(0.0, 1.0)
    )
    evaluate_minutes: float = option(8.0, "time between evaluations", unit="min", range=(0.01, 1e4))
    checkpoint_minutes: float = option(3.0, "time between checkpoints", unit="min", range=(0.01, 1e4))
    seed: int = option(0, "seed of weights and batches", range=(0, 2**31))

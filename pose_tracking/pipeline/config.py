"""Options of the pipeline that belong to no single stage."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import option


@dataclass(frozen=True)
class PipelineConfig:
    """What a detection must pass before it is tracked."""

    min_pose_confidence: float = option(
        0.3,
        "detections whose pose confidence is lower are dropped and counted; only where the bundle has meshes, since "
        "the network's own confidence does not tell an absent object from a present one (DenseFusion #76)",
        range=(0.0, 1.0),
        runtime=True,
    )
    min_unchecked_score: float = option(
        0.5,
        "detections of a lower detector score are dropped where no mesh lets the frame check their pose; with meshes "
        "the detector's own threshold may be far lower",
        range=(0.0, 1.0),
        runtime=True,
    )
    keep_without_pose: bool = option(
        False, "track detections whose depth is too sparse for a pose; they carry no pose", runtime=True
    )

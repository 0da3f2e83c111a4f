"""Average recall of poses by MSSD and MSPD, matched and averaged as the BOP challenge does (localisation of 2019).

Of each object in a frame the best-scored estimates, as many as there are targets, are matched to the targets, at each
threshold anew: an estimate takes the free target to which its error is least and below the threshold. Recall is the
share of all targets that were taken, all objects together; average recall (AR) is its mean over the thresholds.

BOP's own AR is the mean over a third error, VSD, as well, which is not computed here: figures are to be set beside
AR_MSSD and AR_MSPD of BOP's tables, not beside AR.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pose_tracking.core.arrays import Float, Int
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.objects import ObjectModel, ObjectSet

from .pose import mspd, mssd

ERRORS = ("mssd", "mspd")
MSSD_THRESHOLDS = np.arange(0.05, 0.51, 0.05)  # diameters
MSPD_THRESHOLDS = np.arange(5.0, 51.0, 5.0)  # px in an image 640 px wide
REFERENCE_WIDTH = 640.0


@dataclass(frozen=True)
class ScoredPose:
    """An estimate: class, score (0 to 1) and (4, 4) ``T_camera_object``."""

    obj_id: int
    score: float
    pose: Float


@dataclass(frozen=True)
class Target:
    """An annotated instance: class and (4, 4) pose; where `counted` is false it is not to be found."""

    obj_id: int
    pose: Float
    counted: bool = True


@dataclass
class BopCounts:
    """Targets, and how many of them were found at each of the ten thresholds of the two errors."""

    targets: int = 0
    found: dict[str, Int] = field(
        default_factory=lambda: {name: np.zeros(len(MSSD_THRESHOLDS), np.int64) for name in ERRORS}
    )

    def __add__(self, other: BopCounts) -> BopCounts:
        return BopCounts(self.targets + other.targets, {n: self.found[n] + other.found[n] for n in ERRORS})

    def result(self) -> dict[str, float | int | list[float] | None]:
        """``targets``, ``ar`` (mean of the two), ``ar_mssd`` and ``ar_mspd``, and the recall at each threshold.

        Average recalls are None, and recalls empty, where there is no target.
        """
        recalls = {name: (self.found[name] / self.targets).tolist() if self.targets else [] for name in ERRORS}
        means = {name: float(np.mean(recalls[name])) if self.targets else None for name in ERRORS}
        known = [mean for mean in means.values() if mean is not None]
        return {
            "targets": self.targets,
            "ar": float(np.mean(known)) if known else None,
            **{f"ar_{name}": means[name] for name in ERRORS},
            **{f"recalls_{name}": recalls[name] for name in ERRORS},
        }


class BopRecall:
    """Collects the estimates and targets of frames; objects without a mesh are left out.

    Args:
        objects: the object set.
    """

    def __init__(self, objects: ObjectSet) -> None:
        self._models = {obj_id: model for obj_id, model in objects.items() if model.mesh is not None}
        self.counts = {obj_id: BopCounts() for obj_id in self._models}

    def add(self, intrinsics: CameraIntrinsics, estimates: Sequence[ScoredPose], targets: Sequence[Target]) -> None:
        """Add one annotated frame; `intrinsics` are those of its rectified colour image."""
        for obj_id, model in self._models.items():
            own = [t.pose for t in targets if t.obj_id == obj_id and t.counted]
            if not own:
                continue
            ranked = sorted((e for e in estimates if e.obj_id == obj_id), key=lambda e: -e.score)[: len(own)]
            counts = self.counts[obj_id]
            counts.targets += len(own)
            errors = pose_errors(model, intrinsics, [e.pose for e in ranked], own)
            for name, thresholds in (("mssd", MSSD_THRESHOLDS), ("mspd", MSPD_THRESHOLDS)):
                counts.found[name] += np.array([matched(errors[name], limit) for limit in thresholds])

    def total(self) -> BopCounts:
        """All objects together."""
        return sum(self.counts.values(), BopCounts())


def pose_errors(
    model: ObjectModel, intrinsics: CameraIntrinsics, estimates: Sequence[Float], truths: Sequence[Float]
) -> dict[str, Float]:
    """MSSD in diameters and MSPD in px of a 640 px wide image: (N, M) each, of N estimates and M true poses."""
    assert model.mesh is not None
    points = model.mesh.vertices.astype(np.float64)
    scale = REFERENCE_WIDTH / intrinsics.width
    errors = {name: np.full((len(estimates), len(truths)), np.inf) for name in ERRORS}
    for i, estimate in enumerate(estimates):
        for j, truth in enumerate(truths):
            errors["mssd"][i, j] = mssd(estimate, truth, points, model.symmetries) / model.diameter
            errors["mspd"][i, j] = mspd(estimate, truth, intrinsics, points, model.symmetries) * scale
    return errors


def matched(errors: Float, limit: float) -> int:
    """Number of targets that are found: estimates, best first, take the free target of least error below `limit`.

    Args:
        errors: (N, M) of N estimates, best score first, and M targets.
        limit: errors from it up are wrong.
    """
    free = np.ones(errors.shape[1], bool)
    for row in errors:
        candidates = np.where(free, row, np.inf)
        best = int(candidates.argmin())
        if candidates[best] < limit:
            free[best] = False
    return int(np.count_nonzero(~free))

"""Does the pose confidence tell right poses from wrong ones, and from objects that are not there?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float, roc_auc
from pose_tracking.datasets.sample import GroundTruthObject

from .pose import RIGHT_BELOW, PoseScorer

RIGHT, WRONG, ABSENT = "right", "wrong", "absent"


def judge_pose(pose: Float, on_instance: bool, truths: Sequence[GroundTruthObject], scorer: PoseScorer) -> str | None:
    """What a pose is, given the ground truth of its class in the frame.

    Args:
        pose: (4, 4) estimate.
        on_instance: whether its detection lies on an instance of its class.
        truths: the instances of its class in the frame, however little is visible of them.
        scorer: ADD(-S) of the class.

    Returns:
        ``right``: within a tenth of the diameter of some instance; ``wrong``: on an instance, but not its pose;
        ``absent``: no such object there. None where the class has no mesh to tell by.
    """
    limit = RIGHT_BELOW * scorer.model.diameter
    for truth in truths:
        # Nothing is within a tenth of the diameter whose origin is a diameter away.
        if np.linalg.norm(pose[:3, 3] - truth.pose[:3, 3]) > scorer.model.diameter:
            continue
        error = scorer(pose, truth.pose, truth.scale)
        if error is None:
            return None
        if error < limit:
            return RIGHT
    if scorer.points is None:
        return None
    return WRONG if on_instance else ABSENT


@dataclass
class ConfidenceCounts:
    """Pose confidences by what the poses turned out to be (`judge_pose`)."""

    right: list[float] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    absent: list[float] = field(default_factory=list)

    def add(self, kind: str, confidence: float) -> None:
        """Count one pose."""
        getattr(self, kind).append(float(confidence))

    def result(self, threshold: float) -> dict[str, Any]:
        """Counts, ROC AUC, and precision and recall of the poses accepted at `threshold`.

        Recall is among the right poses that were offered: how many of them the threshold lets through.
        """
        others = self.wrong + self.absent
        passed = int(np.count_nonzero(np.asarray(self.right) >= threshold))
        accepted = passed + int(np.count_nonzero(np.asarray(others) >= threshold))
        return {
            "right": len(self.right),
            "wrong": len(self.wrong),
            "absent": len(self.absent),
            "roc_auc": _auc(self.right, others),
            "roc_auc_wrong": _auc(self.right, self.wrong),
            "roc_auc_absent": _auc(self.right, self.absent),
            "threshold": threshold,
            "precision": passed / accepted if accepted else None,
            "recall": passed / len(self.right) if self.right else None,
        }


def _auc(right: Sequence[float], others: Sequence[float]) -> float | None:
    return roc_auc(right, others) if right and others else None


def pooled(counts: Sequence[ConfidenceCounts]) -> ConfidenceCounts:
    """The poses of all `counts` in one."""
    return ConfidenceCounts(
        *([value for single in counts for value in getattr(single, kind)] for kind in (RIGHT, WRONG, ABSENT))
    )

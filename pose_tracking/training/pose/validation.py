"""How good the pose networks are on held-out crops."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pose_tracking.objects import ObjectSet
from pose_tracking.pose.hypotheses.predictor import refine_all
from pose_tracking.pose.networks.alignment import align
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.loss import rotation_from_quaternion
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

from .data import PoseBatch
from .targets import ObjectTargets

FEWEST_BATCHES = 2  # whatever the time
CORRECT = 0.1  # ADD(-S) below this many diameters counts as correct (Hinterstoisser et al., ACCV 2012)


@dataclass(frozen=True)
class PoseValidation:
    """Held-out crops and what their poses are compared with.

    Attributes:
        batches: the crops, on the device of the networks.
        metric: surface points of the objects, there too.
        objects: the object set.
        refine_points: most points of a crop that the refiner is given.
        refine_iterations: refinements of a pose.
    """

    batches: Sequence[PoseBatch]
    metric: ObjectTargets
    objects: ObjectSet
    refine_points: int
    refine_iterations: int

    @torch.no_grad()
    def measure(
        self, estimator: PoseNet | LightPoseNet, refiner: PoseRefineNet | None = None, seconds: float | None = None
    ) -> dict[str, float]:
        """Share of the crops with ADD(-S) below `CORRECT` diameters, by object and as their unweighted mean.

        Once `seconds` are over no further batch is taken, beyond `FEWEST_BATCHES`.

        Args:
            estimator: gives the pose of its most confident point, and an aligned one (keys that end in ``_aligned``)
                where it predicts coordinates.
            refiner: refines the latter, or the former where there is none (keys that end in ``_refined``).

        Returns:
            ``mean``, ``median`` (of the error, in diameters) and a recall by name of the object; of each suffix.
        """
        estimator.eval()
        if refiner is not None:
            refiner.eval()
        errors: dict[str, list[Tensor]] = {}
        seen: list[Tensor] = []
        end = float("inf") if seconds is None else time.monotonic() + seconds
        for batch in self.batches:
            if len(seen) >= FEWEST_BATCHES and time.monotonic() > end:
                break
            for suffix, error in self._errors(batch, estimator, refiner).items():
                errors.setdefault(suffix, []).append(error)
            seen.append(batch.object_index)
        index = torch.cat(seen)
        report: dict[str, float] = {}
        for suffix, parts in errors.items():
            report.update(self._summary(index, torch.cat(parts), suffix))
        return report

    def _errors(
        self, batch: PoseBatch, estimator: PoseNet | LightPoseNet, refiner: PoseRefineNet | None
    ) -> dict[str, Tensor]:
        """(B,) errors in diameters by suffix of their names in the report."""
        output, chosen = estimator.most_confident(batch.image, batch.points, batch.choose, batch.object_index, 1)
        rotation = rotation_from_quaternion(output.rotation)
        translation = batch.points.gather(1, chosen[..., None].expand(-1, -1, 3)) + output.translation
        errors = {"": self.metric.add_s(batch, rotation[:, 0], translation[:, 0])}
        if output.coordinates is not None:
            pose = align(output.coordinates, batch.points)
            rotation, translation = pose[:, None, :3, :3], pose[:, None, :3, 3]
            errors["_aligned"] = self.metric.add_s(batch, rotation[:, 0], translation[:, 0])
        if refiner is not None:
            last = batch.points.shape[1] - 1
            count = min(self.refine_points, last + 1)
            subset = torch.linspace(0, last, count, device=batch.points.device).long()
            points, embedding = batch.points[:, subset], output.embedding[:, :, subset]
            rotation, translation = refine_all(
                refiner, points, embedding, batch.object_index, rotation, translation, self.refine_iterations
            )
            errors["_refined"] = self.metric.add_s(batch, rotation[:, 0], translation[:, 0])
        return errors

    def _summary(self, index: Tensor, errors: Tensor, suffix: str) -> dict[str, float]:
        recalls = {}
        for position, model in enumerate(self.objects.values()):
            of_object = index == position
            if bool(of_object.any()):
                recalls[model.name] = float((errors[of_object] < CORRECT).float().mean())
        named = {f"{name}{suffix}": recall for name, recall in recalls.items()}
        mean, median = float(np.mean(list(recalls.values()))), float(errors.median())
        return {f"mean{suffix}": mean, f"median{suffix}": median, **named}

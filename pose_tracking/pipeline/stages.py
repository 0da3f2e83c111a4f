"""The stages that a pipeline is made of: a bundle's own, or those that are handed over."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pose_tracking.core.device import choose_device
from pose_tracking.pose.fitting.icp import IcpRefiner
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.pose.stage import PoseStage
    from pose_tracking.segmentation.embedding import AppearanceEmbedding
    from pose_tracking.segmentation.segmenter import Segmenter

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stages:
    """What a pipeline runs.

    Attributes:
        device: torch device of the bundle's own stages.
        segmenter, estimator: the detector and the pose stage.
        embedding: the identity embedding, or None.
        icp, verifier: fit a pose to the depth and check it; the pose stage's where it is the bundle's own.
        tracking: options of the tracker.
    """

    device: str
    segmenter: Segmenter
    estimator: PoseStage
    embedding: AppearanceEmbedding | None
    icp: IcpRefiner
    verifier: Verifier
    tracking: TrackingConfig


def build_stages(
    bundle: ModelBundle,
    device: str,
    engine: str | None,
    precision: str | None,
    segmenter: Segmenter | None,
    estimator: PoseStage | None,
) -> Stages:
    """The stages of a bundle, but for those that are given; see `PoseTracker`."""
    if segmenter is None or estimator is None:
        device = str(choose_device(device))
    inference = bundle.config.inference.with_given(engine, precision)
    if (segmenter or estimator) and inference.asks_for_more_than_torch:
        LOGGER.warning("engine and precision do not concern the stages that are handed over: they run as they are")
    embedding = bundle.build_appearance(device) if segmenter is None else None
    if segmenter is None:
        segmenter = bundle.build_segmenter(device, inference)
    checks = None
    if estimator is None:
        own = bundle.build_pose_stage(device, inference)
        estimator, checks = own, own.checks
    if checks is None:
        pose = estimator.config
        icp = IcpRefiner(pose.icp, bundle.objects)
        checks = icp, Verifier(pose.verification, bundle.objects, pose.depth_noise)
    tracking = bundle.config.tracking
    if embedding is not None:
        tracking = replace(tracking, appearance_gate=tracking.embedding_gate, copies_differ=True)
    return Stages(device, segmenter, estimator, embedding, *checks, tracking)

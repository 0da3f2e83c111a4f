"""Builds the pose stage that a bundle states: by networks or templates where shapes are known, boxes elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_tracking.networks.engines.config import InferenceConfig

if TYPE_CHECKING:
    from pose_tracking.pose.estimator import PoseEstimator, Predictor
    from pose_tracking.pose.stage import OwnStage

    from .bundle import ModelBundle


def build_pose_stage(bundle: ModelBundle, device: str, inference: InferenceConfig) -> OwnStage:
    """The pose stage of a bundle; see `ModelBundle.build_pose_stage`."""
    from pose_tracking.pose.boxes.estimator import BoxEstimator
    from pose_tracking.pose.by_geometry import ByGeometry
    from pose_tracking.pose.scale.estimator import ScaleEstimator

    config, known = bundle.config.pose, bundle.objects.with_shape
    if config.estimate_scale:
        (known or bundle.objects).require_meshes("to estimate scales with")
    if not known:
        return BoxEstimator(config, bundle.objects)
    plain = build_pose_estimator(bundle, device, inference)
    estimator: OwnStage = ScaleEstimator(plain) if config.estimate_scale else plain
    if len(known) == len(bundle.objects):
        return estimator
    return ByGeometry(estimator, BoxEstimator(config, bundle.objects), frozenset(known))


def build_pose_estimator(bundle: ModelBundle, device: str, inference: InferenceConfig) -> PoseEstimator:
    """The poses of a bundle's objects with a shape; see `ModelBundle.build_pose_estimator`."""
    from pose_tracking.pose.estimator import PoseEstimator
    from pose_tracking.pose.fitting.warm_up import kernels_compiled

    config, known = bundle.config.pose, bundle.objects.with_shape
    # While the networks are compiled, so are the kernels.
    with kernels_compiled(config, known):
        predictor = _predictor(bundle, device, inference)
    return PoseEstimator(config, known, predictor)


def _predictor(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Predictor:
    config, known = bundle.config.pose, bundle.objects.with_shape
    if config.proposed_by == "templates":
        from pose_tracking.pose.hypotheses.template_predictor import TemplatePredictor

        return TemplatePredictor(config, known, bundle.template_search)
    from pose_tracking.networks.engines.choice import choose_engine
    from pose_tracking.pose.hypotheses.predictor import PosePredictor

    engine = choose_engine(inference, device)
    return PosePredictor(config, known, bundle.pose_weights, bundle.refiner_weights, device, engine)

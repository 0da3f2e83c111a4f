"""Builds the segmenter that a bundle states: this package's own, detectron2's, torchvision's, a graph file, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pose_tracking.core.errors import ConfigError
from pose_tracking.networks.engines.config import InferenceConfig

if TYPE_CHECKING:
    from pose_tracking.segmentation.segmenter import Segmenter

    from .bundle import ModelBundle

LOGGER = logging.getLogger(__name__)


def build_segmenter(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    """The instance segmentation of a bundle with its weights on `device`.

    Raises:
        BundleError: a file is corrupt or of another network, or the backend is not installed.
        ConfigError: the engine or precision asked for is not there.
    """
    backend = bundle.config.segmentation.backend
    if inference.precision == "int8" and backend in ("torchvision_zoo", "graph"):
        raise ConfigError(f"precision 'int8': a detector of backend {backend!r} has none: take auto")
    segmenter, options = _BUILDERS[bundle.config.segmentation.backend](bundle, device, inference), bundle.config
    identity = options.segmentation.identity
    if identity == "roi":
        return segmenter
    from pose_tracking.segmentation.external.identity import ColorHistogram, ReidNetwork, WithFeatures

    if identity == "color":
        return WithFeatures(segmenter, ColorHistogram())
    reid = options.segmentation.reid
    # The engines of our own networks run on torch by name, which no graph file does.
    wanted = InferenceConfig() if inference.engine == "torch" else inference
    return WithFeatures(segmenter, ReidNetwork(reid, bundle.path / reid.file, wanted, device))


def _own(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    from pose_tracking.networks.torchvision_import import import_torchvision

    import_torchvision()
    from pose_tracking.networks.engines.choice import choose_engine
    from pose_tracking.networks.engines.quantized import stored
    from pose_tracking.segmentation.mask_rcnn import TorchvisionSegmenter

    quantized = stored(bundle.path, bundle.segmentation_weights) if inference.precision == "int8" else None
    engine = choose_engine(inference, device, quantized)
    obj_ids = bundle.config.objects.segmented or tuple(bundle.objects)  # the pipeline drops those not in the set
    return TorchvisionSegmenter(bundle.config.segmentation, obj_ids, bundle.segmentation_weights, device, engine)


def _detectron2(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    from pose_tracking.segmentation.detectron2.segmenter import Detectron2Segmenter

    options = bundle.config.segmentation
    if inference.asks_for_more_than_torch:
        LOGGER.warning("a detectron2 segmenter cannot be exported: it runs on torch in fp32")
    file = bundle.path / options.detectron2.config
    return Detectron2Segmenter(options, _names(bundle), file, bundle.segmentation_weights, device)


def _zoo(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    from pose_tracking.networks.engines.choice import choose_engine
    from pose_tracking.segmentation.external.zoo_segmenter import ZooSegmenter

    engine = choose_engine(inference, device)
    return ZooSegmenter(bundle.config.segmentation, _names(bundle), bundle.segmentation_weights, device, engine)


def _graph(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    from pose_tracking.segmentation.external.graph_segmenter import GraphSegmenter

    options = bundle.config.segmentation
    return GraphSegmenter(options, _names(bundle), bundle.segmentation_weights, inference, device)


def _depth_segments(bundle: ModelBundle, device: str, inference: InferenceConfig) -> Segmenter:
    from pose_tracking.segmentation.depth_segments.segmenter import DepthSegmenter

    if inference.asks_for_more_than_torch:
        LOGGER.warning("depth segments and templates are no networks: engine and precision do not concern them")
    return DepthSegmenter(bundle.config.segmentation, bundle.template_search, bundle.config.pose.depth_noise)


_BUILDERS = {
    "torchvision": _own,
    "detectron2": _detectron2,
    "torchvision_zoo": _zoo,
    "graph": _graph,
    "depth_segments": _depth_segments,
}


def _names(bundle: ModelBundle) -> dict[int, str]:
    return {obj_id: model.name for obj_id, model in bundle.objects.items()}

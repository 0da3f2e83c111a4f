"""Mask R-CNN by detectron2: a user's own training (``config.yaml``, ``model_final.pth``) as a `Segmenter`.

detectron2 (Wu et al., 2019) is imported only when a `Detectron2Segmenter` is made. The frame goes through the
steps of its `DefaultPredictor`, taken apart so that the RoI features of the final boxes come from the same pass.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pose_tracking.core.errors import BundleError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.engine import TorchEngine
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.mask_rcnn import suppress_across_classes

from .files import IGNORED, class_map, read_checkpoint, read_config

INSTALL = "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2 (docs/installation.md)"

_logger = logging.getLogger(__name__)


class Detectron2Segmenter:
    """Inference with a detectron2 model; implements `Segmenter`.

    Attributes:
        config: `score_threshold`, `nms_iou`, `max_detections`, `cross_class_iou` and `mask_threshold` count and may be
            replaced between two frames; what sizes the network is in detectron2's own config.
        obj_ids: (K,) BOP object id of each class of the detector, -1 where the bundle does not know it.
        ignored_classes: names of the latter.

    Args:
        config: options.
        names: the bundle's object names by id; classes are matched by name.
        config_file: detectron2's complete ``config.yaml``.
        weights: checkpoint of its trainer.
        device: torch device.

    Raises:
        BundleError: detectron2 is not installed, a file cannot be used, or a class is missing.
    """

    def __init__(
        self,
        config: SegmentationConfig,
        names: Mapping[int, str],
        config_file: str | Path,
        weights: str | Path,
        device: torch.device | str = "cpu",
    ) -> None:
        _require_detectron2()
        self.config, self.device = config, torch.device(device)
        cfg = build_config(config_file)
        cfg.MODEL.DEVICE = str(self.device)
        thing_classes, where = _thing_classes(config.detectron2.thing_classes, cfg, config_file)
        self.obj_ids, self.ignored_classes = class_map(thing_classes, names, where)
        if self.ignored_classes:
            _logger.warning(
                "classes of %s that the bundle does not know are ignored: %s", where, ", ".join(self.ignored_classes)
            )
        self.model = _build_model(cfg, config_file)
        _load_weights(self.model, weights, config_file)
        self.model.eval()
        self.engine = TorchEngine()
        self._input_format = cfg.INPUT.FORMAT
        self._resize = _test_resize(cfg)

    @torch.inference_mode()
    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in the colour image of `frame`, best score first."""
        config, model = self.config, self.model
        suppresses = config.cross_class_iou < 1
        for predictor in _predictors(model):
            predictor.test_score_thresh, predictor.test_nms_thresh = config.score_threshold, config.nms_iou
            # Near-duplicates of two classes are thinned out below, so that as many may still be dropped.
            predictor.test_topk_per_image = config.max_detections * (2 if suppresses else 1)
        images, features = self._features(frame)
        proposals, _ = model.proposal_generator(images, features, None)
        results, _ = model.roi_heads(images, features, proposals, None)
        found = results[0]
        if suppresses:
            keep = suppress_across_classes(found.pred_boxes.tensor, found.pred_classes, config.cross_class_iou)
            found = found[keep[: config.max_detections]]
        known = torch.from_numpy(self.obj_ids != IGNORED).to(self.device)
        return self._instances(frame, features, found[known[found.pred_classes]])

    @torch.inference_mode()
    def instances_at(self, frame: RGBDFrame, boxes: NDArray[np.floating], obj_ids: NDArray[np.integer]) -> Instances:
        """What the detector would say of given boxes: masks and RoIAlign features, without detecting anything itself.

        Args:
            frame: the frame.
            boxes: (N, 4) (x_min, y_min, x_max, y_max) in pixels of the frame.
            obj_ids: (N,) object of each box, whose mask is wanted.

        Returns:
            N instances in the order of `boxes`, all with score 1, the boxes cut off at the border of the image.

        Raises:
            ValueError: a box has no area within the image.
        """
        from detectron2.structures import Boxes
        from detectron2.structures import Instances as NetworkInstances

        images, features = self._features(frame)
        rows, columns = images.image_sizes[0]
        ratio = np.array([columns / frame.color.shape[1], rows / frame.color.shape[0]] * 2)
        scaled = Boxes(torch.as_tensor(np.asarray(boxes, float).reshape(-1, 4) * ratio, dtype=torch.float32))
        scaled.clip((rows, columns))
        if not bool(scaled.nonempty().all()):
            raise ValueError(f"box {np.asarray(boxes)[int(scaled.nonempty().int().argmin())]} is outside of the image")
        classes = {int(obj_id): i for i, obj_id in enumerate(self.obj_ids) if obj_id != IGNORED}
        given = NetworkInstances((rows, columns))
        given.pred_boxes = scaled.to(self.device)
        given.scores = torch.ones(len(scaled), device=self.device)
        given.pred_classes = torch.tensor([classes[int(i)] for i in obj_ids], dtype=torch.long, device=self.device)
        return self._instances(frame, features, self.model.roi_heads.forward_with_given_boxes(features, [given])[0])

    def _features(self, frame: RGBDFrame) -> tuple[Any, dict[str, Tensor]]:
        """The image in the channel order and size of the network (detectron2's `ImageList`), and its feature maps."""
        color = np.ascontiguousarray(frame.color[:, :, ::-1] if self._input_format == "BGR" else frame.color)
        color = self._resize.get_transform(color).apply_image(color)
        image = torch.as_tensor(color.astype(np.float32).transpose(2, 0, 1))
        images = self.model.preprocess_image([{"image": image}])
        return images, self.model.backbone(images.tensor)

    def _instances(self, frame: RGBDFrame, features: dict[str, Tensor], found: Any) -> Instances:
        """Full-size masks and RoI features of detectron2's `Instances` in network pixels."""
        from detectron2.modeling.postprocessing import detector_postprocess

        heads = self.model.roi_heads
        # Heads of the C4 kind have one pooler for boxes and masks.
        pooler = heads.box_pooler if hasattr(heads, "box_pooler") else heads.pooler
        found.roi_features = pooler([features[name] for name in heads.in_features], [found.pred_boxes])
        height, width = frame.color.shape[:2]
        full = detector_postprocess(found, height, width, self.config.mask_threshold)
        return Instances(
            self.obj_ids[full.pred_classes.cpu().numpy()],
            full.scores.float().cpu().numpy(),
            full.pred_boxes.tensor.float().cpu().numpy(),
            full.pred_masks.cpu().numpy().astype(bool, copy=False),
            full.roi_features.float().cpu().numpy(),
        )


def build_config(path: str | Path) -> Any:
    """detectron2's `CfgNode` from a complete ``config.yaml``, without its unsafe YAML.

    Raises:
        BundleError: it cannot be read, or has a key or value that the installed version does not know.
    """
    from detectron2.config import get_cfg

    read_config(path)
    cfg = get_cfg()
    try:
        cfg.merge_from_file(str(path), allow_unsafe=False)
    except KeyError as error:
        key = str(error.args[0]).rsplit(" ", 1)[-1]
        raise BundleError(
            f"{path}: the installed detectron2 {_version()} does not know the option {key}; remove it from the file if "
            "it concerns training only, else install the version or project that it belongs to"
        ) from error
    except (AssertionError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: detectron2 {_version()} cannot use it: {_line(error)}") from error
    cfg.MODEL.WEIGHTS = ""
    return cfg


def _require_detectron2() -> None:
    try:
        importlib.import_module("detectron2.modeling")
    except ImportError as error:
        raise BundleError(
            f"the bundle's segmenter is detectron2, which cannot be imported ({_line(error)}): {INSTALL}"
        ) from error


def _version() -> str:
    return str(importlib.import_module("detectron2").__version__)


def _thing_classes(given: Sequence[str], cfg: Any, config_file: str | Path) -> tuple[list[str], str]:
    """Class names in the order of the training, and where they are from."""
    from detectron2.data import MetadataCatalog

    count = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    if given:
        source = "segmentation.detectron2.thing_classes"
        if len(given) != count:
            raise BundleError(
                f"{config_file}: MODEL.ROI_HEADS.NUM_CLASSES is {count}, but {source} has {len(given)} names: "
                f"{', '.join(given)}"
            )
        return list(given), source
    datasets = dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
    for dataset in datasets:
        # `get` would make an empty entry for a name it does not know.
        if dataset in MetadataCatalog.list():
            names = list(getattr(MetadataCatalog.get(dataset), "thing_classes", ()))
            # A config may keep the datasets of the one it was derived from: their classes are others.
            if len(names) == count:
                return names, f"dataset {dataset}"
    raise BundleError(
        f"{config_file}: the names of its {count} classes are not known here (no metadata that fits for its datasets: "
        f"{', '.join(datasets) or 'none'}); list them under segmentation.detectron2.thing_classes, in training order"
    )


def _build_model(cfg: Any, config_file: str | Path) -> Any:
    """The network of `cfg` with random weights."""
    from detectron2.modeling import GeneralizedRCNN, build_model

    try:
        model = build_model(cfg)
    except (AssertionError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise BundleError(
            f"{config_file}: detectron2 {_version()} cannot build this network: {_line(error)}; parts of your own or "
            "of a detectron2 project must be installed and imported first"
        ) from error
    heads = getattr(model, "roi_heads", None)
    if not isinstance(model, GeneralizedRCNN) or model.proposal_generator is None or not getattr(heads, "mask_on", 0):
        raise BundleError(
            f"{config_file}: {cfg.MODEL.META_ARCHITECTURE} with MASK_ON = {cfg.MODEL.MASK_ON} and proposals by "
            f"{cfg.MODEL.PROPOSAL_GENERATOR.NAME} is no Mask R-CNN; only those are supported"
        )
    if not hasattr(heads, "box_pooler") and not hasattr(heads, "pooler"):
        raise BundleError(
            f"{config_file}: MODEL.ROI_HEADS.NAME = {cfg.MODEL.ROI_HEADS.NAME!r} has no RoI pooling to take features "
            "from; StandardROIHeads, CascadeROIHeads and Res5ROIHeads have"
        )
    if cfg.INPUT.FORMAT not in ("RGB", "BGR"):
        raise BundleError(f"{config_file}: INPUT.FORMAT = {cfg.INPUT.FORMAT!r} is not supported: only RGB and BGR are")
    return model


def _load_weights(model: Any, path: str | Path, config_file: str | Path) -> None:
    """Fill `model` from a checkpoint; every weight must be there and fit."""
    state = read_checkpoint(path)
    expected = model.state_dict()
    advice = f"the weights are not of the training of {config_file}"
    for name, value in state.items():
        if name not in expected:
            raise BundleError(f"{path}: has an unexpected weight {name}: {advice}")
        shape = tuple(expected[name].shape)
        if value.shape != shape:
            raise BundleError(f"{path}: weight {name} has shape {tuple(value.shape)}, expected {shape}: {advice}")
    # Not strict: layers of an older version supply what their checkpoints lack.
    for name in model.load_state_dict(state, strict=False).missing_keys:
        if not name.endswith("num_batches_tracked"):
            raise BundleError(f"{path}: lacks weight {name}: {advice}")


def _test_resize(cfg: Any) -> Any:
    """The resizing of `DefaultPredictor`."""
    from detectron2.data.transforms import ResizeShortestEdge

    return ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MIN_SIZE_TEST], cfg.INPUT.MAX_SIZE_TEST)


def _predictors(model: Any) -> list[Any]:
    """The box output layers: one, or one per stage of a cascade."""
    predictor = model.roi_heads.box_predictor
    return list(predictor) if isinstance(predictor, torch.nn.ModuleList) else [predictor]


def _line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else ""
    return " ".join(text.split()) or type(error).__name__

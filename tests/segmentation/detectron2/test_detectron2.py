"""The detectron2 backend against the real library; skipped where that is not installed."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from shape_scenes import shape_scene

from pose_tracking.bundles.authoring.from_detector.new_model import new_detector_model
from pose_tracking.bundles.authoring.from_detector.request import DetectorRequest
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.finding import find_bundle
from pose_tracking.core.errors import BundleError
from pose_tracking.segmentation.detectron2.files import inference_options, read_config
from pose_tracking.segmentation.detectron2.segmenter import Detectron2Segmenter, build_config

CLASSES = ("square", "unknown thing", "disc", "triangle")
NAMES = {2: "disc", 5: "square", 7: "triangle"}

KINDS: dict[str, dict[str, Any]] = {
    "fpn-bgr": {"INPUT.FORMAT": "BGR"},
    "fpn-rgb": {"INPUT.FORMAT": "RGB", "MODEL.PIXEL_MEAN": [90.0, 110.0, 130.0]},
    "cascade": {"MODEL.ROI_HEADS.NAME": "CascadeROIHeads", "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True},
    "c4": {
        "MODEL.ROI_HEADS.NAME": "Res5ROIHeads",
        "MODEL.ROI_HEADS.IN_FEATURES": ["res4"],
        "MODEL.RPN.IN_FEATURES": ["res4"],
        "MODEL.BACKBONE.NAME": "build_resnet_backbone",
        "MODEL.RESNETS.OUT_FEATURES": ["res4"],
        "MODEL.RESNETS.DEPTH": 50,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
        "MODEL.ANCHOR_GENERATOR.SIZES": [[16, 32, 64, 128]],
        "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": 14,
        "MODEL.ROI_MASK_HEAD.NUM_CONV": 0,
        "MODEL.PIXEL_STD": [600.0, 600.0, 600.0],
    },
}


def save_training(folder: Path, kind: str) -> Path:
    """``config.yaml`` and ``model_final.pth`` of a small Mask R-CNN with random, varied weights."""
    pytest.importorskip("detectron2", reason="detectron2 is not installed: docs/installation.md says how")
    from detectron2 import model_zoo
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.merge_from_file(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"))
    small: dict[str, Any] = {
        "MODEL.DEVICE": "cpu",
        "MODEL.WEIGHTS": "",
        "MODEL.RESNETS.DEPTH": 18,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
        "MODEL.FPN.OUT_CHANNELS": 16,
        "MODEL.ANCHOR_GENERATOR.SIZES": [[16], [32], [64], [96], [128]],
        "MODEL.ROI_BOX_HEAD.FC_DIM": 32,
        "MODEL.ROI_MASK_HEAD.CONV_DIM": 8,
        "MODEL.ROI_HEADS.NUM_CLASSES": len(CLASSES),
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.02,
        "MODEL.RPN.POST_NMS_TOPK_TEST": 60,
        "TEST.DETECTIONS_PER_IMAGE": 20,
        "INPUT.MIN_SIZE_TEST": 140,
        "INPUT.MAX_SIZE_TEST": 160,
        "MODEL.PIXEL_STD": [58.0, 57.0, 57.0],
        "DATASETS.TRAIN": ["shapes_of_no_catalog"],
        **KINDS[kind],
    }
    cfg.merge_from_list([entry for pair in small.items() for entry in pair])
    torch.manual_seed(5)
    model = build_model(cfg)
    for name, parameter in model.named_parameters():
        if "box_predictor" in name and "cls_score.weight" in name:
            torch.nn.init.normal_(parameter, std=0.3)
        elif "mask_head.predictor.weight" in name:
            torch.nn.init.normal_(parameter, std=3.0)
        elif "bbox_pred.weight" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    (folder / "config.yaml").write_text(cfg.dump())
    DetectionCheckpointer(model, str(folder)).save("model_final", iteration=3)
    return folder


def segmenter_of(folder: Path, **options: Any) -> Detectron2Segmenter:
    """The segmenter as a bundle with these files would make it."""
    from pose_tracking.segmentation.config import Detectron2Config, SegmentationConfig

    config = SegmentationConfig(
        backend="detectron2",
        detectron2=Detectron2Config(thing_classes=CLASSES),
        **{**inference_options(folder / "config.yaml"), **options},
    )
    return Detectron2Segmenter(config, NAMES, folder / "config.yaml", folder / "model_final.pth")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_training(tmp_path_factory.mktemp("fpn"), "fpn-bgr")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_instances_equal_those_of_the_default_predictor(tmp_path: Path, kind: str) -> None:
    folder = save_training(tmp_path, kind)
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor

    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "config.yaml"))
    cfg.MODEL.WEIGHTS = str(folder / "model_final.pth")
    predictor, segmenter, ignored = DefaultPredictor(cfg), segmenter_of(folder), 0
    for seed, (width, height) in enumerate([(320, 240), (200, 333), (97, 64)]):
        frame = shape_scene(seed, 320, 240).frame
        frame = replace(frame, color=np.ascontiguousarray(np.resize(frame.color, (height, width, 3))))
        truth = predictor(frame.color[:, :, ::-1])["instances"]
        known = np.isin(truth.pred_classes.numpy(), [0, 2, 3])
        found = segmenter.segment(frame)
        assert len(found) == known.sum() > 2
        ignored += len(truth) - len(found)
        np.testing.assert_array_equal(found.boxes, truth.pred_boxes.tensor.numpy()[known])
        np.testing.assert_array_equal(found.scores, truth.scores.numpy()[known])
        np.testing.assert_array_equal(found.masks, truth.pred_masks.numpy()[known])
        np.testing.assert_array_equal(found.obj_ids, np.array([5, 0, 2, 7])[truth.pred_classes.numpy()[known]])
        assert (np.diff(found.scores) <= 0).all()
        assert found.masks.any((1, 2)).mean() > 0.5
        assert found.masks.shape == (len(found), height, width)
        assert found.masks.dtype == bool
        assert found.roi_features.ndim == 4
        assert len(found.roi_features) == len(found)
        assert found.roi_features.shape[2:] == ((14, 14) if kind == "c4" else (7, 7))
        assert found.roi_features.std() > 0
    assert ignored > 0 or kind == "c4"  # the random weights of the others also find the class that is not mapped


def test_features_are_those_of_the_one_forward_pass(trained: Path) -> None:
    from detectron2.structures import Boxes

    segmenter, frame = segmenter_of(trained), shape_scene(2).frame
    maps: list[dict[str, torch.Tensor]] = []
    hook = segmenter.model.backbone.register_forward_hook(lambda module, inputs, output: maps.append(output))
    try:
        found = segmenter.segment(frame)
    finally:
        hook.remove()
    assert len(maps) == 1
    boxes = found.boxes * np.float32(0.5)  # 320x240 is scaled to 160x120: the longer side is the limit
    with torch.no_grad():
        pyramid = [maps[0][name].clone() for name in ("p2", "p3", "p4", "p5")]
        expected = segmenter.model.roi_heads.box_pooler(pyramid, [Boxes(torch.from_numpy(boxes))])
    np.testing.assert_allclose(found.roi_features, expected.numpy(), atol=1e-3)
    assert np.abs(found.roi_features).max() > 0.1


def test_runtime_options_take_effect_between_two_frames(trained: Path) -> None:
    segmenter, frame = segmenter_of(trained), shape_scene(4).frame
    before = segmenter.segment(frame)
    config = segmenter.config
    middle = float(np.median(before.scores))
    segmenter.config = replace(config, score_threshold=middle)
    after = segmenter.segment(frame)
    assert 0 < len(after) < len(before)
    assert (after.scores > middle).all()
    segmenter.config = replace(config, score_threshold=1.0)
    none = segmenter.segment(frame)
    assert none.masks.shape == (0, *frame.depth.shape)
    assert none.roi_features.shape == (0, *before.roi_features.shape[1:])
    assert none.boxes.shape == (0, 4)
    segmenter.config = replace(config, cross_class_iou=0.0)
    apart = segmenter.segment(frame)
    assert 0 < len(apart) < len(before)


def test_ignored_classes_are_said(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    segmenter = segmenter_of(trained)
    assert segmenter.ignored_classes == ("unknown thing",)
    assert "unknown thing" in caplog.text


def test_names_may_come_from_the_metadata_of_the_dataset(trained: Path) -> None:
    from detectron2.data import MetadataCatalog

    folder, segmenter = trained, segmenter_of(trained)
    config = replace(segmenter.config, detectron2=replace(segmenter.config.detectron2, thing_classes=()))
    with pytest.raises(BundleError, match=r"shapes_of_no_catalog.*thing_classes"):
        Detectron2Segmenter(config, NAMES, folder / "config.yaml", folder / "model_final.pth")
    MetadataCatalog.get("shapes_of_no_catalog").set(thing_classes=list(CLASSES))
    try:
        named = Detectron2Segmenter(config, NAMES, folder / "config.yaml", folder / "model_final.pth")
    finally:
        MetadataCatalog.pop("shapes_of_no_catalog")
    assert named.obj_ids.tolist() == segmenter.obj_ids.tolist()


def test_a_number_of_names_other_than_the_network_has_is_refused(trained: Path) -> None:
    segmenter = segmenter_of(trained)
    config = replace(segmenter.config, detectron2=replace(segmenter.config.detectron2, thing_classes=CLASSES[1:]))
    with pytest.raises(BundleError, match=r"NUM_CLASSES is 4, but .* has 3 names"):
        Detectron2Segmenter(config, NAMES, trained / "config.yaml", trained / "model_final.pth")


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("MODEL", "SPARKLING_HEAD", {"A": 1}, r"does not know the option MODEL\.SPARKLING_HEAD"),
        ("MODEL", "MASK_ON", "perhaps", r"cannot use it.*MODEL\.MASK_ON"),
        ("MODEL", "MASK_ON", False, "is no Mask R-CNN"),
        ("MODEL", "META_ARCHITECTURE", "RetinaNet", "is no Mask R-CNN|cannot build"),
        ("MODEL", "META_ARCHITECTURE", "MyOwn", "cannot build this network.*MyOwn"),
        ("INPUT", "FORMAT", "L", "INPUT.FORMAT = 'L' is not supported"),
    ],
)
def test_configs_that_do_not_fit_are_refused(
    trained: Path, tmp_path: Path, section: str, key: str, value: Any, message: str
) -> None:
    values = read_config(trained / "config.yaml")
    values[section][key] = value
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    shutil.copy(trained / "model_final.pth", tmp_path)
    with pytest.raises(BundleError, match=message) as error:
        segmenter_of(tmp_path)
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "config.yaml", tmp_path)
    checkpoint = torch.load(trained / "model_final.pth", weights_only=True)
    name = "roi_heads.box_predictor.cls_score.weight"
    weight = checkpoint["model"].pop(name)
    for extra, message in (
        ({}, f"lacks weight {name}"),
        ({name: weight[:-1]}, rf"weight {name} has shape \(4, 32\), expected \(5, 32\)"),
        ({name: weight, "roi_heads.other": weight}, "unexpected weight roi_heads.other"),
    ):
        torch.save({"model": {**checkpoint["model"], **extra}}, tmp_path / "model_final.pth")
        with pytest.raises(BundleError, match=message):
            segmenter_of(tmp_path)


def test_a_config_is_never_read_with_the_unsafe_loader(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    harm = f"X: !!python/object/apply:os.mkdir [{tmp_path}/trap]"
    path.write_text((trained / "config.yaml").read_text() + harm)
    with pytest.raises(BundleError, match="cannot be read"):
        build_config(path)
    assert not (tmp_path / "trap").exists()


def test_given_boxes_are_described_as_found_ones(trained: Path) -> None:
    segmenter, frame = segmenter_of(trained), shape_scene(6).frame
    found = segmenter.segment(frame)
    again = segmenter.instances_at(frame, found.boxes, found.obj_ids)
    np.testing.assert_array_equal(again.obj_ids, found.obj_ids)
    np.testing.assert_allclose(again.boxes, found.boxes, atol=1e-3)
    np.testing.assert_allclose(again.roi_features, found.roi_features, atol=1e-3)
    assert (again.masks == found.masks).mean() > 0.999
    assert (again.scores == 1).all()
    none = segmenter.instances_at(frame, np.zeros((0, 4)), np.zeros(0, np.int64))
    assert none.roi_features.shape == (0, *found.roi_features.shape[1:])
    outside = np.array([[-50.0, -50.0, -10.0, -10.0]])
    with pytest.raises(ValueError, match="box"):
        segmenter.instances_at(frame, outside, found.obj_ids[:1])


def test_a_bundle_runs_end_to_end_with_it(trained: Path, tmp_path: Path) -> None:
    names = ["mug_blue", "mug_red", "top", "truck"]
    folder = tmp_path / "mine"
    shutil.copytree(find_bundle("demo"), folder, ignore=shutil.ignore_patterns("segmentation.safetensors"))
    values = yaml.safe_load((folder / "bundle.yaml").read_text())
    values["objects"]["names"] = dict(enumerate(names, 1))
    values["segmenter"] = "detectron2"
    values["segmentation"] = {"detectron2": {"thing_classes": names[::-1]}}
    (folder / "bundle.yaml").write_text(yaml.safe_dump(values))
    for name in ("config.yaml", "model_final.pth"):
        shutil.copy(trained / name, folder)
    segmenter = ModelBundle.load(folder).build_segmenter("cpu")
    found = segmenter.segment(shape_scene(1).frame)
    assert len(found) > 0
    assert set(found.obj_ids) <= {1, 2, 3, 4}


def test_a_network_of_the_model_zoo_becomes_a_bundle(tmp_path: Path) -> None:
    """Its config builds on another and its weights are a pickle of arrays, as those that can be downloaded are."""
    folder = save_training(tmp_path, "fpn-bgr")
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor

    state = torch.load(folder / "model_final.pth", weights_only=True)["model"]
    zoo = {"model": {name: value.numpy() for name, value in state.items()}, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "model_final_1.pkl").write_bytes(pickle.dumps(zoo, protocol=2))
    (folder / "config.yaml").rename(tmp_path / "Base.yaml")
    (tmp_path / "zoo" / "mask_rcnn.yaml").write_text("_BASE_: ../Base.yaml\nMODEL: {MASK_ON: true}\n")
    request = DetectorRequest("detectron2", tmp_path / "zoo" / "mask_rcnn.yaml", names=[",".join(CLASSES)])
    names, notes = new_detector_model(replace(request, classes=["disc", "square"]), tmp_path / "bundle")
    assert sorted(names.values()) == ["disc", "square"]
    assert any("RoIAlign" in note for note in notes)

    cfg = get_cfg()
    cfg.merge_from_file(str(tmp_path / "zoo" / "mask_rcnn.yaml"))
    cfg.MODEL.WEIGHTS = str(tmp_path / "zoo" / "model_final_1.pkl")
    predictor, segmenter = DefaultPredictor(cfg), ModelBundle.load(tmp_path / "bundle").build_segmenter()
    frame = shape_scene(1, 320, 240).frame
    truth, found = predictor(frame.color[:, :, ::-1])["instances"], segmenter.segment(frame)
    known = np.isin(truth.pred_classes.numpy(), [0, 2])
    assert known.sum() >= 2
    np.testing.assert_array_equal(found.scores, truth.scores.numpy()[known])
    np.testing.assert_array_equal(found.boxes, truth.pred_boxes.tensor.numpy()[known])
    np.testing.assert_array_equal(found.masks, truth.pred_masks.numpy()[known])

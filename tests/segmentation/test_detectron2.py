"""The detectron2 backend: what needs no detectron2 always, the rest against the real library where it is installed."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from shape_scenes import shape_scene

from pose_tracking.bundle import ModelBundle, find_bundle
from pose_tracking.errors import BundleError, ConfigError
from pose_tracking.segmentation.detectron2 import Detectron2Segmenter, build_config
from pose_tracking.segmentation.detectron2_files import (
    IGNORED,
    class_map,
    inference_options,
    read_checkpoint,
    read_config,
)

CLASSES = ("square", "unknown thing", "disc", "triangle")
NAMES = {2: "disc", 5: "square", 7: "triangle"}

CONFIG_YAML = {
    "VERSION": 2,
    "MODEL": {"ROI_HEADS": {"SCORE_THRESH_TEST": 0.11, "NMS_THRESH_TEST": 0.4}},
    "TEST": {"DETECTIONS_PER_IMAGE": 17},
}


def demo_with_detectron2(folder: Path, config: dict[str, Any] | None = None, **changes: Any) -> Path:
    """The demo bundle in `folder`, its segmenter replaced by detectron2's files (the checkpoint is an empty file)."""
    bundle = folder / "mine"
    shutil.copytree(find_bundle("demo"), bundle)
    (bundle / "segmentation.safetensors").unlink()
    values = yaml.safe_load((bundle / "bundle.yaml").read_text())
    values.pop("segmentation", None)
    (bundle / "bundle.yaml").write_text(yaml.safe_dump({**values, **changes}))
    (bundle / "config.yaml").write_text(yaml.safe_dump(config or CONFIG_YAML))
    (bundle / "model_final.pth").touch()
    return bundle


# -- which segmenter a bundle asks for


@pytest.mark.parametrize("changes", [{"segmenter": "detectron2"}, {"segmentation": {"backend": "detectron2"}}])
def test_both_spellings_choose_detectron2_with_its_own_thresholds(tmp_path: Path, changes: dict[str, Any]) -> None:
    bundle = ModelBundle.load(demo_with_detectron2(tmp_path, **changes))
    config = bundle.config.segmentation
    assert config.backend == "detectron2"
    assert bundle.segmentation_weights.name == "model_final.pth"
    assert (config.score_threshold, config.nms_iou, config.max_detections) == (0.11, 0.4, 17)
    assert config.cross_class_iou == 1.0


def test_thresholds_of_the_bundle_win(tmp_path: Path) -> None:
    changes = {"segmentation": {"backend": "detectron2", "score_threshold": 0.6, "cross_class_iou": 0.8}}
    config = ModelBundle.load(demo_with_detectron2(tmp_path, **changes)).config.segmentation
    assert (config.score_threshold, config.nms_iou, config.cross_class_iou) == (0.6, 0.4, 0.8)


def test_files_may_lie_elsewhere(tmp_path: Path) -> None:
    folder = demo_with_detectron2(tmp_path)
    (folder / "run").mkdir()
    (folder / "config.yaml").rename(folder / "run" / "c.yaml")
    (folder / "model_final.pth").rename(folder / "run" / "w.pth")
    values = yaml.safe_load((folder / "bundle.yaml").read_text())
    values["segmentation"] = {"backend": "detectron2", "detectron2": {"config": "run/c.yaml", "weights": "run/w.pth"}}
    (folder / "bundle.yaml").write_text(yaml.safe_dump(values))
    bundle = ModelBundle.load(folder)
    assert bundle.segmentation_weights == folder / "run" / "w.pth"


def test_two_spellings_must_not_contradict_each_other(tmp_path: Path) -> None:
    folder = demo_with_detectron2(tmp_path, segmenter="detectron2", segmentation={"backend": "torchvision"})
    with pytest.raises(ConfigError, match=r"segmenter = 'detectron2' but .*'torchvision'"):
        ModelBundle.load(folder)


def test_unknown_segmenter_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'yolo' is not one of torchvision, detectron2"):
        ModelBundle.load(demo_with_detectron2(tmp_path, segmenter="yolo"))


@pytest.mark.parametrize("name", ["config.yaml", "model_final.pth"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    folder = demo_with_detectron2(tmp_path, segmenter="detectron2")
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing"):
        ModelBundle.load(folder)


@pytest.fixture
def no_detectron2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every import of detectron2 fails, as where it is not installed."""
    loaded = [name for name in sys.modules if name.split(".")[0] == "detectron2"]
    for name in {*loaded, "detectron2", "detectron2.modeling"}:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_detectron2")
def test_without_detectron2_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    bundle = ModelBundle.load(demo_with_detectron2(tmp_path, segmenter="detectron2"))
    with pytest.raises(BundleError, match=r"segmenter is detectron2.*pip install.*docs/installation\.md") as error:
        bundle.build_segmenter("cpu")
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("no_detectron2")
def test_a_torchvision_bundle_does_not_need_detectron2() -> None:
    bundle = ModelBundle.load("demo")
    assert bundle.config.segmentation.backend == "torchvision"
    assert hasattr(bundle.build_segmenter("cpu"), "segment")


# -- config.yaml


def test_absent_thresholds_are_detectron2s_defaults(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("MODEL: {}\n")
    options = inference_options(tmp_path / "config.yaml")
    assert (options["score_threshold"], options["nms_iou"], options["max_detections"]) == (0.05, 0.5, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL: [", "cannot be read"),
        ("MODEL: !!python/object/apply:os.system ['true']", "cannot be read.*python/object"),
        ("model: {_target_: x}", "has no section MODEL"),
        ("- 1", "has no section MODEL"),
        ("_BASE_: ../Base.yaml\nMODEL: {}", r"is not complete.*cfg\.dump\(\)"),
    ],
)
def test_unusable_configs_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(BundleError, match=message) as error:
        read_config(path)
    assert "\n" not in str(error.value)


def test_thresholds_out_of_range_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("MODEL: {}\nTEST: {DETECTIONS_PER_IMAGE: -1}")
    with pytest.raises(ConfigError, match=r"config\.yaml: max_detections = -1 is outside"):
        inference_options(path)


# -- classes by name


def test_classes_are_matched_by_name_whatever_their_order() -> None:
    obj_ids, ignored = class_map(CLASSES, NAMES, "the training")
    assert obj_ids.tolist() == [5, IGNORED, 2, 7]
    assert ignored == ("unknown thing",)


@given(st.permutations(sorted(NAMES) + [-1, -2]))
def test_every_order_of_the_classes_finds_every_object(order: list[int]) -> None:
    obj_ids, ignored = class_map([NAMES.get(i, f"other {i}") for i in order], NAMES, "the training")
    assert [i for i in obj_ids if i != IGNORED] == [i for i in order if i > 0]
    assert len(ignored) == 2


def test_an_object_without_a_class_lists_both_sides() -> None:
    with pytest.raises(BundleError, match=r"'triangle'.*disc, square, triangle; .* of the training are square, disc"):
        class_map(("square", "disc"), NAMES, "the training")


@pytest.mark.parametrize(("classes", "names"), [(("a", "a"), {1: "a"}), (("a", "b"), {1: "a", 2: "a"})])
def test_names_must_be_unique(classes: tuple[str, ...], names: dict[int, str]) -> None:
    with pytest.raises(BundleError, match="two classes called 'a'"):
        class_map(classes, names, "the training")


# -- model_final.pth


class Harmful:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_wants_more_is_refused_before_anything_runs(tmp_path: Path, zipped: bool) -> None:
    trap, path = tmp_path / "trap", tmp_path / "model_final.pth"
    torch.save({"model": {"w": torch.ones(1)}, "x": Harmful(trap)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(BundleError, match="refused, nothing of it was run") as error:
        read_checkpoint(path)
    assert not trap.exists()
    assert "\n" not in str(error.value)


def test_pickles_of_the_model_zoo_are_refused_by_name_and_by_content(tmp_path: Path) -> None:
    content = pickle.dumps({"model": {"w": np.ones(3, np.float32)}, "__author__": "Detectron2 Model Zoo"}, protocol=2)
    for name, message in (("model_final.pkl", "model zoo are pickles of NumPy arrays"), ("model_final.pth", "refused")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BundleError, match=message) as error:
            read_checkpoint(tmp_path / name)
        assert "state_dict()" in str(error.value)


def test_weights_are_found_in_a_checkpoint_of_the_trainer(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"
    model = OrderedDict(
        {
            "module.a.weight": torch.ones(2),
            "module.pixel_mean": torch.ones(3),
            "module.proposal_generator.anchor_generator.cell_anchors.0": torch.ones(3, 4),
        }
    )
    trainer = {"iteration": 9, "hooks": {"LRScheduler": {"base_lrs": [0.02]}}, "_trainer": {"optimizer": {"state": {}}}}
    torch.save({"model": model, "trainer": trainer, "iteration": 9}, path)
    state = read_checkpoint(path)
    assert list(state) == ["a.weight"]
    torch.save({"a.weight": torch.ones(2)}, path)
    assert list(read_checkpoint(path)) == ["a.weight"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"w": torch.tensor([1.0, float("nan")])}}, "weight w is not finite"),
        ({"model": {"w": 3}}, "entry 'w' is a int, not a weight"),
        ({"model": {}}, "has no weights"),
        ([1], "has no weights"),
    ],
)
def test_contents_without_usable_weights_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "model_final.pth")
    with pytest.raises(BundleError, match=message):
        read_checkpoint(tmp_path / "model_final.pth")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pth"
    torch.save({"model": {"w": torch.ones(1000)}}, path)
    whole = path.read_bytes()
    for content in (b"", b"no pickle", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="model_final.pth") as error:
            read_checkpoint(path)
        assert "\n" not in str(error.value)


# -- against the real library


KINDS = {
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
        "INPUT.MAX_SIZE_TEST": 170,
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
    predictor, segmenter = DefaultPredictor(cfg), segmenter_of(folder)
    for seed, (width, height) in enumerate([(320, 240), (200, 333), (97, 64)]):
        frame = shape_scene(seed, 320, 240).frame
        frame = replace(frame, color=np.ascontiguousarray(np.resize(frame.color, (height, width, 3))))
        truth = predictor(frame.color[:, :, ::-1])["instances"]
        known = np.isin(truth.pred_classes.numpy(), [0, 2, 3])
        found = segmenter.segment(frame)
        assert len(found) == known.sum() > 2
        assert len(truth) > len(found)  # there were some of the class the bundle does not know
        np.testing.assert_array_equal(found.boxes, truth.pred_boxes.tensor.numpy()[known])
        np.testing.assert_array_equal(found.scores, truth.scores.numpy()[known])
        np.testing.assert_array_equal(found.masks, truth.pred_masks.numpy()[known])
        np.testing.assert_array_equal(found.obj_ids, np.array([5, 0, 2, 7])[truth.pred_classes.numpy()[known]])
        assert (np.diff(found.scores) <= 0).all()
        assert 0.02 < found.masks.mean() < 0.98
        assert (found.masks.any((1, 2)).mean()) > 0.5
        assert found.masks.shape == (len(found), height, width)
        assert found.masks.dtype == bool
        assert found.roi_features.ndim == 4
        assert len(found.roi_features) == len(found)
        assert found.roi_features.shape[2:] == ((14, 14) if kind == "c4" else (7, 7))
        assert found.roi_features.std() > 0


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
    # 320x240 is scaled to 170x128 (the longer side is the limit).
    boxes = found.boxes * np.array([170 / 320, 128 / 240] * 2, np.float32)
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
    path.write_text(
        (trained / "config.yaml").read_text() + f"X: !!python/object/apply:pathlib.Path.touch [{tmp_path}/t]"
    )
    with pytest.raises(BundleError, match="cannot be read"):
        build_config(path)
    assert not (tmp_path / "t").exists()


def test_a_bundle_runs_end_to_end_with_it(trained: Path, tmp_path: Path) -> None:
    names = ["mug_blue", "mug_red", "top", "truck"]
    folder = demo_with_detectron2(tmp_path, segmenter="detectron2")
    values = yaml.safe_load((folder / "bundle.yaml").read_text())
    values["objects"]["names"] = dict(enumerate(names, 1))
    values["segmentation"] = {"detectron2": {"thing_classes": names[::-1]}}
    (folder / "bundle.yaml").write_text(yaml.safe_dump(values))
    for name in ("config.yaml", "model_final.pth"):
        shutil.copy(trained / name, folder)
    segmenter = ModelBundle.load(folder).build_segmenter("cpu")
    found = segmenter.segment(shape_scene(1).frame)
    assert len(found) > 0
    assert set(found.obj_ids) <= {1, 2, 3, 4}

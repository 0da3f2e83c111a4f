"""What of the detectron2 backend needs no detectron2: the bundle's choice, config.yaml, class names, checkpoints."""

from __future__ import annotations

import pickle
import shutil
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.finding import find_bundle
from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.segmentation.detectron2.files import (
    IGNORED,
    class_map,
    inference_options,
    read_checkpoint,
    read_complete_config,
    read_config,
    save_checkpoint,
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


@settings(deadline=None)
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


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_the_model_zoo_are_read_as_arrays(tmp_path: Path, protocol: int) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {"model": {"w": values, "b": values[:, 1], "n": np.array(3.0)}, "__author__": "Model Zoo"}
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    state = read_checkpoint(tmp_path / "model_final.pkl")
    torch.testing.assert_close(state["w"], torch.from_numpy(values))
    torch.testing.assert_close(state["b"], torch.tensor([1.0, 4.0]))
    (tmp_path / "model_final.pth").write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(BundleError, match=r"refused|damaged") as error:
        read_checkpoint(tmp_path / "model_final.pth")
    assert "state_dict()" in str(error.value)


def test_a_pickle_of_arrays_that_wants_more_is_refused_before_anything_runs(tmp_path: Path) -> None:
    trap, path = tmp_path / "trap", tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"model": {"w": np.ones(3)}, "x": Harmful(trap)}))
    with pytest.raises(BundleError, match=r"refused, nothing of it was run: the pickle asks for pathlib\.\w+") as error:
        read_checkpoint(path)
    assert not trap.exists()
    assert "\n" not in str(error.value)
    for content in (b"", b"not a pickle"):
        path.write_bytes(content)
        with pytest.raises(BundleError, match="damaged or no pickle"):
            read_checkpoint(path)


def test_weights_and_the_versions_of_their_layers_survive_as_safetensors(tmp_path: Path) -> None:
    layer = torch.nn.BatchNorm2d(3)
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), layer).state_dict()
    torch.save({"model": state}, tmp_path / "model_final.pth")
    read = read_checkpoint(tmp_path / "model_final.pth")
    save_checkpoint(read, tmp_path / "model_final.safetensors")
    again = read_checkpoint(tmp_path / "model_final.safetensors")
    assert set(again) == set(read)
    assert all(torch.equal(again[name], read[name]) for name in read)
    assert getattr(again, "_metadata")["1"]["version"] == 2  # noqa: B009  # that of batch norms


def test_a_config_of_the_model_zoo_is_read_with_those_it_builds_on(tmp_path: Path) -> None:
    (tmp_path / "COCO").mkdir()
    (tmp_path / "Base.yaml").write_text("MODEL: {MASK_ON: false, ROI_HEADS: {NUM_CLASSES: 80}}\nTEST: {X: 1}\n")
    (tmp_path / "COCO" / "config.yaml").write_text("_BASE_: ../Base.yaml\nMODEL: {MASK_ON: true}\n")
    values = read_complete_config(tmp_path / "COCO" / "config.yaml")
    assert values == {"MODEL": {"MASK_ON": True, "ROI_HEADS": {"NUM_CLASSES": 80}}, "TEST": {"X": 1}}
    (tmp_path / "Base.yaml").write_text("_BASE_: Base.yaml\nMODEL: {}\n")
    with pytest.raises(BundleError, match="builds on 'Base.yaml', which is no file that could be read"):
        read_complete_config(tmp_path / "COCO" / "config.yaml")
    (tmp_path / "Base.yaml").unlink()
    with pytest.raises(BundleError, match=r"Base.yaml: missing detectron2 config"):
        read_complete_config(tmp_path / "COCO" / "config.yaml")


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

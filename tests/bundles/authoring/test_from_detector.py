"""Bundles from detectors that others have trained: what is made, that it runs, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from detector_networks import NAMES, export, lively, square_frame
from torchvision.models import detection
from typer.testing import CliRunner

from pose_tracking import ModelBundle, PoseTracker
from pose_tracking.bundles.authoring.from_detector.names import label_names, names_in_metadata, parse_names
from pose_tracking.cli.new_model import new_model
from pose_tracking.core.errors import BundleError, ConfigError, OutputError, PoseTrackingError
from pose_tracking.segmentation.external.coco import COCO_80, COCO_91

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def run(*arguments: object) -> str:
    """Output of `new-model`; its errors are raised."""
    app = typer.Typer()
    app.command()(new_model)
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if isinstance(result.exception, PoseTrackingError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Faster R-CNN of torchvision with five labels, as a training saves it."""
    torch.manual_seed(2)
    model = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, num_classes=5)
    path = tmp_path_factory.mktemp("weights") / "model_9.pth"
    torch.save({"model": lively(model, 5.0).state_dict(), "optimizer": {"state": {}}, "epoch": 9}, path)
    return path


def tracked(bundle: Path, frames: int = 4) -> list[list[tuple[str, int]]]:
    """Class and track ID of what is tracked where two squares move and one stands."""
    tracker = PoseTracker(ModelBundle.load(bundle))
    seen = []
    for i in range(frames):
        frame, _ = square_frame([(64 + 32 * i, 48, 0), (512 - 32 * i, 208, 0), (288, 336, 2)], i * 100_000_000)
        seen.append([(o.class_name, o.track_id) for o in tracker.update(frame) if o.is_observed])
    return seen


def test_a_graph_becomes_a_bundle_that_tracks(tmp_path: Path) -> None:
    path, out = export(tmp_path / "squares.onnx", "yolo", masks=True), tmp_path / "b"
    told = run("--from-detector", "onnx", path, "--out", out, "--classes", "red,blue")
    assert "outputs: yolo with masks" in told
    assert "2 classes (red, blue)" in told
    bundle = ModelBundle.load(out)
    assert {i: m.name for i, m in bundle.objects.items()} == {1: "red", 3: "blue"}
    assert "colour histograms" in bundle.config.description
    path.unlink()  # the bundle stands alone
    seen = tracked(out)
    assert [sorted(name for name, _ in frame) for frame in seen] == [["blue", "red", "red"]] * 4
    assert len({track for frame in seen for _, track in frame}) == 3


def test_names_that_nothing_checks_are_told_to_be_believed(tmp_path: Path) -> None:
    path = export(tmp_path / "squares.onnx", "end_to_end", names=False)
    told = run("--from-detector", "onnx", path, "--out", tmp_path / "b", "--names", "a,b")
    assert "do not say how many classes it has: the 2 stated are believed" in " ".join(told.split())
    known = run("--from-detector", "onnx", export(tmp_path / "named.onnx", "end_to_end"), "--out", tmp_path / "c")
    assert "believed" not in known


def test_tensorflow_graph_by_openvino(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    graph = openvino.Core().read_model(str(export(tmp_path / "squares.onnx", "tensorflow")))
    openvino.save_model(graph, str(tmp_path / "squares.xml"), compress_to_fp16=False)
    out = tmp_path / "b"
    told = run("--from-detector", "openvino", tmp_path / "squares.xml", "--out", out, "--names", ",".join(NAMES))
    assert "outputs: tensorflow" in told
    (tmp_path / "squares.xml").unlink()
    (tmp_path / "squares.bin").unlink()
    seen = tracked(out)
    assert len({track for frame in seen for _, track in frame}) == 3
    (tmp_path / "lonely.xml").write_bytes((out / "detector.xml").read_bytes())
    with pytest.raises(BundleError, match=r"lonely.bin: missing: an OpenVINO model is a .xml file and the .bin"):
        run("--from-detector", "openvino", tmp_path / "lonely.xml", "--out", tmp_path / "c", "--names", "a,b,c")


def test_torchvision_weights_become_safetensors(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "b"
    told = run("--from-detector", "torchvision", weights, "--names", "cup,,plate,fork", "--out", out)
    assert "torchvision's fasterrcnn_mobilenet_v3_large_fpn" in told
    assert "3 classes (cup, plate, fork)" in told
    assert sorted(path.name for path in out.iterdir()) == ["bundle.yaml", "segmentation.safetensors"]
    segmenter = ModelBundle.load(out).build_segmenter()
    frame, _ = square_frame([(64, 48, 0), (288, 208, 2)])
    found = segmenter.segment(frame)
    assert len(found) > 0
    assert found.roi_features.shape[1:] == (256, 7, 7)


def test_reid_network_is_taken_along(tmp_path: Path) -> None:
    class Embedding(torch.nn.Module):
        def forward(self, crop: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(crop, 4).flatten(1)

    torch.onnx.export(
        Embedding(), (torch.rand(1, 3, 96, 48),), str(tmp_path / "who.onnx"), opset_version=17, dynamo=False
    )
    out = tmp_path / "b"
    path = export(tmp_path / "squares.onnx", "yolo")
    told = run("--from-detector", "onnx", path, "--reid", tmp_path / "who.onnx", "--out", out)
    assert "identity goes by the re-identification network who.onnx" in told
    config = ModelBundle.load(out).config
    assert (config.segmentation.identity, config.segmentation.reid.width, config.segmentation.reid.height) == (
        "reid", 48, 96,
    )  # fmt: skip
    found = ModelBundle.load(out).build_segmenter().segment(square_frame([(64, 48, 0)])[0])
    assert found.roi_features.shape[1:] == (48, 1, 1)
    with pytest.raises(BundleError, match="is no .onnx file"):
        run("--from-detector", "onnx", path, "--reid", tmp_path / "who.xml", "--out", tmp_path / "c")


def test_weights_beside_an_onnx_file_are_joined_with_it(tmp_path: Path) -> None:
    import onnx

    model = onnx.load(str(export(tmp_path / "squares.onnx", "yolo")))
    (tmp_path / "split").mkdir()
    path = tmp_path / "split" / "squares.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="squares.data", size_threshold=0)
    out = tmp_path / "b"
    run("--from-detector", "onnx", path, "--out", out)
    (tmp_path / "split" / "squares.data").unlink()
    assert len(ModelBundle.load(out).build_segmenter().segment(square_frame([(64, 48, 0)])[0])) >= 1
    with pytest.raises(BundleError, match=r"squares.onnx: cannot be loaded"):
        run("--from-detector", "onnx", path, "--out", tmp_path / "c")


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_checkpoints_that_cannot_be_used(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "code.pth").write_bytes(pickle.dumps({"model": Harmful()}))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    torch.save({"backbone.weight": torch.ones(3)}, tmp_path / "other.pth")
    torch.save({"backbone.weight": torch.full((3,), torch.nan)}, tmp_path / "nan.pth")
    for name, message in {
        "empty": "is empty", "script": "it is a TorchScript program, not weights; export it to ONNX",
        "code": "refused, nothing of it was run", "whole": "refused, nothing of it was run",
        "none": "entry 'epoch' is a int", "other": r"its 1 weights .* are of none of torchvision's",
        "nan": "is not finite", "missing": "no such checkpoint",
    }.items():  # fmt: skip
        with pytest.raises(BundleError, match=rf"{name}\.pth: .*{message}") as told:
            run("--from-detector", "torchvision", tmp_path / f"{name}.pth", "--out", tmp_path / "b")
        assert "\n" not in str(told.value)
        assert not (tmp_path / "b").exists()
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--names", "a,b"], "has 4 classes, but 2 names are stated"),
        ([], "has 4 classes, which are not COCO's 80"),
        (["--names", "a,b,c,d", "--classes", "a,z"], "'z' is no class of model_9.pth; its classes are a, b, c, d"),
        (["--names", "a,b,c,d", "--weights", "x.pth"], "torchvision has one file"),
        (["--names", "a,b,c,d", "--meshes", "cad"], "--meshes cad: cannot be used here"),
        (["--names", "a,b,c,d", "--classes", ","], "names no class"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, weights: Path, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run("--from-detector", "torchvision", weights, *options, "--out", tmp_path / "b")


def test_kinds_and_files_that_do_not_fit(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ConfigError, match="'yolo' is not one of torchvision, detectron2, onnx, openvino"):
        run("--from-detector", "yolo", weights, "--out", tmp_path / "b")
    with pytest.raises(ConfigError, match="takes a .onnx file"):
        run("--from-detector", "onnx", weights, "--out", tmp_path / "b")
    with pytest.raises(ConfigError, match="--meshes and --unit are missing"):
        run("--out", tmp_path / "b")
    with pytest.raises(ConfigError, match="--classes a: cannot be used here: it belongs to --from-detector"):
        run("--meshes", tmp_path, "--unit", "mm", "--classes", "a", "--out", tmp_path / "b")


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path, out = export(tmp_path / "squares.onnx", "yolo"), tmp_path / "b"
    run("--from-detector", "onnx", path, "--out", out)
    with pytest.raises(OutputError, match="exists already"):
        run("--from-detector", "onnx", path, "--out", out)
    with pytest.raises(OutputError, match="holds detector.onnx, which is read"):
        run("--from-detector", "onnx", out / "detector.onnx", "--out", out, "--overwrite")
    run("--from-detector", "onnx", path, "--out", out, "--overwrite", "--classes", "red")
    assert len(ModelBundle.load(out).objects) == 1


def test_names_of_labels(tmp_path: Path) -> None:
    assert label_names([], 80, False, "x") == list(COCO_80)
    assert label_names([], 90, True, "x") == list(COCO_91)
    assert label_names(["background", "a"], 1, True, "x") == ["a"]
    (tmp_path / "a.names").write_text("cup\nN/A\nplate\n\n")
    assert parse_names([str(tmp_path / "a.names")]) == ["cup", "", "plate"]
    with pytest.raises(ConfigError, match="cannot be read"):
        parse_names([str(tmp_path / "b.names")])
    assert names_in_metadata({"names": "{0: 'person', 2: 'cup'}"}) == ["person", "", "cup"]
    assert names_in_metadata({"names": "['a', 'b']"}) == ["a", "b"]
    for odd in ("{0: 1}", "__import__('os')", "{", "{-1: 'a'}", "{99999999999: 'a'}", "{0: '0', 1: '1'}", "['class0']"):
        assert names_in_metadata({"names": odd}) == []


def test_coco_has_one_id_for_one_thing(tmp_path: Path) -> None:
    from pose_tracking.segmentation.external.coco import object_ids

    assert object_ids(["cup", "person"]) == [47, 1]
    assert object_ids(["cup", "my thing"]) == [1, 2]
    assert len(COCO_80) == 80 == len(set(COCO_80))
    assert np.array_equal(np.flatnonzero(np.array(COCO_91) == "toothbrush"), [89])

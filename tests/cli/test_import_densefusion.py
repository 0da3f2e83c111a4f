"""`import-densefusion`: from checkpoints to a bundle that runs, and what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from densefusion_files import network_input, write_checkpoints

from pose_tracking.bundles.authoring.densefusion_import import import_densefusion
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.import_densefusion import parse_ids
from pose_tracking.cli.main import main
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import BundleError, ConfigError, OutputError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.pipeline import PoseTracker
from pose_tracking.pose import load_densefusion
from pose_tracking.pose.hypotheses.crops import make_crops
from pose_tracking.pose.hypotheses.predictor import PosePredictor
from pose_tracking.pose.networks.loss import rotation_from_quaternion
from pose_tracking.pose.networks.network import PoseNet

IDS = [4, 1, 6]  # neither all objects of the demo bundle nor in its order


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), len(IDS), color_gain=1 / 500)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo objects as a BOP folder."""
    folder = tmp_path_factory.mktemp("objects")
    demo = ModelBundle.load("demo")
    for file in (demo.path / "meshes").iterdir():
        shutil.copy(file, folder)
    shutil.copy(demo.path / "models_info.json", folder)
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoints: tuple[Path, Path], meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    return import_densefusion(*checkpoints, meshes, IDS, "demo", tmp_path_factory.mktemp("out") / "imported")


def _scene() -> tuple[RGBDFrame, Instances]:
    """Three patches of a bumpy wall; their sides differ, one mask has a loose part."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:240, :320]
    depth = (0.6 + 0.02 * np.sin(rows / 7.0) + 0.02 * np.cos(cols / 9.0)).astype(np.float32)
    color = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    boxes = np.array([[20, 30, 55, 101], [120, 40, 160, 80], [250, 180, 320, 240]], np.float32)
    masks = np.zeros((3, 240, 320), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    masks[0, 200:205, 20:25] = True
    frame = RGBDFrame(color, depth, CameraIntrinsics(320, 240, 300.0, 305.0, 160.5, 118.0))
    instances = Instances(np.array([6, 1, 4]), np.ones(3, np.float32), boxes, masks, np.zeros((3, 1, 1, 1), np.float32))
    return frame, instances


def test_networks_of_the_bundle_equal_the_checkpoints(bundle: ModelBundle, checkpoints: tuple[Path, Path]) -> None:
    pose_net, refiner = load_densefusion(*checkpoints, 3)
    predictor = bundle.build_pose_estimator("cpu", InferenceConfig("torch")).predictor
    assert isinstance(predictor, PosePredictor)
    assert isinstance(predictor.estimator, PoseNet)
    image, points, choose, _ = network_input()
    theirs = torch.tensor([0, 1, 2])  # outputs in the order of IDS
    ours = torch.tensor([bundle.objects.index_of(obj_id) for obj_id in IDS])
    assert ours.tolist() == [1, 0, 2]
    with torch.no_grad():
        expected = pose_net(image, points, choose, theirs)
        got = predictor.estimator(image, points, choose, ours)
        for a, b in zip(expected, got, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
        for a, b in zip(
            refiner(points, expected.embedding, theirs), predictor.refiner(points, got.embedding, ours), strict=True
        ):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_a_frame_gives_what_the_public_evaluation_computes(bundle: ModelBundle, checkpoints: tuple[Path, Path]) -> None:
    """Crops, argmax of the confidence and four refinements, object by object, written out once more."""
    frame, instances = _scene()
    estimator = bundle.build_pose_estimator("cpu", InferenceConfig("torch"))
    found = estimator.predictor.predict(frame, instances)
    assert found.valid.all()
    pose_net, refiner = load_densefusion(*checkpoints, 3)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    config = bundle.config.pose.crop
    # Top, left, height and width of what get_bbox of the public LineMOD data set cuts out.
    windows = [(25, 17, 80, 40), (40, 120, 40, 40), (160, 240, 80, 80)]
    for i, (top, left, height, width) in enumerate(windows):
        crop = make_crops(frame, instances.boxes[i : i + 1], instances.masks[i : i + 1], [0.1], config)
        assert crop.image.shape == (1, 3, height, width)
        colour = frame.color[top : top + height, left : left + width]
        np.testing.assert_allclose(crop.image[0], ((colour - mean) / std).transpose(2, 0, 1), rtol=1e-5)
        rows, cols = crop.choose[0] // width + top, crop.choose[0] % width + left
        assert instances.masks[i, rows, cols].all()
        cloud = frame.intrinsics.backproject(frame.depth)[rows, cols]
        np.testing.assert_allclose(crop.points[0], cloud, atol=1e-6)
        points = torch.from_numpy(cloud)[None].float()
        index = torch.tensor([IDS.index(int(instances.obj_ids[i]))])
        with torch.no_grad():
            out = pose_net(torch.from_numpy(crop.image), points, torch.from_numpy(crop.choose), index)
            best = out.confidence[0, :, 0].argmax()
            rotation = rotation_from_quaternion(out.rotation[0, best])
            translation = points[0, best] + out.translation[0, best]
            np.testing.assert_allclose(found.raw_poses[i, 0, :3, :3], rotation, atol=1e-4)
            np.testing.assert_allclose(found.raw_poses[i, 0, :3, 3], translation, atol=1e-4)
            for _ in range(4):
                turn, shift = refiner((points - translation) @ rotation, out.embedding, index)
                translation = rotation @ shift[0] + translation
                rotation = rotation @ rotation_from_quaternion(turn[0])
        np.testing.assert_allclose(found.poses[i, 0, :3, :3], rotation, atol=1e-3)
        np.testing.assert_allclose(found.poses[i, 0, :3, 3], translation, atol=1e-3)


def test_the_bundle_stands_alone_and_runs(bundle: ModelBundle) -> None:
    assert list(bundle.objects) == [1, 4, 6]
    assert bundle.objects.has_meshes
    assert [model.name for model in bundle.objects.values()] == ["mug_blue", "truck", "hammer"]
    assert not list(bundle.path.parent.glob(".*"))
    options = yaml.safe_load((bundle.path / "bundle.yaml").read_text())
    assert options["objects"]["segmented"] == [1, 2, 3, 4, 5, 6]
    tracker = PoseTracker(bundle)
    frame, _ = _scene()
    tracker.update(frame)
    assert set(tracker.report.seconds) == {"segmentation", "pose", "tracking", "total"}


def test_the_command(
    checkpoints: tuple[Path, Path],
    meshes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "mine"
    arguments = ["import-densefusion", *map(str, checkpoints), "--objects", str(meshes), "--segmenter", "demo"]
    monkeypatch.setattr(sys, "argv", ["pose-tracking", *arguments, "--object-ids", "4,1", "--out", str(out)])
    assert main() == 2
    assert "is for 3 objects" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    command = [*arguments, "--object-ids", "4,1,9", "--known-only", "--recipe", "ycb", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["pose-tracking", *command])
    with pytest.raises(SystemExit) as finished:
        main()
    assert finished.value.code == 0
    printed = capsys.readouterr()
    assert "does not know them: 9" in printed.err
    assert "2 objects (1 mug_blue, 4 truck)" in printed.out
    pose = ModelBundle.load(out).config.pose
    assert (pose.crop.window, pose.crop.points, pose.refine_iterations) == ("published_box", 1000, 2)


def test_what_cannot_fit_together_is_named(checkpoints: tuple[Path, Path], meshes: Path, tmp_path: Path) -> None:
    larger = tmp_path / "larger"
    shutil.copytree(meshes, larger)
    info = json.loads((larger / "models_info.json").read_text())
    info["9"] = info["1"]
    info["1"] = {key: value * 1.2 if isinstance(value, float) else value for key, value in info["1"].items()}
    (larger / "models_info.json").write_text(json.dumps(info))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    out = tmp_path / "out"
    for objects, ids, target, error, message in (
        (meshes, [4, 1, 99], out, BundleError, "99 is not in .*which has 1, 2"),
        (larger, [4, 2, 9], out, BundleError, r"does not know object 9, only 1 \(mug_blue\).*--known-only"),
        (larger, [4, 1, 6], out, BundleError, "object 1 .mug_blue. has a diameter of"),
        (meshes, [4, 1, 4], out, BundleError, "4 is listed twice"),
        (meshes, [0], out, BundleError, "0 is no BOP object id"),
        (meshes, [], out, BundleError, "is empty"),
        (tmp_path, [4, 1, 6], out, BundleError, "models_info.json: cannot be read"),
        (meshes, IDS, taken, OutputError, "taken: exists already"),
    ):
        with pytest.raises(error, match=message) as raised:
            import_densefusion(*checkpoints, objects, ids, "demo", target)
        assert "\n" not in str(raised.value)
    assert not out.exists()


def test_lists_of_ids() -> None:
    assert parse_ids("1,2, 4") == [1, 2, 4]
    with pytest.raises(ConfigError, match="'x' is no whole number"):
        parse_ids("1,x")
    with pytest.raises(ConfigError, match="'' is no whole number"):
        parse_ids("")

"""The predictor: composition of poses, diversity of hypotheses, weights that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import BundleError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.core.results import Instances
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.pose.hypotheses.crops import make_crops
from pose_tracking.pose.hypotheses.predictor import PosePredictor, diverse_hypotheses
from pose_tracking.pose.networks.alignment import align
from pose_tracking.pose.networks.light_network import LightPoseNet
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet

CONFIG = PoseConfig(
    crop=CropConfig(size=32, points=40, min_points=10), hypotheses=3, refine_iterations=1, refine_points=24
)


def _objects() -> ObjectSet:
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    models = {}
    for obj_id, symmetries in ((2, np.eye(4)[None]), (5, np.stack([np.eye(4), half_turn]))):
        models[obj_id] = ObjectModel(obj_id, f"o{obj_id}", 0.2, np.full(3, -0.05), np.full(3, 0.1), symmetries)
    return ObjectSet(models)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    paths = folder / "pose.safetensors", folder / "refiner.safetensors"
    for net, path in zip((LightPoseNet(2), PoseRefineNet(2)), paths, strict=True):
        save_file({k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()}, path)
    return paths


def _scene(count: int = 3) -> tuple[RGBDFrame, Instances]:
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:120, :160]
    depth = (0.7 + 0.05 * np.sin(rows / 9.0) * np.cos(cols / 11.0)).astype(np.float32)
    depth[:, 100:] = 0  # the third instance has no depth
    frame = RGBDFrame(
        rng.integers(0, 256, (120, 160, 3), dtype=np.uint8), depth, CameraIntrinsics(160, 120, 150, 150, 80, 60)
    )
    boxes = np.array([[10, 20, 45, 60], [50, 50, 95, 90], [110, 30, 150, 70]], np.float32)[:count]
    masks = np.zeros((count, 120, 160), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
    obj_ids = np.array([5, 2, 2])[:count]
    return frame, Instances(obj_ids, np.ones(count, np.float32), boxes, masks, np.zeros((count, 1, 1, 1), np.float32))


def test_hypotheses_of_a_frame(weights: tuple[Path, Path]) -> None:
    frame, instances = _scene()
    found = PosePredictor(CONFIG, _objects(), *weights).predict(frame, instances)
    assert found.valid.tolist() == [True, True, False]
    assert found.poses.shape == found.raw_poses.shape == (3, 3, 4, 4)
    assert found.poses.dtype == np.float64
    assert found.points.shape == (3, 40, 3)
    np.testing.assert_array_equal(found.poses[2], np.tile(np.eye(4), (3, 1, 1)))
    for pose in found.poses[:2].reshape(-1, 4, 4):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    assert (found.confidences[:, :1] >= found.confidences).all()
    assert (np.abs(found.points[:2, :, 2] - 0.7) < 0.06).all()


def test_all_at_once_equals_one_by_one(weights: tuple[Path, Path]) -> None:
    frame, instances = _scene()
    predictor = PosePredictor(CONFIG, _objects(), *weights)
    together = predictor.predict(frame, instances)
    for i in range(3):
        alone = predictor.predict(frame, instances.select(np.array([i])))
        np.testing.assert_allclose(alone.poses[0], together.poses[i], atol=1e-4)
        np.testing.assert_allclose(alone.confidences[0], together.confidences[i], atol=1e-5)


def test_no_instances(weights: tuple[Path, Path]) -> None:
    frame, instances = _scene()
    found = PosePredictor(CONFIG, _objects(), *weights).predict(frame, instances.select(np.zeros(0, int)))
    assert found.poses.shape == (0, 3, 4, 4)
    assert found.points.shape == (0, 40, 3)
    assert found.valid.shape == (0,)


def test_first_pose_of_the_light_network_is_that_of_all_points_together(weights: tuple[Path, Path]) -> None:
    frame, instances = _scene(2)
    objects = _objects()
    found = PosePredictor(CONFIG, objects, *weights).predict(frame, instances)
    net = LightPoseNet(2).eval()
    net.load_state_dict(load_file(weights[0]))
    crops = make_crops(frame, instances.boxes, instances.masks, [0.2, 0.2], CONFIG.crop)
    index = torch.tensor([objects.index_of(int(i)) for i in instances.obj_ids])
    with torch.no_grad():
        out = net(*(torch.from_numpy(x) for x in (crops.image, crops.points, crops.choose)), index)
    poses = align(out.coordinates, torch.from_numpy(crops.points)).double().numpy()
    poses[:, :3, 3] *= 0.2
    np.testing.assert_allclose(found.raw_poses[:2, 0], crops.frame @ poses, atol=2e-4)
    np.testing.assert_allclose(found.confidences[:2, 0], out.confidence[..., 0].amax(1), atol=1e-4)


def test_raw_pose_is_rotation_of_the_most_confident_point_and_its_offset(
    weights: tuple[Path, Path], tmp_path: Path
) -> None:
    """The definition of the paper, t = p_i + offset_i, taken from the crop to the camera by hand."""
    frame, instances = _scene(2)
    objects = _objects()
    torch.manual_seed(0)
    net = PoseNet(2).eval()
    save_file(net.state_dict(), tmp_path / "pose.safetensors")
    config = replace(CONFIG, encoder="pspnet_resnet18")
    found = PosePredictor(config, objects, tmp_path / "pose.safetensors", weights[1]).predict(frame, instances)
    crops = make_crops(frame, instances.boxes, instances.masks, [0.2, 0.2], CONFIG.crop)
    index = torch.tensor([objects.index_of(int(i)) for i in instances.obj_ids])
    with torch.no_grad():
        out = net(*(torch.from_numpy(x) for x in (crops.image, crops.points, crops.choose)), index)
    for i in range(2):
        best = int(out.confidence[i, :, 0].argmax())
        w, x, y, z = out.rotation[i, best].numpy()
        rotation = Rotation.from_quat([x, y, z, w]).as_matrix()
        offset = (crops.points[i, best] + out.translation[i, best].numpy()) * 0.2
        expected = crops.frame[i] @ make_transform(rotation, offset)
        np.testing.assert_allclose(found.raw_poses[i, 0], expected, atol=1e-4)
        assert found.confidences[i, 0] == pytest.approx(float(out.confidence[i, best, 0]), abs=1e-4)


def test_refiner_step_is_applied_in_the_object_frame(weights: tuple[Path, Path], tmp_path: Path) -> None:
    """M_new = M dM: a refiner that always answers one and the same dM."""
    step = make_transform(Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix(), [0.01, 0.02, -0.03])
    net = PoseRefineNet(2)
    quaternion = Rotation.from_matrix(step[:3, :3]).as_quat()[[3, 0, 1, 2]]
    with torch.no_grad():
        for layer in (net.conv3_r, net.conv3_t):
            layer.weight.zero_()
        net.conv3_r.bias.copy_(torch.tensor(np.tile(quaternion, 2)))
        net.conv3_t.bias.copy_(torch.tensor(np.tile(step[:3, 3] / 0.2, 2)))  # in diameters
    save_file(net.state_dict(), tmp_path / "refiner.safetensors")
    frame, instances = _scene(2)
    config = replace(CONFIG, refine_iterations=2)
    found = PosePredictor(config, _objects(), weights[0], tmp_path / "refiner.safetensors").predict(frame, instances)
    change = invert_transform(found.raw_poses) @ found.poses
    np.testing.assert_allclose(change, np.broadcast_to(step @ step, change.shape), atol=1e-5)


def _turns(degrees: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    rotation = Rotation.from_euler("z", np.array(degrees)[:, None], degrees=True).as_matrix()
    return torch.tensor(rotation, dtype=torch.float32), torch.zeros(len(degrees), 3)


def test_hypotheses_differ() -> None:
    rotation, translation = _turns([0, 3, 90, 92, 180])
    confidence = torch.tensor([0.9, 0.8, 0.7, 0.75, 0.1])
    picks = diverse_hypotheses(rotation, translation, confidence, torch.eye(4)[None], 3, 0.35, 0.1)
    assert picks.tolist() == [0, 3, 4]
    far = translation.clone()
    far[1, 0] = 0.5
    picks = diverse_hypotheses(rotation, far, confidence, torch.eye(4)[None], 2, 0.35, 0.1)
    assert picks.tolist() == [0, 1]


def test_hypotheses_differ_beyond_symmetry() -> None:
    rotation, translation = _turns([0, 180, 90])
    confidence = torch.tensor([0.9, 0.8, 0.1])
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    symmetries = torch.stack([torch.eye(4), half_turn])
    assert diverse_hypotheses(rotation, translation, confidence, symmetries, 2, 0.35, 0.1).tolist() == [0, 2]
    assert diverse_hypotheses(rotation, translation, confidence, symmetries[:1], 2, 0.35, 0.1).tolist() == [0, 1]


def test_few_poses_fill_up() -> None:
    rotation, translation = _turns([0, 1])
    picks = diverse_hypotheses(rotation, translation, torch.tensor([0.2, 0.9]), torch.eye(4)[None], 4, 0.35, 0.1)
    assert picks.tolist() == [1, 0, 0, 0]


def test_unusable_weights(weights: tuple[Path, Path], tmp_path: Path) -> None:
    objects, (pose, refiner) = _objects(), weights
    with pytest.raises(BundleError, match=r"none\.safetensors: missing"):
        PosePredictor(CONFIG, objects, tmp_path / "none.safetensors", refiner)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(pose.read_bytes()[:-1000])
    with pytest.raises(BundleError, match=r"cut\.safetensors: corrupt"):
        PosePredictor(CONFIG, objects, cut, refiner)
    with pytest.raises(BundleError, match=r"refiner\.safetensors: .* another network"):
        PosePredictor(CONFIG, objects, refiner, refiner)
    with pytest.raises(BundleError, match="object set"):
        PosePredictor(CONFIG, ObjectSet({2: objects[2]}), pose, refiner)
    state = load_file(refiner)
    state["conv3_t.bias"][0] = torch.nan
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(BundleError, match=r"conv3_t\.bias is not finite"):
        PosePredictor(CONFIG, objects, pose, tmp_path / "nan.safetensors")


def test_what_a_compiled_network_says_of_an_instance_does_not_depend_on_the_others(weights: tuple[Path, Path]) -> None:
    pytest.importorskip("openvino")
    from pose_tracking.networks.engines.openvino_engine import OpenVinoEngine

    frame, instances = _scene(2)
    predictor = PosePredictor(CONFIG, _objects(), *weights, engine=OpenVinoEngine())
    assert predictor.is_repeatable
    both = predictor.predict(frame, instances)
    for i in range(2):
        alone = predictor.predict(frame, instances.select(np.array([i])))
        np.testing.assert_array_equal(alone.poses[0], both.poses[i])
        np.testing.assert_array_equal(alone.confidences[0], both.confidences[i])
    assert not PosePredictor(CONFIG, _objects(), *weights).is_repeatable

"""Training of the pose networks: batches, augmentation, losses, resuming and stopping."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.spatial.transform import Rotation

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import BundleError, ConfigError, DatasetError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform, transform_points
from pose_tracking.datasets.packed import PackedDataset, PackedWriter
from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.objects import Mesh, ObjectModel, ObjectSet
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.objects.raycasting import MeshRaycaster
from pose_tracking.pose.config import CropConfig, PoseConfig
from pose_tracking.training.loop import TrainingError
from pose_tracking.training.pose import trainer as training
from pose_tracking.training.pose.data import (
    NO_AUGMENTATION,
    PoseAugmentation,
    PoseBatches,
    augmented_crop,
    usable_objects,
)

CAMERA = CameraIntrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)
CONFIG = PoseConfig(crop=CropConfig(size=32, points=48), refine_points=32)
OPTIONS = training.PoseTrainingOptions(
    minutes=60.0, batch_size=4, crops_per_frame=2, min_points=32, head_points=16, model_points=24, imagenet=False,
    frozen_groups=0, validation_crops=4, evaluate_minutes=1000.0,
)  # fmt: skip


def _block(size: tuple[float, float, float]) -> Mesh:
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    normals = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    colors = np.linspace(30, 230, 24).reshape(8, 3).astype(np.uint8)
    return Mesh(corners.astype(np.float32), faces, normals.astype(np.float32), colors)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    folder = tmp_path_factory.mktemp("meshes")
    half_turn = np.diag([-1.0, -1.0, 1.0, 1.0])
    models = {}
    for obj_id, size, symmetries in (
        (1, (0.1, 0.06, 0.04), [np.eye(4)]),
        (3, (0.08, 0.08, 0.05), [np.eye(4), half_turn]),
    ):
        path = folder / f"obj_{obj_id:06d}.ply"
        save_mesh(_block(size), path)
        extent = np.array(size)
        models[obj_id] = ObjectModel(
            obj_id, f"block_{obj_id}", float(np.linalg.norm(extent)), -extent / 2, extent, np.array(symmetries), path
        )
    return ObjectSet(models)


def _sample(objects: ObjectSet, seed: int) -> Sample:
    """Two blocks, side by side, in front of a wall."""
    rng = np.random.default_rng(seed)
    depth = np.full((120, 160), 0.9, np.float32)
    color = rng.integers(60, 120, (120, 160, 3), dtype=np.uint8)
    truths = []
    for obj_id, x in zip(objects, (-0.12, 0.12), strict=True):
        mesh = objects[obj_id].mesh
        assert mesh is not None
        pose = make_transform(
            Rotation.random(random_state=seed + obj_id).as_matrix(), [x, rng.uniform(-0.05, 0.05), 0.6]
        )
        caster = MeshRaycaster(mesh)
        (x0, y0, x1, y1), hits = caster.render(pose, CAMERA)
        mask = np.zeros((120, 160), bool)
        mask[y0:y1, x0:x1] = (hits.face >= 0).reshape(y1 - y0, x1 - x0)
        depth[mask] = hits.depth[hits.face >= 0]
        color[mask] = caster.colors(hits)[hits.face >= 0].astype(np.uint8)
        truths.append(GroundTruthObject(obj_id, pose, 1.0, None, mask))
    return Sample(RGBDFrame(color, depth, CAMERA), truths)


@pytest.fixture(scope="module")
def pack(objects: ObjectSet, tmp_path_factory: pytest.TempPathFactory) -> PackedDataset:
    path = tmp_path_factory.mktemp("pack") / "frames.zip"
    with PackedWriter(path, jpeg_quality=None) as writer:
        for seed in range(4):
            writer.add(_sample(objects, seed))
    return PackedDataset(path)


@pytest.mark.parametrize("augmentation", [NO_AUGMENTATION, PoseAugmentation(mask_bleed=0, mask_grow=0, depth_noise=0)])
def test_target_fits_the_points(objects: ObjectSet, augmentation: PoseAugmentation) -> None:
    """Points of the crop, taken into the object frame by the target, lie on the block, whatever was changed."""
    for seed in range(6):
        sample = _sample(objects, seed)
        for truth in usable_objects(sample, objects, augmentation):
            batch = augmented_crop(sample.frame, truth, objects, CONFIG.crop, augmentation, np.random.default_rng(seed))
            assert batch is not None
            target = batch.target[0].double().numpy()
            inside = transform_points(invert_transform(target), batch.points[0].numpy()) * float(batch.scale[0])
            gap = np.abs(np.abs(inside) - objects[truth.obj_id].size / 2).min(1)
            assert np.quantile(gap, 0.95) < 1e-3
            assert objects.index_of(truth.obj_id) == int(batch.object_index[0])


def test_turn_keeps_points_on_their_pixels(objects: ObjectSet) -> None:
    """After the turn a point still lies at the pixel it projects to: right of the middle is right of the middle."""
    sample = _sample(objects, 0)
    turn = replace(NO_AUGMENTATION, rotation=90.0)
    for seed in range(5):
        batch = augmented_crop(sample.frame, sample.objects[0], objects, CONFIG.crop, turn, np.random.default_rng(seed))
        rows, cols = np.divmod(batch.choose[0].numpy(), 32)
        assert np.corrcoef(batch.points[0, :, 0].numpy(), cols)[0, 1] > 0.97
        assert np.corrcoef(batch.points[0, :, 1].numpy(), rows)[0, 1] > 0.97


def test_batches_depend_on_step_and_seed_only(objects: ObjectSet, pack: PackedDataset) -> None:
    def source(seed: int) -> PoseBatches:
        return PoseBatches([pack], objects, CONFIG.crop, PoseAugmentation(), 5, 2, seed)

    first = next(source(0)(7))
    second = source(0).batch(7)
    assert len(first) == 5
    torch.testing.assert_close(first.points, second.points, rtol=0, atol=0)
    torch.testing.assert_close(first.image, second.image, rtol=0, atol=0)
    assert not torch.equal(first.points, source(0).batch(8).points)
    assert not torch.equal(first.points, source(1).batch(7).points)


def test_hidden_and_tiny_instances_are_left_out(objects: ObjectSet) -> None:
    sample = _sample(objects, 0)
    sample.objects[0].visibility = 0.1
    kept = usable_objects(sample, objects, PoseAugmentation())
    assert [truth.obj_id for truth in kept] == [3]
    assert usable_objects(sample, objects, PoseAugmentation(min_visibility=0.0, min_pixels=10**5)) == []


def test_pack_of_other_objects_is_named(objects: ObjectSet, pack: PackedDataset) -> None:
    others = ObjectSet({9: replace(objects[1], obj_id=9)})
    with pytest.raises(DatasetError, match="no visible instances"):
        PoseBatches([pack], others, CONFIG.crop, PoseAugmentation(), 2, 2, 0).batch(0)
    with pytest.raises(DatasetError, match="no frames"):
        PoseBatches([], objects, CONFIG.crop, PoseAugmentation(), 2, 2, 0)


def _trainer(objects: ObjectSet, pack: PackedDataset, out: Path, steps: int, **changes: object) -> training.PoseTrainer:
    """A trainer whose stages end after `steps` steps instead of minutes."""
    trainer = training.PoseTrainer(CONFIG, objects, [pack], [pack], out, replace(OPTIONS, **changes))
    make = trainer._loop

    def loop(*args: object) -> object:
        made = make(*args)
        made.options = replace(made.options, minutes=None, steps=steps)
        return made

    trainer._loop = loop
    return trainer


def test_perfect_poses_cost_nothing(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    trainer = _trainer(objects, pack, tmp_path, 1)
    batch = trainer.batches.batch(0)
    turned = batch.target[:, None] @ trainer.targets.symmetries_of(batch)
    for s in range(2):
        rotation, translation = turned[:, s : s + 1, :3, :3], turned[:, s : s + 1, :3, 3]
        assert float(trainer.targets.distances(batch, rotation, translation).max()) < 1e-4
    moved = translation + 0.2 * (trainer.targets.diameters[batch.object_index] / batch.scale)[
        :, None, None
    ] * torch.tensor([1.0, 0.0, 0.0])
    torch.testing.assert_close(
        trainer.targets.distances(batch, rotation, moved), torch.full((4, 1), 0.2), atol=1e-4, rtol=0
    )


def test_run_learns_exports_and_resumes(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    report = _trainer(objects, pack, tmp_path / "run", 3).run()
    assert set(report) >= {"mean", "mean_refined", "median", "block_1", "block_3_refined"}
    assert json.loads((tmp_path / "run" / training.REPORT_FILE).read_text()) == pytest.approx(report)
    weights = load_file(tmp_path / "run" / training.POSE_FILE)
    assert weights["out.weight"].dtype == torch.float16
    with pytest.raises(ConfigError, match="--resume"):
        _trainer(objects, pack, tmp_path / "run", 3).run()

    _trainer(objects, pack, tmp_path / "run", 5).run(resume=True)
    pointer = json.loads((tmp_path / "run" / "estimator" / "checkpoint.json").read_text())
    assert pointer["step"] == 5
    changed = load_file(tmp_path / "run" / training.POSE_FILE)
    assert not torch.equal(changed["out.weight"], weights["out.weight"])


def test_non_finite_loss_stops(
    objects: ObjectSet, pack: PackedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(objects, pack, tmp_path, 3)
    with torch.no_grad():
        trainer.estimator.out.bias[0] = torch.nan
    with pytest.raises(TrainingError, match="not finite at step 0"):
        trainer.run()
    assert not (tmp_path / training.POSE_FILE).exists()


def test_training_without_meshes_is_named(objects: ObjectSet, pack: PackedDataset, tmp_path: Path) -> None:
    bare = ObjectSet({obj_id: replace(model, mesh_path=None) for obj_id, model in objects.items()})
    with pytest.raises(BundleError, match="--objects"):
        training.PoseTrainer(CONFIG, bare, [pack], [pack], tmp_path, OPTIONS)


def test_fewer_points_keeps_pairs(objects: ObjectSet, pack: PackedDataset) -> None:
    batch = PoseBatches([pack], objects, CONFIG.crop, PoseAugmentation(), 3, 2, 0).batch(0)
    fewer = training.fewer_points(batch, 16, torch.Generator().manual_seed(1))
    count = fewer.points.shape[1]
    assert 16 <= count <= 48
    assert fewer.choose.shape == (3, count)
    pairs = {(int(c), *p) for c, p in zip(batch.choose[0], batch.points[0].tolist(), strict=True)}
    assert {(int(c), *p) for c, p in zip(fewer.choose[0], fewer.points[0].tolist(), strict=True)} <= pairs


def test_augmentation_strength_scales_corruption_only() -> None:
    plain, strong = PoseAugmentation(), PoseAugmentation().scaled(100.0)
    half = plain.scaled(0.5)
    assert half.rotation == pytest.approx(plain.rotation / 2)
    assert half.min_pixels == strong.min_pixels == plain.min_pixels
    assert strong.mask_cut == 1.0  # probabilities stay probabilities
    assert NO_AUGMENTATION.color == 0.0

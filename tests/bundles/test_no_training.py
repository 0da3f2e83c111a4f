from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import yaml
from block_scenes import LAMP, STEPS, meshes, random_pose, render

from pose_tracking.bundles import no_training
from pose_tracking.bundles.authoring.new_model import new_model
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.bundles.bundle_config import BundleConfig
from pose_tracking.bundles.no_training import use_trained_pose, use_trained_segmentation
from pose_tracking.core.errors import ConfigError
from pose_tracking.objects.mesh import save_mesh
from pose_tracking.pipeline.pose_tracker import PoseTracker
from pose_tracking.templates import templates


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two of the block scenes' objects, as `new-model --no-training` makes it."""
    folder = tmp_path_factory.mktemp("untrained")
    (folder / "cad").mkdir()
    for name, obj_id in (("steps", STEPS), ("lamp", LAMP)):
        save_mesh(meshes()[obj_id], folder / "cad" / f"{name}.ply")
    new_model(folder / "cad", "mm", folder / "b", training=False)
    return folder / "b"


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "meshes").symlink_to(bundle / "meshes")
    for name in ("bundle.yaml", "models_info.json", "templates.safetensors"):
        (folder / name).write_bytes((bundle / name).read_bytes())
    return folder


def test_it_works_at_once(bundle: Path) -> None:
    loaded = ModelBundle.load(bundle)
    ids = {model.name: obj_id for obj_id, model in loaded.objects.items()}
    tracker = PoseTracker(loaded)
    poses = [random_pose(np.random.default_rng(seed)) for seed in (2, 5)]
    for pose, x in zip(poses, (-0.15, 0.15), strict=True):
        pose[0, 3] = x
    for seed in range(3):
        frame, _ = render([(STEPS, poses[0]), (LAMP, poses[1])], seed=seed)
        frame = type(frame)(frame.color, frame.depth, frame.intrinsics, stamp_ns=(seed + 1) * 10**8)
        tracked = {thing.obj_id: thing for thing in tracker.update(frame)}
        assert set(tracked) == set(ids.values())
        for name, pose in zip(("steps", "lamp"), poses, strict=True):
            found = tracked[ids[name]].pose
            assert found is not None
            np.testing.assert_allclose(found, pose, atol=0.03)
    assert all(thing.is_confirmed for thing in tracked.values())


def test_templates_are_read_not_rendered(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "make_templates", None)
    PoseTracker(ModelBundle.load(bundle))


def test_what_is_trained_takes_over(copy: Path) -> None:
    assert use_trained_segmentation(ModelBundle.load(copy))
    config = ModelBundle.load(copy, require_weights=False).config
    assert config.segmentation.backend == "torchvision"
    assert config.segmentation.depth  # what the training was started with stays
    assert config.pipeline == BundleConfig().pipeline
    assert config.pose.proposed_by == "templates"  # its networks are not trained yet
    assert not use_trained_segmentation(ModelBundle.load(copy, require_weights=False))
    assert use_trained_pose(ModelBundle.load(copy, require_weights=False))
    config = ModelBundle.load(copy, require_weights=False).config
    assert config.pose == BundleConfig().pose
    assert not use_trained_pose(ModelBundle.load(copy, require_weights=False))


def test_what_the_user_has_set_stays(copy: Path) -> None:
    file = copy / "bundle.yaml"
    values = yaml.safe_load(file.read_text())
    values["pipeline"]["min_pose_confidence"] = 0.9
    values["pose"]["hypotheses"] = 7
    file.write_text(yaml.safe_dump(values))
    use_trained_segmentation(ModelBundle.load(copy))
    use_trained_pose(ModelBundle.load(copy, require_weights=False))
    config = ModelBundle.load(copy, require_weights=False).config
    assert config.pipeline.min_pose_confidence == 0.9
    assert config.pose.hypotheses == 7
    assert config.pose.search.enabled


def test_a_trained_bundle_is_left_alone(bundle: Path) -> None:
    before = (ModelBundle.load("demo").path / "bundle.yaml").read_bytes()
    assert not use_trained_segmentation(ModelBundle.load("demo"))
    assert not use_trained_pose(ModelBundle.load("demo"))
    assert (ModelBundle.load("demo").path / "bundle.yaml").read_bytes() == before


def test_weights_are_missing_only_where_they_are_used(copy: Path) -> None:
    loaded = ModelBundle.load(copy)
    assert loaded.needed_weights == []
    use_trained_pose(loaded)
    assert [file.name for file in ModelBundle.load(copy, require_weights=False).needed_weights] == [
        "pose.safetensors",
        "refiner.safetensors",
    ]


def test_meshes_are_needed(copy: Path) -> None:
    (copy / "bundle.yaml").write_text((copy / "bundle.yaml").read_text().replace("meshes: meshes", "meshes: null"))
    with pytest.raises(ConfigError, match="no meshes that its templates could be rendered from: give their folder"):
        PoseTracker(ModelBundle.load(copy))


def test_engines_do_not_concern_it(bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    PoseTracker(ModelBundle.load(bundle), engine="onnxruntime")
    assert "engine and precision do not concern them" in caplog.text


def test_every_option_written_is_one(bundle: Path) -> None:
    """Each differs from its default, or it would be no use writing it."""
    config = ModelBundle.load(bundle).config
    default = BundleConfig()
    assert config.pose.proposed_by != default.pose.proposed_by
    for section, options in no_training.WITHOUT_NETWORKS.items():
        for name in options:
            assert getattr(getattr(config, section), name) != getattr(getattr(default, section), name), name


def test_a_mesh_without_colour_is_told_by_its_shape(tmp_path: Path) -> None:
    (tmp_path / "cad").mkdir()
    whole = meshes()[STEPS]
    raw = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(whole.vertices * 1e3), o3d.utility.Vector3iVector(whole.faces)
    )
    raw.compute_vertex_normals()
    o3d.io.write_triangle_mesh(tmp_path / "cad" / "steps.stl", raw)
    new_model(tmp_path / "cad", "mm", tmp_path / "b", training=False)
    loaded = ModelBundle.load(tmp_path / "b")
    tracker, pose = PoseTracker(loaded), random_pose(np.random.default_rng(4))
    frame, _ = render([(STEPS, pose)])
    (found,) = tracker.update(frame)
    assert found.pose is not None
    np.testing.assert_allclose(found.pose[:3, 3], pose[:3, 3], atol=0.01)

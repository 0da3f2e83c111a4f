"""Model bundles: both shipped ones load, and each thing that can be wrong with one is a one-line error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from pose_tracking.bundles.bundle import BundleConfig, ModelBundle, find_bundle, known_bundles
from pose_tracking.core.config import from_mapping
from pose_tracking.core.errors import BundleError, ConfigError, MeshError, PoseTrackingError
from pose_tracking.networks.weights import fingerprint
from pose_tracking.segmentation.embedding import AppearanceEmbedding
from pose_tracking.training.loop import export_half

DEMO = find_bundle("demo")


def copy_of_demo(folder: Path, **changes: object) -> Path:
    """The demo bundle without weights in `folder`, with top-level entries of its YAML changed."""
    bundle = folder / "mine"
    shutil.copytree(DEMO, bundle, ignore=shutil.ignore_patterns("*.safetensors"))
    values = yaml.safe_load((bundle / "bundle.yaml").read_text())
    values.update(changes)
    (bundle / "bundle.yaml").write_text(yaml.safe_dump(values))
    return bundle


def test_both_shipped_bundles_are_found_by_name() -> None:
    assert {"demo", "linemod"} <= set(known_bundles())


def test_demo_is_whole() -> None:
    bundle = ModelBundle.load("demo")
    assert bundle.objects.has_meshes
    assert len(bundle.objects) >= 5
    assert any(model.is_symmetric for model in bundle.objects.values())
    assert all(model.mesh is not None for model in bundle.objects.values())


def test_linemod_loads_without_meshes() -> None:
    bundle = ModelBundle.load("linemod")
    assert not bundle.objects.has_meshes
    assert [model.name for model in bundle.objects.values()] == [
        "ape", "can", "cat", "driller", "duck", "eggbox", "glue", "holepuncher",
    ]  # fmt: skip
    assert [model.obj_id for model in bundle.objects.values() if model.is_symmetric] == [10, 11]


def test_linemod_accepts_the_real_meshes(data_dir: Path) -> None:
    bundle = ModelBundle.load("linemod", objects=data_dir / "linemod" / "models")
    assert bundle.objects.has_meshes
    assert bundle.objects[6].mesh is not None


def test_a_path_serves_as_well_as_a_name(tmp_path: Path) -> None:
    bundle = ModelBundle.load(copy_of_demo(tmp_path), require_weights=False)
    assert bundle.name == "demo"


def test_options_of_the_yaml_reach_their_stage(tmp_path: Path) -> None:
    path = copy_of_demo(tmp_path, tracking={"motion_weight": 0.75, "max_age": 12})
    config = ModelBundle.load(path, require_weights=False).config
    assert config.tracking.motion_weight == 0.75
    assert config.tracking.max_age == 12
    assert (
        config.segmentation
        == from_mapping(BundleConfig, yaml.safe_load((path / "bundle.yaml").read_text()), "").segmentation
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tracking": {"motion_weight": 2.0}}, "motion_weight = 2.0 is outside 0 to 1"),
        ({"tracking": {"lambda_": 0.5}}, "unknown option 'lambda_'"),
        ({"tracking": {"max_age": "old"}}, "'old' is not of type int"),
        ({"schema": 99}, "schema = 99"),
        ({"surprise": 1}, "unknown option 'surprise'"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ModelBundle.load(copy_of_demo(tmp_path, **changes), require_weights=False)


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(BundleError, match=r"unknown model 'nosuch'.*demo.*linemod"):
        ModelBundle.load("nosuch")


def test_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.yaml"):
        ModelBundle.load(tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"segmentation\.safetensors: missing"):
        ModelBundle.load(copy_of_demo(tmp_path))


@pytest.mark.parametrize("text", ["[1, 2", "just words", "\x00\x01"])
def test_malformed_yaml(tmp_path: Path, text: str) -> None:
    path = copy_of_demo(tmp_path)
    (path / "bundle.yaml").write_text(text)
    with pytest.raises(PoseTrackingError, match=r"bundle\.yaml"):
        ModelBundle.load(path, require_weights=False)


def test_missing_mesh_is_named(tmp_path: Path) -> None:
    path = copy_of_demo(tmp_path)
    next(iter((path / "meshes").iterdir())).unlink()
    with pytest.raises(BundleError, match=r"obj_\d+\.ply: no such mesh"):
        ModelBundle.load(path, require_weights=False)


def test_meshes_in_the_wrong_unit_are_told_from_their_size(tmp_path: Path) -> None:
    path = copy_of_demo(tmp_path)
    values = yaml.safe_load((path / "bundle.yaml").read_text())
    values["objects"]["unit"] = "m"
    (path / "bundle.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(MeshError, match="is the file in mm"):
        ModelBundle.load(path, require_weights=False)


# -- identity embedding ---------------------------------------------------------------------------------------------


def with_embedding(folder: Path, detector: str | None = None) -> Path:
    """A copy of the demo bundle with an untrained embedding and a file in the place of the detector's weights."""
    path = copy_of_demo(folder)
    (path / "segmentation.safetensors").write_bytes(b"weights of some detector")
    detector = fingerprint(path / "segmentation.safetensors") if detector is None else detector
    export_half(AppearanceEmbedding(8).state_dict(), path / "appearance.safetensors", {"detector": detector})
    return path


def test_the_embedding_is_optional(tmp_path: Path) -> None:
    assert ModelBundle.load(copy_of_demo(tmp_path), require_weights=False).build_appearance() is None
    bundle = ModelBundle.load(with_embedding(tmp_path / "with"), require_weights=False)
    embedding = bundle.build_appearance()
    assert embedding is not None
    assert embedding.channels == 8


def test_an_embedding_of_another_detector_is_refused(tmp_path: Path) -> None:
    bundle = ModelBundle.load(with_embedding(tmp_path, "0" * 16), require_weights=False)
    with pytest.raises(BundleError, match="repeat `train appearance`"):
        bundle.build_appearance()

"""Rendered crops of things, and the embedding that a gallery learns from them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.main import build
from pose_tracking.core.errors import BundleError
from pose_tracking.gallery.color_transform import COLOR_WEIGHT
from pose_tracking.gallery.embedding import COPY_GATE, POOLED_GATE, CropEmbedder
from pose_tracking.segmentation.embedding import noted
from pose_tracking.training.appearance.crop_features import CropSource, _jobs, collect_crops
from pose_tracking.training.appearance.crop_views import CropOptions, CropViews

DEMO = Path(__file__).resolve().parents[3] / "models" / "demo"
FEW = CropOptions(groups=2, held_out=1, things=3, views=2)


def test_a_group_is_the_same_each_time_and_cut_out(demo_objects):
    views = CropViews(demo_objects, FEW)
    first, again = list(views.group(0)), list(CropViews(demo_objects, FEW).group(0))
    assert 4 <= len(first) <= 6
    assert len({view.thing for _, view in first}) >= 2
    for (_, view), (_, same) in zip(first, again, strict=True):
        np.testing.assert_array_equal(view.crop, same.crop)
        opaque = view.crop[..., 3] == 255
        assert 0.02 < opaque.mean() < 1
        assert not view.crop[~opaque].any()
        assert (view.uncut[..., 3] == 255).all()
        np.testing.assert_array_equal(view.uncut[opaque], view.crop[opaque])
        assert view.uncut[~opaque][:, :3].any()
    others = list(views.group(0, held_out=True))
    assert any(a.crop.shape != b.crop.shape or (a.crop != b.crop).any()
               for (_, a), (_, b) in zip(first, others, strict=False))  # fmt: skip


def test_a_part_of_the_groups_has_both_kinds_in_proportion():
    jobs = _jobs(CropOptions(groups=8, held_out=2))
    assert len(jobs) == 10
    assert [held for _, held in jobs[:5]].count(True) == 1


def test_features_are_kept_and_the_embedding_is_taken_where_it_is(tmp_path):
    bundle = ModelBundle.load("demo")
    train, held_out = collect_crops(CropSource(bundle, FEW), tmp_path, progress=False)
    assert set(train.sequences) == {0, 1}
    assert len(held_out) >= 4
    (folder,) = tmp_path.glob("crops_*")
    times = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    out = tmp_path / "model" / "crops.safetensors"
    out.parent.mkdir()
    arguments = ["train", "gallery", "--model", "demo", "--run-dir", str(tmp_path), "--out", str(out), "--groups", "2",
                 "--held-out", "1", "--views", "2", "--steps", "2"]  # fmt: skip
    # Of other options: nothing of the cache is used for it.
    result = CliRunner().invoke(build("train"), arguments)
    assert result.exit_code == 0, result.output
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == times
    assert len(list(tmp_path.glob("crops_*"))) == 2
    assert 0 < float(noted(out)["gate"]) <= 2

    shutil.copytree(DEMO, tmp_path / "with")
    shutil.copyfile(out, tmp_path / "with" / "crops.safetensors")
    bundle = ModelBundle.load(tmp_path / "with")
    embedder = CropEmbedder(bundle, bundle.build_segmenter(), None)
    assert (embedder.kind.name, embedder.kind.dimensions) == ("embedding of crops, colours of copies", 128 + 64)
    # A share of the distance is that of the looks, which have a gate of their own.
    assert embedder.kind.gate == pytest.approx(
        COPY_GATE + (1 - COLOR_WEIGHT) * (float(noted(out)["gate"]) - POOLED_GATE)
    )
    bundle.crop_weights.write_bytes(b"no weights")
    with pytest.raises(BundleError, match="not the weights"):
        CropEmbedder(bundle, bundle.build_segmenter(), None)

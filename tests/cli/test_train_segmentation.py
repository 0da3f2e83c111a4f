"""`train segmentation` hands its options on."""

from __future__ import annotations

from pathlib import Path

import pytest
from shape_scenes import shape_scene

from pose_tracking.cli.train_segmentation import segmentation
from pose_tracking.core.errors import ConfigError
from pose_tracking.datasets.packed import PackedWriter


def test_keeping_of_a_start_that_is_not_given_is_refused(tmp_path: Path) -> None:
    with PackedWriter(tmp_path / "frames.zip") as writer:
        writer.add(shape_scene(0))
    with pytest.raises(ConfigError, match="give --start"):
        segmentation(
            "demo", [tmp_path / "frames.zip"], tmp_path / "run", out=tmp_path / "w.safetensors", steps=1, threads=1,
            device="cpu", keep_start=0.5,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()

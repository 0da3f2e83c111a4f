"""Shared fixtures: where the real data lies, and the objects of the LineMOD meshes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pose_tracking.objects import ObjectSet

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("POSE_TRACKING_DATA", ROOT.parent / "shared" / "data"))
LINEMOD_NAMES = {
    1: "ape", 5: "can", 6: "cat", 8: "driller", 9: "duck", 10: "eggbox", 11: "glue", 12: "holepuncher",
}  # fmt: skip


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings; skips the test where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no real data at {DATA} (set POSE_TRACKING_DATA)")
    return DATA


@pytest.fixture(scope="session")
def linemod_objects(data_dir: Path) -> ObjectSet:
    """The 8 LineMOD objects with their meshes."""
    models = data_dir / "linemod" / "models"
    return ObjectSet.load(models / "models_info.json", models, names=LINEMOD_NAMES)

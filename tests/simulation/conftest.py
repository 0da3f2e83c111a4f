"""The demo objects as the repository ships them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.demo_objects import DEMO_NAMES

DEMO = Path(__file__).resolve().parents[2] / "models" / "demo"


@pytest.fixture(scope="session")
def demo_objects() -> ObjectSet:
    """The six demo objects with their meshes."""
    return ObjectSet.load(DEMO / "models_info.json", DEMO / "meshes", names=DEMO_NAMES)

"""Shared fixtures: where the real data lies, the objects of the LineMOD meshes and of the demo, stores of a gallery."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.scenery.demo_objects import DEMO_NAMES

if TYPE_CHECKING:
    from postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "models" / "demo"
DATA = Path(os.environ.get("POSE_TRACKING_DATA", ROOT.parent / "shared" / "data"))
# Compiled networks of one run serve the next; the user's own cache is left alone.
os.environ.setdefault("POSE_TRACKING_CACHE", os.path.join(tempfile.gettempdir(), f"pose_tracking_tests_{os.getuid()}"))
LINEMOD_NAMES = {
    1: "ape", 5: "can", 6: "cat", 8: "driller", 9: "duck", 10: "eggbox", 11: "glue", 12: "holepuncher",
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes says how busy the machine is: 200 ms are nothing beside three other processes.
    hypothesis.settings.register_profile(
        "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("no clock")
    config.addinivalue_line("markers", "slow: a quarter of an hour and more; run by `pytest -m slow` alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out unless they are asked for."""
    if "slow" in (config.option.markexpr or ""):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


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


@pytest.fixture(scope="session")
def demo_objects() -> ObjectSet:
    """The six demo objects with their meshes, as the repository ships them."""
    return ObjectSet.load(DEMO / "models_info.json", DEMO / "meshes", names=DEMO_NAMES)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server with pgvector."""
    pytest.importorskip("psycopg")
    import postgres_server

    programs = postgres_server.with_vectors()
    if programs is None:
        pytest.skip("no PostgreSQL with pgvector here: see CONTRIBUTING.md")
    server = postgres_server.PostgresServer(programs)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name of a store that is not there yet: a test that takes it runs on both kinds."""
    if request.param == "sqlite":
        return str(tmp_path / "gallery.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()

"""Options of the soak tests. They take hours and are collected only where asked for: ``make soak``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
from soak_report import Report
from soak_scene import load_scene, scene_file, small

from pose_tracking.core.frame import RGBDFrame

MakeFrame = Callable[[int, int], RGBDFrame]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("soak")
    group.addoption("--soak-messages", type=int, default=100_000, help="malformed messages to send")
    group.addoption("--soak-minutes", type=float, default=120.0, help="length of the soak run")
    group.addoption("--soak-restarts", type=int, default=25, help="times that camera and node are killed")
    group.addoption("--soak-rate", type=float, default=1.0, help="frames per second of the soak run")
    group.addoption("--soak-seed", type=int, default=0, help="of everything that is drawn")
    group.addoption("--soak-model", choices=("demo", "balls"), default="demo", help="demo, or a scene without networks")
    group.addoption("--soak-out", type=Path, default=Path("out/soak"), help="folder for reports and pictures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(0))


@dataclass(frozen=True)
class Settings:
    """What was asked for; see the options."""

    messages: int
    minutes: float
    restarts: int
    rate: float
    seed: int
    model: str
    out: Path

    def report(self, name: str) -> Report:
        """The report of a run."""
        settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self).items()}
        return Report(name, self.out, **settings)

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Parameters of the node: reliable and with long queues, so that every message can be accounted for."""
        return {"model": self.model, "device": "cpu", "qos_reliability": "reliable", "qos_depth": 100, **more}


@pytest.fixture(scope="session")
def settings(pytestconfig: pytest.Config) -> Settings:
    """The options."""
    return Settings(**{name: pytestconfig.getoption(f"soak_{name}") for name in Settings.__annotations__})


@pytest.fixture(scope="session")
def make_frame(settings: Settings) -> MakeFrame:
    """Makes good frame number (int) with a stamp (ns), of what the model knows."""
    if settings.model == "balls":
        return lambda index, stamp_ns: ball_scene.render(index % 12, stamp_ns)
    scene = load_scene(scene_file())
    return scene.frame


@pytest.fixture(scope="session")
def make_small_frame(settings: Settings, make_frame: MakeFrame) -> MakeFrame:
    """The same in few pixels."""
    step = 2 if settings.model == "balls" else 5
    frames = [small(make_frame(index, 0), step) for index in range(12)]
    return lambda index, stamp_ns: replace(frames[index % 12], stamp_ns=stamp_ns)


@pytest.fixture
def rng(settings: Settings) -> np.random.Generator:
    """The generator of what is drawn."""
    return np.random.default_rng(settings.seed)

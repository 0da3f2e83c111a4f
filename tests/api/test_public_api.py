"""The names that `import pose_tracking` offers: all there, loaded on demand, known to type checkers."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pose_tracking

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "open3d", "numpy", "cv2", "scipy", "yaml", "typer")
PROMISED = {
    "CameraIntrinsics", "Detection", "ModelBundle", "PoseEstimate", "PoseTracker", "RGBDFrame", "TrackedObject",
    "load_densefusion", "open_source",
}  # fmt: skip


def run_python(code: str) -> str:
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=120
    ).stdout


def test_importing_the_package_loads_no_library() -> None:
    code = f"import json, sys, pose_tracking; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert json.loads(run_python(code)) == []


@pytest.mark.parametrize("name", ["RGBDFrame", "CameraIntrinsics", "Detection", "open_source"])
def test_what_needs_no_network_loads_no_torch(name: str) -> None:
    assert run_python(f"import sys; from pose_tracking import {name}; print('torch' in sys.modules)").strip() == "False"


@pytest.mark.parametrize("name", sorted(set(pose_tracking.__all__) - {"__version__"}))
def test_every_public_name_is_there_under_its_own_name(name: str) -> None:
    value = getattr(pose_tracking, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)


def test_what_is_promised_is_public() -> None:
    assert set(pose_tracking.__all__) >= PROMISED
    assert pose_tracking.__all__ == sorted(pose_tracking.__all__)
    assert set(dir(pose_tracking)) >= {*PROMISED, "__version__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'PoseTraker'"):
        _ = pose_tracking.PoseTraker  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        exec("from pose_tracking import PoseTraker")


def test_type_checkers_see_the_names_where_they_are_loaded_from() -> None:
    tree = ast.parse((ROOT / "pose_tracking" / "__init__.py").read_text())
    (seen,) = (n for n in tree.body if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING")
    imported = {
        alias.name: node.module for node in seen.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == {name: f"pose_tracking.{module}" for name, module in pose_tracking._HOMES.items()}
    assert set(imported) == set(pose_tracking.__all__) - {"__version__"}


def test_the_api_page_documents_every_public_name() -> None:
    page = (ROOT / "docs" / "python-api.md").read_text()
    assert [n for n in pose_tracking.__all__ if n != "__version__" and f"::: pose_tracking.{n}\n" not in page] == []

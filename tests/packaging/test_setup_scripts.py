"""The set-up done by make: it names missing system packages, and a sourced ROS 2 does not leak into it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def write_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def run_check(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/system_packages where the programs in `folder` come first on PATH."""
    return subprocess.run(
        [str(ROOT / "scripts" / "system_packages")],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHON": sys.executable, **environment},
    )


def test_missing_packages_are_one_line_to_type(tmp_path: Path) -> None:
    write_program(tmp_path, "id", "echo 1000")
    write_program(tmp_path, "ldconfig", "echo 'libGL.so.1 (libc6) => /lib/libGL.so.1'")
    result = run_check(tmp_path)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1].split()
    assert line[:4] == ["sudo", "apt-get", "install", "-y"]
    assert "libusb-1.0-0" in line
    assert "libgl1" not in line


def test_root_installs_what_is_missing(tmp_path: Path) -> None:
    write_program(tmp_path, "id", "echo 0")
    write_program(tmp_path, "ldconfig", "true")
    write_program(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    result = run_check(tmp_path)
    assert result.returncode == 0, result.stderr
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.startswith("update")
    assert "libegl1" in install.split()


@pytest.mark.parametrize(
    ("program", "message"),
    [("exit 1", "is not supported"), (None, "there is no python3.99 on PATH")],
    ids=["wrong version", "absent"],
)
def test_an_unusable_python_is_named(tmp_path: Path, program: str | None, message: str) -> None:
    if program:
        write_program(tmp_path, "python3.99", program)
    result = run_check(tmp_path, PYTHON="python3.99")
    assert result.returncode == 1
    assert message in result.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_sourced_ros_does_not_reach_the_recipes() -> None:
    leaks = {
        "AMENT_PREFIX_PATH": "/opt/ros/jazzy",
        "CMAKE_PREFIX_PATH": "/opt/ros/jazzy",
        "LD_LIBRARY_PATH": "/opt/ros/jazzy/lib",
        "PYTHONPATH": "/opt/ros/jazzy/lib/python3.12/site-packages",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
    }
    result = subprocess.run(
        ["make", "--no-print-directory", "--eval", "environment: ; @env", "environment"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **leaks},
    )
    seen = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert "PATH" in seen
    assert seen & set(leaks) == set()


@pytest.fixture(scope="module")
def wheel_build() -> ModuleType:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("wheel_build", ROOT / "cmake" / "wheel_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_wheels_take_libraries_and_shared_files_but_not_what_a_shell_sources(
    wheel_build: ModuleType, tmp_path: Path
) -> None:
    for name in (
        "lib/libx.so",
        "lib/x/node",
        "share/x/package.xml",
        "share/x/local_setup.bash",
        "share/x/package.dsv",
        "share/x/environment/path.sh",
        "share/ament_index/resource_index/parent_prefix_path/x",
        "include/x.h",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert wheel_build.data_files(tmp_path, ("lib", "share")) == [
        ("lib", [str(tmp_path / "lib/libx.so")]),
        ("lib/x", [str(tmp_path / "lib/x/node")]),
        ("share/x", [str(tmp_path / "share/x/package.xml")]),
    ]


def test_a_python_without_ros_is_recognised(wheel_build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert wheel_build.ros_prefix() is None
    assert not wheel_build.InterfaceDistribution({"name": "x"}).has_ext_modules()

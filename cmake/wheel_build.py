"""Build a ROS 2 package that is made with CMake into a Python wheel, against the ROS 2 wheels of PyPI.

Used by the setup.py of this repository and of interfaces/tf2_msgs. `pip install` then gives what `colcon build`
gives, in the prefix of the virtual environment: the generated Python modules in site-packages, the type support
libraries in lib/, the ament index, message definitions, launch files and models in share/.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution
from setuptools.command.build_py import build_py

# Folders with what a shell sources for a colcon workspace. A virtual environment has no use for them, and they hold
# paths of the machine that builds.
SOURCED = ("environment", "parent_prefix_path")
CMAKE_FOLDER = Path(__file__).resolve().parent


def ros_prefix() -> Path | None:
    """Prefix that holds the message generators: a virtual environment, pip's build environment, or a ROS install."""
    spec = importlib.util.find_spec("rosidl_cmake")
    if spec is None or spec.origin is None:
        return None
    return next((p for p in Path(spec.origin).resolve().parents if (p / "share" / "rosidl_cmake").is_dir()), None)


def data_files(stage: Path, folders: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """Files below `stage/<folder>` in the form setuptools wants; unlike package data they keep their mode bits."""
    found = []
    for folder in folders:
        for root, children, names in os.walk(stage / folder):
            children[:] = [child for child in children if child not in SOURCED]
            names = [name for name in names if not name.startswith("local_setup.") and not name.endswith(".dsv")]
            if names:
                found.append((os.path.relpath(root, stage), [os.path.join(root, name) for name in sorted(names)]))
    return sorted(found)


class BuildWithCMake(build_py):
    """`build_py`, followed by configure, build and install of the CMakeLists.txt beside setup.py."""

    without_ros: tuple[str, ...] = ()  # folders to install in share/<package> when there is no ROS to build with

    def run(self) -> None:
        name = self.distribution.get_name()
        source = Path(self.distribution.src_root or os.curdir).resolve()
        # Nothing of an earlier build may reach this wheel: modules since deleted, or a prefix since gone.
        shutil.rmtree(Path(self.build_lib) / name, ignore_errors=True)
        work = Path(self.get_finalized_command("build").build_temp).resolve() / name
        shutil.rmtree(work, ignore_errors=True)
        super().run()

        installed = self.distribution.data_files = self.distribution.data_files or []
        prefix = ros_prefix()
        if prefix is None:
            self.warn(f"no ROS 2 message generators found: {name} is built without its messages and its node")
            share = data_files(source, self.without_ros)
            installed += [(f"share/{name}/{folder}", files) for folder, files in share]
            return

        build, stage = work / "build", work / "stage"
        environment = {**os.environ, "AMENT_PREFIX_PATH": str(prefix)}
        configure = [
            *("cmake", "-S", str(source), "-B", str(build), "-G", "Ninja"),
            *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", "--no-warn-unused-cli"),
            f"-DCMAKE_PREFIX_PATH={prefix}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            f"-DCMAKE_PROJECT_INCLUDE={CMAKE_FOLDER / 'pypi_wheel_fixups.cmake'}",
            f"-DCMAKE_INSTALL_PREFIX={stage}",
            "-DPYTHON_INSTALL_DIR=python",
        ]
        for command in (configure, ["cmake", "--build", str(build)], ["cmake", "--install", str(build)]):
            subprocess.run(command, check=True, env=environment)
        shutil.copytree(
            stage / "python" / name,
            Path(self.build_lib) / name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        installed += data_files(stage, ("lib", "share"))


class InterfaceDistribution(Distribution):
    """A distribution whose wheel is bound to a platform when messages are compiled into it."""

    def has_ext_modules(self) -> bool:
        return ros_prefix() is not None

    def has_pure_modules(self) -> bool:
        return True  # or build_py is not run for a package whose only modules are the generated ones

"""The part of the package's build that pyproject.toml cannot say: the messages of msg/, compiled with CMake."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent / "cmake"))

from wheel_build import BuildWithCMake, InterfaceDistribution


class Build(BuildWithCMake):
    without_ros = ("config", "launch", "models", "rviz")


setup(distclass=InterfaceDistribution, cmdclass={"build_py": Build})

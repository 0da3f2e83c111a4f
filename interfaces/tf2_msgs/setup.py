"""tf2_msgs for a virtual environment with the ROS 2 wheels of PyPI; a native ROS 2 has its own."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cmake"))

from wheel_build import BuildWithCMake, InterfaceDistribution

setup(distclass=InterfaceDistribution, cmdclass={"build_py": BuildWithCMake})

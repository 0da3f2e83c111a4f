"""Readers and writers of recorded and simulated RGB-D data: BOP scenes, Linemod_preprocessed, rosbag2."""

from .bop import BopScene, BopWriter
from .sample import GroundTruthObject, Sample, Source

__all__ = ["BopScene", "BopWriter", "GroundTruthObject", "Sample", "Source"]

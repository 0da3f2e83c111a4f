"""Readers and writers of recorded and simulated RGB-D data: BOP scenes, Linemod_preprocessed, rosbag2."""

from .sample import GroundTruthObject, Sample, Source

__all__ = ["GroundTruthObject", "Sample", "Source"]

"""Readers and writers of recorded and simulated RGB-D data: BOP scenes, Linemod_preprocessed, rosbag2."""

from .bag.reader import BagReader, BagWriter
from .bop import BopScene
from .bop_writer import BopWriter
from .ground_truth import complete_ground_truth
from .linemod_preprocessed import LinemodPreprocessed
from .open import open_source
from .sample import GroundTruthObject, Sample, Source

__all__ = [
    "BagReader",
    "BagWriter",
    "BopScene",
    "BopWriter",
    "GroundTruthObject",
    "LinemodPreprocessed",
    "Sample",
    "Source",
    "complete_ground_truth",
    "open_source",
]

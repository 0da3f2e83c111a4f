"""Scores the pipeline against ground truth and writes the report."""

from .evaluator import evaluate, evaluate_to_folder, score_to_folder
from .report.results import FrameResult, Report
from .report.schema import load_report
from .scorer import Scorer, score

__all__ = [
    "FrameResult",
    "Report",
    "Scorer",
    "evaluate",
    "evaluate_to_folder",
    "load_report",
    "score",
    "score_to_folder",
]

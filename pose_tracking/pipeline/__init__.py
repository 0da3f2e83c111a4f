"""The one pipeline that node, evaluator, benchmark and demo share."""

from pose_tracking.bundles.pipeline_config import PipelineConfig

from .pose_tracker import FrameReport, PoseTracker

__all__ = ["FrameReport", "PipelineConfig", "PoseTracker"]

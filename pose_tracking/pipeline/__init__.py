"""The one pipeline that node, evaluator, benchmark and demo share."""

from pose_tracking.bundles.pipeline_config import PipelineConfig

from .frame_report import FrameReport
from .pose_tracker import PoseTracker

__all__ = ["FrameReport", "PipelineConfig", "PoseTracker"]

"""What training reports to its user."""

from __future__ import annotations

from pose_tracking.core.errors import PoseTrackingError


class TrainingError(PoseTrackingError):
    """Training cannot go on; the message names the step."""

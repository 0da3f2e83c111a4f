"""What all that propose poses give."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.arrays import Bool, Float, Float32


@dataclass
class PoseHypotheses:
    """K pose hypotheses for each of N instances; hypothesis 0 is the most confident one.

    Attributes:
        poses: (N, K, 4, 4) float64 ``T_camera_object`` in metres after refinement; identity where not valid.
        raw_poses: (N, K, 4, 4) float64, the same before refinement.
        confidences: (N, K) float32 of the network, 0 to 1.
        points: (N, P, 3) float32 points of each instance, metres in the optical frame.
        valid: (N,) bool, False where an instance has too few pixels with depth.
    """

    poses: Float
    raw_poses: Float
    confidences: Float32
    points: Float32
    valid: Bool

"""RGB-D 6D pose estimation and tracking: instance segmentation, DenseFusion poses, Deep SORT identities.

The core (everything but ``pose_tracking.ros``) imports no ROS package. Frames are OpenCV optical frames
(x right, y down, z forward), lengths metres, angles radians, times seconds, images RGB.
"""

# The generated interface modules (pose_tracking.msg, pose_tracking.srv) may be installed in another folder of
# sys.path than these sources when working from a checkout: merge both.
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"

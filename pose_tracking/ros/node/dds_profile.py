"""The Fast DDS profile that carries images. No rclpy here."""

from __future__ import annotations

import os

from pose_tracking.core.paths import share_file

PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


def use_image_profile() -> None:
    """Make Fast DDS carry images, before the first node of this process; a profile the user has set stays.

    The middleware's default loses most depth images under sensor-data QoS: they outgrow its shared memory segment.
    """
    os.environ.update(image_profile())


def image_profile() -> dict[str, str]:
    """The environment variable that makes Fast DDS carry images, with its value; none where the user has set one."""
    if any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return {}
    variable = PROFILE_VARIABLES[os.environ.get("ROS_DISTRO") == "humble"]  # Humble's Fast DDS reads the older name
    return {variable: str(share_file("config", "fastdds_images.xml"))}

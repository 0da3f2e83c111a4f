"""Which topics of a recording carry the camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pose_tracking.core.errors import DatasetError

from .types import TRACKED_OBJECT_ARRAY

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TRANSFORM_TOPICS = ("/tf", "/tf_static")
TRUTH_TOPIC = "/ground_truth/objects"
# Words by which drivers mark depth that is aligned to colour (realsense, Azure Kinect, openni).
_ALIGNED = ("aligned_depth", "depth_to_rgb", "depth_to_color", "depth_registered")


@dataclass(frozen=True)
class Topics:
    """Topic names; `truth` is "" where there is no ground truth."""

    color: str
    depth: str
    info: str
    truth: str

    @property
    def is_rectified(self) -> bool:
        """Whether the colour topic carries rectified images, by the naming of image_proc."""
        return any(part.startswith("image_rect") for part in self.color.split("/"))


def find_topics(
    where: str,
    kinds: Mapping[str, str],
    color: str | None = None,
    depth: str | None = None,
    info: str | None = None,
) -> Topics:
    """Choose the topics of a recording.

    Args:
        where: what to call the recording in an error.
        kinds: message type of each topic.
        color, depth, info: topics that were asked for, else None.

    Raises:
        DatasetError: a topic is missing, or there are several to choose from.
    """
    images = sorted(topic for topic, kind in kinds.items() if kind in IMAGE_TYPES)
    if not images:
        raise DatasetError(f"{where}: no image topics; topics are: {', '.join(sorted(kinds)) or 'none'}")
    depths = [topic for topic in images if "depth" in topic]
    aligned = [topic for topic in depths if any(word in topic for word in _ALIGNED)]
    colors = [topic for topic in images if topic not in depths and "infra" not in topic and "/ir" not in topic]
    color = _choose(where, "colour", images, colors, color)
    depth = _choose(where, "depth", images, aligned or depths, depth)
    infos = sorted(topic for topic, kind in kinds.items() if kind == CAMERA_INFO)
    if info is None:
        base = color.split("/")
        siblings = ["/".join([*base[:end], "camera_info"]) for end in range(len(base) - 1, 0, -1)]
        info = next((topic for topic in siblings if topic in infos), None)
    if info is None or info not in infos:
        known = f"; camera_info topics are: {', '.join(infos)}" if infos else ""
        raise DatasetError(f"{where}: no camera_info beside {color}: record it with the images{known}")
    truth = TRUTH_TOPIC if kinds.get(TRUTH_TOPIC) == TRACKED_OBJECT_ARRAY else ""
    return Topics(color, depth, info, truth)


def _choose(where: str, what: str, images: list[str], candidates: list[str], asked: str | None) -> str:
    if asked is not None:
        if asked not in images:
            raise DatasetError(f"{where}: no image topic {asked}; image topics are: {', '.join(images)}")
        return asked
    # A raw topic is exact; its compressed copies are of use where it was not recorded.
    raw = [topic for topic in candidates if not topic.endswith(("/compressed", "/compressedDepth", "/theora"))]
    candidates = raw or candidates
    if len(candidates) > 1:
        plain = [topic for topic in candidates if f"/{'color' if what == 'colour' else 'depth'}/" in topic]
        candidates = plain if len(plain) == 1 else candidates
    if not candidates:
        raise DatasetError(f"{where}: no {what} image topic; image topics are: {', '.join(images)}")
    if len(candidates) > 1:
        raise DatasetError(f"{where}: several {what} topics, name one: {', '.join(candidates)}")
    return candidates[0]

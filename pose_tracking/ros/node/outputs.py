"""The publishers of the node."""

from __future__ import annotations

import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from geometry_msgs.msg import PoseWithCovariance
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import TrackedObject, TrackState
from pose_tracking.msg import TrackCropArray, TrackedObjectArray, TrackEventArray
from pose_tracking.ros.messages.conversions import (
    make_header,
    track_event_array,
    tracked_object,
    tracked_object_array,
    transforms,
)
from pose_tracking.ros.messages.markers import MarkerBuilder
from pose_tracking.visualization.overlay import OverlayPainter

from .crop_output import CropOutput

if TYPE_CHECKING:
    from pose_tracking.pipeline import PoseTracker
    from pose_tracking.pipeline.frame_report import FrameReport

try:
    from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
except ImportError:
    Detection3DArray = None
try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

QUEUE = 10


class Outputs:
    """Publishes the results of each frame; publishers exist while the node is configured and speak while it is active.

    Args:
        node: publishes through it.
        tracker: the pipeline: its objects are for markers and overlay, its detector describes crops.
        values: parameter values (see `parameters`).
    """

    def __init__(self, node: LifecycleNode, tracker: PoseTracker, values: dict[str, Any]) -> None:
        self._node = node
        self._painter = OverlayPainter(tracker.objects)
        self._markers = MarkerBuilder(tracker.objects, values["trail_length"])
        create = node.create_lifecycle_publisher
        self._publishers = {
            "objects": create(TrackedObjectArray, "~/objects", QUEUE),
            "events": create(TrackEventArray, "~/events", QUEUE),
            "image": create(Image, "~/image_annotated", 1),
            "crops": create(TrackCropArray, "~/crops", QUEUE),
        }
        self._crops = CropOutput(
            tracker,
            values["crop_period"],
            self._publishers["crops"].publish,
            self._publishers["crops"].get_subscription_count,
            self._warn,
        )
        if values["publish_markers"]:
            self._publishers["markers"] = create(MarkerArray, "~/markers", QUEUE)
        if Detection3DArray is not None:
            self._publishers["detections"] = create(Detection3DArray, "~/detections_3d", QUEUE)
        self._own_listeners = int(bool(values["output_frame"] or values["fixed_frame"]))  # of TF: the node itself
        if values["publish_tf"]:
            if TFMessage is None:
                node.get_logger().warning("tf2_msgs is not installed: no TF is published")
            else:
                self._publishers["tf"] = create(TFMessage, "/tf", QoSProfile(depth=100))

    def _warn(self, text: str) -> None:
        self._node.get_logger().warning(text)

    def close(self) -> None:
        """Take the publishers down."""
        if not self._crops.close():
            self._warn("what describes crops did not end in time")
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def clear(self, stamp_ns: int, frame_id: str) -> None:
        """Take everything out of the display and forget the trails."""
        if "markers" in self._publishers:
            self._publishers["markers"].publish(self._markers.clear(make_header(stamp_ns, frame_id)))
        self._painter.forget_trails()
        self._crops.clear()

    def publish(
        self,
        frame: RGBDFrame,
        tracked: Sequence[TrackedObject],
        placed: Sequence[TrackedObject],
        frame_id: str,
        processing_time: float,
        report: FrameReport,
    ) -> None:
        """Publish one frame.

        Args:
            frame: the input.
            tracked: the tracks in the optical frame (for the overlay).
            placed: the same in frame `frame_id`.
            processing_time: seconds since the frame was taken.
            report: what else the pipeline says of the frame.
        """
        header = make_header(frame.stamp_ns, frame_id)
        self._publishers["objects"].publish(tracked_object_array(header, placed, processing_time))
        optical = make_header(frame.stamp_ns, frame.frame_id)
        events = track_event_array(optical, report.events, tracked, report.activity_since, report.clip_changes)
        self._publishers["events"].publish(events)
        if "tf" in self._publishers and self._publishers["tf"].get_subscription_count() > self._own_listeners:
            stamped = transforms(header, placed)
            if stamped:
                self._publishers["tf"].publish(TFMessage(transforms=stamped))
        if "detections" in self._publishers:
            self._publishers["detections"].publish(detections_3d(header, placed))
        if "markers" in self._publishers:
            if self._publishers["markers"].get_subscription_count() > 0:
                self._publishers["markers"].publish(self._markers.build(header, placed))
            else:  # they are most of what publishing takes
                self._markers.follow(header, placed)
        if self._publishers["image"].get_subscription_count() > 0:
            image = self._painter.draw(frame, tracked)
            self._publishers["image"].publish(to_image(image, optical))
        self._crops.add(frame, tracked)


def to_image(image: UInt8, header: Header) -> Image:
    """(H, W, 3) uint8 RGB as a message. Handing over an array.array is a thousand times faster than a NumPy array."""
    height, width = image.shape[:2]
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(image)).cast("B"))
    return Image(header=header, height=height, width=width, encoding="rgb8", step=width * 3, data=data)


def detections_3d(header: Header, tracked: Sequence[TrackedObject]) -> Any:
    """vision_msgs/Detection3DArray of the confirmed objects seen in this frame; `id` is the track ID."""
    array_message = Detection3DArray(header=header)
    for thing in tracked:
        if thing.state != TrackState.CONFIRMED or thing.pose is None:
            continue
        source = tracked_object(thing)
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = thing.class_name
        hypothesis.hypothesis.score = float(thing.score)
        hypothesis.pose = PoseWithCovariance(pose=source.pose.pose, covariance=source.pose.covariance)
        detection = Detection3D(header=header, id=str(thing.track_id), results=[hypothesis])
        detection.bbox.center = source.pose.pose
        detection.bbox.size = source.size
        array_message.detections.append(detection)
    return array_message

"""ROS messages to our types and back.

The readers take any object with the message's fields, be it made by `rosbags` or by rclpy; the builders make
`rosbags` messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Float, Float32, UInt8, valid_depth
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform, quaternion_xyzw, rotation_from_quaternion_xyzw
from pose_tracking.core.images import (
    MILLIMETRE,
    decode_compressed_color,
    decode_compressed_depth,
    decode_image,
    depth_to_metres,
    to_rgb,
)
from pose_tracking.core.results import TrackState
from pose_tracking.datasets.sample import GroundTruthObject
from pose_tracking.objects import ObjectSet

from .types import TRACKED_OBJECT_ARRAY, typestore

COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
DEPTH_ENCODINGS = ("16UC1", "32FC1")
NANOSECONDS = 1_000_000_000


def stamp_of(message: Any) -> int:
    """Header stamp in nanoseconds."""
    return int(message.header.stamp.sec) * NANOSECONDS + int(message.header.stamp.nanosec)


def read_color_message(message: Any, is_compressed: bool) -> UInt8:
    """(H, W, 3) uint8 RGB of an Image or CompressedImage.

    Raises:
        FrameError: see `images.decode_image` and `images.to_rgb`.
    """
    if is_compressed:
        return decode_compressed_color(message.data)
    return to_rgb(_pixels(message), message.encoding)


def read_depth_message(message: Any, is_compressed: bool, unit: float = MILLIMETRE) -> Float32:
    """(H, W) float32 metres of an Image or CompressedImage.

    `unit` is that of 16UC1 in metres, see `images.depth_to_metres`.

    Raises:
        FrameError: see `images.decode_image` and `images.depth_to_metres`.
    """
    if is_compressed:
        return decode_compressed_depth(message.format, message.data, unit=unit)
    return depth_to_metres(_pixels(message), message.encoding, unit)


def _pixels(message: Any) -> NDArray[Any]:
    return decode_image(
        message.encoding, message.height, message.width, message.step, message.data, bool(message.is_bigendian)
    )


def read_camera_info(message: Any, is_rectified: bool = False, size: tuple[int, int] | None = None) -> CameraIntrinsics:
    """Intrinsics of a CameraInfo.

    They are calibrated for the whole sensor; where ``binning_x``, ``binning_y`` and ``roi`` say that the image is a
    window of it, or several of its pixels are one, they become those of the image (REP 104, as image_geometry does).

    Args:
        message: ``sensor_msgs/CameraInfo``.
        is_rectified: the image topic carries rectified images: take P and no distortion, instead of K and D.
        size: of the image, (width, height); where it is that of the whole sensor, binning and roi have been taken into
            account by the driver, or are wrong.

    Raises:
        FrameError: zero or non-finite intrinsics, or no image size; `reason` is ``intrinsics``.
    """
    width, height = int(message.width), int(message.height)
    use_p = is_rectified and float(message.p[0]) > 0
    matrix = np.asarray(message.p, float).reshape(3, 4)[:, :3] if use_p else np.asarray(message.k, float).reshape(3, 3)
    if size != (width, height):
        matrix, width, height = _of_window(message, matrix, width, height)
    if use_p:
        return CameraIntrinsics.from_matrix(matrix, width, height)
    distortion = () if is_rectified or not np.any(message.d) else tuple(float(v) for v in message.d)
    fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return CameraIntrinsics(width, height, fx, fy, cx, cy, distortion, message.distortion_model or "plumb_bob")


def _of_window(message: Any, matrix: Float, width: int, height: int) -> tuple[Float, int, int]:
    """(3, 3) matrix and size of the binned window of a sensor, from those of all of it; 0 there means "all of it"."""
    roi, bins = message.roi, np.maximum([int(message.binning_x), int(message.binning_y)], 1)
    if roi.width and roi.height:
        width, height = int(roi.width), int(roi.height)
    matrix = matrix - np.array([[0, 0, int(roi.x_offset)], [0, 0, int(roi.y_offset)], [0, 0, 0]], float)
    return np.diag([1 / bins[0], 1 / bins[1], 1.0]) @ matrix, width // int(bins[0]), height // int(bins[1])


def read_transform(message: Any) -> tuple[str, str, int, Float, Float]:
    """What `TransformTree.add` takes of a TransformStamped: parent, child, stamp in nanoseconds, (3,) translation in
    metres and (4,) quaternion (x, y, z, w)."""
    t, q = message.transform.translation, message.transform.rotation
    frames = message.header.frame_id, message.child_frame_id
    return *frames, stamp_of(message), np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w])


def read_objects(message: Any) -> list[GroundTruthObject]:
    """Annotations of a TrackedObjectArray; objects without a pose are left out.

    Raises:
        FrameError: a pose is not finite or its quaternion zero; `reason` is ``ground_truth``.
    """
    objects = []
    for item in message.objects:
        if not item.has_pose:
            continue
        p, q = item.pose.pose.position, item.pose.pose.orientation
        quaternion, position = np.array([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z])
        if not (np.isfinite([*quaternion, *position]).all() and np.linalg.norm(quaternion) > 1e-6):
            raise FrameError(f"ground truth of object {item.obj_id} has no usable pose", "ground_truth")
        box = np.asarray(item.box, float)
        objects.append(
            GroundTruthObject(
                obj_id=int(item.obj_id),
                pose=make_transform(rotation_from_quaternion_xyzw(quaternion), position),
                visibility=float(item.visibility) if item.visibility >= 0 else None,
                box=box if box[2] > box[0] and box[3] > box[1] else None,
                instance_id=int(item.track_id) or None,
            )
        )
    return objects


class MessageBuilder:
    """Builds the messages of one frame.

    Args:
        frame: gives stamp and frame id to all of them.
    """

    def __init__(self, frame: RGBDFrame) -> None:
        self.frame = frame
        self._types = typestore().types

    def header(self, frame_id: str | None = None) -> Any:
        """std_msgs/Header of the frame."""
        stamp = self._make("builtin_interfaces/msg/Time", *divmod(int(self.frame.stamp_ns), NANOSECONDS))
        return self._make("std_msgs/msg/Header", stamp, self.frame.frame_id if frame_id is None else frame_id)

    def color(self) -> Any:
        """sensor_msgs/Image, rgb8."""
        return self._image("rgb8", self.frame.color)

    def depth(self, encoding: str) -> Any:
        """sensor_msgs/Image, 16UC1 (mm, rounded; 0 for no reading and beyond 65.535 m) or 32FC1 (m)."""
        depth = self.frame.depth
        if encoding == "32FC1":
            return self._image(encoding, depth.astype(np.float32, copy=False))
        usable = valid_depth(depth) & (depth < 65.535)
        return self._image(encoding, np.rint(np.where(usable, depth, 0) * 1e3).astype(np.uint16))

    def camera_info(self) -> Any:
        """sensor_msgs/CameraInfo."""
        camera = self.frame.intrinsics
        region = self._make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        projection = np.hstack([camera.matrix, np.zeros((3, 1))])
        distortion = np.array(camera.distortion or (0.0,) * 5)
        return self._make(
            "sensor_msgs/msg/CameraInfo",
            self.header(), camera.height, camera.width, camera.distortion_model, distortion,
            camera.matrix.ravel(), np.eye(3).ravel(), projection.ravel(), 0, 0, region,
        )  # fmt: skip

    def camera_transform(self, fixed_frame: str) -> Any:
        """tf2_msgs/TFMessage with the camera's pose in `fixed_frame`."""
        assert self.frame.camera_pose is not None
        transform = self._make(
            "geometry_msgs/msg/Transform",
            self._vector(self.frame.camera_pose[:3, 3]),
            self._quaternion(self.frame.camera_pose[:3, :3]),
        )
        stamped = self._make(
            "geometry_msgs/msg/TransformStamped", self.header(fixed_frame), self.frame.frame_id, transform
        )
        return self._make("tf2_msgs/msg/TFMessage", [stamped])

    def objects(self, objects: list[GroundTruthObject], known: ObjectSet | None) -> Any:
        """pose_tracking/TrackedObjectArray; class names and sizes come from `known`."""
        return self._make(TRACKED_OBJECT_ARRAY, self.header(), [self._object(o, known) for o in objects], 0.0)

    def _object(self, item: GroundTruthObject, known: ObjectSet | None) -> Any:
        model = known.get(item.obj_id) if known is not None else None
        zero = self._vector(np.zeros(3))
        pose = self._make(
            "geometry_msgs/msg/Pose",
            self._make("geometry_msgs/msg/Point", *(float(v) for v in item.pose[:3, 3])),
            self._quaternion(item.pose[:3, :3]),
        )
        twist = self._make("geometry_msgs/msg/Twist", zero, zero)
        duration = self._make("builtin_interfaces/msg/Duration", 0, 0)
        return self._make(
            "pose_tracking/msg/TrackedObject",
            track_id=item.instance_id or 0,
            obj_id=item.obj_id,
            class_name=model.name if model is not None else f"obj_{item.obj_id:06d}",
            state=int(TrackState.CONFIRMED),
            has_pose=True,
            pose=self._make("geometry_msgs/msg/PoseWithCovariance", pose, np.zeros(36)),
            velocity=self._make("geometry_msgs/msg/TwistWithCovariance", twist, np.zeros(36)),
            size=self._vector(item.scale * model.size if model is not None else np.zeros(3)),
            size_sigma=self._vector(np.zeros(3)),  # the truth
            detection_score=1.0,
            pose_confidence=1.0,
            box=np.zeros(4, np.float32) if item.box is None else item.box.astype(np.float32),
            visibility=-1.0 if item.visibility is None else item.visibility,
            age_frames=0,
            age=duration,
            hits=0,
            since_seen=duration,
        )

    def _image(self, encoding: str, pixels: NDArray[Any]) -> Any:
        pixels = np.ascontiguousarray(pixels)
        step = pixels.strides[0]
        data = pixels.reshape(-1).view(np.uint8)
        return self._make("sensor_msgs/msg/Image", self.header(), *pixels.shape[:2], encoding, 0, step, data)

    def _vector(self, values: Float) -> Any:
        return self._make("geometry_msgs/msg/Vector3", *(float(v) for v in values))

    def _quaternion(self, rotation: Float) -> Any:
        return self._make("geometry_msgs/msg/Quaternion", *(float(v) for v in quaternion_xyzw(rotation)))

    def _make(self, kind: str, *args: Any, **fields: Any) -> Any:
        return self._types[kind](*args, **fields)

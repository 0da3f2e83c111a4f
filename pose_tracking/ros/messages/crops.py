"""Crops of tracked objects as ROS messages."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Quaternion
from std_msgs.msg import Header

from pose_tracking.core.arrays import Float32
from pose_tracking.core.errors import FrameError
from pose_tracking.core.geometry import quaternion_xyzw, rotation_from_quaternion_xyzw
from pose_tracking.datasets.bag.messages import NANOSECONDS
from pose_tracking.gallery.crop_selection import ChosenCrop
from pose_tracking.gallery.crops import CropCandidate, encode
from pose_tracking.gallery.pictures import decode_crop, picture_size
from pose_tracking.gallery.store import EmbeddingKind
from pose_tracking.msg import TrackCrop, TrackCropArray

from .conversions import to_time

MAX_BYTES = 2_000_000  # of a crop or a picture: the tracker's have a hundredth of it
MAX_SIDE = 4096


def track_crop_array(
    header: Header,
    chosen: Sequence[ChosenCrop],
    embeddings: Float32 | None,
    kind: EmbeddingKind | None,
    picture: bytes = b"",
) -> TrackCropArray:
    """The message of ``~/crops``.

    Args:
        header: of the frame.
        chosen: N crops.
        embeddings: (N, D) of them, or None.
        kind: what these are.
        picture: the whole frame as a JPEG file.
    """
    message = TrackCropArray(header=header)
    if kind is not None:
        message.embedding_name, message.embedding_weights = kind.name, kind.weights
        message.embedding_gate = float(kind.gate)
    for number, each in enumerate(chosen):
        crop = each.crop
        entry = TrackCrop(track_id=each.track_id, stamp=to_time(crop.stamp_ns), area=crop.area)
        entry.image = array.array("B", encode(crop.pixels))
        entry.box, entry.sharpness = np.asarray(crop.box, np.float32), float(crop.sharpness)
        if crop.view is not None:
            x, y, z, w = (float(v) for v in quaternion_xyzw(crop.view))
            entry.has_view, entry.view = True, Quaternion(x=x, y=y, z=z, w=w)
        if embeddings is not None:
            entry.embedding = array.array("f", np.ascontiguousarray(embeddings[number], np.float32).tobytes())
        message.crops.append(entry)
    message.picture = array.array("B", picture)
    return message


def embedding_kind(message: TrackCropArray) -> EmbeddingKind | None:
    """What the embeddings of a message are; None where it has none."""
    lengths = {len(crop.embedding) for crop in message.crops} - {0}
    if not message.embedding_name or len(lengths) != 1:
        return None
    return EmbeddingKind(
        message.embedding_name, lengths.pop(), message.embedding_weights, round(float(message.embedding_gate), 6)
    )


def from_track_crop(message: TrackCrop) -> CropCandidate | None:
    """The crop that a message holds; None where it holds no picture that can be one, or numbers that are none."""
    image, box = bytes(message.image), np.array(message.box, float)
    size = picture_size(image) if len(image) <= MAX_BYTES else None
    embedding = np.array(message.embedding, np.float32) if len(message.embedding) else None
    numbers = [*box, message.sharpness, *([] if embedding is None else embedding)]
    if size is None or not 0 < min(size) <= max(size) <= MAX_SIDE or not np.isfinite(numbers).all():
        return None
    try:
        decode_crop(image)  # by its header it is small; damaged it must not lie in a store
    except FrameError:
        return None
    if embedding is not None and not 0.9 < float(np.linalg.norm(embedding)) < 1.1:
        return None
    q, view = message.view, None
    if message.has_view and 0.9 < np.linalg.norm([q.x, q.y, q.z, q.w]) < 1.1:
        view = rotation_from_quaternion_xyzw([q.x, q.y, q.z, q.w])
    stamp, nothing = message.stamp.sec * NANOSECONDS + message.stamp.nanosec, np.zeros((0, 0, 4), np.uint8)
    area, sharpness = int(message.area), float(message.sharpness)
    return CropCandidate(stamp, box, area, sharpness, nothing, view, image, embedding)


def picture_of(message: TrackCropArray) -> bytes | None:
    """The JPEG file that a message holds, if it holds one of a sane size."""
    data = bytes(message.picture)
    size = picture_size(data) if 0 < len(data) <= MAX_BYTES and data.startswith(b"\xff\xd8") else None
    return data if size is not None and 0 < min(size) <= max(size) <= MAX_SIDE else None

"""Ways to spoil the messages of a good frame, one function each."""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from node_harness import color_message, depth_message, image, info_message
from rclpy.serialization import serialize_message
from tf2_msgs.msg import TFMessage

from pose_tracking.core.frame import RGBDFrame
from pose_tracking.ros.messages.conversions import make_header

Generator = np.random.Generator
INT32, UINT32 = 2**31 - 1, 2**32 - 1
SECOND = 1_000_000_000
STEP_NS = 33_000_000  # between two frames


@dataclass
class Frame:
    """The messages of one frame, for a spoiler to spoil; None is not sent, bytes are sent as they are."""

    source: RGBDFrame
    color: Any = None
    depth: Any = None
    info: Any = None
    tf: Any = None

    def __post_init__(self) -> None:
        self.color, self.depth = color_message(self.source), depth_message(self.source)
        self.info = info_message(self.source)


Spoiler = Callable[[Frame, Generator], None]
STRINGS = (
    "", "rgb9", "RGB8", "8UC0", "8UC99999999999", "8UC" + "9" * 5000, "32FC", "8UC513", "8UC\u0663", "32FC1\n",
    "\u2603", "../../x", "%s%n", "x" * 20_000, "rgb8 ", "bayer", "yuv444", "16UC0",
)  # fmt: skip
NAMES = (
    "", "/", "//", " ", "a b", "\u2603\ufffd", "x" * 20_000, "no\nline", "%s", "map", "/camera_color_optical_frame",
)  # fmt: skip
NUMBERS = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e300, -1e300, 1e-300, 1e12, 1e-9)
DIMENSIONS = (0, 1, 2, 15, 17, 65535, 2**31 - 1, UINT32)
MODELS = ("", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "kaleidoscope", "x" * 5000)


def _pick(rng: Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _image_of(frame: Frame, rng: Generator) -> Any:
    return frame.color if rng.random() < 0.5 else frame.depth


def encoding(frame: Frame, rng: Generator) -> None:
    _image_of(frame, rng).encoding = _pick(rng, STRINGS)


def swapped_encoding(frame: Frame, rng: Generator) -> None:
    if rng.random() < 0.5:
        frame.color.encoding = _pick(rng, ("32FC1", "16UC1", "64FC1", "32SC1", "8SC3", "16UC2"))
    else:
        frame.depth.encoding = _pick(rng, ("rgb8", "bgr8", "8UC1", "mono8", "8UC2", "yuyv"))


def dimension(frame: Frame, rng: Generator) -> None:
    message = _image_of(frame, rng)
    setattr(message, _pick(rng, ("width", "height")), _pick(rng, DIMENSIONS))


def both_dimensions(frame: Frame, rng: Generator) -> None:
    message = _image_of(frame, rng)
    message.width, message.height = _pick(rng, DIMENSIONS), _pick(rng, DIMENSIONS)


def step(frame: Frame, rng: Generator) -> None:
    message = _image_of(frame, rng)
    message.step = _pick(rng, (0, 1, message.step - 1, message.step * 2, UINT32, 2**31))


def length(frame: Frame, rng: Generator) -> None:
    message = _image_of(frame, rng)
    message.data = message.data[: int(rng.integers(0, len(message.data)))]


def nothing(frame: Frame, rng: Generator) -> None:
    message = _image_of(frame, rng)
    message.data = array.array("B")
    if rng.random() < 0.5:
        message.width = message.height = message.step = 0


def depth_values(frame: Frame, rng: Generator) -> None:
    depth = np.full_like(frame.source.depth, _pick(rng, (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e3, 3e38, 1e-30)))
    frame.depth = image(depth, "32FC1", frame.source.stamp_ns, frame.source.frame_id)
    if depth[0, 0] == np.float32(1e-30):
        frame.depth.data = array.array("B", bytes(len(frame.depth.data)))


def millimetres_as_metres(frame: Frame, rng: Generator) -> None:
    frame.depth = image(frame.source.depth * 1000, "32FC1", frame.source.stamp_ns, frame.source.frame_id)


def other_size(frame: Frame, rng: Generator) -> None:
    factor = int(rng.integers(2, 5))
    pixels = frame.source.depth[::factor, ::factor]
    frame.depth = image(pixels, "32FC1", frame.source.stamp_ns, frame.source.frame_id)


def tiny(frame: Frame, rng: Generator) -> None:
    side = int(rng.integers(1, 16))
    color, depth = frame.source.color[:side, :side], frame.source.depth[:side, :side]
    encoding = _pick(rng, ("rgb8", "bgr8"))
    frame.color = image(color, encoding, frame.source.stamp_ns, frame.source.frame_id)
    frame.depth = image(depth, "32FC1", frame.source.stamp_ns, frame.source.frame_id)
    frame.info.width = frame.info.height = side


def odd_packed(frame: Frame, rng: Generator) -> None:
    width = (frame.source.color.shape[1] - 1) // 2 * 2 - 1
    pixels = frame.source.color[:, :width, :2]
    encoding = _pick(rng, ("yuyv", "uyvy", "yuv422", "yuv422_yuy2"))
    frame.color = image(pixels, encoding, frame.source.stamp_ns, frame.source.frame_id)


def matrix(frame: Frame, rng: Generator) -> None:
    k = list(frame.info.k)
    k[int(_pick(rng, (0, 4)))] = _pick(rng, NUMBERS)
    frame.info.k = k


def centre(frame: Frame, rng: Generator) -> None:
    k = list(frame.info.k)
    k[int(_pick(rng, (2, 5)))] = _pick(rng, [v for v in NUMBERS if not abs(v) <= 1])
    frame.info.k = k


def no_matrix(frame: Frame, rng: Generator) -> None:
    frame.info.k = [_pick(rng, (0.0, float("nan")))] * 9


def info_size(frame: Frame, rng: Generator) -> None:
    frame.info.width, frame.info.height = _pick(rng, DIMENSIONS), _pick(rng, DIMENSIONS)


def distortion(frame: Frame, rng: Generator) -> None:
    frame.info.distortion_model = _pick(rng, ("kaleidoscope", "x" * 5000, "plumb_bob"))
    count = int(_pick(rng, (1, 2, 3, 7, 13, 500)))
    frame.info.d = [float(v) for v in rng.normal(0, 0.1, count)]


def stamp_nanoseconds(frame: Frame, rng: Generator) -> None:
    for message in _some(frame, rng):
        message.header.stamp.nanosec = int(rng.integers(SECOND, UINT32))


def _cheap(frame: Frame, rng: Generator) -> None:
    """Stamps are for the synchroniser to judge: leave nothing to see in most of these frames."""
    if rng.random() < 0.98:
        frame.depth.data = array.array("B", bytes(len(frame.depth.data)))


def stamp_past(frame: Frame, rng: Generator) -> None:
    _cheap(frame, rng)
    for message in _some(frame, rng):
        message.header.stamp.sec, message.header.stamp.nanosec = _pick(rng, ((0, 0), (1, 0), (-5, 0), (-INT32 - 1, 0)))


def stamp_future(frame: Frame, rng: Generator) -> None:
    _cheap(frame, rng)
    for message in _some(frame, rng):
        message.header.stamp.sec = INT32 - int(rng.integers(0, 1000))


def stamp_duplicate(frame: Frame, rng: Generator) -> None:
    _cheap(frame, rng)
    for message in _some(frame, rng):  # those of one of the frames before
        message.header.stamp = make_header(frame.source.stamp_ns - int(rng.integers(1, 4)) * STEP_NS, "").stamp


def _some(frame: Frame, rng: Generator) -> list[Any]:
    return [[frame.color], [frame.depth], [frame.color, frame.depth]][int(rng.integers(3))]


def alone(frame: Frame, rng: Generator) -> None:
    if rng.random() < 0.5:
        frame.color = None
    else:
        frame.depth = None


def raw(frame: Frame, rng: Generator) -> None:
    """Bytes on a topic that are no message: cut off, random, of lengths that are not there.

    Never none at all: no serialiser makes that, and Fast DDS waits for such a sample on a reliable topic until its
    publisher has forgotten it.
    """
    name = _pick(rng, ("color", "depth", "info"))
    good = serialize_message(getattr(frame, name))
    kind = int(rng.integers(5))
    if kind == 0:
        raw = good[: int(rng.integers(4, 60))]
    elif kind == 1:
        raw = good[:4] + rng.bytes(int(rng.integers(1, 200)))
    elif kind == 2:
        raw = good[:12] + b"\xff\xff\xff\xff" + good[16:200]
    elif kind == 3:
        raw = rng.bytes(int(rng.integers(1, 64)))
    else:
        raw = good[: len(good) // 2]
    frame.color = frame.depth = frame.info = None
    setattr(frame, name, raw)


def transforms(frame: Frame, rng: Generator) -> None:
    """TF that cannot be, of frames that nobody needs (what another program says of ours would be believed)."""
    frame.color = frame.depth = frame.info = None
    message = TFMessage()
    for _ in range(int(rng.integers(0, 4))):
        names = [n for n in NAMES if n.strip("/") not in ("map", "camera_color_optical_frame")] + ["one", "two"]
        stamped = TransformStamped(header=make_header(frame.source.stamp_ns, _pick(rng, names)))
        stamped.child_frame_id = _pick(rng, names)
        stamped.header.stamp.sec = int(_pick(rng, (stamped.header.stamp.sec, -5, 0, INT32, -INT32 - 1)))
        t, q = stamped.transform.translation, stamped.transform.rotation
        t.x, t.y, q.x, q.w = (float(_pick(rng, NUMBERS)) for _ in range(4))
        message.transforms.append(stamped)
    frame.tf = message if rng.random() < 0.8 else rng.bytes(int(rng.integers(4, 64)))


def strange_frame(frame: Frame, rng: Generator) -> None:
    name = _pick(rng, NAMES)
    for message in (frame.color, frame.depth, frame.info):
        message.header.frame_id = name


def invalid_text(frame: Frame, rng: Generator) -> None:
    raw = serialize_message(frame.color)
    frame.color = raw.replace(b"camera_color", bytes([0xFF, 0xFE, 0xC0, 0x80, 0xED, 0xA0, 0x80]) + b"color", 1)


def byte_order(frame: Frame, rng: Generator) -> None:
    frame.depth.is_bigendian = int(_pick(rng, (1, 2, 255)))


def noise(frame: Frame, rng: Generator) -> None:
    size = len(frame.color.data)
    frame.color.data = array.array("B", rng.bytes(size))
    frame.depth.data = array.array("B", rng.bytes(len(frame.depth.data)))


def patchy_depth(frame: Frame, rng: Generator) -> None:
    depth = frame.source.depth.copy()
    depth[rng.random(depth.shape) < 0.5] = _pick(rng, (np.nan, np.inf, -1.0, 0.0, 1e-30, 90.0, 3e38))
    frame.depth = image(depth, "32FC1", frame.source.stamp_ns, frame.source.frame_id)


def stretched(frame: Frame, rng: Generator) -> None:
    k = list(frame.info.k)
    k[int(_pick(rng, (0, 4)))] *= float(_pick(rng, (0.2, 5.0, 50.0)))
    frame.info.k = k


def bent(frame: Frame, rng: Generator) -> None:
    frame.info.distortion_model = _pick(rng, MODELS[:5])
    frame.info.d = [float(v) for v in rng.normal(0, float(_pick(rng, (0.1, 10.0, 1e6))), int(_pick(rng, (4, 5, 8))))]
    if rng.random() < 0.3:
        frame.info.d[0] = _pick(rng, NUMBERS)


def strip(frame: Frame, rng: Generator) -> None:
    tall = rng.random() < 0.5
    rows, columns = (slice(None), slice(16)) if tall else (slice(16), slice(None))
    color, depth = frame.source.color[rows, columns], frame.source.depth[rows, columns]
    frame.color = image(color, "rgb8", frame.source.stamp_ns, frame.source.frame_id)
    frame.depth = image(depth, "32FC1", frame.source.stamp_ns, frame.source.frame_id)
    frame.info.height, frame.info.width = depth.shape

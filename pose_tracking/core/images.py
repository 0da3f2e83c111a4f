"""Image buffers to NumPy arrays, with the encodings and the semantics of ROS 2's cv_bridge, but free of ROS.

Encodings are those of ``sensor_msgs/image_encodings.hpp``. Arrays are views of the buffer wherever its layout allows
it: padded rows become strides and nothing is copied.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import Float32, UInt8, valid_depth
from .errors import FrameError

# (dtype, channels) of the named encodings; 8UC3, 32FC1 and their like follow a pattern instead.
NAMED_ENCODINGS: dict[str, tuple[type[np.generic], int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "rgb16": (np.uint16, 3),
    "bgr16": (np.uint16, 3),
    "rgba16": (np.uint16, 4),
    "bgra16": (np.uint16, 4),
    "mono16": (np.uint16, 1),
    "bayer_rggb8": (np.uint8, 1),
    "bayer_bggr8": (np.uint8, 1),
    "bayer_gbrg8": (np.uint8, 1),
    "bayer_grbg8": (np.uint8, 1),
    "bayer_rggb16": (np.uint16, 1),
    "bayer_bggr16": (np.uint16, 1),
    "bayer_gbrg16": (np.uint16, 1),
    "bayer_grbg16": (np.uint16, 1),
    "yuv422": (np.uint8, 2),
    "uyvy": (np.uint8, 2),
    "yuv422_yuy2": (np.uint8, 2),
    "yuyv": (np.uint8, 2),
}
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9]\d{0,2})", re.ASCII)
_GENERIC_TYPES: dict[str, type[np.generic]] = {
    "8U": np.uint8,
    "8S": np.int8,
    "16U": np.uint16,
    "16S": np.int16,
    "32S": np.int32,
    "32F": np.float32,
    "64F": np.float64,
}
# OpenCV names a Bayer pattern by its second row and column: ROS bayer_rggb is OpenCV BayerBG.
_TO_RGB: dict[str, int] = {
    "bgr": cv2.COLOR_BGR2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
    "mono": cv2.COLOR_GRAY2RGB,
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_PACKED_YUV = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv")
MILLIMETRE = 0.001  # metres
_INTEGER_ENCODINGS = ("16UC1", "mono16")
_METRE_ENCODINGS = ("32FC1", "64FC1")


def encoding_layout(encoding: str) -> tuple[np.dtype[Any], int]:
    """(dtype of one channel, number of channels) of a ROS image encoding.

    Raises:
        FrameError: unknown encoding; `reason` is ``encoding``.
    """
    if encoding in NAMED_ENCODINGS:
        kind, channels = NAMED_ENCODINGS[encoding]
        return np.dtype(kind), channels
    match = _GENERIC.fullmatch(encoding)
    if match is None:
        raise FrameError(
            f"unknown image encoding {encoding!r}: known are rgb8, bgr8, mono8, 16UC1, 32FC1, ...", "encoding"
        )
    return np.dtype(_GENERIC_TYPES[match[1]]), int(match[2])


def decode_image(
    encoding: str, height: int, width: int, step: int, data: Any, is_bigendian: bool = False
) -> NDArray[Any]:
    """Pixels of a ``sensor_msgs/Image``.

    Args:
        encoding: ROS encoding, e.g. ``"rgb8"``, ``"16UC1"``.
        height, width: size in pixels.
        step: length of a row in bytes, padding included.
        data: any buffer of bytes; its last row may lack its padding.
        is_bigendian: byte order of `data`.

    Returns:
        (H, W) array for one channel, else (H, W, C), of the encoding's dtype and native byte order. A read-only view of
        `data` unless bytes had to be swapped.

    Raises:
        FrameError: `reason` is ``encoding`` (unknown), ``empty_image`` or ``truncated_image`` (`data` or `step` too
            short for the size).
    """
    dtype, channels = encoding_layout(encoding)
    if height <= 0 or width <= 0:
        raise FrameError(f"image is empty: {width}x{height} {encoding}", "empty_image")
    buffer = np.frombuffer(data, np.uint8)
    row = width * channels * dtype.itemsize
    if step < row:
        raise FrameError(
            f"image step is {step} bytes but a row of {width} {encoding} pixels takes {row}", "truncated_image"
        )
    needed = step * (height - 1) + row
    if buffer.size < needed:
        raise FrameError(
            f"image data is truncated: {buffer.size} bytes, but {width}x{height} {encoding} with step {step} takes "
            f"{needed}",
            "truncated_image",
        )
    swapped = dtype.itemsize > 1 and bool(is_bigendian) != (sys.byteorder == "big")
    shape: tuple[int, ...] = (height, width)
    strides: tuple[int, ...] = (step, channels * dtype.itemsize)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    stored = dtype.newbyteorder("S") if swapped else dtype
    image: NDArray[Any] = np.ndarray(shape, stored, buffer=buffer, strides=strides)
    image.flags.writeable = False
    return image.astype(dtype) if swapped else image


def to_rgb(image: NDArray[Any], encoding: str) -> UInt8:
    """(H, W[, C]) pixels of a ROS colour encoding to (H, W, 3) uint8 RGB.

    As in cv_bridge, 16-bit colour is scaled by 255 / 65535, 8UC1 is grey, and 8UC3 and 8UC4 are in the order BGR(A).

    Raises:
        FrameError: not a colour encoding, or packed YUV of an odd width; `reason` is ``color_encoding``.
    """
    name = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8", "16UC3": "bgr16", "16UC4": "bgra16"}.get(
        encoding, encoding
    )
    if name not in NAMED_ENCODINGS:
        raise FrameError(
            f"colour image has encoding {encoding!r}, which holds no colour: publish rgb8 or bgr8", "color_encoding"
        )
    if image.dtype == np.uint16:
        if name.startswith("bayer"):  # demosaic at full depth, then scale
            image, name = cv2.cvtColor(np.ascontiguousarray(image), _TO_RGB[name[:-2]]), "rgb16"
        image = cv2.convertScaleAbs(np.ascontiguousarray(image), alpha=255.0 / 65535.0)
    family = name[:-2] if name.endswith("16") else name.removesuffix("8")
    if family == "rgb":
        return image
    if family in _PACKED_YUV and image.shape[1] % 2:
        raise FrameError(
            f"colour image has encoding {encoding!r} and an odd width of {image.shape[1]}, but its pixels share their "
            "colour in pairs: crop to an even width or publish rgb8",
            "color_encoding",
        )
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), _TO_RGB[family]), np.uint8)


def depth_to_metres(image: NDArray[Any], encoding: str, unit: float = MILLIMETRE) -> Float32:
    """(H, W) pixels of a depth encoding to float32 metres, 0 where there is no reading (REP 118).

    16UC1 (and mono16) are millimetres, 32FC1 (and 64FC1) metres; NaN, infinite and negative readings become 0.

    Args:
        image: (H, W) pixels.
        encoding: theirs.
        unit: metres of one unit of a 16-bit encoding, of a camera that counts in another than REP 118 says.

    Raises:
        FrameError: not a depth encoding; `reason` is ``depth_encoding``.
    """
    if encoding in _INTEGER_ENCODINGS:
        return np.divide(image, np.float32(1 / unit), dtype=np.float32)
    if encoding in _METRE_ENCODINGS:
        with np.errstate(over="ignore", invalid="ignore"):  # a double beyond float32 is no reading either
            depth = image.astype(np.float32)
        depth[~valid_depth(depth)] = 0.0
        return depth
    raise FrameError(
        f"depth image has encoding {encoding!r}: publish 16UC1 in millimetres or 32FC1 in metres", "depth_encoding"
    )


def decode_file(
    data: bytes | memoryview | UInt8, what: str = "compressed image", upright: bool = False
) -> NDArray[Any]:
    """Pixels of a PNG, JPEG, TIFF or WebP file in memory, (H, W) or (H, W, C) with colour as RGB(A).

    Args:
        data: content of the file.
        what: what to call it in an error.
        upright: turn a JPEG as its EXIF orientation says (a telephone held upright); calibrated images are not to be.

    Raises:
        FrameError: `reason` is ``empty_image`` or ``truncated_image`` (cut off or not an image).
    """
    buffer = np.frombuffer(data, np.uint8)
    if buffer.size == 0:
        raise FrameError(f"{what}: is empty", "empty_image")
    # Decoders fill the missing part of a cut-off file with grey and only warn, so look for its end first.
    head, tail = buffer[:8].tobytes(), buffer[-1024:].tobytes()
    is_cut_off = (head.startswith(b"\x89PNG") and b"IEND" not in tail) or (
        head.startswith(b"\xff\xd8") and b"\xff\xd9" not in tail
    )
    image = None
    if not is_cut_off:
        try:
            turned = upright and head.startswith(b"\xff\xd8")
            image = cv2.imdecode(buffer, cv2.IMREAD_COLOR if turned else cv2.IMREAD_UNCHANGED)
        except cv2.error:
            image = None
    if image is None:
        raise FrameError(f"{what}: is truncated or not an image ({buffer.size} bytes)", "truncated_image")
    if image.ndim == 3 and image.shape[2] >= 3:
        code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        image = cv2.cvtColor(image, code)
    return np.asarray(image)


def read_image(path: str | Path, upright: bool = False) -> NDArray[Any]:
    """Pixels of the image file at `path`; see `decode_file`.

    Raises:
        FrameError: `reason` is ``missing_image``, ``empty_image`` or ``truncated_image``.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise FrameError(f"{path}: cannot be read ({error.strerror})", "missing_image") from error
    return decode_file(data, str(path), upright)


def decode_compressed_color(data: Any, what: str = "compressed image") -> UInt8:
    """(H, W, 3) uint8 RGB of a ``sensor_msgs/CompressedImage`` (JPEG or PNG).

    Raises:
        FrameError: `reason` is ``empty_image``, ``truncated_image`` or ``color_encoding`` (not 8 bits a channel).
    """
    image = decode_file(data, what)
    if image.dtype != np.uint8:
        raise FrameError(f"{what}: colour image is {image.dtype}, expected 8 bits a channel", "color_encoding")
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    return np.ascontiguousarray(image[:, :, :3])


def decode_compressed_depth(
    format: str, data: Any, what: str = "compressed depth image", unit: float = MILLIMETRE
) -> Float32:
    """(H, W) float32 metres of a compressed depth image, 0 where there is no reading.

    Understands plain 16-bit PNG in millimetres (``"16UC1; png compressed"``) and the ``compressedDepth`` PNG of
    compressed_depth_image_transport: 12 bytes (int32 method, float32 a, float32 b), then the file. There, 16UC1 is
    millimetres and 32FC1 is quantised inverse depth, z = a / (value - b).

    Args:
        format: the message's ``format`` field.
        data: the message's bytes.
        what: what to call the message in an error.
        unit: metres of one unit of 16UC1, see `depth_to_metres`.

    Raises:
        FrameError: `reason` is ``empty_image``, ``truncated_image`` or ``depth_encoding`` (RVL, or a JPEG, whose losses
            ruin depth).
    """
    encoding = format.split(";")[0].strip()
    buffer = np.frombuffer(data, np.uint8)
    if "rvl" in format.lower() or "jpeg" in format.lower() or "jpg" in format.lower():
        raise FrameError(f"{what}: format {format!r} cannot be read: publish compressedDepth as png", "depth_encoding")
    if "compressedDepth" not in format:
        return depth_to_metres(_single_channel(decode_file(buffer, what), what), "16UC1", unit)
    if buffer.size <= 12:
        raise FrameError(f"{what}: is truncated ({buffer.size} bytes)", "truncated_image")
    a, b = buffer[4:12].view("<f4").astype(np.float64)
    values = _single_channel(decode_file(buffer[12:], what), what)
    if encoding != "32FC1":
        return depth_to_metres(values, "16UC1", unit)
    depth = np.zeros(values.shape, np.float32)
    known = values > 0
    depth[known] = a / (values[known] - b)
    return depth_to_metres(depth, "32FC1")


def _single_channel(image: NDArray[Any], what: str) -> NDArray[Any]:
    if image.ndim != 2 or image.dtype != np.uint16:
        raise FrameError(f"{what}: is {image.dtype} {image.shape}, expected 16-bit depth", "depth_encoding")
    return image

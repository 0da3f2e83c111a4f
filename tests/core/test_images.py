from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose_tracking.core.errors import FrameError
from pose_tracking.core.images import (
    NAMED_ENCODINGS,
    decode_compressed_color,
    decode_compressed_depth,
    decode_file,
    decode_image,
    depth_to_metres,
    encoding_layout,
    read_image,
    to_rgb,
)

ENCODINGS = [*NAMED_ENCODINGS, "8UC1", "8UC3", "8UC4", "16UC1", "16SC2", "32SC1", "32FC1", "32FC3", "64FC1"]


@settings(max_examples=150, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    height=st.integers(1, 7),
    width=st.integers(1, 9),
    padding=st.integers(0, 13),
    big=st.booleans(),
    cut_last_padding=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_pixels_survive_padding_and_byte_order(encoding, height, width, padding, big, cut_last_padding, seed):
    dtype, channels = encoding_layout(encoding)
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = rng.integers(0, 100, shape).astype(dtype)
    stored = pixels.astype(dtype.newbyteorder(">" if big else "<")).reshape(height, -1)
    rows = [row.tobytes() + rng.bytes(padding) for row in stored]
    data = b"".join(rows)
    step = len(rows[0])
    if cut_last_padding and padding:
        data = data[:-padding]
    image = decode_image(encoding, height, width, step, data, big)
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, pixels)


def test_decoding_copies_nothing():
    data = np.arange(4 * 20, dtype=np.uint8)
    image = decode_image("rgb8", 4, 6, 20, data)
    assert np.shares_memory(image, data)
    assert not image.flags.writeable
    assert np.shares_memory(to_rgb(image, "rgb8"), data)


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        (("nv21", 2, 2, 2, b"1234"), "encoding", "'nv21'"),
        (("", 2, 2, 2, b"1234"), "encoding", "''"),
        (("8UC0", 2, 2, 2, b"1234"), "encoding", "'8UC0'"),
        (("32FC0", 2, 2, 2, b"1234"), "encoding", "'32FC0'"),
        (("8UC" + "9" * 5000, 2, 2, 2, b"1234"), "encoding", "unknown"),
        (("8UC\u0663", 2, 2, 6, bytes(12)), "encoding", "unknown"),
        (("8UC3\n", 2, 2, 6, bytes(12)), "encoding", "unknown"),
        (("rgb8", 0, 2, 6, b""), "empty_image", "2x0"),
        (("rgb8", 2, 2, 5, bytes(12)), "truncated_image", "step is 5 .* takes 6"),
        (("rgb8", 2, 2, 6, bytes(11)), "truncated_image", "11 bytes.* takes 12"),
        (("16UC1", 480, 640, 1280, b""), "truncated_image", "0 bytes"),
    ],
)
def test_bad_images_are_named(arguments, reason, message):
    with pytest.raises(FrameError, match=message) as caught:
        decode_image(*arguments)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb8", [200, 100, 50]),
        ("bgr8", [50, 100, 200]),
        ("8UC3", [50, 100, 200]),
        ("rgba8", [200, 100, 50, 7]),
        ("bgra8", [50, 100, 200, 7]),
        ("8UC4", [50, 100, 200, 7]),
        ("rgb16", [200 * 257, 100 * 257, 50 * 257]),
        ("bgr16", [50 * 257, 100 * 257, 200 * 257]),
        ("bgra16", [50 * 257, 100 * 257, 200 * 257, 9]),
    ],
)
def test_colour_orders(encoding, pixel):
    dtype, _ = encoding_layout(encoding)
    image = np.tile(np.array(pixel, dtype), (3, 5, 1))
    rgb = to_rgb(image, encoding)
    assert rgb.dtype == np.uint8
    assert (rgb == [200, 100, 50]).all()


@pytest.mark.parametrize(("encoding", "value"), [("mono8", 90), ("8UC1", 90), ("mono16", 90 * 257)])
def test_grey_becomes_rgb(encoding, value):
    image = np.full((3, 5), value, encoding_layout(encoding)[0])
    assert (to_rgb(image, encoding) == 90).all()
    assert to_rgb(image, encoding).shape == (3, 5, 3)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns(pattern, bits):
    """A uniform colour seen through the filter mosaic comes back as that colour."""
    color = {"r": 200, "g": 100, "b": 50}
    tile = np.array([color[c] for c in pattern]).reshape(2, 2)
    image = np.tile(tile, (8, 8)) * (1 if bits == 8 else 257)
    rgb = to_rgb(image.astype(np.uint8 if bits == 8 else np.uint16), f"bayer_{pattern}{bits}")
    assert (rgb[2:-2, 2:-2] == [200, 100, 50]).all()


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_yuv_orders(encoding, order):
    """ITU-R BT.601: pure red is Y 82, U 90, V 240."""
    parts = {"y": [82, 82], "u": [90], "v": [240]}
    taken = {"y": iter(parts["y"]), "u": iter(parts["u"]), "v": iter(parts["v"])}
    pair = [next(taken[c]) for c in order]
    image = np.tile(np.array(pair, np.uint8).reshape(1, 2, 2), (4, 3, 1))
    rgb = to_rgb(image, encoding).astype(int)
    assert (np.abs(rgb - [255, 0, 0]) < 6).all()


def test_depth_is_no_colour_and_colour_no_depth():
    with pytest.raises(FrameError, match="'32FC1'") as caught:
        to_rgb(np.zeros((2, 2), np.float32), "32FC1")
    assert caught.value.reason == "color_encoding"
    with pytest.raises(FrameError, match="'rgb8'") as caught:
        depth_to_metres(np.zeros((2, 2, 3), np.uint8), "rgb8")
    assert caught.value.reason == "depth_encoding"


@pytest.mark.parametrize("unit", [1e-4, 2.5e-4, 0.001, 0.01])
def test_16_bit_depth_may_count_in_another_unit(unit: float) -> None:
    pixels = np.array([[0, 1, 1234, 65535]], np.uint16)
    expected = (pixels * unit).astype(np.float32)
    np.testing.assert_allclose(depth_to_metres(pixels, "16UC1", unit), expected, rtol=1e-6)
    png = cv2.imencode(".png", pixels)[1].tobytes()
    np.testing.assert_allclose(decode_compressed_depth("16UC1; png compressed", png, unit=unit), expected, rtol=1e-6)
    np.testing.assert_array_equal(depth_to_metres(expected, "32FC1", unit), expected)  # metres in any case


def test_depth_units_and_missing_readings():
    np.testing.assert_array_equal(
        depth_to_metres(np.array([[0, 1, 1234, 65535]], np.uint16), "16UC1"),
        np.array([[0, 0.001, 1.234, 65.535]], np.float32),
    )
    metres = depth_to_metres(np.array([[np.nan, np.inf, -np.inf, -1, 0, 1.25]], np.float32), "32FC1")
    np.testing.assert_array_equal(metres, np.array([[0, 0, 0, 0, 0, 1.25]], np.float32))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_files_are_told_from_cut_off_ones(tmp_path, suffix):
    rgb = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    data = cv2.imencode(suffix, rgb[:, :, ::-1])[1].tobytes()
    assert np.abs(decode_file(data).astype(int) - rgb).max() < 4
    assert np.abs(decode_compressed_color(data).astype(int) - rgb).max() < 4
    for end in (len(data) // 2, len(data) - 20):
        with pytest.raises(FrameError) as caught:
            decode_file(data[:end])
        assert caught.value.reason == "truncated_image"
    with pytest.raises(FrameError) as caught:
        decode_file(b"")
    assert caught.value.reason == "empty_image"
    with pytest.raises(FrameError, match="nowhere") as caught:
        read_image(tmp_path / "nowhere.png")
    assert caught.value.reason == "missing_image"


def test_compressed_depth_in_millimetres():
    depth = np.random.default_rng(0).integers(0, 65536, (20, 30), dtype=np.uint16)
    png = cv2.imencode(".png", depth)[1].tobytes()
    expected = depth_to_metres(depth, "16UC1")
    header = struct.pack("<iff", 0, 0.0, 0.0)
    np.testing.assert_array_equal(decode_compressed_depth("16UC1; png compressed ", png), expected)
    np.testing.assert_array_equal(decode_compressed_depth("16UC1; compressedDepth", header + png), expected)
    np.testing.assert_array_equal(decode_compressed_depth("16UC1; compressedDepth png", header + png), expected)


def test_compressed_depth_as_inverse_depth():
    """The transport stores round(a / z + b), a and b chosen from its limits (10 m) and quantisation (100)."""
    depth = np.random.default_rng(0).uniform(0.5, 9.0, (20, 30))
    depth[0, 0] = np.nan
    a = 100.0 * 101.0
    b = 1.0 - a / 10.0
    values = np.where(np.isfinite(depth), np.rint(a / depth + b), 0).astype(np.uint16)
    data = struct.pack("<iff", 0, a, b) + cv2.imencode(".png", values)[1].tobytes()
    read = decode_compressed_depth("32FC1; compressedDepth png", data)
    assert read[0, 0] == 0
    assert np.abs(read - depth)[np.isfinite(depth)].max() < 0.5 * 9.0**2 / a + 1e-4


@pytest.mark.parametrize(
    ("format", "data", "reason"),
    [
        ("16UC1; compressedDepth rvl", bytes(99), "depth_encoding"),
        ("jpeg", bytes(99), "depth_encoding"),
        ("16UC1; compressedDepth png", bytes(12), "truncated_image"),
        ("16UC1; compressedDepth png", bytes(99), "truncated_image"),
        ("16UC1; png", cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes(), "depth_encoding"),
    ],
)
def test_unusable_compressed_depth(format, data, reason):
    with pytest.raises(FrameError) as caught:
        decode_compressed_depth(format, data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_packed_colour_of_an_odd_width_is_refused(encoding):
    with pytest.raises(FrameError, match="odd width of 17") as caught:
        to_rgb(np.zeros((16, 17, 2), np.uint8), encoding)
    assert caught.value.reason == "color_encoding"
    assert to_rgb(np.zeros((16, 18, 2), np.uint8), encoding).shape == (16, 18, 3)


@pytest.mark.filterwarnings("error")
def test_doubles_beyond_float32_are_no_readings():
    depth = depth_to_metres(np.array([[1e300, -1e300, np.nan, 0.5]]), "64FC1")
    assert depth.tolist() == [[0.0, 0.0, 0.0, 0.5]]

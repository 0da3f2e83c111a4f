from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_samples import CAMERA, COLOR, COMPRESSED, DEPTH, IMAGE, INFO, frame_messages, write_bag, write_raw
from hypothesis import example, given, settings
from hypothesis import strategies as st
from presence import objects_of, present
from synthetic_samples import INTRINSICS, assert_same_frame, make_sample

from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.core.geometry import make_transform
from pose_tracking.datasets import BagReader, BagWriter, BopScene, BopWriter
from pose_tracking.datasets.bag import writer as bag_writer
from pose_tracking.datasets.bag.messages import MessageBuilder
from pose_tracking.datasets.bag.reader import pair_stamps
from pose_tracking.datasets.bag.types import typestore


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize(("encoding", "step"), [("16UC1", 1e-3), ("32FC1", 1e-4)])
def test_a_bag_reads_back_as_it_was_written(tmp_path, storage, compression, encoding, step):
    samples = [make_sample(k, stamp_ns=1_700_000_000_123_456_789 + k * 33_333_333, depth_step=step) for k in range(4)]
    path = write_bag(tmp_path / "bag", samples, storage=storage, compression=compression, depth_encoding=encoding)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bag"]
    assert sorted(p.name for p in path.iterdir()) == [
        "bag." + {"mcap": "mcap", "sqlite3": "db3"}[storage],
        "metadata.yaml",
    ]
    reader = BagReader(path)
    assert len(reader) == 4
    assert reader.dropped == {}
    for _ in range(2):
        for written, read in zip(samples, reader, strict=True):
            assert_same_frame(written.frame, read.frame)
            for a, b in zip(objects_of(written), objects_of(read), strict=True):
                assert (a.obj_id, a.instance_id) == (b.obj_id, b.instance_id)
                assert b.visibility == pytest.approx(a.visibility)
                np.testing.assert_allclose(a.pose, b.pose, atol=1e-12)
                np.testing.assert_array_equal(a.box, b.box)


def test_bop_to_bag_to_bop(tmp_path):
    """What a bag holds survives the whole way round; masks do not fit into one."""
    samples = [make_sample(k, stamp_ns=10**9 + k * 10**8) for k in range(3)]
    with BopWriter(tmp_path / "a") as writer:
        for sample in samples:
            writer.add(sample)
    bag = write_bag(tmp_path / "bag", list(BopScene(tmp_path / "a")))
    with BopWriter(tmp_path / "b") as writer:
        for sample in BagReader(bag):
            writer.add(sample)
    for first, last in zip(samples, BopScene(tmp_path / "b"), strict=True):
        assert_same_frame(first.frame, last.frame)
        before, after = objects_of(first), objects_of(last)
        assert [o.instance_id for o in before] == [o.instance_id for o in after]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_allclose(a.pose, b.pose, atol=1e-9)


def test_millimetre_depth_is_rounded_and_holes_stay_holes(tmp_path):
    sample = make_sample(depth_step=1e-4)
    sample.frame.depth[0, :4] = [np.nan, np.inf, 80.0, -1.0]
    read = next(iter(BagReader(write_bag(tmp_path / "bag", [sample])))).frame.depth
    assert (read[0, :4] == 0).all()
    assert np.abs(read - sample.frame.depth).ravel()[4:].max() <= 0.5e-3 + 1e-7


def test_what_is_unknown_stays_unknown(tmp_path):
    sample = make_sample(camera_pose=False)
    bare = [replace(o, visibility=None, box=None, instance_id=None) for o in objects_of(sample)]
    samples = [replace(sample, objects=objects) for objects in (bare, [], None)]
    for k, item in enumerate(samples):
        samples[k] = replace(item, frame=replace(item.frame, stamp_ns=k + 1))
    read = list(BagReader(write_bag(tmp_path / "bag", samples)))
    assert [(o.visibility, o.box, o.instance_id) for o in objects_of(read[0])] == [(None, None, None)] * 2
    assert read[1].objects == []
    assert read[2].objects is None
    assert read[0].frame.camera_pose is None


def test_class_names_and_sizes_come_from_the_object_set(tmp_path, linemod_objects):
    path = write_bag(tmp_path / "bag", [make_sample()], objects=linemod_objects)
    from rosbags.highlevel import AnyReader

    with AnyReader([path]) as bag:
        [connection] = [c for c in bag.connections if c.topic == "/ground_truth/objects"]
        _, _, raw = next(bag.messages([connection]))
        message: Any = bag.deserialize(raw, connection.msgtype)
    assert [o.class_name for o in message.objects] == ["can", "cat"]
    size = message.objects[1].size
    np.testing.assert_allclose([size.x, size.y, size.z], linemod_objects[6].size)


def test_distorted_images_are_rectified(tmp_path):
    sample = make_sample()
    camera = replace(INTRINSICS, distortion=(-0.3, 0.1, 0.0, 0.0, 0.0))
    path = write_bag(tmp_path / "bag", [replace(sample, frame=replace(sample.frame, intrinsics=camera))])
    frame = next(iter(BagReader(path))).frame
    assert frame.intrinsics == INTRINSICS
    assert (frame.color != sample.frame.color).any()


def test_topics_of_a_rectified_stream_take_p(tmp_path):
    sample = make_sample()
    build = MessageBuilder(replace(sample.frame, intrinsics=replace(INTRINSICS, distortion=(-0.3, 0.1, 0, 0, 0))))
    info = build.camera_info()
    info.p[0] = 55.0
    messages = frame_messages(sample, color="/camera/rgb/image_rect_color", info="/camera/rgb/camera_info")
    path = write_raw(tmp_path / "bag", [("/camera/rgb/camera_info", INFO, 1, info), *messages[1:]])
    frame = next(iter(BagReader(path))).frame
    assert frame.intrinsics == replace(INTRINSICS, fx=55.0)
    np.testing.assert_array_equal(frame.color, sample.frame.color)


def test_compressed_topics_are_read(tmp_path):
    sample = make_sample()
    build, types = MessageBuilder(sample.frame), typestore().types
    depth = np.rint(sample.frame.depth * 1000).astype(np.uint16)
    png = cv2.imencode(".png", sample.frame.color[:, :, ::-1])[1].ravel()
    packed = np.concatenate([np.zeros(12, np.uint8), cv2.imencode(".png", depth)[1].ravel()])
    color = types[COMPRESSED](build.header(), "rgb8; png compressed bgr8", png)
    aligned = types[COMPRESSED](build.header(), "16UC1; compressedDepth png", packed)
    path = write_raw(
        tmp_path / "bag",
        [
            (CAMERA, INFO, 1, build.camera_info()),
            (f"{COLOR}/compressed", COMPRESSED, 1, color),
            ("/camera/aligned_depth_to_color/image_raw/compressedDepth", COMPRESSED, 1, aligned),
        ],
    )
    frame = next(iter(BagReader(path))).frame
    np.testing.assert_array_equal(frame.color, sample.frame.color)
    np.testing.assert_array_equal(frame.depth, sample.frame.depth)


def test_realsense_topics_are_found_among_others(tmp_path):
    sample = make_sample()
    root = "/camera/camera"
    messages = frame_messages(
        sample, f"{root}/color/image_raw", f"{root}/aligned_depth_to_color/image_raw", f"{root}/color/camera_info"
    )
    other = frame_messages(
        make_sample(1), f"{root}/infra1/image_rect_raw", f"{root}/depth/image_rect_raw", f"{root}/depth/camera_info"
    )
    path = write_raw(tmp_path / "bag", [*other, *messages])
    assert_same_frame(next(iter(BagReader(path))).frame, replace(sample.frame, camera_pose=None))


def test_frames_without_partner_are_counted(tmp_path):
    messages = []
    for k in range(5):
        sample = make_sample(k, stamp_ns=10**9 + k * 10**8)
        info, color, depth = frame_messages(sample)
        messages += [info, color]
        if k != 2:
            late = replace(sample.frame, stamp_ns=sample.frame.stamp_ns + 7_000_000)
            messages.append((DEPTH, IMAGE, late.stamp_ns, MessageBuilder(late).depth("16UC1")))
    reader = BagReader(write_raw(tmp_path / "bag", messages))
    assert len(reader) == 4
    assert reader.dropped == {"no_depth": 1}
    for seed, read in zip((0, 1, 3, 4), reader, strict=True):
        expected = make_sample(seed, stamp_ns=10**9 + seed * 10**8, camera_pose=False)
        assert_same_frame(read.frame, expected.frame)
    with pytest.raises(DatasetError, match="no two within 0.005 s"):
        BagReader(tmp_path / "bag", slop=0.005)


def test_camera_pose_is_interpolated_between_transforms(tmp_path):
    messages = []
    for k in range(3):
        pose = make_transform(np.eye(3), [k, 0.0, 1.0])
        frame = replace(make_sample().frame, stamp_ns=10**9 + k * 10**8, camera_pose=pose)
        messages.append(
            ("/tf", "tf2_msgs/msg/TFMessage", frame.stamp_ns, MessageBuilder(frame).camera_transform("odom"))
        )
    messages += frame_messages(make_sample(stamp_ns=10**9 + 25 * 10**6))
    frame = next(iter(BagReader(write_raw(tmp_path / "bag", messages)))).frame
    np.testing.assert_allclose(present(frame.camera_pose), make_transform(np.eye(3), [0.25, 0.0, 1.0]), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 200), max_size=12),
    st.lists(st.integers(0, 200), max_size=12),
    st.integers(0, 30),
)
def test_pairs_are_one_to_one_near_and_maximal(first, second, slop):
    pairs = pair_stamps(first, second, slop)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(abs(first[i] - second[j]) <= slop for i, j in pairs)
    assert pairs == sorted(pairs)
    exact = set(first) & set(second)
    assert exact <= {first[i] for i, j in pairs if first[i] == second[j]}


def write_good(tmp_path: Path, storage: str) -> Path:
    return write_bag(tmp_path / "bag", [make_sample(k, 10**9 + k * 10**8) for k in range(4)], storage=storage)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_cut_off_bag_is_refused(tmp_path, storage, share):
    path = write_good(tmp_path, storage)
    [data] = [p for p in path.iterdir() if p.suffix in (".mcap", ".db3")]
    os.truncate(data, int(data.stat().st_size * share))
    with pytest.raises(DatasetError, match="bag") as caught:
        list(BagReader(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def good_bag(tmp_path_factory, request) -> Path:
    return write_good(tmp_path_factory.mktemp("good"), request.param)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
@example(560)  # a record of 700 GB
@example(1_944_897_648)  # a length beyond any memory
def test_a_damaged_bag_raises_nothing_else(good_bag, seed):
    rng = np.random.default_rng(seed)
    [data] = [p for p in good_bag.iterdir() if p.suffix in (".mcap", ".db3")]
    whole = data.read_bytes()
    content = bytearray(whole)
    for position in rng.integers(0, len(content), 40):
        content[position] = rng.integers(256)
    data.write_bytes(content)
    try:
        with contextlib.suppress(DatasetError):
            assert len(list(BagReader(good_bag))) <= 4
    finally:
        data.write_bytes(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[1:], "no camera_info"),
        (lambda m: [m[0], m[2]], "no colour image topic"),
        (lambda m: m[:2], "no depth image topic"),
        (lambda m: m[:1], "no image topics"),
        (lambda m: [*m, ("/other/color/image_raw", *m[1][1:])], "several colour topics"),
        (lambda m: [m[0], m[1], (DEPTH, IMAGE, 1, b"\0\1\0\0")], "truncated"),
        (lambda m: [m[0], (COLOR, IMAGE, 1, cut(m[1][3])), m[2]], "damaged|truncated"),
        (lambda m: [m[0], m[1], (DEPTH, IMAGE, 1, altered(m[2][3], encoding="8UC3"))], "step|8UC3"),
        (lambda m: [m[0], m[1], (DEPTH, IMAGE, 1, altered(m[2][3], encoding="12UC1"))], "'12UC1'"),
        (lambda m: [m[0], (COLOR, IMAGE, 1, altered(m[1][3], height=0)), m[2]], "empty"),
        (lambda m: [(CAMERA, INFO, 1, altered(m[0][3], k=np.zeros(9))), *m[1:]], "intrinsics fx=0.0"),
        (lambda m: [(CAMERA, INFO, 1, altered(m[0][3], width=0)), *m[1:]], "0x48 is not positive"),
        (lambda m: [(CAMERA, INFO, 1, altered(m[0][3], d=np.ones(2))), *m[1:]], "2 coefficients"),
    ],
)
def test_unusable_recordings_are_named(tmp_path, change, message):
    path = write_raw(tmp_path / "bag", change(frame_messages(make_sample())))
    with pytest.raises(DatasetError, match=message) as caught:
        list(BagReader(path))
    assert str(path) in str(caught.value)


def altered(message: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def cut(message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, IMAGE))[:-200]


def test_asked_for_topics_must_exist(tmp_path):
    path = write_good(tmp_path, "mcap")
    with pytest.raises(DatasetError, match=r"no image topic /nope; .*/camera/color/image_raw"):
        BagReader(path, color_topic="/nope")
    assert len(BagReader(path, color_topic=COLOR, depth_topic=DEPTH, info_topic=CAMERA)) == 4


def test_a_bag_without_metadata_is_refused(tmp_path):
    path = write_good(tmp_path, "mcap")
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: [1, 2]")
    with pytest.raises(DatasetError, match="damaged"):
        BagReader(path)
    (path / "metadata.yaml").unlink()
    with pytest.raises(DatasetError, match="no metadata.yaml"):
        BagReader(path)
    assert len(BagReader(path / "bag.mcap")) == 4
    with pytest.raises(DatasetError, match="no such bag"):
        BagReader(tmp_path / "nowhere")


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="exists already"):
        BagWriter(write_good(tmp_path, "mcap"))
    with pytest.raises(OutputError, match="nothing to write"):
        BagWriter(tmp_path / "empty").close()
    with pytest.raises(AttributeError):  # in the middle of the bag
        write_bag(tmp_path / "broken", [make_sample(), None])  # type: ignore[list-item]
    for error in (OSError(28, os.strerror(28)), sqlite3.OperationalError("database or disk is full")):
        writer = BagWriter(tmp_path / "full", storage="sqlite3")
        writer.add(make_sample())
        monkeypatch.setattr(bag_writer.Writer, "write", lambda *_, error=error: (_ for _ in ()).throw(error))
        with pytest.raises(OutputError, match="full: cannot be written .*(No space left|disk is full)"):
            writer.add(make_sample())
        monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]


def test_an_output_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        BagWriter(tmp_path / "file" / "bag")
    with pytest.raises(OutputError, match="'tape'"):
        BagWriter(tmp_path / "bag", storage="tape")


def test_stamps_are_read_in_either_byte_order():
    reader = BagReader.__new__(BagReader)
    for flag, order in ((1, "<"), (0, ">")):
        raw = bytes([0, flag, 0, 0]) + struct.pack(order + "iI", 12, 345)
        assert reader._stamp(raw) == 12_000_000_345


def test_a_real_scene_survives_a_bag(data_dir, tmp_path):
    scene = BopScene(data_dir / "apc_shelf")
    path = write_bag(tmp_path / "bag", list(scene), depth_encoding="32FC1", storage="sqlite3")
    for a, b in zip(scene, BagReader(path), strict=True):
        assert_same_frame(a.frame, replace(b.frame, camera_pose=a.frame.camera_pose))
        np.testing.assert_allclose(present(a.frame.camera_pose), present(b.frame.camera_pose), atol=1e-8)

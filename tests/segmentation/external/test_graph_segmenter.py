"""Detectors in graph files: each usual layout, by both engines, finds what is in the picture, where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detector_networks import NAMES, SIDE, export, square_frame, squares

from pose_tracking.bundles.authoring.from_detector.graph_probe import probe_detector
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.graph_segmenter import GraphSegmenter

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OBJECTS = {5: "blue", 7: "red"}  # green is not asked for
PLACES = [(64, 48, 0), (288, 208, 2), (480, 336, 0), (96, 304, 1)]  # on the cells of the network
LAYOUTS = ("yolo", "yolo_objectness", "end_to_end", "torchvision", "tensorflow", "ssd")


def segmenter(path: Path, engine: str = "auto", **options: Any) -> GraphSegmenter:
    probed = probe_detector(path, None)
    graph = replace(probed.config, labels=NAMES)
    config = SegmentationConfig(backend="graph", graph=graph, score_threshold=0.5, nms_iou=0.2)
    return GraphSegmenter(replace(config, **options), OBJECTS, path, InferenceConfig(engine))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_what_is_there(tmp_path: Path, layout: str, engine: str) -> None:
    pytest.importorskip(engine)
    path = export(tmp_path / "detector.onnx", layout)
    probed = probe_detector(path, None)
    assert (probed.config.layout, probed.names) == (layout, list(NAMES))
    assert probed.classes == (3 if layout.startswith("yolo") else None)
    frame, boxes = square_frame(PLACES)
    found = segmenter(path, engine).segment(frame)
    assert sorted(found.obj_ids.tolist()) == [5, 7, 7]
    assert (np.diff(found.scores) <= 0).all()
    overlap = box_iou(found.boxes, boxes[:3])
    for i, best in enumerate(overlap.argmax(1)):
        # Cells of 16 of the input are 32 of the picture; stretched pictures make the squares oblong.
        assert overlap[i, best] > 0.45
        assert OBJECTS[int(found.obj_ids[i])] == NAMES[PLACES[best][2]]
    assert sorted(overlap.argmax(1).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("layout", ["end_to_end", "torchvision", "ssd"])
def test_a_label_beyond_the_names_is_told_once(tmp_path: Path, layout: str, caplog: pytest.LogCaptureFixture) -> None:
    path = export(tmp_path / "detector.onnx", layout, names=False)
    config = SegmentationConfig(backend="graph", score_threshold=0.5)
    graph = replace(probe_detector(path, 2).config, labels=NAMES[:2])  # of red, green and blue the last was forgotten
    found = GraphSegmenter(replace(config, graph=graph), {7: "red"}, path)
    frame, _ = square_frame([(64, 48, 0), (288, 336, 1)])
    assert len(found.segment(frame)) == 1
    assert caplog.text == ""
    blue, _ = square_frame(PLACES)
    for _ in range(2):
        found.segment(blue)
    first = graph.first_label
    told = f"detector.onnx gives label {first + 2}, but its labels were named from {first} to {first + 1}"
    assert caplog.text.count(told) == 1


def test_engines_agree(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path = export(tmp_path / "detector.onnx", "yolo", masks=True)
    frame, _ = square_frame(PLACES)
    one, other = (segmenter(path, engine).segment(frame) for engine in ("openvino", "onnxruntime"))
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert (one.masks != other.masks).mean() < 1e-4


@pytest.mark.parametrize(("layout", "masks"), [("yolo", True), ("torchvision", True)])
def test_masks_are_those_of_the_network(tmp_path: Path, layout: str, masks: bool) -> None:
    found = segmenter(export(tmp_path / "detector.onnx", layout, masks=masks)).segment(square_frame(PLACES)[0])
    picture, _ = squares(PLACES)
    assert len(found) == 3
    for obj_id, box, mask in zip(found.obj_ids, found.boxes, found.masks, strict=True):
        channel = NAMES.index(OBJECTS[int(obj_id)])
        true = (picture[..., channel] > 180) & (picture.sum(2) < 420)
        inside = np.zeros_like(true)
        x0, y0, x1, y1 = box.round().astype(int)
        inside[y0:y1, x0:x1] = True
        true &= inside
        assert not (mask & ~inside).sum() > 200
        assert (mask & true).sum() / (mask | true).sum() > 0.9


def test_dynamic_sizes_are_taken(tmp_path: Path) -> None:
    probed = probe_detector(export(tmp_path / "a.onnx", "yolo", dynamic=True), None)
    assert (probed.config.width, probed.config.height) == (640, 640)
    probed = probe_detector(export(tmp_path / "b.onnx", "torchvision", dynamic=True), None)
    assert (probed.config.width, probed.config.height) == (0, 0)  # the frame as it is
    frame, boxes = square_frame(PLACES)
    found = segmenter(tmp_path / "a.onnx", score_threshold=0.9).segment(frame)
    assert len(found) >= 3
    assert box_iou(found.boxes, boxes).max(1).min() > 0.15  # its boxes have one size, half of what a square has here


def test_picture_without_anything(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        found = segmenter(export(tmp_path / f"{layout}.onnx", layout)).segment(square_frame([])[0])
        assert len(found) == 0
        assert found.masks.shape == (0, 480, 640)


def test_mask_of_a_box_is_what_stands_there_with_depth(tmp_path: Path) -> None:
    path = export(tmp_path / "detector.onnx", "yolo")
    picture, boxes = squares(PLACES[:1])
    depth = np.full(picture.shape[:2], 2.0, np.float32)
    depth[48:144, 64:160] = 1.0
    frame = RGBDFrame(picture, depth, CameraIntrinsics.of_view(640, 480, 60))
    found = segmenter(path).segment(frame)
    assert len(found) == 1
    true = depth < 1.5
    assert (found.masks[0] & ~true).sum() == 0
    assert (found.masks[0] & true).sum() > 0.6 * true.sum()
    # Without depth nothing tells the object from its surroundings: the whole box.
    flat = segmenter(path).segment(RGBDFrame.of_color(picture))
    x0, y0, x1, y1 = flat.boxes[0]
    assert flat.masks[0].sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.05)


def test_given_boxes_become_instances(tmp_path: Path) -> None:
    graph = segmenter(export(tmp_path / "detector.onnx", "yolo"))
    found = graph.instances_at(
        square_frame(PLACES)[0], np.array([[10.0, 20, 60, 90], [600, 400, 900, 900]]), np.array([7, 5])
    )
    np.testing.assert_allclose(found.boxes, [[10, 20, 60, 90], [600, 400, 640, 480]])
    assert found.masks.sum((1, 2)).tolist() == [50 * 70, 40 * 80]


def test_outputs_of_no_known_layout(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    out = helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, 3, 2 * SIDE, 2 * SIDE])
    node = helper.make_node("Upsample", ["image", "scale"], ["heat"])
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [4], [1, 1, 2, 2])
    graph = helper.make_graph([node], "g", [image], [out], [scale])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(BundleError, match=r"heat \[1, 3, 640, 640\].*no layout that is known"):
        probe_detector(tmp_path / "a.onnx", None)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([[4, 3, 64, 64]], "a batch of 4"),
        ([[1, 1, 64, 64]], "no axis of 3 channels"),
        ([[1, 12]], "a colour image is"),
        ([[1, 3, 64, 64], [1, 2]], "has 2 inputs"),
    ],
)
def test_input_that_is_no_image(tmp_path: Path, shapes: list[list[int]], message: str) -> None:
    import onnx
    from onnx import TensorProto, helper

    inputs = [helper.make_tensor_value_info(f"in{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    outputs = [helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    nodes = [helper.make_node("Relu", [f"in{i}"], [f"out{i}"]) for i in range(len(shapes))]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(BundleError, match=message):
        probe_detector(tmp_path / "a.onnx", None)


def test_graphs_do_not_run_on_torch(tmp_path: Path) -> None:
    path = export(tmp_path / "detector.onnx", "yolo")
    with pytest.raises(ConfigError, match="engine 'torch' cannot run detector.onnx: take openvino or onnxruntime"):
        segmenter(path, "torch")

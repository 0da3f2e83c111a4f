from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from block_scenes import CAMERA, LAMP, POST, STEPS, random_pose, render
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from template_scenes import block_search

from pose_tracking.core.depth_noise import DepthNoise, DepthNoiseConfig
from pose_tracking.core.errors import ConfigError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.core.regions import mask_iou
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.config import DepthSegmentsConfig, SegmentationConfig
from pose_tracking.segmentation.depth_segments import proposals
from pose_tracking.segmentation.depth_segments import segmenter as module
from pose_tracking.segmentation.depth_segments.planes import Plane, dominant_planes
from pose_tracking.segmentation.depth_segments.segmenter import DepthSegmenter
from pose_tracking.templates.surface import Surface, surface_of

CONFIG = SegmentationConfig(backend="depth_segments")


def segmenter(config: SegmentationConfig = CONFIG) -> DepthSegmenter:
    return DepthSegmenter(config, block_search())


def at(x: float, y: float, z: float, turn: int) -> NDArray[np.float64]:
    return make_transform(Rotation.random(random_state=turn).as_matrix(), [x, y, z])


def planes_of(frame: RGBDFrame, least_area: float = 0.05) -> list:
    surface, noise = surface_of(frame), DepthNoise(DepthNoiseConfig())
    known = surface.valid & surface.has_normal
    return dominant_planes(surface.points, surface.normals, known, noise, surface.pixel_angle, least_area, 5)


def test_the_wall_is_the_one_plane() -> None:
    frame, _ = render([(STEPS, at(-0.1, 0, 0.7, 0)), (LAMP, at(0.1, 0, 0.7, 1))], wall=1.1)
    (plane,) = planes_of(frame)
    np.testing.assert_allclose(plane.normal, [0, 0, -1], atol=0.02)
    assert plane.offset == pytest.approx(1.1, abs=0.01)


def test_no_plane_is_found_where_none_is_large_enough() -> None:
    frame, _ = render([(STEPS, at(0, 0, 0.7, 0))], wall=1.1)
    assert planes_of(frame, least_area=5.0) == []
    frame.depth[:] = np.where(frame.depth > 1.0, 0, frame.depth)  # nothing read but the object
    assert planes_of(frame) == []


def test_things_apart_are_found_as_what_they_are() -> None:
    truth = [(STEPS, at(-0.15, 0, 0.7, 0)), (LAMP, at(0.15, 0.05, 0.7, 1)), (POST, at(0.0, -0.05, 0.75, 2))]
    frame, masks = render(truth)
    found = segmenter().segment(frame)
    assert (np.diff(found.scores) <= 0).all()
    for (obj_id, _), mask in zip(truth, masks, strict=True):
        ious = [mask_iou(other, mask) for other in found.masks]
        best = int(np.argmax(ious))
        assert ious[best] > 0.75
        of_it = [int(found.obj_ids[i]) for i in range(len(found)) if ious[i] > 0.6]
        assert of_it[0] == obj_id  # its score comes first


def test_what_is_larger_than_any_object_is_no_part_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall that is not taken for a plane: nothing is joined with it, and what stands before it is still proposed."""
    frame, (mask,) = render([(STEPS, at(0, 0, 0.7, 0))], wall=1.1)
    joined = []

    def groups(surface: Surface, labels: NDArray[np.int64], noise: DepthNoise) -> list[frozenset[int]]:
        joined.append(labels.copy())
        return proposals.groups(surface, labels, noise)

    monkeypatch.setattr(module, "groups", groups)
    config = replace(CONFIG, depth_segments=DepthSegmentsConfig(plane_area=1000.0))
    surface = surface_of(frame)
    segments = segmenter(config).segments(surface, frame)
    small = mask[:: surface.step, :: surface.step]
    assert max(mask_iou(s.mask, small) for s in segments) > 0.85
    assert np.count_nonzero(joined[0][~small]) < 0.05 * np.count_nonzero(~small)


def test_a_room_far_behind_does_not_hide_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its readings stand for large areas and are noisy: many planes would lie in them, before the table's turn."""
    frame, _ = render([(STEPS, at(0, 0.06, 0.7, 0))], wall=0.8)
    height, width = frame.depth.shape
    random = np.random.default_rng(3)
    rough = cv2.resize(random.normal(0, 0.1, (height // 8, width // 8)).astype(np.float32), (width, height))
    frame.depth[: height // 2] = (4.5 + rough)[: height // 2]
    found = []

    def planes(*arguments: object) -> list[Plane]:
        found.extend(dominant_planes(*arguments))  # type: ignore[arg-type]
        return found

    monkeypatch.setattr(module, "dominant_planes", planes)
    segmenter().segments(surface_of(frame), frame)
    assert [round(plane.offset, 1) for plane in found] == [0.8]


@pytest.mark.parametrize("turns", [(4, 5), (6, 7), (12, 13)])
def test_things_that_touch_are_proposed_each_on_its_own(turns: tuple[int, int]) -> None:
    frame, masks = render([(STEPS, at(-0.045, 0, 0.7, turns[0])), (LAMP, at(0.05, 0.01, 0.72, turns[1]))])
    surface = surface_of(frame)
    segments = segmenter().segments(surface, frame)
    for mask in masks:
        assert max(mask_iou(s.mask, mask[:: surface.step, :: surface.step]) for s in segments) > 0.85


def test_boxes_masks_and_features_fit_each_other() -> None:
    frame, _ = render([(STEPS, at(-0.15, 0, 0.7, 0)), (LAMP, at(0.15, 0.05, 0.7, 1))])
    found = segmenter().segment(frame)
    assert found.masks.shape[1:] == frame.depth.shape
    for box, mask in zip(found.boxes, found.masks, strict=True):
        rows, cols = np.nonzero(mask)
        assert (box == [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]).all()
    features = descriptors(found)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    steps, lamp = (features[np.flatnonzero(found.obj_ids == i)[0]] for i in (STEPS, LAMP))
    assert 1 - steps @ lamp > 0.1  # red, green and blue against yellow and purple


def test_odd_sizes_keep_their_place() -> None:
    frame, _ = render([(STEPS, at(0, 0, 0.7, 0))])
    camera = replace(CAMERA, width=317, height=233)
    odd = RGBDFrame(frame.color[:233, :317].copy(), frame.depth[:233, :317].copy(), camera)
    found = segmenter().segment(odd)
    assert found.masks.shape[1:] == (233, 317)
    assert len(found)


def test_a_frame_without_depth_has_no_segments_which_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    frame, _ = render([(STEPS, at(0, 0, 0.7, 0))])
    own = segmenter()
    for _ in range(2):
        assert len(own.segment(RGBDFrame.of_color(frame.color))) == 0
    assert caplog.text.count("without depth") == 1


def test_bare_walls_and_holes_give_nothing() -> None:
    frame, _ = render([])
    assert len(segmenter().segment(frame)) == 0
    frame.depth[:] = 0
    frame.depth[100:103, 100:103] = 0.8
    assert len(segmenter().segment(frame)) == 0


def test_what_is_larger_or_farther_than_the_objects_is_left_out() -> None:
    frame, (mask,) = render([(STEPS, at(0, 0, 0.7, 0))])
    assert len(segmenter().segment(frame))
    near = replace(CONFIG, depth_segments=DepthSegmentsConfig(farthest=0.5))
    assert len(segmenter(near).segment(frame)) == 0
    large = replace(CONFIG, max_size_ratio=0.2, min_size_ratio=0.1)
    assert all(s.extent < 0.2 * 0.15 for s in segmenter(large).segments(surface_of(frame), frame))


def test_features_at_given_boxes_are_refused_by_name() -> None:
    frame, _ = render([(STEPS, random_pose(np.random.default_rng(0)))])
    with pytest.raises(ConfigError, match="DepthSegmenter"):
        segmenter().instances_at(frame, np.array([[1.0, 1, 50, 50]]), np.array([STEPS]))

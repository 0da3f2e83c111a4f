from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.segmentation import SegmentationConfig
from pose_tracking.segmentation.appearance import descriptors, mask_on_grid
from pose_tracking.segmentation.gating import EMPTY_MASK, NO_DEPTH, TOO_LARGE, TOO_SMALL, gate

HEIGHT, WIDTH, FOCAL = 120, 160, 200.0


@dataclass
class Model:
    diameter: float


def instance(mask: np.ndarray, features: np.ndarray | None = None, obj_id: int = 1) -> Instances:
    rows, columns = np.nonzero(mask)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 1, 1]
    features = np.ones((4, 7, 7), np.float32) if features is None else features
    return Instances(
        np.array([obj_id]),
        np.ones(1, np.float32),
        np.array([box], np.float32),
        mask[None],
        features[None].astype(np.float32),
    )


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def frame(depth: np.ndarray) -> RGBDFrame:
    color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return RGBDFrame(color, depth.astype(np.float32), CameraIntrinsics(WIDTH, HEIGHT, FOCAL, FOCAL, 80, 60))


def test_background_does_not_leak_into_a_descriptor() -> None:
    mask = square(20, 20, 56)
    mask[:, 48:] = False  # the left half of the box
    found = instance(mask)
    found.boxes[0] = (20, 20, 76, 76)
    found.roi_features = np.zeros((1, 2, 7, 7), np.float32)
    found.roi_features[0, 0, :, :3] = 2.0  # object
    found.roi_features[0, 1, :, 4:] = 9.0  # background
    np.testing.assert_allclose(descriptors(found), [[1.0, 0.0]], atol=1e-6)


def test_descriptors_are_unit_vectors_and_survive_empty_masks() -> None:
    rng = np.random.default_rng(0)
    parts = [
        instance(square(5, 5, 3), rng.normal(size=(4, 7, 7))),
        instance(square(0, 0, 0), rng.normal(size=(4, 7, 7))),
    ]
    both = Instances(*(np.concatenate([getattr(p, n) for p in parts]) for n in parts[0].__dataclass_fields__))
    out = descriptors(both)
    assert out.shape == (2, 4)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    plain = parts[1].roi_features[0].mean((1, 2))
    np.testing.assert_allclose(out[1], plain / np.linalg.norm(plain), atol=1e-5)
    assert descriptors(both.select(np.zeros(2, bool))).shape == (0, 4)
    zero = instance(square(5, 5, 9), np.zeros((4, 7, 7)))
    assert np.isfinite(descriptors(zero)).all()


@pytest.mark.parametrize("side", [1, 3, 7, 10, 50])
def test_a_mask_that_fills_its_box_fills_the_grid(side: int) -> None:
    mask = square(10, 10, side)
    np.testing.assert_allclose(mask_on_grid(mask, np.array([10, 10, 10 + side, 10 + side]), 7), 1.0, atol=1e-5)


def test_a_box_outside_of_the_image_gives_an_empty_grid() -> None:
    assert mask_on_grid(square(10, 10, 9), np.array([500, 500, 510, 510]), 7).sum() == 0


@pytest.mark.parametrize(
    ("mask", "depth", "diameter", "reason"),
    [
        (square(40, 40, 40), 1.0, 0.25, None),  # 40 px at 1 m and 200 px focal length are 0.2 m
        (square(0, 0, 0), 1.0, 0.25, EMPTY_MASK),
        (square(40, 40, 40), 0.0, 0.25, NO_DEPTH),
        (square(40, 40, 40), np.nan, 0.25, NO_DEPTH),
        (square(40, 40, 40), 3.0, 0.25, TOO_LARGE),
        (square(40, 40, 4), 1.0, 0.25, TOO_SMALL),
        (square(40, 40, 40), 3.0, None, None),  # size unknown
    ],
)
def test_gate_gives_the_reason(mask: np.ndarray, depth: float, diameter: float | None, reason: str | None) -> None:
    objects = {} if diameter is None else {1: Model(diameter)}
    kept, rejected = gate(instance(mask), frame(np.full((HEIGHT, WIDTH), depth)), objects, SegmentationConfig())
    assert len(kept) == (reason is None)
    assert rejected == ({} if reason is None else {reason: 1})


def test_gate_judges_each_instance_and_obeys_the_coverage_option() -> None:
    depth = np.ones((HEIGHT, WIDTH))
    depth[:, 100:] = 0
    parts = [instance(square(x, 20, 40)) for x in (10, 70, 110)]  # covered wholly, to 30/40 and not at all
    both = Instances(*(np.concatenate([getattr(p, n) for p in parts]) for n in parts[0].__dataclass_fields__))
    kept, rejected = gate(both, frame(depth), {1: Model(0.25)}, SegmentationConfig())
    assert kept.boxes[:, 0].tolist() == [10, 70]
    assert rejected == {NO_DEPTH: 1}
    strict = replace(SegmentationConfig(), min_depth_coverage=0.9)
    assert gate(both, frame(depth), {1: Model(0.25)}, strict)[1] == {NO_DEPTH: 2}

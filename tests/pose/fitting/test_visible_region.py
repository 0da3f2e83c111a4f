"""Box and mask of what is seen, from few rays, are those of every pixel."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from block_scenes import LAMP, STEPS, random_pose, render, write_objects

from pose_tracking.objects import ObjectSet, raycasting
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.pose.fitting.visible_region import exact_box, visible_mask


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    objects: ObjectSet = write_objects(tmp_path_factory.mktemp("objects"))
    return Verifier(VerificationConfig(), objects)


@pytest.mark.parametrize("hidden", [0, 150])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("obj_id", [STEPS, LAMP])
def test_few_rays_find_the_box_of_all(verifier: Verifier, obj_id: int, seed: int, hidden: int) -> None:
    pose = random_pose(np.random.default_rng(seed))
    frame, _ = render([(obj_id, pose)], seed=seed)
    depth = frame.depth.copy()
    depth[:, :hidden] = 0.3
    frame = replace(frame, depth=depth)
    every = verifier.compare(frame, obj_id, pose)
    few = verifier.compare(frame, obj_id, pose, 400)
    assert few.step > 1
    if few.agrees.sum() < 50:  # hardly seen
        return
    # What sticks out of the grid's box by less than a ray's share of a corner may be lost.
    np.testing.assert_allclose(exact_box(verifier, frame, obj_id, pose, few), every.box(), atol=1)


def test_the_box_of_a_fine_mesh_is_the_same(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    pose = random_pose(np.random.default_rng(1))
    frame, _ = render([(STEPS, pose)])
    few = verifier.compare(frame, STEPS, pose, 200)
    rasterized = exact_box(verifier, frame, STEPS, pose, few)
    monkeypatch.setattr(raycasting, "FACES_RASTERIZED", 0)
    np.testing.assert_array_equal(exact_box(verifier, frame, STEPS, pose, few), rasterized)
    cast = verifier.compare(frame, STEPS, pose, 200)
    assert (cast.step, cast.region) == (few.step, few.region)
    np.testing.assert_array_equal(cast.rows, few.rows)
    np.testing.assert_allclose(cast.behind, few.behind, atol=1e-6)
    np.testing.assert_allclose(cast.tolerance, few.tolerance, atol=1e-9)


def test_the_mask_holds_what_is_seen_and_the_holes_in_it(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(2))
    frame, (mask,) = render([(STEPS, pose)])
    depth = frame.depth.copy()
    rows, cols = np.nonzero(mask)
    middle = rows[len(rows) // 2], int(np.median(cols[rows == rows[len(rows) // 2]]))
    depth[middle[0] - 1 : middle[0] + 2, middle[1] - 1 : middle[1] + 2] = 0.0
    depth[:, : cols.min() + 10] = 0.0  # as wide as no hole is
    frame = replace(frame, depth=depth)
    compared = verifier.compare(frame, STEPS, pose)
    seen = visible_mask(compared, frame.depth.shape)
    assert seen[middle]
    assert not seen[:, : cols.min() + 6].any()
    whole = compared.painted(compared.agrees, frame.depth.shape).astype(np.uint8)
    closed = cv2.morphologyEx(whole, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0
    blind = compared.painted(compared.blind, frame.depth.shape)
    np.testing.assert_array_equal(seen, (whole > 0) | (closed & blind))


def test_each_ray_paints_the_pixels_it_stands_for(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(2))
    frame, (mask,) = render([(STEPS, pose)])
    for rays in (2000, 600, 200):
        few = verifier.compare(frame, STEPS, pose, rays)
        painted = few.painted(few.agrees, frame.depth.shape)
        overlap = (painted & mask).sum() / (painted | mask).sum()
        assert overlap > 1 - 0.05 * few.step
        assert painted.sum() <= few.agrees.sum() * few.step**2

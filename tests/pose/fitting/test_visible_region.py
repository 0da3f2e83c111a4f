"""Box and mask of what is seen, from few rays, are those of every pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from block_scenes import LAMP, STEPS, random_pose, render, write_objects

from pose_tracking.objects import ObjectSet
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.scoring import Verifier
from pose_tracking.pose.fitting.visible_region import exact_box


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
    found = exact_box(verifier, frame, obj_id, pose, few)
    # What sticks out of the grid's box by less than a ray's share of a corner may be lost.
    assert found is not None
    np.testing.assert_allclose(found, every.box(), atol=1)


def test_each_ray_paints_the_pixels_it_stands_for(verifier: Verifier) -> None:
    pose = random_pose(np.random.default_rng(2))
    frame, (mask,) = render([(STEPS, pose)])
    for rays in (2000, 600, 200):
        few = verifier.compare(frame, STEPS, pose, rays)
        painted = few.painted(few.agrees, frame.depth.shape)
        overlap = (painted & mask).sum() / (painted | mask).sum()
        assert overlap > 1 - 0.05 * few.step
        assert painted.sum() <= few.agrees.sum() * few.step**2

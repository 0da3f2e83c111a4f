from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from presence import objects_of, present

from pose_tracking.core.boxes import mask_box
from pose_tracking.datasets import BopScene, Sample, complete_ground_truth


@pytest.fixture(scope="module")
def cat(data_dir) -> Sample:
    return BopScene(data_dir / "linemod" / "test" / "000006")[0]


def test_the_rendered_silhouette_matches_the_annotated_mask(cat, linemod_objects):
    [annotated] = objects_of(cat)
    bare = replace(cat, objects=[replace(annotated, mask=None, box=None)])
    [item] = objects_of(complete_ground_truth(bare, linemod_objects))
    mask, expected = present(item.mask), present(annotated.mask)
    overlap = (mask & expected).sum() / (mask | expected).sum()
    assert overlap > 0.9
    assert np.abs(present(item.box) - present(annotated.box)).max() <= 3
    assert item.visibility is None


def test_what_is_known_stays(cat, linemod_objects):
    [annotated] = objects_of(cat)
    [item] = objects_of(complete_ground_truth(cat, linemod_objects))
    assert item.mask is annotated.mask
    assert item.box is annotated.box
    unknown = replace(annotated, obj_id=99, mask=None)
    assert complete_ground_truth(replace(cat, objects=[unknown]), linemod_objects).objects == [unknown]
    assert complete_ground_truth(replace(cat, objects=None), linemod_objects).objects is None


def test_what_lies_in_front_hides(cat, linemod_objects):
    bare = replace(objects_of(cat)[0], mask=None, box=None)
    [whole] = objects_of(complete_ground_truth(replace(cat, objects=[bare]), linemod_objects))
    middle = int(present(whole.box)[[0, 2]].mean())
    depth = cat.frame.depth.copy()
    depth[:, :middle] = 0.5  # a wall half a metre in front of it
    behind = Sample(replace(cat.frame, depth=depth), [bare])
    [hidden] = objects_of(complete_ground_truth(behind, linemod_objects))
    mask = present(hidden.mask)
    assert not mask[:, :middle].any()
    np.testing.assert_array_equal(mask[:, middle:], present(whole.mask)[:, middle:])
    np.testing.assert_array_equal(hidden.box, mask_box(mask))
    np.testing.assert_array_equal(hidden.amodal_box, whole.amodal_box)


def test_of_two_objects_the_nearer_one_is_seen(cat, linemod_objects):
    far = replace(objects_of(cat)[0], mask=None, box=None)
    nearer_pose = far.pose.copy()
    nearer_pose[:3, 3] *= 0.8
    near = replace(far, pose=nearer_pose)
    blind = replace(cat.frame, depth=np.zeros_like(cat.frame.depth))
    both = objects_of(complete_ground_truth(Sample(blind, [far, near]), linemod_objects))
    first, second = (present(item.mask) for item in both)
    assert not (first & second).any()
    assert second.sum() > first.sum()

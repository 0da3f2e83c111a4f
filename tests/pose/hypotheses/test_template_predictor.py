from __future__ import annotations

from dataclasses import replace

import numpy as np
from block_scenes import LAMP, STEPS, random_pose, render
from template_scenes import block_search

from pose_tracking.bundles.no_training import WITHOUT_NETWORKS
from pose_tracking.core.depth_noise import DepthNoiseConfig
from pose_tracking.core.geometry import transform_points
from pose_tracking.core.results import Instances
from pose_tracking.pose.config import PoseConfig, SearchConfig
from pose_tracking.pose.estimator import PoseEstimator
from pose_tracking.pose.hypotheses.template_predictor import TemplatePredictor
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.depth_segments.segmenter import DepthSegmenter
from pose_tracking.templates.search import TemplateSearch

CONFIG = PoseConfig(proposed_by="templates", hypotheses=2, search=SearchConfig(enabled=False))


def instances_of(obj_ids: list[int], masks: list[np.ndarray]) -> Instances:
    boxes = [
        [np.nonzero(m)[1].min(), np.nonzero(m)[0].min(), np.nonzero(m)[1].max(), np.nonzero(m)[0].max()] for m in masks
    ]
    count = len(obj_ids)
    return Instances(
        np.array(obj_ids), np.ones(count, np.float32), np.array(boxes, np.float32), np.stack(masks),
        np.zeros((count, 1, 1, 1), np.float32),
    )  # fmt: skip


def estimator(search: TemplateSearch, config: PoseConfig = CONFIG) -> PoseEstimator:
    return PoseEstimator(config, search.objects, TemplatePredictor(config, search.objects, search))


def test_poses_under_given_masks_are_right() -> None:
    rng, search, right, count = np.random.default_rng(8), block_search(), 0, 0
    own = estimator(search)
    for seed in range(5):
        poses = [random_pose(rng), random_pose(rng)]
        poses[0][0, 3] -= 0.15
        poses[1][0, 3] += 0.15
        frame, masks = render(list(zip([STEPS, LAMP], poses, strict=True)), seed=seed)
        for estimate, truth, obj_id in zip(
            own.estimate(frame, instances_of([STEPS, LAMP], masks)), poses, [STEPS, LAMP], strict=True
        ):
            model = search.objects[obj_id]
            points = model.mesh.sample_surface(200, 0)[0]  # type: ignore[union-attr]
            assert estimate is not None
            apart = np.linalg.norm(transform_points(estimate.pose, points) - transform_points(truth, points), axis=1)
            right += apart.mean() < 0.1 * model.diameter
            count += 1
    assert right >= 0.9 * count


def test_what_the_detector_has_found_is_taken_over() -> None:
    search = block_search()
    frame, _ = render([(STEPS, random_pose(np.random.default_rng(1)))])
    instances = DepthSegmenter(SegmentationConfig(), search).segment(frame)
    predictor = TemplatePredictor(CONFIG, search.objects, search)
    before = predictor.predict(frame, instances)
    known = search.remembered(int(instances.obj_ids[0]), instances.masks[0])
    assert known is not None
    np.testing.assert_array_equal(before.poses[0, 0], known.poses[0])
    # Another frame, another search: nothing is remembered, and much the same is found.
    again = TemplatePredictor(CONFIG, search.objects, block_search()).predict(replace(frame), instances)
    assert again.valid[0]
    np.testing.assert_allclose(again.poses[0, 0], before.poses[0, 0], atol=0.05)


def test_a_frame_forgets_what_was_found_in_the_one_before() -> None:
    search = block_search()
    frame, _ = render([(STEPS, random_pose(np.random.default_rng(1)))])
    instances = DepthSegmenter(SegmentationConfig(), search).segment(frame)
    search.surface(replace(frame))
    assert search.remembered(int(instances.obj_ids[0]), instances.masks[0]) is None


def test_no_depth_under_a_mask_is_no_pose() -> None:
    search = block_search()
    frame, (mask,) = render([(STEPS, random_pose(np.random.default_rng(1)))])
    frame.depth[mask] = 0
    hypotheses = TemplatePredictor(CONFIG, search.objects, search).predict(frame, instances_of([STEPS], [mask]))
    assert not hypotheses.valid[0]
    assert estimator(search).estimate(frame, instances_of([STEPS], [mask])) == [None]


def test_no_instances() -> None:
    search = block_search()
    frame, _ = render([])
    none = Instances.empty(*frame.depth.shape)
    assert TemplatePredictor(CONFIG, search.objects, search).predict(frame, none).poses.shape == (0, 2, 4, 4)


def test_a_bundle_without_training_copes_with_a_noisy_camera() -> None:
    """Whose noise nobody has stated."""
    rng, search, found = np.random.default_rng(4), block_search(), []
    frame, masks = render([(STEPS, random_pose(rng))], seed=3)
    frame.depth[:] += rng.normal(0, 0.004, frame.depth.shape).astype(np.float32) * (frame.depth > 0)
    written = WITHOUT_NETWORKS["pose"]
    for model in (written["depth_noise"]["model"], "kinect"):
        config = replace(
            CONFIG,
            verification=replace(CONFIG.verification, **written["verification"]),
            depth_noise=DepthNoiseConfig(model=model),
        )
        (estimate,) = estimator(search, config).estimate(frame, instances_of([STEPS], masks))
        assert estimate is not None
        found.append(estimate.confidence)
    assert found[0] > WITHOUT_NETWORKS["pipeline"]["min_pose_confidence"] > found[1]

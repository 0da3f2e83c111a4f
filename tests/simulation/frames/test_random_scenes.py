from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes, random_frames
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

CONFIG = RandomSceneConfig(width=320, height=240, focal=(262.0, 310.0))


@pytest.fixture(scope="module")
def scenes(demo_objects):
    return RandomScenes(demo_objects, CONFIG)


@pytest.fixture(scope="module")
def samples(scenes):
    return [scenes.render(0, index) for index in range(12)]


def test_a_frame_follows_from_seed_and_index_alone(scenes, samples, demo_objects):
    series = list(random_frames(demo_objects, CONFIG, 0, start=2, count=2))  # in a fresh renderer
    assert len(series) == 2
    for one, again in zip(samples[2:4], series, strict=True):
        np.testing.assert_array_equal(one.frame.color, again.frame.color)
        np.testing.assert_array_equal(one.frame.depth, again.frame.depth)
        assert [o.obj_id for o in one.objects] == [o.obj_id for o in again.objects or ()]
    early = scenes.render(0, 0)  # out of order
    np.testing.assert_array_equal(early.frame.color, samples[0].frame.color)
    assert (scenes.render(6, 2).frame.color != samples[2].frame.color).any()


def test_frames_are_valid_and_varied(samples):
    visibility, distances, repeated = [], [], 0
    for sample in samples:
        sample.frame.check()
        covered = np.zeros(sample.frame.depth.shape, int)
        for entry in sample.objects:
            covered += entry.mask
            assert entry.mask.sum() >= CONFIG.min_visible
            x0, y0, x1, y1 = entry.box.astype(int)
            assert entry.mask[y0:y1, x0:x1].sum() == entry.mask.sum()
            np.testing.assert_allclose(entry.pose[:3, :3] @ entry.pose[:3, :3].T, np.eye(3), atol=1e-9)
            assert np.linalg.det(entry.pose[:3, :3]) == pytest.approx(1)
            visibility.append(entry.visibility)
            distances.append(entry.pose[2, 3])
        assert covered.max() <= 1  # a pixel belongs to one instance
        ids = [o.obj_id for o in sample.objects]
        repeated += len(ids) > len(set(ids))
        assert len(ids) <= CONFIG.instances[1]
    shares = np.array(visibility)
    assert ((shares > 0) & (shares <= 1)).all()
    assert (shares < 0.3).any()
    assert (shares > 0.95).any()
    assert min(distances) >= CONFIG.distance[0] - 1e-6
    assert max(distances) <= CONFIG.distance[1] + 0.15
    assert repeated >= 6


def test_the_measured_depth_is_that_of_the_posed_objects(samples, demo_objects):
    errors = []
    for sample in samples[:4]:
        points = sample.frame.intrinsics.backproject(sample.frame.depth)
        for entry in sample.objects:
            seen = points[entry.mask & (sample.frame.depth > 0)]
            if len(seen) < 30:
                continue
            local = (seen - entry.pose[:3, 3]) @ entry.pose[:3, :3]
            surface, _ = demo_objects[entry.obj_id].mesh.sample_surface(3000)
            errors.append(np.median(np.linalg.norm(local[::5, None] - surface[None], axis=2).min(1)))
    assert len(errors) > 10
    assert np.median(errors) < 0.004


@pytest.mark.parametrize("tables", [0.0, 1.0])
def test_one_object_alone_is_shown_in_several_copies(demo_objects, tables):
    scenes = RandomScenes(ObjectSet({2: demo_objects[2]}), replace(CONFIG, tables=tables))
    counts = []
    for index in range(3):
        sample = scenes.render(0, index)
        sample.frame.check()
        assert sample.objects is not None
        assert {o.obj_id for o in sample.objects} <= {2}
        counts.append(len(sample.objects))
    assert max(counts) > 2


def test_a_frame_without_anything_is_a_frame(demo_objects):
    scenes = RandomScenes(demo_objects, replace(CONFIG, instances=(0, 0), clutter=(0, 0), camouflage=1.0, dark=1.0))
    for index in range(3):
        assert scenes.render(0, index).objects == []


def test_no_meshes_is_a_clear_error(demo_objects, tmp_path):
    from pose_tracking.core.errors import ConfigError

    info = next(iter(demo_objects.values())).mesh_path.parent.parent / "models_info.json"
    with pytest.raises(ConfigError, match="--objects"):
        RandomScenes(ObjectSet.load(info))


def test_recorded_backgrounds_are_used_and_keep_their_geometry(demo_objects, data_dir):
    recorded = RecordedBackgrounds(data_dir / "mosd", "train")
    config = RandomSceneConfig(instances=(0, 0), clutter=(0, 0), recorded=1.0)
    frame = RandomScenes(demo_objects, config, recorded).render(0, 0).frame
    points = frame.intrinsics.backproject(frame.depth)[frame.depth > 0]
    assert len(points) > 50_000
    # The table of the recording is still a plane.
    from pose_tracking.core.planes import find_plane

    plane = find_plane(frame.depth, frame.intrinsics)
    assert plane is not None
    distance = np.abs(points @ plane[:3] + plane[3])
    assert (distance < 0.02).mean() > 0.3

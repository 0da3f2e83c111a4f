"""What `--set` changes in a bundle."""

from __future__ import annotations

import pytest

from pose_tracking.bundles.bundle import ModelBundle
from pose_tracking.cli.evaluation_plan import make_plan
from pose_tracking.core.errors import ConfigError


def test_options_of_pose_tracking_and_pipeline_are_set() -> None:
    bundle = ModelBundle.load("demo", require_weights=False)
    settings = ["pose.depth_noise.model=stereo", "pose.accept=0.5", "tracking.max_age=3", "pipeline.segment_every=2"]
    settings.append("inference.engine=torch")
    config = make_plan(None, settings, seed=0).configured(bundle).config
    assert (config.pose.depth_noise.model, config.pose.accept) == ("stereo", 0.5)
    assert (config.tracking.max_age, config.pipeline.segment_every) == (3, 2)
    assert (config.inference.engine, config.inference.precision) == ("torch", "auto")
    assert make_plan(None, [], seed=0).configured(bundle).config == bundle.config


def test_options_of_the_detector_are_set_but_for_those_its_weights_fix() -> None:
    bundle = ModelBundle.load("demo", require_weights=False)
    settings = ["segmentation.score_threshold=0.3", "segmentation.depth_segments.max_planes=9"]
    config = make_plan(None, settings, seed=0).configured(bundle).config.segmentation
    assert (config.score_threshold, config.depth_segments.max_planes) == (0.3, 9)
    with pytest.raises(ConfigError, match=r"segmentation.roi_size=14'?: fixed by the detector's training"):
        make_plan(None, ["segmentation.roi_size=14"], seed=0).configured(bundle)
    with pytest.raises(ConfigError, match="score_threshold = 2"):
        make_plan(None, ["segmentation.score_threshold=2"], seed=0).configured(bundle)


def test_a_sensor_that_is_not_known_is_refused() -> None:
    plan = make_plan(None, ["pose.depth_noise.model=sonar"], seed=0)
    with pytest.raises(ConfigError, match="'sonar' is not one of kinect, stereo, time_of_flight, astra, auto"):
        plan.configured(ModelBundle.load("demo", require_weights=False))

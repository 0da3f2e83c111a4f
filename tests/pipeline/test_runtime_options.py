"""Every option that may change at run time does change what comes out of a running pipeline.

A case that cannot tell whether its option was heard fails, and so does an option without a case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from option_scenes import TRUTH, Running, Scenes, behind, blind, feature_at, turned
from pose_scenario import at as flat
from pose_scenario import detect

from pose_tracking.bundles import runtime_options
from pose_tracking.bundles.runtime_options import RUNTIME_OPTIONS, find_option
from pose_tracking.core.errors import ConfigError
from pose_tracking.pose.config import PoseConfig


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return Scenes(tmp_path_factory.mktemp("objects"))


@dataclass(frozen=True)
class Case:
    """How it shows that a running pipeline has heard of an option.

    Attributes:
        scene: makes the pipeline.
        value: another value of the option.
        options: of the pipeline in any case.
        before: what happens to the pipeline when it has seen its first frame.
        frames: how many of those that follow are looked at.
    """

    scene: Callable[[Scenes], Running]
    value: Any
    options: dict[str, Any] = field(default_factory=dict)
    before: Callable[[Running], None] = field(default=lambda running: None)
    frames: int = 1

    def outcome(self, running: Running, **changes: Any) -> np.ndarray:
        """All numbers of the frames after options have changed."""
        running.begin()
        self.before(running)
        running.tracker.configure(**changes)
        return np.array([number for _ in range(self.frames) for number in running.show()])


def forget(running: Running) -> None:
    """Nothing is tracked: the next frame has no prediction to begin with."""
    running.tracker.reset()


def untracked(running: Running) -> None:
    """As `forget`, while the pose stage goes on."""
    running.tracker.tracker.reset()


WRONG = turned(3.1)
# Ranks the rotations it finds badly: the right one is not the first.
COARSE = replace(PoseConfig().search, rotations=24, alignments=0, template_points=16, points=16)
CASES = {
    "score_threshold": Case(Scenes.detected, 1.0),
    "nms_iou": Case(Scenes.detected, 0.0),
    "cross_class_iou": Case(Scenes.detected, 0.0),
    "max_detections": Case(Scenes.detected, 1),
    "mask_threshold": Case(Scenes.detected, 0.9),
    "min_depth_coverage": Case(Scenes.holed, 0.9),
    "min_size_ratio": Case(Scenes.believed, 10.0),
    "max_size_ratio": Case(Scenes.believed, 0.0),
    "pose.crop.min_points": Case(Scenes.proposed, 4096),
    "hypotheses": Case(Scenes.proposed, 1),
    "hypothesis_pool": Case(Scenes.proposed, 1),
    "refine_iterations": Case(Scenes.proposed, 7),
    "accept": Case(lambda s: s.checked(WRONG, TRUTH), 0.0, {"pose.search.enabled": False}, before=forget),
    "refine_from": Case(lambda s: s.checked(WRONG, TRUTH), 1.0, {"pose.search.enabled": False}, before=forget),
    "time_budget": Case(
        lambda s: s.checked(WRONG, turned(1.5), TRUTH), 0.001, {"pose.search.enabled": False}, before=forget
    ),
    "pose.icp.enabled": Case(lambda s: s.checked(turned(0.05)), False),
    "pose.depth_noise.model": Case(lambda s: s.checked(turned(0.05)), "astra"),
    "pose.depth_noise.scale": Case(lambda s: s.checked(turned(0.05)), 5.0),
    "pose.depth_noise.offset": Case(lambda s: s.checked(turned(0.05)), 0.02),
    "pose.depth_noise.relative": Case(lambda s: s.checked(turned(0.05)), 0.05),
    "pose.depth_noise.lateral": Case(lambda s: s.checked(turned(0.05)), 0.02),
    "pose.depth_noise.warp": Case(lambda s: s.checked(turned(0.05)), 0.01),
    "pose.depth_noise.warp_length": Case(lambda s: s.checked(turned(0.05)), 2.0),
    "pose.search.enabled": Case(lambda s: s.checked(WRONG), False, before=forget),
    "pose.search.below": Case(lambda s: s.checked(WRONG), 0.0, before=forget),
    "pose.search.min_score": Case(lambda s: s.checked(WRONG, score=0.5), 1.0, before=forget),
    "pose.search.keep": Case(lambda s: s.checked(WRONG, search=COARSE), 1, before=forget),
    # What is found fits, but not as well as that: the search counts as one in vain.
    "pose.search.every": Case(lambda s: s.checked(WRONG), 1, {"pose.search.below": 1.0}, before=untracked),
    "motion": Case(lambda s: s.given(behind(detect(flat(0.0), feature_at(0.0)))), "box"),
    "motion_weight": Case(lambda s: s.given(detect(flat(0.012), feature_at(0.0))), 1.0),
    "min_pose_confidence": Case(lambda s: s.believed(0.5, meshes=True), 0.9),
    "begin_confidence": Case(lambda s: s.believed(0.6, meshes=True), 0.9, before=forget),
    "begin_repeated": Case(lambda s: s.believed(0.4, meshes=True), False, frames=2),
    "min_unchecked_score": Case(lambda s: s.believed(score=0.6), 0.9),
    "min_colorless_score": Case(lambda s: s.grey(score=0.6), 0.9),
    "keep_without_pose": Case(lambda s: s.believed(None), True),
    "segment_every": Case(lambda s: s.checked(TRUTH), 5, frames=2),
    "detector_thread": Case(lambda s: s.checked(TRUTH), True, {"detector_delay": 1}, frames=4),
    "detector_delay": Case(lambda s: s.checked(TRUTH), 2, {"detector_thread": True, "detector_delay": 1}, frames=5),
    "network_every": Case(lambda s: s.checked(TRUTH), 1, frames=4),
    "recover_missed": Case(lambda s: s.checked(TRUTH), False, before=blind),
    "camera_odometry": Case(Scenes.jerked, False),
    "recovery_confidence": Case(lambda s: s.checked(TRUTH), 1.0, before=blind),
    "pipeline.events.enabled": Case(lambda s: s.checked(TRUTH), False),
    "pipeline.events.clips.every": Case(Scenes.watched, 1, frames=20),
    "pipeline.events.clips.min_probability": Case(Scenes.watched, 0.0, frames=20),
    "pipeline.events.clips.check_poses": Case(Scenes.contradicted, False, frames=20),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With more of them poses are tried ahead of their turn, within the same time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    # ICP sums in any order: equal to rounding, not to the bit.
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_every_option_has_a_case() -> None:
    assert set(CASES) == set(RUNTIME_OPTIONS)


@pytest.mark.parametrize("name", CASES)
def test_a_change_on_a_running_pipeline_changes_what_comes_out(scenes: Scenes, name: str) -> None:
    case = CASES[name]
    running = case.scene(scenes)
    running.tracker.configure(**case.options)
    before = case.outcome(running)
    assert alike(before, case.outcome(running)), "the scene does not repeat: nothing can be told from it"
    assert not alike(before, case.outcome(running, **{name: case.value})), f"{name} is ignored"


# Names, types and limits.


def test_options_are_called_by_their_field_or_by_their_path() -> None:
    paths = {name: ".".join(option.path) for name, option in RUNTIME_OPTIONS.items()}
    assert paths["motion_weight"] == "tracking.motion_weight"
    assert paths["pose.icp.enabled"] == "pose.icp.enabled"
    assert all(name == path or name == path.split(".")[1] for name, path in paths.items())
    # Names that users have written.
    assert set(paths) >= {
        "motion", "motion_weight", "score_threshold", "min_pose_confidence", "keep_without_pose", "segment_every",
        "recover_missed", "refine_iterations",
    }  # fmt: skip


def test_options_are_those_marked_in_the_configs() -> None:
    option = find_option("segment_every")
    assert (option.default, option.range, option.unit) == (1, (0, 1000), "frames")
    with pytest.raises(ConfigError, match="'n_init' cannot change at run time"):
        find_option("n_init")


def test_values_are_checked_as_those_of_a_bundle(scenes: Scenes) -> None:
    tracker = scenes.believed().tracker
    for options, culprit in (
        ({"segment_every": 2.5}, "segment_every = 2.5 is not of type int"),
        ({"pose.search.below": 2.0}, "below = 2.0 is outside 0 to 1"),
        ({"time_budget": -1.0}, "time_budget = -1.0 is outside 0 to 60000"),
        ({"motion": "sound"}, "motion = 'sound' is not one of box, pose, both"),
        ({"recover_missed": False, "motion_weight": "high"}, "motion_weight = 'high' is not of type float"),
    ):
        with pytest.raises(ConfigError, match=culprit):
            tracker.configure(**options)
    assert tracker.option("recover_missed") is True  # all or none
    tracker.configure(segment_every="auto")  # a word in place of a number
    assert tracker.option("segment_every") == 0
    with pytest.raises(ConfigError, match="segment_every = 'often' is not of type int"):
        tracker.configure(segment_every="often")
    tracker.configure(motion_weight=1)
    assert isinstance(tracker.option("motion_weight"), float)


def test_a_name_of_the_version_before_is_taken_with_a_warning(scenes: Scenes, caplog: pytest.LogCaptureFixture) -> None:
    runtime_options._say_renamed.cache_clear()
    tracker = scenes.believed().tracker
    with caplog.at_level(logging.WARNING):
        tracker.configure(carry_missed=False)
        tracker.configure(carry_missed=False)
    assert tracker.option("recover_missed") is tracker.option("carry_missed") is False
    assert [r.getMessage() for r in caplog.records] == [
        "option 'carry_missed' is now called 'recover_missed'; the old name goes with the next version"
    ]
    with pytest.raises(ConfigError, match="'carry_missed' is the former name of 'recover_missed': state one of them"):
        tracker.configure(carry_missed=True, recover_missed=True)


def test_the_depth_tracker_goes_by_the_options_of_the_stages(scenes: Scenes) -> None:
    """Also where a config is replaced as a whole."""
    running = scenes.checked(TRUTH)
    running.show()
    blind(running)
    running.show()
    assert running.tracker.report.recovered == 1
    depth_tracking = replace(running.tracker.config.depth_tracking, min_visible=1.0)
    running.tracker.config = replace(running.tracker.config, depth_tracking=depth_tracking)
    running.show()
    assert running.tracker.report.recovered == 0

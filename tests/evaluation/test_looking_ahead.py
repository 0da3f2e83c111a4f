"""The evaluation lets the detector look at the next sample while the present one is tracked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from block_scenes import LAMP, STEPS, write_objects
from block_stream import Scene, at

from pose_tracking.datasets.sample import GroundTruthObject, Sample
from pose_tracking.evaluation.evaluator import evaluate
from pose_tracking.objects import ObjectSet
from pose_tracking.pipeline import look_ahead


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> ObjectSet:
    return write_objects(tmp_path_factory.mktemp("objects"))


class Blocks:
    """Two scenes of blocks at rest."""

    name = "blocks"

    def __init__(self, scene: Scene) -> None:
        placed = [(STEPS, at(-0.12)), (LAMP, at(0.05, 0.05))]
        truth = [GroundTruthObject(obj_id, pose, 1.0) for obj_id, pose in placed]
        self.samples = [Sample(scene.frame(placed), truth, number // 4, number % 4, True) for number in range(8)]

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def test_only_the_first_frame_is_waited_for_and_the_scores_are_the_same(
    objects: ObjectSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []
    for cores in (1, 2):
        monkeypatch.setattr(look_ahead, "free_cores", lambda cores=cores: cores)
        scene = Scene(objects)
        ahead: list[bool] = []
        report = evaluate(
            Blocks(scene),
            scene.tracker,
            on_frame=lambda *_, tracker=scene.tracker, ahead=ahead: ahead.append(tracker.report.looked_ahead),
        )
        assert ahead == ([False] * 8 if cores == 1 else [False] + [True] * 7)
        assert len(scene.truth.calls) == 8
        scores.append(report.data["pose"]["mean"]["add_s_recall"])
    assert scores[0] == scores[1]
    assert scores[0] == pytest.approx(1.0)

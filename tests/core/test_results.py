from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.results import Instances, TrackedObject, TrackState


def instances() -> Instances:
    return Instances(
        np.array([3, 1, 3]),
        np.array([0.9, 0.8, 0.4], np.float32),
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.arange(3)[:, None, None] == np.zeros((3, 4, 5)),
        np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((3, 2, 7, 7), np.float32),
    )


@pytest.mark.parametrize("index", [np.array([True, False, True]), np.array([0, 2])])
def test_select_keeps_every_column_in_step(index: np.ndarray) -> None:
    chosen = instances().select(index)
    assert len(chosen) == 2
    np.testing.assert_array_equal(chosen.obj_ids, [3, 3])
    np.testing.assert_allclose(chosen.scores, [0.9, 0.4])
    np.testing.assert_array_equal(chosen.boxes[:, 0], [0, 8])
    assert chosen.masks[0].all()
    assert not chosen.masks[1].any()
    np.testing.assert_array_equal(chosen.roi_features[:, 0, 0, 0], [0, 2])


def test_empty_has_the_shapes_of_a_frame() -> None:
    empty = Instances.empty(48, 64, 256, 7)
    assert len(empty) == 0
    assert empty.boxes.shape == (0, 4)
    assert empty.masks.shape == (0, 48, 64)
    assert empty.roi_features.shape == (0, 256, 7, 7)
    assert len(empty.select(np.zeros(0, bool))) == 0


@pytest.mark.parametrize(
    ("state", "unmatched", "confirmed", "observed"),
    [
        (TrackState.TENTATIVE, 0, False, True),
        (TrackState.CONFIRMED, 0, True, True),
        (TrackState.COASTING, 2, True, False),
    ],
)
def test_state_of_a_tracked_object(state: TrackState, unmatched: int, confirmed: bool, observed: bool) -> None:
    track = TrackedObject(
        1, 6, "cat", state, None, None, None, np.ones(3), 0.9, 0.8, np.zeros(4), 5, 0.5, unmatched, unmatched * 0.1, 4
    )
    assert track.is_confirmed == confirmed
    assert track.is_observed == observed


def test_states_are_those_of_the_message(request: pytest.FixtureRequest) -> None:
    message = (request.config.rootpath / "msg" / "TrackedObject.msg").read_text()
    for state in TrackState:
        assert any(state.name in line and line.rstrip().split("#")[0].strip().endswith(f"={state.value}")
                   for line in message.replace(" = ", "=").splitlines())  # fmt: skip

"""A fit that is worse than those before it stands out, one that varies as they do does not."""

from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.tracking.fit_history import FORGET, FitHistory


def history(confidences: list[float], seconds: float = 0.1) -> FitHistory:
    fits = FitHistory()
    for confidence in confidences:
        fits = fits.after(confidence, seconds)
    return fits


def test_the_fall_is_in_log_odds() -> None:
    # Odds of 9 : 1 and of 1 : 1 differ by the logarithm of 9.
    fits = history([0.9] * 5)
    assert not fits.has_slipped(0.5, 1.01 * np.log(9))
    assert fits.has_slipped(0.5, 0.99 * np.log(9))
    assert not fits.has_slipped(0.95, 0.0)


def test_nothing_is_unusual_at_first() -> None:
    assert not FitHistory().has_slipped(0.01, 1.0)


def test_the_first_fits_count_alike() -> None:
    assert history([0.9, 0.5]).usual == pytest.approx(np.log(9) / 2)


def test_what_is_usual_follows_the_view_within_seconds() -> None:
    steps = int(3 * FORGET / 0.1)
    assert history([0.95] * 50).has_slipped(0.7, 2.0)
    assert not history([0.95] * 50 + [0.7] * steps).has_slipped(0.7, 0.2)


def test_a_doubted_pose_is_believed_when_it_fits_as_usual() -> None:
    fits, fall = history([0.9] * 5), np.log(9)
    assert not fits.has_slipped(0.75, fall)  # odds of 3 : 1, half of the way
    doubted = fits.doubted()
    assert doubted.has_slipped(0.74, fall)
    assert not doubted.has_slipped(0.76, fall)
    assert not doubted.after(0.76, 0.1).is_doubted


def test_certainty_itself_has_a_bound() -> None:
    assert history([1.0, 1.0]).has_slipped(0.0, 10.0)
    assert not history([1.0, 1.0]).has_slipped(0.0, 20.0)

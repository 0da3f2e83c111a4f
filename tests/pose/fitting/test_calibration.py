from __future__ import annotations

import numpy as np
import pytest

from pose_tracking.core.arrays import roc_auc
from pose_tracking.core.errors import ConfigError
from pose_tracking.pose.config import VerificationConfig
from pose_tracking.pose.fitting.calibration import LIMITS, feature_matrix, fit_calibration
from pose_tracking.pose.fitting.scoring import FEATURES, score_features


def sample(right: bool, rng: np.random.Generator) -> dict[str, float]:
    row = {name: float(rng.random()) for name in FEATURES}
    row["coverage"] = float(np.clip(rng.normal(0.85 if right else 0.5, 0.12), 0, 1))
    row["chroma_error"] = float(np.clip(rng.normal(0.1 if right else 0.3, 0.08), 0, 1))
    row["blind_fraction"] *= VerificationConfig().max_blind  # beyond it no weights matter
    return {**row, "visible_px": 500.0}


def test_a_fit_separates_and_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2 == 0
    rows = [sample(bool(label), rng) for label in labels]
    bias, weights = fit_calibration(rows[:400], labels[:400])
    config = VerificationConfig(bias=bias, weights=weights)
    scores = np.array([score_features(config, row) for row in rows[400:]])
    truth = labels[400:]
    assert roc_auc(scores[truth], scores[~truth]) > 0.95
    for low, high in ((0.0, 0.2), (0.8, 1.0)):
        chosen = (scores >= low) & (scores <= high)
        assert truth[chosen].mean() == pytest.approx(scores[chosen].mean(), abs=0.1)


def test_weights_stay_within_their_limits() -> None:
    rng = np.random.default_rng(1)
    rows = [sample(True, rng) for _ in range(100)] + [sample(False, rng) for _ in range(100)]
    # The labels are turned round: nothing may then be learnt from coverage or colour.
    bias, weights = fit_calibration(rows, np.repeat([False, True], 100))
    by_name = dict(zip(FEATURES, weights, strict=True))
    assert by_name["coverage"] == pytest.approx(LIMITS["coverage"][0], abs=1e-6)
    assert by_name["chroma_error"] == pytest.approx(LIMITS["chroma_error"][1], abs=1e-6)
    for name, (low, high) in LIMITS.items():
        assert low - 1e-6 <= by_name[name] <= high + 1e-6
    assert np.isfinite(bias)


def test_groups_make_the_best_wrong_hypothesis_count() -> None:
    rng = np.random.default_rng(2)
    rows, labels, groups = [], [], []
    for instance in range(80):
        for k in range(8):
            right = instance % 2 == 0 and k == 0
            rows.append(sample(right, rng))
            labels.append(right)
            groups.append(instance)
    plain = fit_calibration(rows, labels)
    grouped = fit_calibration(rows, labels, groups)

    def absent_best(fit: tuple[float, tuple[float, ...]]) -> float:
        config = VerificationConfig(bias=fit[0], weights=fit[1])
        scores = np.array([score_features(config, row) for row in rows]).reshape(80, 8)
        return float(scores[1::2].max(1).mean())

    assert absent_best(grouped) < absent_best(plain)


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(3)
    rows = [sample(True, rng) for _ in range(4)]
    with pytest.raises(ConfigError, match="only one kind"):
        fit_calibration(rows, [True] * 4)
    with pytest.raises(ConfigError, match="4 features but 2 labels"):
        fit_calibration(rows, [True, False])


def test_feature_matrix_and_limits() -> None:
    rows = [dict.fromkeys(FEATURES, 0.5)] * 3
    assert feature_matrix(rows).shape == (3, len(FEATURES))
    assert feature_matrix([]).shape == (0, len(FEATURES))
    assert set(LIMITS) == set(FEATURES)


def test_little_evidence_stays_near_the_prior() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(40) % 2 == 0
    rows = [sample(bool(label), rng) for label in labels]
    prior = VerificationConfig().weights
    near = fit_calibration(rows, labels, regularization=10.0, prior=prior)[1]
    np.testing.assert_allclose(near, prior, atol=0.5)
    free = fit_calibration(rows, labels, regularization=1e-4, prior=prior)[1]
    assert np.abs(np.subtract(free, prior)).max() > 2

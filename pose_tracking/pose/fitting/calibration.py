"""Fitting the pose confidence: a logistic regression of right and wrong hypotheses on what the frame says of them.

The weights go into `VerificationConfig`. Each feature may only push the way it makes sense (more coverage never lowers
the confidence), which keeps a few hundred examples from teaching nonsense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.errors import ConfigError

from .scoring import FEATURES

# Smallest and largest weight of each feature. Pixels without depth are kept mild: shiny objects lose depth and are
# still there. Every kind of evidence always counts a little, for what renders never show (other clutter, other light)
# may still come: few pixels agree by chance, and a table may have the colour of an object but not its shape.
LIMITS: dict[str, tuple[float, float]] = {
    "inlier_fraction": (0.0, 20.0),
    "violated_fraction": (-20.0, 0.0),
    "sunken_fraction": (-20.0, 0.0),
    "coverage": (2.0, 20.0),
    "blind_fraction": (-4.0, -1.0),
    "visible_fraction": (0.0, 20.0),
    "residual": (-15.0, -2.0),
    "normal_error": (-12.0, -2.0),
    "chroma_error": (-25.0, -2.0),
    "texture_error": (-25.0, -2.0),
    "brightness_error": (-6.0, -2.0),
    "log_visible": (0.5, 5.0),
}


def feature_matrix(features: Sequence[Mapping[str, float]]) -> Float:
    """(M, F) values of `FEATURES` of M hypotheses (`PoseEstimate.fit`)."""
    return np.array([[row[name] for name in FEATURES] for row in features], float).reshape(-1, len(FEATURES))


def fit_calibration(
    features: Sequence[Mapping[str, float]],
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    sample_weights: ArrayLike | None = None,
    regularization: float = 1e-3,
    prior: Sequence[float] | None = None,
) -> tuple[float, tuple[float, ...]]:
    """Fit `VerificationConfig.bias` and `.weights`.

    Args:
        features: M hypotheses' features.
        labels: (M,) whether each pose is right.
        groups: (M,) which instance a hypothesis belongs to. Only the best hypothesis of an instance is handed out, so
            with groups the best right and the best wrong one of each are what is fitted; they are found anew as the
            weights change.
        sample_weights: (M,) importance; right and wrong hypotheses are balanced on top.
        regularization: L2 penalty of the weights of the standardised features.
        prior: weights, in the order of `FEATURES`, that they are drawn to; None: to 0.

    Returns:
        bias and weights, the latter in the order of `FEATURES`.

    Raises:
        ConfigError: fewer than one right and one wrong hypothesis, or lengths that differ.
    """
    values, right = feature_matrix(features), np.asarray(labels, bool)
    importance = np.ones(len(right)) if sample_weights is None else np.asarray(sample_weights, float)
    if not len(values) == len(right) == len(importance):
        raise ConfigError(f"calibration: {len(values)} features but {len(right)} labels, {len(importance)} weights")
    if right.all() or not right.any():
        raise ConfigError("calibration: needs right and wrong hypotheses, got only one kind")
    drawn_to = np.zeros(len(FEATURES)) if prior is None else np.asarray(prior, float)
    bias, weights = _logistic(values, right, importance, regularization, drawn_to)
    if groups is not None:
        instance = np.unique(np.asarray(groups), return_inverse=True)[1]
        for _ in range(6):
            logit = values @ weights + bias
            best = np.concatenate([_best(logit, right, instance), _best(logit, ~right, instance)])
            bias, weights = _logistic(values[best], right[best], importance[best], regularization, drawn_to)
    return float(bias), tuple(float(w) for w in weights)


def _best(logit: Float, among: Bool, instance: NDArray[np.intp]) -> NDArray[np.intp]:
    """Index of the highest `logit` of each instance among those chosen."""
    index = np.flatnonzero(among)
    index = index[np.lexsort((-logit[index], instance[index]))]
    return index[np.unique(instance[index], return_index=True)[1]]


def _logistic(
    values: Float, right: Bool, importance: Float, regularization: float, prior: Float
) -> tuple[float, Float]:
    """Bias and weights of a logistic regression within `LIMITS`, both labels weighing the same."""
    importance = np.where(right, importance / importance[right].sum(), importance / importance[~right].sum()) / 2
    mean, scale = values.mean(0), values.std(0) + 1e-6
    design = np.column_stack([(values - mean) / scale, np.ones(len(values))])
    sign = np.where(right, 1.0, -1.0)

    def loss(parameters: Float) -> tuple[float, Float]:
        margin = sign * (design @ parameters)
        off = parameters[:-1] - prior * scale
        penalty = regularization * float(off @ off)
        slope = -sign * importance / (1 + np.exp(np.clip(margin, -50, 50)))
        gradient = design.T @ slope
        gradient[:-1] += 2 * regularization * off
        return float(importance @ np.logaddexp(0, -margin)) + penalty, gradient

    bounds = [(LIMITS[name][0] * s, LIMITS[name][1] * s) for name, s in zip(FEATURES, scale, strict=True)]
    start = np.array([*np.clip(0.0, *np.array(bounds).T), 0.0])
    solution = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[*bounds, (None, None)]).x
    weights = solution[:-1] / scale
    return float(solution[-1] - weights @ mean), weights

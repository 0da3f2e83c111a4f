"""How well descriptors tell instances apart: AUC over pairs of observations, and what a gate lets through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import roc_auc
from pose_tracking.segmentation.appearance import pooled

from .data import Observations

DIFFERENT = 0.1  # difference of two materials from which on copies differ in colour; see `tint_difference`
GATE_SHARE = 0.98  # share of the returning instances that the gate is to let through
COLUMNS = {
    "same_class": "copies of the same object",
    "material_differs": f"... whose colours differ by {DIFFERENT:.0%} and more",
    "material_alike": "... whose colours differ by less",
    "lookalike_class": "the most similar other object",
    "any": "any other instance in the sequence",
}


def tint_difference(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Root-mean-square relative change of colour between materials of (..., 3, 3) colour matrices."""
    return np.asarray(np.linalg.norm(np.asarray(a, float) - b, axis=(-2, -1)) / np.sqrt(3))


def lookalikes(observations: Observations) -> dict[int, int]:
    """For every object the other one whose mean pooled descriptor is the most similar; {} for a single object."""
    features = pooled(observations.features.astype(np.float32), observations.masks.astype(np.float32))
    ids = np.unique(observations.objects)
    if len(ids) < 2:
        return {}
    means = np.stack([features[observations.objects == i].mean(0) for i in ids])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    similarity = means @ means.T - 3 * np.eye(len(ids))
    return {int(ids[i]): int(ids[j]) for i, j in enumerate(similarity.argmax(1))}


def identity_scores(descriptors: NDArray, observations: Observations, gate: float | None = None) -> dict[str, Any]:
    """Scores of (M, D) unit descriptors of held-out observations.

    Pairs are of one sequence and of different frames; a pair of the same instance should be more similar (cosine)
    than one of two instances.

    Args:
        descriptors: one row an observation.
        observations: whose they are.
        gate: cosine distance whose effect is stated; None takes the one that fits (`GATE_SHARE`).

    Returns:
        ``auc``: by kind of the other instance (`COLUMNS`); ``nearest``: share of the observations whose nearest one
        among the copies in another frame is itself, and ``nearest_chance``, what guessing gives; ``gate``;
        ``gate_same``, ``gate_others``: shares of the instances, and of other copies of the same object, that are
        within the gate of a gallery of all other frames; ``pairs``: numbers of pairs.
    """
    similar = lookalikes(observations)
    same: list[NDArray] = []
    others: dict[str, list[NDArray]] = {name: [] for name in COLUMNS}
    nearest: list[bool] = []
    chance: list[float] = []
    own_gallery: list[NDArray] = []
    other_gallery: list[NDArray] = []
    for rows in _sequences(observations):
        objects, instances, frames = (getattr(observations, n)[rows] for n in ("objects", "instances", "frames"))
        tints = observations.tints[rows]
        similarity = descriptors[rows] @ descriptors[rows].T
        apart = frames[:, None] != frames[None]
        once = apart & np.triu(np.ones(apart.shape, bool), 1)
        is_same = instances[:, None] == instances[None]
        copies = (objects[:, None] == objects[None]) & ~is_same
        partner = np.array([similar.get(int(i), -1) for i in objects])
        difference = tint_difference(tints[:, None], tints[None])
        kinds = {
            "same_class": copies,
            "material_differs": copies & (difference >= DIFFERENT),
            "material_alike": copies & (difference < DIFFERENT),
            "lookalike_class": (partner[:, None] == objects[None]) | (objects[:, None] == partner[None]),
            "any": ~is_same,
        }
        same.append(similarity[is_same & once])
        for name, kind in kinds.items():
            others[name].append(similarity[kind & once])
        for i, frame in _against_other_frames(frames):
            candidates = np.flatnonzero((frames == frame) & (objects == objects[i]))
            right = instances[candidates] == instances[i]
            if right.any() and not right.all():
                nearest.append(bool(right[similarity[i, candidates].argmax()]))
                chance.append(float(right.mean()))
        for instance in np.unique(instances):
            gallery = similarity[:, instances == instance]
            gallery = np.where(apart[:, instances == instance], gallery, -np.inf).max(1)
            seen = np.isfinite(gallery)
            own_gallery.append(1 - gallery[seen & (instances == instance)])
            rival = (objects == objects[instances == instance][0]) & (instances != instance)
            other_gallery.append(1 - gallery[seen & rival])
    positive = np.concatenate(same)
    own, rivals = np.concatenate(own_gallery), np.concatenate(other_gallery)
    if gate is None:
        gate = float(np.quantile(own, GATE_SHARE)) if len(own) else float("nan")
    return {
        "auc": {name: roc_auc(positive, np.concatenate(parts)) for name, parts in others.items()},
        "nearest": float(np.mean(nearest)) if nearest else float("nan"),
        "nearest_chance": float(np.mean(chance)) if chance else float("nan"),
        "gate": gate,
        "gate_same": float((own <= gate).mean()) if len(own) else float("nan"),
        "gate_others": float((rivals <= gate).mean()) if len(rivals) else float("nan"),
        "pairs": {"same": len(positive), **{name: sum(map(len, parts)) for name, parts in others.items()}},
    }


def _sequences(observations: Observations) -> Iterator[NDArray[np.int64]]:
    """Rows of every sequence; of several boxes of an instance in a frame the first one counts."""
    keys = np.stack([observations.sequences, observations.instances, observations.frames], axis=1)
    first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
    for number in np.unique(observations.sequences):
        yield first[observations.sequences[first] == number]


def _against_other_frames(frames: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    numbers = np.unique(frames)
    for i, own in enumerate(frames):
        for other in numbers:
            if other != own:
                yield i, int(other)


def format_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of `identity_scores` by name of the descriptor."""
    head = ["descriptor", *(f"AUC: {text}" for text in COLUMNS.values()), "nearest copy right", "gate",
            "inside the gate: same", "other copies"]  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, scores in rows.items():
        cells = [_number(scores["auc"][key]) for key in COLUMNS]
        cells += [f"{_percent(scores['nearest'])} (chance {_percent(scores['nearest_chance'])})"]
        cells += [_number(scores["gate"]), _percent(scores["gate_same"]), _percent(scores["gate_others"])]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f} %"


def without_nan(value: Any) -> Any:
    """`value` for a JSON file, which knows no NaN: null in its place."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value

"""How well descriptors tell instances apart: AUC over pairs of observations, and what a gate lets through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Bool, Float, Int, roc_auc
from pose_tracking.segmentation.appearance import pooled

from .observations import Observations

DIFFERENT = 0.1  # difference of two materials from which on copies differ in colour; see `tint_difference`
GATE_SHARE = 0.98  # share of the returning instances that the gate is to let through
COLUMNS = {
    "same_class": "copies of the same object",
    "material_differs": f"... whose colours differ by {DIFFERENT:.0%} and more",
    "material_alike": "... whose colours differ by less",
    "lookalike_class": "the most similar other object",
    "any": "any other instance in the sequence",
}


def tint_difference(a: NDArray, b: NDArray) -> Float:
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
    pairs = _Pairs()
    for rows in _sequences(observations):
        _Sequence(descriptors, observations, rows, similar).collect(pairs)
    positive = np.concatenate(pairs.same)
    own, rivals = np.concatenate(pairs.own_gallery), np.concatenate(pairs.other_gallery)
    if gate is None:
        gate = float(np.quantile(own, GATE_SHARE)) if len(own) else float("nan")
    return {
        "auc": {name: roc_auc(positive, np.concatenate(parts)) for name, parts in pairs.others.items()},
        "nearest": float(np.mean(pairs.nearest)) if pairs.nearest else float("nan"),
        "nearest_chance": float(np.mean(pairs.chance)) if pairs.chance else float("nan"),
        "gate": gate,
        "gate_same": float((own <= gate).mean()) if len(own) else float("nan"),
        "gate_others": float((rivals <= gate).mean()) if len(rivals) else float("nan"),
        "pairs": {"same": len(positive), **{name: sum(map(len, parts)) for name, parts in pairs.others.items()}},
    }


@dataclass
class _Pairs:
    """What `identity_scores` gathers over all sequences.

    Attributes:
        same: similarities of pairs of the same instance.
        others: similarities of pairs of two instances, by kind.
        nearest: of each observation with copies in another frame, whether the most similar one is itself.
        chance: how likely guessing would be right.
        own_gallery: distances of observations from the gallery of their own instance.
        other_gallery: distances from the galleries of copies of the same object.
    """

    same: list[NDArray] = field(default_factory=list)
    others: dict[str, list[NDArray]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    nearest: list[bool] = field(default_factory=list)
    chance: list[float] = field(default_factory=list)
    own_gallery: list[NDArray] = field(default_factory=list)
    other_gallery: list[NDArray] = field(default_factory=list)


class _Sequence:
    """The N observations of one sequence, compared with each other.

    Args:
        descriptors: (M, D) of all observations.
        observations: all of them.
        rows: (N,) which of them are of this sequence.
        similar: the most similar other object by object.
    """

    def __init__(self, descriptors: NDArray, observations: Observations, rows: Int, similar: Mapping[int, int]) -> None:
        names = ("objects", "instances", "frames", "tints")
        self.objects, self.instances, self.frames, self.tints = (getattr(observations, n)[rows] for n in names)
        self.partner = np.array([similar.get(int(i), -1) for i in self.objects])
        self.similarity = descriptors[rows] @ descriptors[rows].T
        self.apart = self.frames[:, None] != self.frames[None]
        self.is_same = self.instances[:, None] == self.instances[None]

    def collect(self, pairs: _Pairs) -> None:
        """Add all comparisons to `pairs`."""
        once = self.apart & np.triu(np.ones(self.apart.shape, bool), 1)
        pairs.same.append(self.similarity[self.is_same & once])
        for name, kind in self._kinds().items():
            pairs.others[name].append(self.similarity[kind & once])
        for i, frame in _against_other_frames(self.frames):
            candidates = np.flatnonzero((self.frames == frame) & (self.objects == self.objects[i]))
            right = self.instances[candidates] == self.instances[i]
            if right.any() and not right.all():
                pairs.nearest.append(bool(right[self.similarity[i, candidates].argmax()]))
                pairs.chance.append(float(right.mean()))
        for instance in np.unique(self.instances):
            own = self.instances == instance
            gallery = np.where(self.apart[:, own], self.similarity[:, own], -np.inf).max(1)
            seen = np.isfinite(gallery)
            rival = (self.objects == self.objects[own][0]) & ~own
            pairs.own_gallery.append(1 - gallery[seen & own])
            pairs.other_gallery.append(1 - gallery[seen & rival])

    def _kinds(self) -> dict[str, Bool]:
        """(N, N) pairs of two instances by their kind (`COLUMNS`)."""
        copies = (self.objects[:, None] == self.objects[None]) & ~self.is_same
        difference = tint_difference(self.tints[:, None], self.tints[None])
        partner, objects = self.partner, self.objects
        return {
            "same_class": copies,
            "material_differs": copies & (difference >= DIFFERENT),
            "material_alike": copies & (difference < DIFFERENT),
            "lookalike_class": (partner[:, None] == objects[None]) | (objects[:, None] == partner[None]),
            "any": ~self.is_same,
        }


def _sequences(observations: Observations) -> Iterator[Int]:
    """Rows of every sequence; of several boxes of an instance in a frame the first one counts."""
    keys = np.stack([observations.sequences, observations.instances, observations.frames], axis=1)
    first = np.sort(np.unique(keys, axis=0, return_index=True)[1])
    for number in np.unique(observations.sequences):
        yield first[observations.sequences[first] == number]


def _against_other_frames(frames: Int) -> Iterator[tuple[int, int]]:
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

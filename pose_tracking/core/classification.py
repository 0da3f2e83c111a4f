"""Scores of a classifier: the confusion of the classes, precision, recall and F of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Int


@dataclass(frozen=True, eq=False)
class ClassScores:
    """How often which class was taken for which.

    Attributes:
        classes: names.
        confusion: (C, C) counts; rows are what was true, columns what was said.
    """

    classes: tuple[str, ...]
    confusion: Int

    @classmethod
    def of(cls, classes: Sequence[str], true: ArrayLike, said: ArrayLike) -> ClassScores:
        """From (N,) indices of the true classes and of those that were said."""
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(confusion, (np.asarray(true, int), np.asarray(said, int)), 1)
        return cls(tuple(classes), confusion)

    def precision(self, index: int) -> float:
        """Share of what was said to be the class that is; NaN where nothing was."""
        return _share(self.confusion[index, index], self.confusion[:, index].sum())

    def recall(self, index: int) -> float:
        """Share of the class that was said to be it; NaN where there is none."""
        return _share(self.confusion[index, index], self.confusion[index].sum())

    def f(self, index: int) -> float:
        """Harmonic mean of both; NaN where the class neither is there nor was said."""
        return _share(2 * self.confusion[index, index], self.confusion[index].sum() + self.confusion[:, index].sum())

    @property
    def accuracy(self) -> float:
        """Share that is right."""
        return _share(np.trace(self.confusion), self.confusion.sum())

    @property
    def macro_f(self) -> float:
        """Mean of `f` over the classes that are there."""
        present = [i for i in range(len(self.classes)) if self.confusion[i].sum()]
        return float(np.mean([self.f(i) for i in present])) if present else float("nan")

    def as_dict(self) -> dict[str, object]:
        """For JSON; what is not a number is None."""
        rows = {
            name: {
                "count": int(self.confusion[i].sum()),
                "precision": _number(self.precision(i)),
                "recall": _number(self.recall(i)),
                "f": _number(self.f(i)),
            }
            for i, name in enumerate(self.classes)
        }
        return {
            "accuracy": _number(self.accuracy),
            "macro_f": _number(self.macro_f),
            "classes": rows,
            "confusion": self.confusion.tolist(),
        }


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)

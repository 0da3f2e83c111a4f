"""Which object each label of a detector is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import Int
from pose_tracking.core.errors import BundleError

IGNORED = -1


class Labels:
    """The numbers that a detector gives its classes, as object ids.

    Args:
        names: class names in the order of the detector's labels, empty where there is no class.
        objects: the bundle's object names by id; classes that are not among them are ignored.
        first: the label of the first name.
        where: what gave `names`, for errors.

    Attributes:
        obj_ids: (L,) object id by label, `IGNORED` where the bundle knows none; labels before `first` are ignored.

    Raises:
        BundleError: an object has no class, or a name stands twice.
    """

    def __init__(self, names: Sequence[str], objects: Mapping[int, str], first: int, where: str) -> None:
        double = next((name for name, count in Counter(filter(None, names)).items() if count > 1), None)
        if double is not None:
            raise BundleError(f"{where} has two classes called {double!r}: names must tell them apart")
        missing = [name for name in objects.values() if name not in names]
        if missing:
            raise BundleError(
                f"no class of {where} is called {missing[0]!r}; its classes are {', '.join(filter(None, names))}"
            )
        by_name = {name: obj_id for obj_id, name in objects.items()}
        self.obj_ids: Int = np.array([IGNORED] * first + [by_name.get(name, IGNORED) for name in names], np.int64)

    def ids_of(self, labels: NDArray[np.integer]) -> Int:
        """(N,) object ids of (N,) labels; `IGNORED` for those that have no name or are not wanted."""
        labels = np.asarray(labels, np.int64)
        inside = (labels >= 0) & (labels < len(self.obj_ids))
        return np.where(inside, self.obj_ids[np.where(inside, labels, 0)], IGNORED)

    def label_of(self, obj_ids: NDArray[np.integer]) -> Int:
        """(N,) labels of (N,) object ids, each of them one of the bundle's."""
        index = {int(obj_id): label for label, obj_id in enumerate(self.obj_ids) if obj_id != IGNORED}
        return np.array([index[int(i)] for i in obj_ids], np.int64)

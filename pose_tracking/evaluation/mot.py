"""Sequences in MOTChallenge's layout, tracked and scored.

Where the classes are those of MOTChallenge, what counts is what its evaluation counts (Luiten and Hoffhues, TrackEval):
pedestrians with a conf other than 0. Tracks are first matched with all annotated boxes, whatever their class, and those
on distractors are left out; those on other boxes that do not count stay and are wrong. Visibility does not matter. With
named classes (``gt/labels.txt``) each class is tracked and scored for itself, and what is hardly visible is ignored, as
in all other evaluations of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.results import Detection
from pose_tracking.datasets.mot import MotSequence, known_classes
from pose_tracking.datasets.mot_rows import UNKNOWN, MotRow
from pose_tracking.datasets.sample import Sample
from pose_tracking.objects import ObjectModel, ObjectSet
from pose_tracking.segmentation.appearance import descriptors
from pose_tracking.segmentation.embedding import AppearanceEmbedding
from pose_tracking.segmentation.segmenter import Segmenter

from .metrics.identities import MIN_VISIBILITY
from .metrics.tracking import IdentifiedBox
from .trackers.record import TrackingFrame

GIVEN = "det"  # detections of the folder itself


@dataclass(frozen=True)
class MotClasses:
    """Which object stands for which class of a sequence.

    Attributes:
        objects: what is tracked; classes that the model does not know are in it without any geometry.
        ids: object id by number of the class.
        known: the object ids among them that the model knows.
    """

    objects: ObjectSet
    ids: dict[int, int]
    known: frozenset[int]

    @classmethod
    def of(cls, sequences: Sequence[MotSequence], model: ObjectSet) -> MotClasses:
        """The classes of sequences, which go by name; a pedestrian may be called person.

        Raises:
            DatasetError: the sequences have different classes.
        """
        names = sequences[0].class_names
        for other in sequences[1:]:
            if other.class_names != names:
                raise DatasetError(f"{other.folder}: has other classes than {sequences[0].folder}: evaluate them apart")
        known = known_classes(names, {m.obj_id: m.name for m in model.values()})
        models: dict[int, ObjectModel] = {}
        ids: dict[int, int] = {}
        free = max(model, default=0) + 1
        for label, name in names.items():
            found = model.get(known.get(label, -1))
            if found is None:
                found = ObjectModel.of_unknown_shape(free, name)
                free += 1
            ids[label], models[found.obj_id] = found.obj_id, found
        return cls(ObjectSet(models), ids, frozenset(set(models) & set(model)))


def mot_truths(
    sequence: MotSequence, ids: Mapping[int, int], scene_id: int, min_visib: float = MIN_VISIBILITY
) -> list[list[IdentifiedBox]]:
    """What is annotated in each frame of a sequence, for `TrackingAccumulator`.

    Args:
        sequence: the sequence; unannotated ones have nothing.
        ids: object id by number of the class.
        scene_id: its number among several.
        min_visib: with named classes, boxes less visible than this are ignored.
    """
    frames: list[list[IdentifiedBox]] = [[] for _ in range(sequence.length)]
    for row in sequence.truths or ():
        # All of MOTChallenge's classes compete for the tracks, so that for the matching they are one.
        label = row.label if sequence.labels is not None else next(iter(ids))
        ignored = row.label in sequence.distractors
        if sequence.labels is not None:
            ignored = 0 <= row.visibility < min_visib
        counts = row.conf != 0 and row.label in (*ids, UNKNOWN)
        frames[row.frame - 1].append(
            IdentifiedBox(
                (scene_id, ids[label], row.identity), ids[label], row.box, ignored, not counts and not ignored
            )
        )
    return frames


def mot_frames(
    sequence: MotSequence,
    ids: Mapping[int, int],
    scene_id: int,
    detect: Callable[[int], list[Detection]],
    min_visib: float = MIN_VISIBILITY,
    progress: bool = False,
) -> list[TrackingFrame]:
    """What a tracker gets of each frame of a sequence, and what it is judged by.

    Args:
        sequence, ids, scene_id, min_visib: see `mot_truths`.
        detect: gives the detections of a frame by its number, from 1.
        progress: show a progress bar on stderr.
    """
    truths = mot_truths(sequence, ids, scene_id, min_visib)
    numbers = tqdm(range(1, sequence.length + 1), desc=sequence.name, unit="frame", disable=not progress)
    return [
        TrackingFrame(
            scene_id,
            sequence.stamp_ns(number) * 1e-9,
            None,
            sequence.intrinsics,
            detect(number),
            truths[number - 1],
            annotated=sequence.truths is not None,
        )
        for number in numbers
    ]


class GivenDetector:
    """The detections that come with a sequence, with features that a detector takes at their boxes.

    Args:
        sequence: has detections.
        classes: of the sequence.
        segmenter: takes features (`Segmenter.instances_at`); None: there are none, and no image is read.
        embedding: identity embedding of the features, where there is one.

    Raises:
        DatasetError: the sequence has no detections, or one is of no class.
    """

    def __init__(
        self,
        sequence: MotSequence,
        classes: MotClasses,
        segmenter: Segmenter | None,
        any_class: int,
        embedding: AppearanceEmbedding | None = None,
    ) -> None:
        if sequence.detections is None:
            raise DatasetError(f"{sequence.folder}: has no det/det.txt: leave --detections {GIVEN} out")
        self._sequence, self._classes = sequence, classes
        self._segmenter, self._any_class, self._embedding = segmenter, any_class, embedding
        self._rows: list[list[MotRow]] = [[] for _ in range(sequence.length)]
        for row in sequence.detections:
            self._rows[row.frame - 1].append(row)
            self._obj_id(row)

    def detect(self, number: int) -> list[Detection]:
        """The detections of frame `number`, from 1.

        Raises:
            DatasetError: its image cannot be used.
        """
        rows = self._rows[number - 1]
        found = [Detection(self._obj_id(row), _score(row.conf), row.box, None) for row in rows]
        if not found or self._segmenter is None:
            return found
        inside = np.array([_inside(row.box, self._sequence) for row in rows])
        # A class that the detector does not know has no mask; the features are the same for all.
        asked = [d.obj_id if d.obj_id in self._classes.known else self._any_class for d in found]
        instances = self._segmenter.instances_at(self._sequence.frame(number), inside, np.array(asked))
        for i, detection in enumerate(found):
            if detection.obj_id not in self._classes.known:
                instances.masks[i] = True
        features = descriptors(instances, self._embedding)
        return [Detection(d.obj_id, d.score, d.box, f) for d, f in zip(found, features, strict=True)]

    def _obj_id(self, row: MotRow) -> int:
        ids = self._classes.ids
        if row.label in ids and self._sequence.labels is not None:
            return ids[row.label]
        if len(ids) == 1:
            return next(iter(ids.values()))
        raise DatasetError(
            f"{self._sequence.folder}/det/det.txt: frame {row.frame}: class {row.label} (8th column) is none of 1 to "
            f"{len(ids)}"
        )


def pipeline_detections(
    sequence: MotSequence, classes: MotClasses, detect: Callable[[Sample], list[Detection]], scene_id: int
) -> Callable[[int], list[Detection]]:
    """What a model's own detector finds in frame `number`, from 1; frames come in the order of time.

    Raises:
        ConfigError: the model knows none of the classes.
    """
    if not classes.known:
        names = ", ".join(sequence.class_names.values())
        raise ConfigError(
            f"{sequence.folder}: the model knows none of its classes ({names}): give another --model, or "
            f"--detections {GIVEN} where the folder has some"
        )

    def find(number: int) -> list[Detection]:
        found = detect(Sample(sequence.frame(number), scene_id=scene_id))
        return [d for d in found if d.obj_id in classes.known]

    return find


def _score(conf: float) -> float:
    """A score of 0 to 1: some of the public detections have margins of a support vector machine."""
    return float(min(max(conf, 0.0), 1.0))


def _inside(box: np.ndarray, sequence: MotSequence) -> np.ndarray:
    """(4,) box cut to the image, at least a pixel wide and high."""
    limits = np.array([sequence.width, sequence.height], float)
    low = np.clip(box[:2], 0, limits - 1)
    return np.concatenate([low, np.clip(box[2:], low + 1, limits)])

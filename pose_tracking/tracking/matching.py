"""Which detection of a frame continues which track: the matching of Deep SORT, class by class. Changes no track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from pose_tracking.core.arrays import Bool, Float
from pose_tracking.core.boxes import box_iou
from pose_tracking.core.results import Detection

from . import box_filter
from .association import BEYOND, Matches, association_cost, contested, matching_cascade, min_cost_matching
from .config import TrackingConfig
from .gallery import smallest_cosine_distances
from .measured import Measured
from .motion import motion_distances
from .track import Track, box_states

Thing = TypeVar("Thing", Track, Detection)
# Matches (row, column), and the rows and columns left over.
Split = tuple[Matches, list[int], list[int]]


@dataclass(frozen=True)
class Association:
    """Which detections of one frame belong to which tracks; nothing has been changed by it.

    Attributes:
        matches: tracks and the detections that continue them, always of one class.
        unmatched_tracks: the live tracks that no detection continues.
        unmatched_detections: the detections that continue no track, in the order in which they begin new ones.
        searched: whether anything was looked for in the frame; if not, no track counts as missed.
        measured: object ID to what the detections of `matches` of that class measure, in the order of `matches`.
        unsure: detections that continue no track and are too unsure to begin one; a track of which all else is lost
            may go on with one (see `sudden`).
    """

    matches: list[tuple[Track, Detection]]
    unmatched_tracks: list[Track]
    unmatched_detections: list[Detection]
    searched: bool = True
    measured: dict[int, Measured] = field(default_factory=dict)
    unsure: list[Detection] = field(default_factory=list)

    @property
    def detections(self) -> list[Detection]:
        """The detections of the frame that are believed: those of `matches`, then the others."""
        return [detection for _, detection in self.matches] + self.unmatched_detections


def associate(tracks: Sequence[Track], detections: Sequence[Detection], config: TrackingConfig) -> Association:
    """Match the detections of one frame with the tracks predicted for it.

    Args:
        tracks: the live tracks, at their predicted states.
        detections: of any classes.
        config: gates and weights.
    """
    matches: list[tuple[Track, Detection]] = []
    unmatched_tracks: list[Track] = []
    unmatched_detections: list[Detection] = []
    measured: dict[int, Measured] = {}
    tracks_of, detections_of = by_class(tracks), by_class(detections)
    for obj_id in sorted({*tracks_of, *detections_of}):
        same, found = tracks_of.get(obj_id, []), detections_of.get(obj_id, [])
        every = Measured(found)
        pairs, left_tracks, left_detections = _match_class(same, every, config)
        measured[obj_id] = every.take([column for _, column in pairs])
        matches += [(same[row], found[column]) for row, column in pairs]
        unmatched_tracks += [same[row] for row in left_tracks]
        unmatched_detections += [found[column] for column in left_detections]
    return Association(matches, unmatched_tracks, unmatched_detections, measured=measured)


def by_class(items: Sequence[Thing]) -> dict[int, list[Thing]]:
    """Tracks or detections by their object IDs, in their order."""
    kinds = {item.obj_id for item in items}
    if len(kinds) == 1:
        return {kinds.pop(): list(items)}
    found: dict[int, list[Thing]] = {}
    for item in items:
        found.setdefault(item.obj_id, []).append(item)
    return found


def _match_class(tracks: list[Track], measured: Measured, config: TrackingConfig) -> Split:
    """Match T tracks and D detections of one class: the cascade, then what is left."""
    columns = list(range(len(measured)))
    if not tracks or not columns:
        return [], list(range(len(tracks))), columns
    if config.motion != "box" and not _any_pose(tracks, measured):
        config = replace(config, motion="box")
    confirmed = [i for i, t in enumerate(tracks) if t.is_confirmed]
    tentative = [i for i, t in enumerate(tracks) if not t.is_confirmed]
    if config.motion == "box":
        matches, left, columns = _cascade(tracks, measured, confirmed, columns, config)
        return _finish_by_box(tracks, measured, (matches, left, columns), tentative, config)
    # Where steady motion explains a detection, no track that would have had to turn may take it.
    matches, left, columns = _cascade(tracks, measured, confirmed, columns, config, steady=True)
    more, left, columns = _cascade(tracks, measured, left, columns, config)
    rows, matches = tentative + left, matches + more
    if not rows or not columns:
        return matches, rows, columns
    cost = _motion(tracks, measured, rows, columns, config)
    found, left_rows, left_columns = min_cost_matching(cost, 1.0, list(range(len(rows))), list(range(len(columns))))
    matches += [(rows[i], columns[j]) for i, j in found]
    return matches, [rows[i] for i in left_rows], [columns[j] for j in left_columns]


def _any_pose(tracks: Sequence[Track], measured: Measured) -> bool:
    """Whether there is a pose to compare; in a video without depth there is none."""
    return any(t.filter is not None for t in tracks) or any(d.pose is not None for d in measured.detections)


def _finish_by_box(
    tracks: list[Track], measured: Measured, cascade: Split, tentative: list[int], config: TrackingConfig
) -> Split:
    """Match by boxes alone what the cascade has left over: confirmed tracks `cascade[1]`, and those that are not."""
    matches, left, columns = cascade
    corners = box_filter.to_corners(box_states(tracks)[0][:, :4])
    apart = 1 - box_iou(corners, np.array([d.box for d in measured.detections], float))
    recent = [i for i in left if tracks[i].frames_unmatched == 0]
    older = [i for i in left if tracks[i].frames_unmatched > 0]
    if not config.by_place:
        found, unmatched, columns = min_cost_matching(apart, config.iou_gate, tentative + recent, columns)
        return matches + found, older + unmatched, columns
    unmatched = []
    for rows in (recent, older):
        cost = np.full(apart.shape, np.inf)
        if rows and columns:
            wide = replace(config, motion_gate=config.by_place_gate)
            cost[np.ix_(rows, columns)] = _motion(tracks, measured, rows, columns, wide)
        # Half hidden, a box is of another shape: far beyond the gate of a filter that saw it whole, but still there.
        cost = np.minimum(cost, np.where(apart <= config.by_place_iou_gate, apart / config.by_place_iou_gate, np.inf))
        found, left, columns = min_cost_matching(cost, 1.0, rows, columns)
        matches, unmatched = matches + found, unmatched + left
    found, left, columns = min_cost_matching(apart, config.iou_gate, tentative, columns)
    return matches + found, unmatched + left, columns


def _cascade(
    tracks: list[Track],
    measured: Measured,
    rows: list[int],
    columns: list[int],
    config: TrackingConfig,
    steady: bool = False,
) -> Split:
    """Match tracks `rows` with detections `columns` by motion and appearance, those seen last first."""
    if not rows or not columns:
        return [], rows, columns
    ours, found = [tracks[i] for i in rows], measured.take(columns)
    motion = motion_distances(ours, found, ours[0].model.symmetries, config, steady)
    # A pair that has no rival is matched by its place in any case.
    wanted = np.isfinite(motion) if config.motion == "box" else contested(motion)
    appearance = _appearance_distances(ours, found.detections, wanted)
    cost = association_cost(motion, appearance, config.motion_weight, 1.0, config.appearance_gate)
    ages = np.array([t.frames_unmatched + 1 for t in ours])
    matches, left, columns_left = matching_cascade(
        cost, ages, config.max_age, list(range(len(ours))), list(range(len(found))), BEYOND / config.appearance_gate
    )
    return [(rows[i], columns[j]) for i, j in matches], [rows[i] for i in left], [columns[j] for j in columns_left]


def _motion(
    tracks: list[Track], measured: Measured, rows: list[int], columns: list[int], config: TrackingConfig
) -> Float:
    """(len(rows), len(columns)) `motion_distances` of those tracks and detections."""
    symmetries = tracks[0].model.symmetries
    return motion_distances([tracks[i] for i in rows], measured.take(columns), symmetries, config)


def _appearance_distances(tracks: Sequence[Track], detections: Sequence[Detection], wanted: Bool) -> Float:
    """(T, D) smallest cosine distances, NaN where a detection's appearance is not known or the pair not wanted."""
    distances = np.full(wanted.shape, np.nan)
    if not wanted.any():
        return distances
    features = [(i, d.feature) for i, d in enumerate(detections) if d.feature is not None]
    if features:
        known = [i for i, _ in features]
        distances[:, known] = smallest_cosine_distances(
            [t.gallery for t in tracks], np.array([feature for _, feature in features]), wanted[:, known]
        )
    return np.where(wanted, distances, np.nan)

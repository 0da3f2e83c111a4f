"""From segments of a frame to poses of objects: templates that look alike, aligned, and how well each fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int, even_indices
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform
from pose_tracking.objects import ObjectSet

from .alignment import Hypotheses, align
from .alignment_kernels import lay_templates
from .matching import Matches, TemplateMatcher
from .rotations import angles_between
from .segments import Segment
from .surface import Surface, surface_of
from .templates import POINTS, Templates

READINGS = 64  # of a segment, that templates have to explain
APART = 0.35  # radians from which poses are different candidates


@dataclass(frozen=True)
class Candidates:
    """Poses of one object that may be what a segment shows, the best first.

    Attributes:
        poses: (K, 4, 4) ``T_camera_object``, metres; K may be 0.
        fits: (K,) 0 to 1, see `alignment.Aligned`.
    """

    poses: Float
    fits: Float32


class TemplateSearch:
    """Searches frames for the objects of one set; detector and pose stage share one.

    Args:
        objects: the objects.
        templates: of those that are to be found, by id.
    """

    def __init__(self, objects: ObjectSet, templates: Mapping[int, Templates]) -> None:
        self.objects = objects
        self.matcher = TemplateMatcher(objects, templates)
        self._surface: tuple[RGBDFrame, Surface] | None = None
        self._known: list[tuple[int, Bool, Candidates]] = []

    @property
    def templates(self) -> dict[int, Templates]:
        """The templates by object."""
        return self.matcher.templates

    def surface(self, frame: RGBDFrame) -> Surface:
        """The surface of a frame, made once; what was remembered of the frame before is forgotten."""
        if self._surface is None or self._surface[0] is not frame:
            self._surface, self._known = (frame, surface_of(frame)), []
        return self._surface[1]

    def candidates(
        self, surface: Surface, segments: list[Segment], which: Int, obj_ids: Int, matches: Matches
    ) -> list[Candidates]:
        """Align the templates of N matches to their segments.

        Args:
            surface: the frame.
            segments: of it.
            which: (N,) numbers of segments.
            obj_ids: (N,) objects.
            matches: N, of these.
        """
        if len(which) == 0:
            return []
        used, renumbered = np.unique(which, return_inverse=True)
        some = [segments[i] for i in used]
        masks = np.stack([segment.mask for segment in some])
        readings = np.stack([_readings(surface, segment) for segment in some])
        aligned = align(surface, masks, readings, self._hypotheses(some, renumbered, obj_ids, matches))
        poses = make_transform(aligned.rotations, aligned.translations)
        out = []
        for n in range(len(which)):
            rows = np.flatnonzero(aligned.pair == n)
            rows = rows[np.argsort(-aligned.fit[rows], kind="stable")]
            rows = rows[np.isfinite(poses[rows]).all((1, 2)) & (poses[rows, 2, 3] > 0)]
            rows = rows[_different(poses[rows], self.objects[int(obj_ids[n])].symmetries)]
            out.append(Candidates(poses[rows], aligned.fit[rows]))
        return out

    def _hypotheses(self, segments: list[Segment], which: Int, obj_ids: Int, matches: Matches) -> Hypotheses:
        """The templates of the matches, laid on their segments."""
        views = [matches.views[n][matches.likeness[n] > -1] for n in range(len(which))]
        counts = np.array([len(each) for each in views])
        pair, total = np.repeat(np.arange(len(which)), counts), int(counts.sum())
        diameters = np.array([self.objects[int(i)].diameter for i in obj_ids], np.float32)
        laid = Hypotheses(
            pair,
            which[pair],
            diameters[pair],
            np.empty((total, 3, 3), np.float32),
            np.empty((total, 3), np.float32),
            np.empty((total, POINTS, 3), np.float32),
            np.empty((total, POINTS, 3), np.float32),
        )
        for n, (i, obj_id, end) in enumerate(zip(which.tolist(), obj_ids.tolist(), counts.cumsum(), strict=True)):
            some, templates = slice(end - counts[n], end), self.templates[obj_id]
            lay_templates(
                templates.points.numpy(),
                templates.normals.numpy(),
                templates.centres.numpy(),
                templates.rotations.numpy(),
                views[n],
                float(diameters[n]),
                segments[i].turn,
                segments[i].centre,
                laid.rotations[some],
                laid.translations[some],
                laid.points[some],
                laid.normals[some],
            )
        return laid

    def remember(self, obj_id: int, mask: Bool, candidates: Candidates) -> None:
        """Keep what was found for object `obj_id` under a (H, W) mask of the frame that `surface` was asked for."""
        self._known.append((obj_id, mask, candidates))

    def remembered(self, obj_id: int, mask: Bool) -> Candidates | None:
        """What was kept for just that, or None."""
        for known_id, known_mask, candidates in self._known:
            if known_id == obj_id and np.array_equal(known_mask, mask):
                return candidates
        return None


def _readings(surface: Surface, segment: Segment) -> Float32:
    """(READINGS, 3) points of a segment, spread evenly over it; few are taken several times."""
    index = np.flatnonzero(segment.mask)
    return surface.points.reshape(-1, 3)[index[np.resize(even_indices(len(index), READINGS), READINGS)]]


def _different(poses: Float, symmetries: Float) -> list[int]:
    """Which poses, of some with the best first, are in another rotation than all better ones."""
    apart = angles_between(poses[:, :3, :3], poses[:, :3, :3], symmetries)
    kept: list[int] = []
    for k in range(len(poses)):
        if (apart[k, kept] > APART).all():
            kept.append(k)
    return kept

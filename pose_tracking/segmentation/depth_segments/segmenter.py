"""A detector without a network: segments of the depth, each offered as the objects whose templates it looks like."""

from __future__ import annotations

import logging

import numpy as np

from pose_tracking.core.arrays import Bool, Float, Float32, Int
from pose_tracking.core.boxes import mask_box
from pose_tracking.core.depth_noise import DepthNoise, DepthNoiseConfig
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.results import Instances
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter
from pose_tracking.templates.matching import Matches
from pose_tracking.templates.search import TemplateSearch
from pose_tracking.templates.segments import Segment, segment_at
from pose_tracking.templates.surface import Surface

from .identity import identity_features
from .planes import dominant_planes
from .proposals import groups, off_planes, parts

LOGGER = logging.getLogger(__name__)

# Likeness and fit at which the score is 0, and 1.
LIKENESS, FIT = (0.3, 0.8), (0.5, 1.0)
LARGE = 1.2  # times the largest extent of an object: with this margin a part is none's
LARGER = 0.4  # score that a segment e times as large may lack


class DepthSegmenter(Segmenter):
    """Finds objects as segments of the depth.

    Args:
        config: options; `depth_segments` has those of its own.
        search: by templates; shared with the pose stage.
        depth_noise: noise of the depth sensor.
    """

    def __init__(
        self, config: SegmentationConfig, search: TemplateSearch, depth_noise: DepthNoiseConfig | None = None
    ) -> None:
        self.config, self.search = config, search
        self.depth_noise = depth_noise or DepthNoiseConfig()
        self._warned = False
        objects = [search.objects[i] for i in search.templates]
        self._obj_ids = np.array(list(search.templates), np.int64)
        self._diameters = np.array([model.diameter for model in objects])

    def segment(self, frame: RGBDFrame) -> Instances:
        """Instances in `frame`, best score first; a segment may be among them as several objects.

        In a frame without depth nothing is found.
        """
        height, width = frame.depth.shape
        if not frame.has_depth:
            if not self._warned:
                LOGGER.warning("frames without depth: a bundle without a trained detector finds nothing in them")
                self._warned = True
            return Instances.empty(height, width)
        surface = self.search.surface(frame)
        segments = self.segments(surface, frame)
        which, obj_ids, matches = self._alike(surface, segments)
        candidates = self.search.candidates(surface, segments, which, obj_ids, matches)
        fits = np.array([each.fits[0] if len(each.fits) else 0.0 for each in candidates])
        # A quarter of the score is colour and shape at a glance, the rest is how well the best template fits.
        glance = (matches.likeness[:, 0] - LIKENESS[0]) / (LIKENESS[1] - LIKENESS[0])
        scores = np.clip(0.25 * glance + 0.75 * (fits - FIT[0]) / (FIT[1] - FIT[0]), 0, 1).astype(np.float32)
        # Of segments in one place the larger one that fits about as well: a mug rather than its body, which would leave
        # the side of the handle open.
        pixels = np.array([segments[i].pixels for i in which])
        kept: list[int] = []
        for i in np.argsort(-(scores + LARGER * np.log(np.maximum(pixels, 1))), kind="stable"):
            if scores[i] < self.config.score_threshold:
                continue
            same = [segments[which[k]] for k in kept if obj_ids[k] == obj_ids[i]]
            if not any(_overlap(segments[which[i]], other, self.config.nms_iou) for other in same):
                kept.append(int(i))
        kept = sorted(kept, key=lambda i: -scores[i])[: self.config.max_detections]
        instances = self._instances(frame, surface, [segments[which[i]] for i in kept], obj_ids[kept], scores[kept])
        for i, obj_id, mask in zip(kept, instances.obj_ids.tolist(), instances.masks, strict=True):
            self.search.remember(obj_id, mask, candidates[i])
        return instances

    def segments(self, surface: Surface, frame: RGBDFrame) -> list[Segment]:
        """Whatever may be one of the objects by its size."""
        options = self.config.depth_segments
        noise = DepthNoise(self.depth_noise, frame.depth if frame.readings is None else frame.readings)
        # Far readings stand for large areas and are noisy: a wall far behind would pass for many planes.
        known = surface.valid & surface.has_normal & (surface.points[..., 2] < options.farthest)
        largest = float(self._diameters.max())
        planes = dominant_planes(
            surface.points,
            surface.normals,
            known,
            noise,
            surface.pixel_angle,
            options.plane_area * largest**2,
            options.max_planes,
        )
        labels = parts(surface, off_planes(surface, planes, noise, options.farthest), noise)
        least = options.min_pixels * frame.intrinsics.density / surface.step**2
        pixels = _by_part(labels)
        self._drop_large(surface, labels, pixels)
        found = []
        for group in groups(surface, labels, noise):
            members = [pixels[i] for i in sorted(group)]
            if sum(map(len, members)) < least:
                continue
            segment = segment_at(surface, np.concatenate(members))
            if self._fits(segment.extent).any():
                found.append(segment)
        return found

    def _drop_large(self, surface: Surface, labels: Int, pixels: list[Int]) -> None:
        """Take parts larger than any object out of `labels` and `pixels`: they would join with what stands by them."""
        limit = LARGE * self.config.max_size_ratio * float(self._diameters.max())
        for i in range(1, len(pixels)):
            angle = np.sqrt(len(pixels[i])) * surface.pixel_angle
            if angle * surface.points[..., 2].flat[pixels[i]].max() < 0.2 * limit:
                continue  # far too small
            if segment_at(surface, pixels[i]).extent > limit:
                labels.flat[pixels[i]] = 0
                pixels[i] = pixels[i][:0]

    def _fits(self, extent: Float | float) -> Bool:
        """(..., C) which objects segments of extents (..., 1), metres, may be."""
        ratio = extent / self._diameters
        return np.asarray((ratio > self.config.min_size_ratio) & (ratio < self.config.max_size_ratio))

    def _alike(self, surface: Surface, segments: list[Segment]) -> tuple[Int, Int, Matches]:
        """(N,) segments, (N,) objects that each looks like, and the templates."""
        options, matcher = self.config.depth_segments, self.search.matcher
        fits = self._fits(np.array([segment.extent for segment in segments])[:, None])
        which, column = np.nonzero(fits)
        # All on the coarse grid; then the likely ones on the fine one.
        coarse = matcher.match(surface, segments, which, self._obj_ids[column], coarse=True).likeness[:, 0]
        table = np.full(fits.shape, -1.0)
        table[which, column] = coarse
        if len(which):
            rank = (-table).argsort(1).argsort(1)
            likely = (rank < options.classes) & (table > LIKENESS[0])
            likely &= table > table.max(1, keepdims=True) - options.slack
            which, column = np.nonzero(likely)
        obj_ids = self._obj_ids[column]
        return which, obj_ids, matcher.match(surface, segments, which, obj_ids, keep=options.templates)

    def _instances(
        self, frame: RGBDFrame, surface: Surface, segments: list[Segment], obj_ids: Int, scores: Float32
    ) -> Instances:
        height, width = frame.depth.shape
        if not segments:
            return Instances.empty(height, width)
        masks = np.zeros((len(segments), height, width), bool)
        for mask, segment in zip(masks, segments, strict=True):
            _enlarge(segment.mask, surface.step, mask)
        boxes = np.array([mask_box(mask) for mask in masks], np.float32)
        features = np.stack(identity_features(surface, segments))[..., None, None]
        return Instances(obj_ids, scores, boxes, masks, features)


def _by_part(labels: Int) -> list[Int]:
    """Flat indices of the pixels of each part, by its number."""
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    return np.split(order, np.cumsum(np.bincount(flat))[:-1])


def _overlap(a: Segment, b: Segment, most: float) -> bool:
    """Whether the masks of two segments have an IoU of more than `most`."""
    if min(a.pixels, b.pixels) <= most * max(a.pixels, b.pixels):
        return False
    common = int(np.count_nonzero(a.mask & b.mask))
    return common > most * (a.pixels + b.pixels - common)


def _enlarge(mask: Bool, step: int, out: Bool) -> None:
    """Write a mask into `out` (H, W), at the resolution of the frame."""
    for row in range(step):
        for col in range(step):
            # The last cells may be cut by the image's edge.
            part = out[row::step, col::step]
            part[:] = mask[: part.shape[0], : part.shape[1]]

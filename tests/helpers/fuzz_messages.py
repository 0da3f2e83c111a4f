"""Malformed messages of every kind that a camera or TF could send, drawn by a seeded generator."""

from __future__ import annotations

from dataclasses import dataclass, field

import fuzz_spoilers as spoilers
import numpy as np
from fuzz_spoilers import Frame, Generator, Spoiler

from pose_tracking.core.frame import RGBDFrame


@dataclass(frozen=True)
class Kind:
    """A kind of malformed message.

    Attributes:
        spoil: makes one of a good frame.
        is_refused: the node must not answer to the frame; else it may find that it can be used, or that the good
            image that is left makes a frame with another one.
        has_frame: colour or depth of the frame reach the node (bytes that are no message end in the middleware).
        share: how often it is drawn against the others.
    """

    spoil: Spoiler
    is_refused: bool = True
    has_frame: bool = True
    share: float = 1.0


KINDS: dict[str, Kind] = {
    "encoding": Kind(spoilers.encoding),
    "encoding of another image": Kind(spoilers.swapped_encoding),
    "width or height": Kind(spoilers.dimension, is_refused=False),
    "width and height": Kind(spoilers.both_dimensions, is_refused=False),
    "step": Kind(spoilers.step, is_refused=False),
    "truncated data": Kind(spoilers.length),
    "empty image": Kind(spoilers.nothing),
    "depth without a reading": Kind(spoilers.depth_values),
    "millimetres as metres": Kind(spoilers.millimetres_as_metres),
    "depth of another size": Kind(spoilers.other_size),
    "tiny images": Kind(spoilers.tiny),
    "packed YUV of odd width": Kind(spoilers.odd_packed),
    "K: focal length": Kind(spoilers.matrix, is_refused=False),
    "K: principal point": Kind(spoilers.centre, is_refused=False),
    "K empty": Kind(spoilers.no_matrix, is_refused=False),
    "camera_info of another size": Kind(spoilers.info_size, is_refused=False),
    "lens model": Kind(spoilers.distortion, is_refused=False),
    "stamp: nanoseconds": Kind(spoilers.stamp_nanoseconds, is_refused=False),
    "stamp: past": Kind(spoilers.stamp_past, is_refused=False),
    "stamp: future": Kind(spoilers.stamp_future, is_refused=False),
    "stamp: duplicate": Kind(spoilers.stamp_duplicate, is_refused=False),
    "image without a partner": Kind(spoilers.alone, is_refused=False),
    "no message at all": Kind(spoilers.raw, has_frame=False),
    "TF": Kind(spoilers.transforms, has_frame=False),
    # Strange, but an image all the same: dear, since the networks look at it.
    "frame_id": Kind(spoilers.strange_frame, is_refused=False, share=0.01),
    "text that is not UTF-8": Kind(spoilers.invalid_text, is_refused=False, share=0.01),
    "byte order": Kind(spoilers.byte_order, is_refused=False, share=0.01),
    "noise": Kind(spoilers.noise, is_refused=False, share=0.01),
    "patchy depth": Kind(spoilers.patchy_depth, is_refused=False, share=0.01),
    "pixels that are not square": Kind(spoilers.stretched, is_refused=False, share=0.01),
    "bent lens": Kind(spoilers.bent, is_refused=False, share=0.01),
    "a strip": Kind(spoilers.strip, is_refused=False, share=0.01),
}


@dataclass
class Drawn:
    """Malformed messages drawn so far, by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def draw(self, source: RGBDFrame, rng: Generator) -> tuple[Kind, Frame]:
        """The next malformed messages, made of a good frame."""
        names = list(KINDS)
        weights = np.array([KINDS[name].share for name in names])
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        self.counts[name] = self.counts.get(name, 0) + 1
        frame = Frame(source)
        KINDS[name].spoil(frame, rng)
        return KINDS[name], frame

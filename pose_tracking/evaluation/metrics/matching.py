"""Which estimate stands for which ground-truth instance of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pose_tracking.core.regions import Region, region_iou

MIN_IOU = 0.3  # below it an estimate is about something else


@dataclass
class FrameMatches:
    """Indices into the estimates and the ground truth of one frame.

    Attributes:
        hits: (estimate, truth) pairs.
        false_positives: estimates that stand for nothing.
        misses: ground truth, not ignored, that no estimate took.
        ignored: estimates that lie on ignored ground truth.
    """

    hits: list[tuple[int, int]] = field(default_factory=list)
    false_positives: list[int] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)
    ignored: list[int] = field(default_factory=list)


def match_frame(estimates: Sequence[Region], truths: Sequence[Region], min_iou: float = MIN_IOU) -> FrameMatches:
    """Match the estimates of a frame to its ground truth, class by class.

    In order of falling score each estimate takes the free instance of largest IoU, from `min_iou` up. Ignored ground
    truth is never used up: an estimate whose best is an ignored instance is neither a hit nor wrong.
    """
    matches = FrameMatches()
    free = {i for i, truth in enumerate(truths) if not truth.ignored}
    # A stable sort keeps the given order among equal scores, so that the result is repeatable.
    for e in sorted(range(len(estimates)), key=lambda i: -estimates[i].score):
        best, best_iou = None, 0.0
        for t, truth in enumerate(truths):
            if truth.obj_id != estimates[e].obj_id or not (truth.ignored or t in free):
                continue
            iou = region_iou(estimates[e], truth)
            # On a tie the instance that counts goes first.
            if iou >= min_iou and (
                iou > best_iou or (iou == best_iou and best is not None and truths[best].ignored and not truth.ignored)
            ):
                best, best_iou = t, iou
        if best is None:
            matches.false_positives.append(e)
        elif truths[best].ignored:
            matches.ignored.append(e)
        else:
            matches.hits.append((e, best))
            free.remove(best)
    matches.misses = sorted(free)
    return matches

"""A time line over cameras: a lane each, and what lies between two visits cut down to a short gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_tracking.gallery.sighting import StoredSighting

WIDTH, LANE, LABEL, TOP, RIGHT = 960.0, 30.0, 110.0, 26.0, 12.0  # px
GAP = 78.0  # px of a time in which nothing was seen
MIN_BAR = 5.0  # px
MOST_SPANS = 6  # with more of them, neighbours share one


@dataclass(frozen=True)
class Bar:
    """A sighting on its lane."""

    sighting: StoredSighting
    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Gap:
    """A time in which nothing was seen."""

    x: float
    width: float
    seconds: float


@dataclass(frozen=True)
class Tick:
    """A time on the axis."""

    x: float
    ns: int
    is_end: bool


@dataclass(frozen=True)
class Timeline:
    """What the template draws; lengths in pixels of the view box."""

    width: float
    height: float
    lanes: tuple[tuple[str, float], ...]
    bars: tuple[Bar, ...]
    gaps: tuple[Gap, ...]
    ticks: tuple[Tick, ...]


def timeline(sightings: Sequence[StoredSighting]) -> Timeline:
    """The time line of some sightings, at least one."""
    spans = _spans(sightings)
    room = WIDTH - LABEL - RIGHT - GAP * (len(spans) - 1)
    # Long visits take more room than short ones, but leave them some.
    shares = np.array([max(end - start, 1) for start, end in spans], float) ** 0.5
    widths = room * (0.3 / len(spans) + 0.7 * shares / shares.sum())
    starts = LABEL + np.concatenate([[0.0], np.cumsum(widths[:-1] + GAP)])
    cameras = sorted({s.camera for s in sightings})
    lanes = {camera: TOP + LANE * (number + 0.5) for number, camera in enumerate(cameras)}

    def x_of(ns: int) -> float:
        for (first, last), x, width in zip(spans, starts, widths, strict=True):
            if ns <= last:
                return float(x + width * max(0.0, (ns - first) / max(last - first, 1)))
        return float(starts[-1] + widths[-1])

    bars = []
    for s in sorted(sightings, key=lambda s: s.start_ns):
        x = x_of(s.start_ns)
        bars.append(Bar(s, x, lanes[s.camera], max(x_of(s.end_ns) - x, MIN_BAR)))
    gaps = [
        Gap(float(starts[i] + widths[i]), GAP, (spans[i + 1][0] - spans[i][1]) / 1e9) for i in range(len(spans) - 1)
    ]
    ticks = []
    for (first, last), x, width in zip(spans, starts, widths, strict=True):
        ticks.append(Tick(float(x), first, False))
        if width > 140:
            ticks.append(Tick(float(x + width), last, True))
    height = TOP + LANE * len(cameras) + 8
    return Timeline(WIDTH, height, tuple(lanes.items()), tuple(bars), tuple(gaps), tuple(ticks))


def _spans(sightings: Sequence[StoredSighting]) -> list[tuple[int, int]]:
    """(first, last) of the times in which something was seen; the shortest gaps are closed until they are few."""
    spans: list[list[int]] = []
    for s in sorted(sightings, key=lambda s: s.start_ns):
        if spans and s.start_ns <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], s.end_ns)
        else:
            spans.append([s.start_ns, s.end_ns])
    seen = sum(last - first for first, last in spans)
    gaps = np.array([b[0] - a[1] for a, b in zip(spans, spans[1:], strict=False)], float)
    # A gap shorter than a tenth of what was seen is shown as it is.
    closed = gaps < 0.1 * max(seen, 1)
    if len(gaps) >= MOST_SPANS:
        closed[np.argsort(gaps, kind="stable")[: -(MOST_SPANS - 1)]] = True
    out: list[tuple[int, int]] = [(spans[0][0], spans[0][1])]
    for (first, last), is_closed in zip(spans[1:], closed, strict=True):
        if is_closed:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out

"""The text format of MOTChallenge (arXiv:1603.00831): one box of one identity in one frame a line.

``frame, id, left, top, width, height, conf, x, y, z`` for results and detections, and
``frame, id, left, top, width, height, conf, class, visibility`` for ground truth. Frames are counted from 1, and so are
the pixels of a picture: the corner of its first one is (1, 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import DatasetError

UNKNOWN = -1
_COLUMNS = 6  # without which a line says nothing


@dataclass(frozen=True)
class MotRow:
    """One line of a MOT file.

    Attributes:
        frame: number, from 1.
        identity: -1 for detections.
        box: (4,) (x_min, y_min, x_max, y_max) in pixels counted from 0, as everywhere else here.
        conf: score of a detection or track; in ground truth 0 for what is not to be tracked.
        label: number of the class, or -1 where the line does not say it.
        visibility: share in view, 0 to 1, or -1 where unknown.
    """

    frame: int
    identity: int
    box: Float
    conf: float = 1.0
    label: int = UNKNOWN
    visibility: float = UNKNOWN

    @property
    def text(self) -> str:
        """The line, without its end."""
        x_min, y_min, x_max, y_max = (float(v) for v in self.box)
        box = ",".join(f"{v:.2f}" for v in (x_min + 1, y_min + 1, x_max - x_min, y_max - y_min))
        # Results have ten columns, the last three of which are a place in the world that nobody knows here.
        last = f"{self.visibility:.4f}" if self.visibility >= 0 else f"{UNKNOWN},{UNKNOWN}"
        return f"{self.frame},{self.identity},{box},{self.conf:.4g},{self.label},{last}"


def read_rows(path: Path, frames: int | None = None) -> list[MotRow]:
    """The lines of a MOT file.

    Args:
        path: the file.
        frames: how many frames the sequence has; a line beyond them is an error. None: unknown.

    Raises:
        DatasetError: missing file, or a line that is no such row; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = _row(line, f"{path}: line {number}")
        if frames is not None and row.frame > frames:
            raise DatasetError(f"{path}: line {number}: frame {row.frame}, but the sequence has {frames}")
        rows.append(row)
    return rows


def _row(line: str, where: str) -> MotRow:
    parts = line.replace(",", " ").split()
    try:
        values = [float(part) for part in parts]
    except ValueError:
        raise DatasetError(f"{where}: {line.strip()[:60]!r} has something that is no number") from None
    if len(values) < _COLUMNS:
        raise DatasetError(f"{where}: {len(values)} columns; at least frame,id,left,top,width,height are needed")
    if not all(math.isfinite(v) for v in values):
        raise DatasetError(f"{where}: {line.strip()[:60]!r} has a value that is not finite")
    frame, identity, left, top, width, height = values[:6]
    if frame < 1 or frame != int(frame) or identity != int(identity):
        raise DatasetError(f"{where}: frame {frame:g} and id {identity:g}: frames are whole numbers from 1, ids whole")
    if width < 0 or height < 0:
        raise DatasetError(f"{where}: a box of {width:g}x{height:g} pixels")
    label = int(values[7]) if len(values) > 7 else UNKNOWN
    return MotRow(
        int(frame),
        int(identity),
        np.array([left - 1, top - 1, left - 1 + width, top - 1 + height]),
        values[6] if len(values) > 6 else 1.0,
        label,
        values[8] if len(values) > 8 else float(UNKNOWN),
    )


def text_of(rows: Iterable[MotRow]) -> str:
    """The content of a file of `rows`."""
    return "".join(f"{row.text}\n" for row in rows)

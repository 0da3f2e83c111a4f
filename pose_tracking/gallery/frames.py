"""From a sighting back to the frames of its recording: which message of which bag, and its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets import open_source
from pose_tracking.datasets.bag.reader import BagReader
from pose_tracking.datasets.sample import Sample, Source, TimedSource

from .query import nanoseconds_of
from .recordings import fingerprint_of
from .store import Recording

_JOINED = 8  # frames that are read along rather than the recording opened anew


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """A frame of a recording.

    Attributes:
        stamp_ns: by the clock of the gallery.
        recorded_ns: by that of the recording, nanoseconds.
        number: from 0, among the frames of the recording.
        topic, message: of a bag: topic of the colour image, and its number from 0 among the messages there; else None.
        color: (H, W, 3) RGB, rectified as the tracker has seen it.
    """

    stamp_ns: int
    recorded_ns: int
    number: int
    topic: str | None
    message: int | None
    color: UInt8


def frames_of(recording: Recording, stamps_ns: Sequence[int]) -> Iterator[RecordedFrame]:
    """The frames of a recording at some of its stamps by the clock of the gallery, in the order of time.

    Raises:
        DatasetError: the recording is gone, has changed, is damaged, or has no frame at a stamp.
    """
    source = _open(recording)
    if not isinstance(source, TimedSource):
        yield from _by_reading_all(source, recording, set(stamps_ns))
        return
    stamps = np.asarray(source.stamps_ns, np.int64)
    shift = _shift(recording, int(stamps[0]))
    number_of = {int(stamp) + shift: number for number, stamp in enumerate(stamps)}
    missing = next((stamp for stamp in stamps_ns if stamp not in number_of), None)
    if missing is not None:
        raise DatasetError(f"{recording.name}: has no frame at {missing / 1e9:.3f} s of the gallery")
    wanted = sorted({number_of[stamp] for stamp in stamps_ns})
    for stretch in np.split(np.array(wanted), np.flatnonzero(np.diff(wanted) > _JOINED) + 1):
        chosen = set(stretch.tolist())
        for number, sample in enumerate(source.take(int(stretch[0]), int(stretch[-1]) + 1), int(stretch[0])):
            if number in chosen:
                yield _frame(source, sample, number, shift)


def _by_reading_all(source: Source, recording: Recording, wanted: set[int]) -> Iterator[RecordedFrame]:
    shift: int | None = None
    for number, sample in enumerate(source):
        if shift is None:
            shift = _shift(recording, sample.frame.stamp_ns)
        if sample.frame.stamp_ns + shift in wanted:
            yield _frame(source, sample, number, shift)


def _frame(source: Source, sample: Sample, number: int, shift: int) -> RecordedFrame:
    topic = message = None
    if isinstance(source, BagReader):
        topic, message = source.topics.color, source.color_message(number)
    recorded = sample.frame.stamp_ns
    return RecordedFrame(recorded + shift, recorded, number, topic, message, sample.frame.color)


def _open(recording: Recording) -> Source:
    path = Path(recording.name).expanduser()
    if recording.name.startswith("simulated "):
        raise DatasetError(f"{recording.name}: was rendered while it was taken in, and not kept")
    if not path.exists():
        raise DatasetError(f"{recording.name}: is no longer there: put it back, or search from the folder it is below")
    if fingerprint_of(path) != recording.fingerprint:
        raise DatasetError(f"{recording.name}: is not what was taken in: its content has changed since")
    return open_source(path)


def _shift(recording: Recording, first_ns: int) -> int:
    """What was added to the stamps of a recording when it was taken in, the first of which is given."""
    _, _, offset, start = recording.settings.get("camera") or (None, None, 0.0, None)
    shift = round(float(offset or 0.0) * 1e9)
    if start is not None:
        shift += nanoseconds_of(datetime.fromisoformat(start)) - first_ns
    return shift

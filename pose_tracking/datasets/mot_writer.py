"""Writes sequences in MOTChallenge's layout; `mot` says what it is and reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import make_directory, output_errors, write_text
from pose_tracking.core.results import Detection

from .mot import DETECTIONS, INFO, LABELS, TRUTH
from .mot_rows import UNKNOWN, MotRow, text_of
from .sample import Sample

_IMAGES, _ENDING, _QUALITY = "img1", ".jpg", 95
Detect = Callable[[Sample], Iterable[Detection]]


class MotWriter:
    """Writes samples as one sequence: images as they come, the text files at `close` and ``seqinfo.ini`` last.

    Depth and poses are left out, the layout has no place for them. Used as a context manager, an exception leaves the
    sequence unfinished and so unreadable; before the first sample it takes the empty folders away again.

    Args:
        folder: of the sequence; created. A non-empty one is refused.
        rate: frames per second.
        names: class name by object id, all that there are; they are numbered from 1 in rising order of the ids.
        detect: gives the detections of a sample, for ``det/det.txt``; None: there is none.

    Raises:
        OutputError: the folder is in the way or cannot be written (also from `add` and `close`).
    """

    def __init__(self, folder: str | Path, rate: float, names: Mapping[int, str], detect: Detect | None = None) -> None:
        path = Path(folder)
        self._created = [each for each in (path / _IMAGES, path, *path.parents) if not each.exists()]
        self.path = make_directory(path)
        with output_errors(self.path):
            if any(self.path.iterdir()):
                raise OutputError(f"{self.path}: the folder is not empty; choose another one")
            (self.path / _IMAGES).mkdir()
        self._rate, self._detect = rate, detect
        self._names = [names[obj_id] for obj_id in sorted(names)]
        self._labels = {obj_id: number for number, obj_id in enumerate(sorted(names), 1)}
        self._truths: list[MotRow] = []
        self._detections: list[MotRow] = []
        self._frames, self._size = 0, (0, 0)

    def __enter__(self) -> MotWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not self._frames:
            for each in self._created:
                with suppress(OSError):
                    each.rmdir()

    def add(self, sample: Sample) -> None:
        """Append a sample; of its annotation, the objects with a box and an instance id."""
        color = sample.frame.color
        size = color.shape[1], color.shape[0]
        if self._frames and size != self._size:
            raise OutputError(f"{self.path}: a picture of {size} after one of {self._size}: all must have one size")
        self._frames, self._size = self._frames + 1, size
        file = self.path / _IMAGES / f"{self._frames:06d}{_ENDING}"
        done, data = cv2.imencode(_ENDING, np.ascontiguousarray(color[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise OutputError(f"{file}: cannot encode a {color.dtype} {color.shape} image")
        with output_errors(file):
            file.write_bytes(data.tobytes())
        for truth in sample.objects or ():
            if truth.box is not None and truth.instance_id is not None and truth.obj_id in self._labels:
                visibility = UNKNOWN if truth.visibility is None else truth.visibility
                # Instances are numbered within their class, identities over all.
                identity = truth.obj_id * 1000 + truth.instance_id
                label = self._labels[truth.obj_id]
                self._truths.append(MotRow(self._frames, identity, truth.box, 1.0, label, visibility))
        for found in () if self._detect is None else self._detect(sample):
            label = self._labels[found.obj_id]
            self._detections.append(MotRow(self._frames, UNKNOWN, found.box, found.score, label))

    def close(self) -> None:
        """Write the text files, which completes the sequence."""
        if not self._frames:
            raise OutputError(f"{self.path}: nothing to write: no sample was added")
        write_text(self.path / TRUTH, text_of(self._truths))
        write_text(self.path / LABELS, "".join(f"{name}\n" for name in self._names))
        if self._detect is not None:
            write_text(self.path / DETECTIONS, text_of(self._detections))
        info = {
            "name": self.path.name,
            "imDir": _IMAGES,
            "frameRate": f"{self._rate:g}",
            "seqLength": self._frames,
            "imWidth": self._size[0],
            "imHeight": self._size[1],
            "imExt": _ENDING,
        }
        write_text(self.path / INFO, "[Sequence]\n" + "".join(f"{name}={value}\n" for name, value in info.items()))

"""Writes RGB pictures as a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import OutputError

# Four-character codes and endings by preference. Every browser plays VP8; VP9 takes OpenCV five times as long, H.264 is
# not in its wheels. Not every browser plays MPEG-4 part 2, but every OpenCV with FFmpeg writes it.
ENCODERS = (("VP80", ".webm"), ("mp4v", ".mp4"))


class VideoWriter:
    """Video for browsers through OpenCV; opened at the first picture, whose size all others are brought to.

    Where OpenCV has no encoder, nothing is written and `note` says so: a report without a video is still a report.

    Args:
        path: file to write, without ending.
        fps: frames per second.
        encoders: code and ending of those to try, the first that there is; default: `ENCODERS`.

    Attributes:
        path: the file, from the first picture on with the ending of what is written, ``.webm`` or ``.mp4``.
        note: why nothing is written, or empty.
    """

    def __init__(self, path: Path, fps: float = 10.0, encoders: Sequence[tuple[str, str]] | None = None) -> None:
        self.path = path
        self._encoders = ENCODERS if encoders is None else encoders
        self.fps = fps
        self.note = ""
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._frames = 0

    def write(self, image: UInt8) -> None:
        """Append one (H, W, 3) uint8 RGB picture."""
        if self.note:
            return
        if self._writer is None:
            # The encoder halves the colour resolution and so wants even sizes.
            self._size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
            self._writer = self._open()
            if self._writer is None:
                self.note = "No overlay video: this OpenCV has no encoder for VP8 or MPEG-4."
                return
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._writer.write(np.ascontiguousarray(image[..., ::-1]))
        self._frames += 1

    def _open(self) -> cv2.VideoWriter | None:
        """The first encoder there is; sets `path`."""
        for code, ending in self._encoders:
            path = self.path.with_suffix(ending)
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), self.fps, self._size)
            if writer.isOpened():
                self.path = path
                return writer
            path.unlink(missing_ok=True)
        return None

    def close(self, check: bool = True) -> None:
        """Finish the file.

        Args:
            check: read the number of frames back, since the encoder does not report a full disk.

        Raises:
            OutputError: frames are missing from the file.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        if not check:
            return
        found = _frames_of(self.path, self._frames)
        if found < self._frames:
            raise OutputError(
                f"{self.path.name}: cannot be written: only {found} of {self._frames} frames arrived (disk full?)"
            )


def encoder_for(path: Path) -> tuple[str, str]:
    """The one of `ENCODERS` that writes what the ending of `path` says.

    Raises:
        OutputError: none does.
    """
    for code, ending in ENCODERS:
        if path.suffix.lower() == ending:
            return code, path.suffix
    endings = " or ".join(sorted(ending for _, ending in ENCODERS))
    raise OutputError(f"{path}: a video is written as {endings}: choose such a name")


def _frames_of(path: Path, expected: int) -> int:
    """How many frames of a video can be read. The number in its header says what was sent, not what arrived."""
    reader = cv2.VideoCapture(str(path))
    try:
        # The last one at once where it can be found, which spares reading all.
        if reader.isOpened() and reader.set(cv2.CAP_PROP_POS_FRAMES, expected - 1) and reader.grab():
            return expected
        reader.open(str(path))
        found = 0
        while reader.grab():
            found += 1
        return found
    finally:
        reader.release()

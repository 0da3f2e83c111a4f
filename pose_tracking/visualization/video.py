"""Writes RGB pictures as a video."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import OutputError


class VideoWriter:
    """MPEG-4 video through OpenCV; opened at the first picture, whose size all others are brought to.

    Where OpenCV has no encoder, nothing is written and `note` says so: a report without a video is still a report.

    Args:
        path: file to write, ending in ``.mp4``.
        fps: frames per second.
    """

    def __init__(self, path: Path, fps: float = 10.0) -> None:
        self.path = path
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
            self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.fps, self._size)
            if not self._writer.isOpened():
                self.note = "No overlay video: this OpenCV has no MPEG-4 encoder."
                self._writer = None
                self.path.unlink(missing_ok=True)
                return
        if (image.shape[1], image.shape[0]) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)
        self._writer.write(np.ascontiguousarray(image[..., ::-1]))
        self._frames += 1

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
        reader = cv2.VideoCapture(str(self.path))
        found = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
        reader.release()
        if found < self._frames:
            raise OutputError(
                f"{self.path.name}: cannot be written: only {found} of {self._frames} frames arrived (disk full?)"
            )

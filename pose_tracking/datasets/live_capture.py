"""The newest picture of a camera or stream, whatever the speed of who takes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NewestPicture:
    """Reads a capture in a thread of its own and keeps the newest picture only.

    A capture that is read too slowly hands out old pictures from its buffer, later and later behind the world.

    Args:
        capture: an opened ``cv2.VideoCapture``.

    Attributes:
        dropped: how many pictures were replaced by a newer one before they were taken.
    """

    def __init__(self, capture: Any) -> None:
        self.dropped = 0
        self._capture = capture
        self._newest: tuple[float, NDArray[np.uint8]] | None = None
        self._ended = self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closed:
            done, image = self._capture.read()
            with self._changed:
                if done:
                    self.dropped += self._newest is not None
                    self._newest = time.monotonic(), image
                else:
                    self._ended = True
                self._changed.notify()
            if not done:
                break
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Time of arrival (s, of the monotonic clock) and (H, W, 3) BGR picture, until the stream ends."""
        while True:
            with self._changed:
                while self._newest is None and not self._ended:
                    self._changed.wait()
                if self._newest is None:
                    return
                taken, self._newest = self._newest, None
            yield taken

    def close(self) -> None:
        """Stop reading; the device is free when the read that is under way has come back."""
        self._closed = True
        self._thread.join(timeout=1.0)

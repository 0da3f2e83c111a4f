"""Pictures in the order of time without depth: a video file, a folder of images, a camera of this machine or a stream.

What comes out are frames without depth (`RGBDFrame.of_color`) with rising stamps. A video that breaks off, an image
that cannot be read, a camera that is pulled out end the pictures or leave one out and are no error once there was a
picture: what was read can be used, and `notes` says what happened.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import MIN_SIDE, USUAL_VIEW, RGBDFrame

from .image_files import read_color
from .live_capture import NewestPicture

USUAL_RATE = 30.0
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Frame rates that a header may state; what is beyond is a time base or no rate at all.
RATES = (0.1, 240.0)
# Frames that may be missing at the end before a video counts as cut off: headers round.
_ROUNDING = 2.5
_TIMEOUT_MS = 10_000
# Pictures in a row that may be damaged before a file counts as ended there.
_MOST_DAMAGED = 100
_TICKS = getattr(cv2, "CAP_PROP_PTS", -1)  # the stamp in the file; since OpenCV 4.11


class Video(ABC):
    """Pictures in the order of time; read once.

    Args:
        name: for messages.
        rate: nominal frame rate, Hz.
        total: how many pictures there should be, or None where nobody knows.
        view: degrees that the camera sees across the longer side of its picture.

    Attributes:
        name, rate, total: as given.
        is_live: whether the pictures come at their own pace, so that those that nobody takes in time are lost.
        notes: what went wrong so far, one line each.
    """

    is_live = False

    def __init__(self, name: str, rate: float, total: int | None, view: float) -> None:
        self.name, self.rate, self.total = name, rate, total
        self.notes: list[str] = []
        self._view = view

    def __iter__(self) -> Iterator[RGBDFrame]:
        """The frames, with rising stamps.

        Raises:
            DatasetError: there is not a single picture.
        """
        last: int | None = None
        unordered = 0
        small = 0
        for stamp, color in self._pictures():
            if min(color.shape[:2]) < MIN_SIDE:
                small += 1
                continue
            stamp_ns = max(round(stamp * 1e9), 0)
            if last is not None and stamp_ns <= last:
                unordered += 1
                stamp_ns = last + round(1e9 / self.rate)
            last = stamp_ns
            camera = CameraIntrinsics.of_view(color.shape[1], color.shape[0], self._view)
            yield RGBDFrame.of_color(color, stamp_ns, camera)
        if small:
            self.notes.append(f"{small} pictures are smaller than {MIN_SIDE}x{MIN_SIDE} and were left out")
        if last is None:
            raise DatasetError(f"{self.name}: has no picture that can be read" + "".join(f"; {n}" for n in self.notes))
        if unordered:
            self.notes.append(f"{unordered} time stamps were not later than the one before: taken as {self.rate:g} Hz")

    def close(self) -> None:  # noqa: B027 (images have nothing to let go of)
        """Let go of the file or device."""

    @abstractmethod
    def _pictures(self) -> Iterator[tuple[float, UInt8]]:
        """Time in seconds and (H, W, 3) uint8 RGB of each picture."""


class ImageFolder(Video):
    """A folder of images, in the order of the numbers in their names.

    Args:
        folder: has the images.
        rate: frames per second, of which the images say nothing.
        view: see `Video`.

    Raises:
        DatasetError: no image in it.
    """

    def __init__(self, folder: Path, rate: float, view: float = USUAL_VIEW) -> None:
        self.paths = images_in(folder)
        if not self.paths:
            deeper = next((d for d in ("img1", "rgb") if images_in(folder / d)), None)
            hint = f"; {folder / deeper} has some" if deeper else f" ({', '.join(IMAGE_ENDINGS)})"
            raise DatasetError(f"{folder}: has no images{hint}")
        super().__init__(str(folder), rate, len(self.paths), view)

    def _pictures(self) -> Iterator[tuple[float, UInt8]]:
        for number, path in enumerate(self.paths):
            try:
                color = read_color(path, upright=True)
            except DatasetError as error:
                self.notes.append(f"left out: {error}")
                continue
            yield number / self.rate, color


class VideoFile(Video):
    """A video file, or one that a server hands out, at the time stamps of its container.

    Args:
        name: path or URL, for messages.
        capture: the opened file.
        rate: frames per second in place of those its header states; the stamps are then counted and not read.
        view: see `Video`.
        most_damaged: pictures in a row that may be damaged; what comes after them is read again.
    """

    def __init__(
        self, name: str, capture: Any, rate: float | None = None, view: float = USUAL_VIEW, most_damaged: int = 0
    ) -> None:
        stated, count = (float(capture.get(what)) for what in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        known = RATES[0] <= stated <= RATES[1]
        # Formats that do not count their frames give their length in seconds times the rate of the header.
        self._seconds = count / stated if np.isfinite(stated) and stated > 0 and count > 0 else None
        self._counted = rate is not None
        nominal = rate or (stated if known else USUAL_RATE)
        total = None if not known or self._seconds is None else round(count)
        super().__init__(name, nominal, total, view)
        self._capture, self._most_damaged = capture, most_damaged

    def _pictures(self) -> Iterator[tuple[float, UInt8]]:
        number, failed, damaged, usual = 0, 0, 0, 1.0 / self.rate
        stamp, first, ticks, first_tick = 0.0, None, 0.0, 0.0
        while failed <= self._most_damaged:
            done, image = self._capture.read()
            if not done:
                failed += 1
                continue
            number, damaged, failed = number + failed, damaged + failed, 0
            stamp = number / self.rate if self._counted else self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3
            ticks = self._capture.get(_TICKS)
            if first is None:
                first, first_tick = stamp, ticks
            number += 1
            yield stamp, np.ascontiguousarray(image[..., ::-1])
        if damaged:
            self.notes.append(f"about {damaged} damaged pictures were left out")
        reached = number * usual if self._counted else stamp + usual
        if first is not None and first_tick > 0 and ticks > first_tick:
            # Matroska states its length from time zero, whenever its pictures begin.
            reached += first_tick * (stamp - first) / (ticks - first_tick)
        short = self.total is not None and number < self.total - _ROUNDING
        if short and (self._seconds is None or reached < self._seconds - _ROUNDING * usual):
            self.notes.append(
                f"ends after {number} of {self.total} frames that its header states: cut off or damaged there"
            )

    def close(self) -> None:
        self._capture.release()


class LiveVideo(Video):
    """A camera or a stream: always the newest picture, at the time it came.

    Args:
        name: device number or URL.
        capture: the opened device or stream.
        view: see `Video`.
    """

    is_live = True

    def __init__(self, name: str, capture: Any, view: float = USUAL_VIEW) -> None:
        stated = float(capture.get(cv2.CAP_PROP_FPS))
        super().__init__(name, stated if RATES[0] <= stated <= RATES[1] else USUAL_RATE, None, view)
        self._newest = NewestPicture(capture)

    def _pictures(self) -> Iterator[tuple[float, UInt8]]:
        start: float | None = None
        for moment, image in self._newest:
            start = moment if start is None else start
            yield moment - start, np.ascontiguousarray(image[..., ::-1])
        self.notes.append("the stream has ended")
        if self._newest.dropped:
            self.notes.append(f"{self._newest.dropped} pictures came faster than they were taken and were left out")

    def close(self) -> None:
        self._newest.close()


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder, in the order of the numbers in their names: frame2 before frame10."""
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")]
    return sorted(found, key=lambda p: [(0, int(t), "") if t.isdigit() else (1, 0, t) for t in _parts(p.stem)])


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", text) if part]


def open_video(text: str, rate: float | None = None, view: float = USUAL_VIEW) -> Video:
    """Open pictures without depth, whatever they are.

    Args:
        text: a video file, a folder of images, the number of a camera of this machine, or a URL (rtsp://, ...).
        rate: frames per second; None: those of the video, `USUAL_RATE` for images.
        view: degrees that the camera sees across the longer side of its picture.

    Raises:
        DatasetError: there is nothing, or it cannot be read.
    """
    _be_quiet()
    if text.isdigit():
        return _live(text, cv2.VideoCapture(int(text)), rate, view, "no such camera here, or another program has it")
    if "://" in text:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        capture = cv2.VideoCapture(text, cv2.CAP_FFMPEG, limits)
        if capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
            return VideoFile(text, capture, rate, view)
        return _live(text, capture, rate, view, "nothing answers there, or it is no video")
    path = Path(text).expanduser()
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder; expected a video, images, a camera's number or a URL")
    if path.is_dir():
        return ImageFolder(path, rate or USUAL_RATE, view)
    if not os.access(path, os.R_OK):
        raise DatasetError(f"{path}: may not be read (permissions)")
    # By its path alone: the default would take the name of an image for that of a numbered sequence.
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DatasetError(f"{path}: cannot be read as a video: another kind of file, or cut off before its index")
    return VideoFile(str(path), capture, rate, view, _MOST_DAMAGED)


def _live(text: str, capture: Any, rate: float | None, view: float, trouble: str) -> Video:
    if not capture.isOpened():
        raise DatasetError(f"{text}: cannot be opened: {trouble}")
    if rate is not None:
        capture.release()
        raise DatasetError(f"{text}: its pictures come at their own pace: leave the rate of {rate:g} Hz out")
    return LiveVideo(text, capture, view)


def _be_quiet() -> None:
    """Keep the libraries below from telling their own story on stderr beside our line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging = cv2.utils.logging
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)

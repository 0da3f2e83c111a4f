"""Labelled clips of one thing or person each: one zip file that training reads at random.

Members: ``NNNNNN/frames.jpg`` and ``NNNNNN/masks.png``, the pictures one below the other, and ``NNNNNN/meta.json``.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, UInt8
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.files import make_directory, output_errors, temporary_sibling
from pose_tracking.networks.clips.shape import FRAMES, SIDE


@dataclass(frozen=True, eq=False)
class Clip:
    """What one track did for a while.

    Attributes:
        frames: (16, 112, 112, 3) uint8 RGB, the same square of the picture in all frames.
        masks: (16, 112, 112) bool pixels of the thing or person; empty where it was not seen.
        label: what it did.
        source: where it is from, e.g. the kind and seed of its simulation.
    """

    frames: UInt8
    masks: Bool
    label: str
    source: str = ""


class ClipWriter:
    """Writes clips to one zip file, which appears under its name only when complete.

    Args:
        path: the file to write.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        make_directory(self.path.parent)
        self._temporary = temporary_sibling(self.path)
        with output_errors(self.path):
            self._zip = zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._count = 0

    def add(self, clip: Clip) -> None:
        """Append a clip."""
        if clip.frames.shape != (FRAMES, SIDE, SIDE, 3) or clip.masks.shape != (FRAMES, SIDE, SIDE):
            raise ValueError(f"a clip has {FRAMES} frames of {SIDE}x{SIDE}, got {clip.frames.shape}")
        column = clip.frames.reshape(-1, SIDE, 3)[..., ::-1]
        color = cv2.imencode(".jpg", np.ascontiguousarray(column), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
        mask = cv2.imencode(".png", clip.masks.reshape(-1, SIDE).astype(np.uint8) * 255)[1]
        name = f"{self._count:06d}"
        with output_errors(self.path):
            self._zip.writestr(f"{name}/frames.jpg", color.tobytes())
            self._zip.writestr(f"{name}/masks.png", mask.tobytes())
            self._zip.writestr(f"{name}/meta.json", json.dumps({"label": clip.label, "source": clip.source}))
        self._count += 1

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with output_errors(self.path):
            self._zip.close()
            if kind is None:
                os.replace(self._temporary, self.path)
            else:
                self._temporary.unlink(missing_ok=True)


class ClipDataset:
    """Random access to the clips of one or more files.

    Args:
        paths: files, or folders of them (read in the order of their names).

    Attributes:
        labels: of all clips.

    Raises:
        DatasetError: missing, truncated or not a file of clips.
    """

    def __init__(self, *paths: str | Path) -> None:
        self._index: list[tuple[Path, int]] = []
        self.labels: list[str] = []
        for path in map(Path, paths):
            files = [path]
            if path.is_dir():  # without those that are being written
                files = sorted(file for file in path.glob("*.zip") if not file.name.startswith("."))
            if not files:
                raise DatasetError(f"{path}: has no files of clips (*.zip)")
            for file in files:
                self._read_index(file)
        self._open: dict[Path, zipfile.ZipFile] = {}
        self._pid = -1

    def _read_index(self, file: Path) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                count = sum(name.endswith("/frames.jpg") for name in archive.namelist())
                labels = [str(json.loads(archive.read(f"{n:06d}/meta.json"))["label"]) for n in range(count)]
        except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
            raise DatasetError(f"{file}: no file of clips, or truncated ({error}); see simulate --clips") from error
        if not count:
            raise DatasetError(f"{file}: holds no clips; write some with simulate --clips")
        self._index += [(file, number) for number in range(count)]
        self.labels += labels

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Clip:
        file, number = self._index[index]
        if self._pid != os.getpid():  # after a fork, a shared file position would mix up reads
            self._open, self._pid = {}, os.getpid()
        if file not in self._open:
            self._open[file] = zipfile.ZipFile(file)
        archive, name = self._open[file], f"{number:06d}"
        try:
            color = _decoded(archive.read(f"{name}/frames.jpg"), cv2.IMREAD_COLOR)
            mask = _decoded(archive.read(f"{name}/masks.png"), cv2.IMREAD_GRAYSCALE)
            meta = json.loads(archive.read(f"{name}/meta.json"))
            frames = np.ascontiguousarray(color[..., ::-1]).reshape(FRAMES, SIDE, SIDE, 3)
            masks = mask.reshape(FRAMES, SIDE, SIDE) > 127
        except (KeyError, ValueError, TypeError, AttributeError, cv2.error, zipfile.BadZipFile) as error:
            raise DatasetError(f"{file}: clip {number} cannot be read ({error})") from error
        return Clip(frames, masks, str(meta["label"]), str(meta.get("source", "")))

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}, "_pid": -1}


def _decoded(data: bytes, flag: int) -> UInt8:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise ValueError("picture cannot be decoded")
    return np.asarray(image, np.uint8)

"""Search results as files: for people, in COCO's layout, and in the one that FiftyOne reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose_tracking.core.arrays import Bool, UInt8
from pose_tracking.core.errors import ConfigError, DatasetError, OutputError
from pose_tracking.core.files import atomic_path, write_json

from .export_layouts import Instance, Picture, coco_content, fiftyone_content
from .frames import RecordedFrame, frames_of
from .pictures import decode_crop
from .search import Result
from .sighting import Crop
from .store import GalleryReader, Recording

FOLDER, COCO, FIFTYONE = "folder", "coco", "fiftyone"
FORMATS = (FOLDER, COCO, FIFTYONE)
_BOX_COLOR = (255, 64, 0)  # RGB


@dataclass
class ExportReport:
    """What was written: number of pictures, and a line on each recording whose frames could not be read."""

    pictures: int = 0
    notes: list[str] = field(default_factory=list)


def export(
    store: GalleryReader,
    results: Sequence[Result],
    folder: str | Path,
    layout: str = FOLDER,
    frames: bool = False,
) -> ExportReport:
    """Write results to a new folder. The names of files are made of numbers alone, whatever cameras are called.

    ``folder``: ``crops/``, ``sightings.json``, ``coco.json`` of the crops, and with `frames` ``frames/``, the frames of
    the crops with a box around the thing. ``coco`` and ``fiftyone``: ``data/`` and ``labels.json``; a picture is a
    crop, or with `frames` a whole frame and all that was found in it.

    Raises:
        ConfigError: there is no such layout.
        OutputError: the folder is there and not empty, or cannot be written; no half folder is left.
    """
    if layout not in FORMATS:
        raise ConfigError(f"--export-format {layout}: expected one of {', '.join(FORMATS)}")
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already: choose another name or remove it")
    with atomic_path(folder) as unfinished:
        writer = _Writer(store, results, unfinished)
        if layout == FOLDER:
            writer.for_people(frames)
        else:
            pictures = list(writer.of_frames("data") if frames else writer.of_crops("data"))
            content = coco_content(pictures) if layout == COCO else fiftyone_content(pictures)
            write_json(unfinished / "labels.json", content)
        return writer.report


class _Writer:
    """Writes the pictures of results below a folder."""

    def __init__(self, store: GalleryReader, results: Sequence[Result], folder: Path) -> None:
        self._folder, self.report = folder, ExportReport()
        folder.mkdir(parents=True)
        self._shown = [
            (result, crop, n) for result in results for n, crop in enumerate(store.crops(result.sighting.id))
        ]
        self._results = results
        self._recordings = {recording.id: recording for recording in store.recordings()}

    def for_people(self, frames: bool) -> None:
        pictures = list(self.of_crops("crops"))
        places: dict[tuple[int, int], dict[str, Any]] = {}
        if frames:
            (self._folder / "frames").mkdir()
            for recording, frame, shown in self._frames():
                name = f"frames/{recording.id:04d}_{frame.number:06d}.png"
                drawn = frame.color.copy()
                for _, crop in shown:
                    x0, y0, x1, y1 = (round(float(v)) for v in crop.box)
                    cv2.rectangle(drawn, (x0 - 1, y0 - 1), (x1, y1), _BOX_COLOR, 2)
                self._write(name, _png(drawn))
                places[recording.id, frame.stamp_ns] = {"picture": name, **_origin(frame)}
        of: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for (result, crop, _), picture in zip(self._shown, pictures, strict=True):
            place = places.get((result.sighting.source, crop.stamp_ns))
            box = [round(float(v), 1) for v in crop.box]
            entry = {"file": picture.name, "stamp_s": crop.stamp_ns / 1e9, "box": box}
            of[result.sighting.id].append(entry if place is None else {**entry, "frame": place})
        rows = [{**r.as_dict(), "path": _path(r), "crops": of[r.sighting.id]} for r in self._results]
        write_json(self._folder / "sightings.json", rows)
        write_json(self._folder / "coco.json", coco_content(pictures))

    def of_crops(self, folder: str) -> Iterator[Picture]:
        """The crops as pictures of one thing each."""
        (self._folder / folder).mkdir()
        for result, crop, number in self._shown:
            name = f"{folder}/{result.sighting.id:08d}_{number}.webp"
            self._write(name, crop.image)
            mask = decode_crop(crop.image)[..., 3] > 127
            yield Picture(name, mask.shape, [Instance(result, mask, (0, 0, mask.shape[1], mask.shape[0]))])

    def of_frames(self, folder: str) -> Iterator[Picture]:
        """The frames of the crops as pictures of all things that were found in them."""
        (self._folder / folder).mkdir()
        for recording, frame, shown in self._frames():
            name = f"{folder}/{recording.id:04d}_{frame.number:06d}.png"
            self._write(name, _png(frame.color))
            things = [_instance(result, crop, frame.color) for result, crop in shown]
            yield Picture(name, frame.color.shape[:2], things, {"recording": recording.name, **_origin(frame)})

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)
        self.report.pictures += 1

    def _frames(self) -> Iterator[tuple[Recording, RecordedFrame, list[tuple[Result, Crop]]]]:
        """Each frame that a crop is of, and what is shown in it; a recording that cannot be read is noted."""
        wanted: dict[int, dict[int, list[tuple[Result, Crop]]]] = defaultdict(lambda: defaultdict(list))
        for result, crop, _ in self._shown:
            wanted[result.sighting.source][crop.stamp_ns].append((result, crop))
        for source, of_stamp in wanted.items():
            recording = self._recordings[source]
            try:
                for frame in frames_of(recording, list(of_stamp)):
                    yield recording, frame, of_stamp[frame.stamp_ns]
            except DatasetError as error:
                self.report.notes.append(f"{error}; frames of {len(of_stamp)} crops are missing")


def _instance(result: Result, crop: Crop, color: UInt8) -> Instance:
    """A crop where it was in its frame; it may have been kept smaller than it was."""
    x0, y0, x1, y1 = (round(float(v)) for v in crop.box)
    alpha = (decode_crop(crop.image)[..., 3] > 127).astype(np.uint8)
    if alpha.shape != (y1 - y0, x1 - x0):
        alpha = np.asarray(cv2.resize(alpha, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST), np.uint8)
    mask: Bool = np.zeros(color.shape[:2], bool)
    mask[y0:y1, x0:x1] = alpha > 0
    return Instance(result, mask, (x0, y0, x1 - x0, y1 - y0))


def _origin(frame: RecordedFrame) -> dict[str, Any]:
    """Where a frame stands in its recording."""
    known = {"frame": frame.number, "topic": frame.topic, "message": frame.message, "stamp_ns": frame.recorded_ns}
    return {key: value for key, value in known.items() if value is not None}


def _png(color: UInt8) -> bytes:
    done, data = cv2.imencode(".png", np.ascontiguousarray(color[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OutputError("this OpenCV cannot write PNG: install opencv-python-headless")
    return bytes(data)


def _path(result: Result) -> list[dict[str, Any]]:
    path = result.sighting.path
    return [
        {"stamp_s": int(stamp) / 1e9, "pose": pose.round(6).tolist()}
        for stamp, pose in zip(path.stamps_ns, path.poses, strict=True)
    ]

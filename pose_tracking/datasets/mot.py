"""Sequences in the layout of MOTChallenge (Milan et al. 2016, arXiv:1603.00831): reading them.

::

    seqinfo.ini     name, frame rate, length, size and image folder
    img1/           000001.jpg, ...
    gt/gt.txt       annotated boxes (`mot_rows`); test sequences have none
    gt/labels.txt   names of the classes 1, 2, ..., one a line, as CVAT exports them; without it the classes are those
                    of MOTChallenge, of which pedestrians alone are scored
    det/det.txt     detections, where there are any
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError
from pose_tracking.core.frame import USUAL_VIEW, RGBDFrame

from .image_files import read_color
from .mot_rows import UNKNOWN, MotRow, read_rows

INFO, TRUTH, LABELS, DETECTIONS = "seqinfo.ini", "gt/gt.txt", "gt/labels.txt", "det/det.txt"
PEDESTRIAN = 1
# A pedestrian of one data set is a person of another.
PEOPLE = ("pedestrian", "person")
# Classes of MOTChallenge: all there are, and those on which a track is neither right nor wrong (MOT20 has one more).
CLASSES = range(1, 14)
DISTRACTORS, DISTRACTORS_OF_MOT20 = frozenset({2, 7, 8, 12}), frozenset({2, 6, 7, 8, 12})


@dataclass(frozen=True)
class MotSequence:
    """One sequence; its text files are read, its images not yet.

    Attributes:
        folder, name: where it lies and what it is called.
        rate: frames per second.
        length: number of frames.
        width, height: of its images, pixels.
        images: folder of the images.
        ending: of their names.
        labels: names of the classes by number, or None where they are those of MOTChallenge.
        truths: annotated boxes, or None where there is no annotation.
        detections: the given detections, or None where there are none.
    """

    folder: Path
    name: str
    rate: float
    length: int
    width: int
    height: int
    images: Path
    ending: str
    labels: dict[int, str] | None
    truths: list[MotRow] | None
    detections: list[MotRow] | None

    @property
    def class_names(self) -> dict[int, str]:
        """Names of the classes that are scored, by number."""
        return {PEDESTRIAN: "pedestrian"} if self.labels is None else self.labels

    @property
    def distractors(self) -> frozenset[int]:
        """Classes on which a track is neither right nor wrong."""
        if self.labels is not None:
            return frozenset()
        return DISTRACTORS_OF_MOT20 if self.name.upper().startswith("MOT20") else DISTRACTORS

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """Of a usual camera of that size: the layout has none."""
        return CameraIntrinsics.of_view(self.width, self.height, USUAL_VIEW)

    def frame(self, number: int) -> RGBDFrame:
        """Picture `number`, counted from 1.

        Raises:
            DatasetError: missing, unreadable or of another size than `seqinfo.ini` says.
        """
        path = self.images / f"{number:06d}{self.ending}"
        color = read_color(path)
        if color.shape[:2] != (self.height, self.width):
            raise DatasetError(
                f"{path}: is {color.shape[1]}x{color.shape[0]}, but {INFO} says {self.width}x{self.height}"
            )
        return RGBDFrame.of_color(color, self.stamp_ns(number), self.intrinsics)

    def stamp_ns(self, number: int) -> int:
        """Time of frame `number`, counted from 1, in nanoseconds."""
        return round((number - 1) / self.rate * 1e9)


def known_classes(names: Mapping[int, str], objects: Mapping[int, str]) -> dict[int, int]:
    """Which object each class is, by name, whatever its case; classes that are no object are left out.

    Args:
        names: of the classes by number.
        objects: of the objects by id.
    """
    by_name = {name.lower(): obj_id for obj_id, name in objects.items()}
    alike = {label: PEOPLE if name.lower() in PEOPLE else (name.lower(),) for label, name in names.items()}
    return {
        label: next(by_name[n] for n in names_of_it if n in by_name)
        for label, names_of_it in alike.items()
        if any(n in by_name for n in names_of_it)
    }


def is_mot(path: str | Path) -> bool:
    """Whether a folder is a sequence in MOTChallenge's layout, or has some in it."""
    return bool(_sequence_folders(Path(path).expanduser()))


def open_mot(path: str | Path) -> list[MotSequence]:
    """The sequence at `path`, or those in the folder `path`, by name.

    Raises:
        DatasetError: there is none, or one of its files cannot be used; the message names file and line.
    """
    folders = _sequence_folders(Path(path).expanduser())
    if not folders:
        raise DatasetError(f"{path}: no {INFO} there or in a folder of it: not in MOTChallenge's layout")
    return [read_sequence(folder) for folder in folders]


def read_sequence(folder: Path) -> MotSequence:
    """The sequence in `folder`.

    Raises:
        DatasetError: a file of it is missing or cannot be used.
    """
    info = _read_info(folder / INFO)
    labels = _read_labels(folder / LABELS)
    length = _whole(info, "seqLength", folder)
    truths = read_rows(folder / TRUTH, length) if (folder / TRUTH).is_file() else None
    known = CLASSES if labels is None else labels
    for row in truths or ():
        if row.label not in known and not (labels is None and row.label == UNKNOWN):
            where = "MOTChallenge has 1 to 13" if labels is None else f"{LABELS} has {len(labels)}"
            raise DatasetError(f"{folder / TRUTH}: class {row.label} in frame {row.frame}: {where}")
    _check_unique(truths or (), folder / TRUTH)
    return MotSequence(
        folder,
        info.get("name", folder.name),
        _number(info, "frameRate", folder),
        length,
        _whole(info, "imWidth", folder),
        _whole(info, "imHeight", folder),
        folder / info.get("imDir", "img1"),
        info.get("imExt", ".jpg"),
        labels,
        truths,
        read_rows(folder / DETECTIONS, length) if (folder / DETECTIONS).is_file() else None,
    )


def _sequence_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    if (path / INFO).is_file():
        return [path]
    return sorted(folder for folder in path.iterdir() if (folder / INFO).is_file())


def _read_info(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"), str(path))
        return parser["Sequence"]
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DatasetError(f"{path}: cannot be read ({reason}); expected a section [Sequence]") from error


def _whole(info: configparser.SectionProxy, name: str, folder: Path) -> int:
    """A whole number above 0 of ``seqinfo.ini``."""
    value = _number(info, name, folder)
    if value != int(value):
        raise DatasetError(f"{folder / INFO}: {name} = {value:g}: expected a whole number")
    return int(value)


def _number(info: configparser.SectionProxy, name: str, folder: Path) -> float:
    """A number above 0 of ``seqinfo.ini``."""
    text = info.get(name)
    if text is None:
        raise DatasetError(f"{folder / INFO}: does not state {name}")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise DatasetError(f"{folder / INFO}: {name} = {text}: expected a number above 0")
    return value


def _read_labels(path: Path) -> dict[int, str] | None:
    if not path.is_file():
        return None
    names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        raise DatasetError(f"{path}: has {'a name twice' if names else 'no names'}: one class a line")
    return dict(enumerate(names, 1))


def _check_unique(rows: list[MotRow] | tuple[()], path: Path) -> None:
    seen: set[tuple[int, int]] = set()
    for row in rows:
        if (row.frame, row.identity) in seen:
            raise DatasetError(f"{path}: identity {row.identity} is twice in frame {row.frame}")
        seen.add((row.frame, row.identity))

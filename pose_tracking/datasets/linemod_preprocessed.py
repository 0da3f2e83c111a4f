"""Reader of ``Linemod_preprocessed``, the layout in which the authors of DenseFusion distribute LineMOD.

Layout, with two digits for the object (its LineMOD number) and four for the image::

    data/06/rgb/0000.png, depth/0000.png (mm), mask/0000.png
    data/06/gt.yml       {0: [{"cam_R_m2c", "cam_t_m2c" (mm), "obj_bb" (x, y, w, h), "obj_id"}]}
    data/06/info.yml     {0: {"cam_K", "depth_scale"}}
    data/06/train.txt, test.txt   image names, one a line
    models/obj_06.ply

In each folder one object is annotated, but folder 02 lists all objects in view; as in DenseFusion's evaluation, only
the object the folder is named after is taken unless the others are asked for. The mask is that object's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import make_transform

from .bop import DEFAULT_PERIOD_NS, SCENE_GAP_NS
from .image_files import read_color, read_depth, read_mask
from .sample import GroundTruthObject, Sample, silhouette_box

SPLITS = ("test", "train", "all")
# libyaml reads the 40,000 lines of a gt.yml in a second; the Python parser takes half a minute.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class _Image:
    folder: Path
    number: int
    stamp_ns: int
    camera: Mapping[str, Any]
    entries: list[Mapping[str, Any]]


class LinemodPreprocessed:
    """One object folder (``data/06``) or the whole archive as a sequence of samples.

    The images of a split are no video: stamps are 0.1 s apart all the same, and 10 s between object folders.

    Args:
        path: object folder, ``data`` folder or root of the archive.
        split: ``test``, ``train`` (the ~15 % of images the published networks were trained on) or ``all``.
        all_objects: also take the objects a folder is not named after.

    Raises:
        DatasetError: not in this layout, or a file is missing, truncated or inconsistent.
    """

    def __init__(self, path: str | Path, split: str = "test", all_objects: bool = False) -> None:
        self.path = Path(path)
        self.name = self.path.name or str(self.path)
        self.depth_scale = 1.0
        self._images: list[_Image] = []
        if split not in SPLITS:
            raise DatasetError(f"{self.path}: unknown split {split!r}; known: {', '.join(SPLITS)}")
        for folder in object_folders(self.path):
            start = self._images[-1].stamp_ns + SCENE_GAP_NS if self._images else 0
            self._images.extend(_list_images(folder, split, all_objects, start))

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: int) -> Sample:
        return _read_sample(self._images[index])


def is_object_folder(path: Path) -> bool:
    """Whether `path` is one object's folder in this layout."""
    return (path / "gt.yml").is_file() or ((path / "info.yml").is_file() and (path / "rgb").is_dir())


def object_folders(path: str | Path) -> list[Path]:
    """The object folders at `path`: itself, or those of the archive whose root or ``data`` folder it is.

    Raises:
        DatasetError: there is none.
    """
    path = Path(path)
    if is_object_folder(path):
        return [path]
    for parent in (path / "data", path):
        if parent.is_dir():
            folders = sorted(f for f in parent.iterdir() if f.name.isdigit() and is_object_folder(f))
            if folders:
                return folders
    raise DatasetError(f"{path}: not a Linemod_preprocessed folder (no gt.yml, nor data/NN/gt.yml)")


def _read_yaml(path: Path) -> dict[int, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, _LOADER)
        return {int(key): value for key, value in content.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise DatasetError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _split_numbers(folder: Path, split: str, known: list[int]) -> list[int]:
    if split == "all":
        return known
    path = folder / f"{split}.txt"
    try:
        return [int(line) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def _list_images(folder: Path, split: str, all_objects: bool, start_ns: int) -> list[_Image]:
    truth, cameras = _read_yaml(folder / "gt.yml"), _read_yaml(folder / "info.yml")
    numbers = _split_numbers(folder, split, sorted(cameras))
    if not numbers:
        raise DatasetError(f"{folder}: split {split!r} has no images")
    images = []
    for index, number in enumerate(numbers):
        if number not in truth or number not in cameras:
            raise DatasetError(f"{folder}: image {number} of {split}.txt is not in gt.yml and info.yml")
        entries = truth[number]
        if not all_objects and folder.name.isdigit():
            entries = [entry for entry in entries if entry.get("obj_id") == int(folder.name)]
        images.append(_Image(folder, number, start_ns + index * DEFAULT_PERIOD_NS, cameras[number], entries))
    return images


def _read_sample(image: _Image) -> Sample:
    stem = f"{image.number:04d}"
    folder_id = int(image.folder.name) if image.folder.name.isdigit() else 0
    color = read_color(image.folder / "rgb" / f"{stem}.png")
    try:
        depth = read_depth(image.folder / "depth" / f"{stem}.png", float(image.camera.get("depth_scale", 1.0)))
        height, width = color.shape[:2]
        intrinsics = CameraIntrinsics.from_matrix(image.camera["cam_K"], width, height)
        objects = [_read_object(image, entry, folder_id) for entry in image.entries]
    except FrameError as error:
        raise DatasetError(f"{image.folder / 'info.yml'}: image {image.number}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{image.folder}: image {image.number}: not usable ({error!r})") from error
    frame = RGBDFrame(color, depth, intrinsics, stamp_ns=image.stamp_ns)
    return Sample(frame, objects, scene_id=folder_id, image_id=image.number)


def _read_object(image: _Image, entry: Mapping[str, Any], folder_id: int) -> GroundTruthObject:
    obj_id = int(entry["obj_id"])
    rotation = np.asarray(entry["cam_R_m2c"], float).reshape(3, 3)
    pose = make_transform(rotation, np.asarray(entry["cam_t_m2c"], float) * 1e-3)
    x, y, width, height = (float(v) for v in entry["obj_bb"])
    box = np.array([x, y, x + width, y + height])
    mask = None
    mask_path = image.folder / "mask" / f"{image.number:04d}.png"
    if obj_id == folder_id and mask_path.is_file():
        mask = read_mask(mask_path)
        box = box if (visible := silhouette_box(mask)) is None else visible
    return GroundTruthObject(obj_id, pose, box=box, mask=mask)

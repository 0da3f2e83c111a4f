"""Scenes in the layout of the BOP benchmark: the reader. `bop_writer` writes them.

Layout of a scene folder (https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md)::

    scene_camera.json    {"<image>": {"cam_K", "depth_scale", "cam_R_w2c", "cam_t_w2c", "stamp_ns"}}
    scene_gt.json        {"<image>": [{"cam_R_m2c", "cam_t_m2c", "obj_id", "instance_id", "scale"}]}
    scene_gt_info.json   {"<image>": [{"bbox_obj", "bbox_visib", "px_count_all", "px_count_visib", "visib_fract"}]}
    scene_events.json    {"<image>": [{"kind", "instance_id", "obj_id", "lasted_ns"}]}
    rgb/000000.png (or .jpg), depth/000000.png, mask_visib/000000_000000.png
    stamps.txt           a line "<image> <stamp in ns>" for every image; ``#`` begins a comment

Lengths are millimetres, depth values times ``depth_scale`` are millimetres. ``stamp_ns`` (time of exposure),
``stamps.txt`` (the same, for scenes whose other files are to stay as published), ``instance_id`` (identity over the
frames, from 1), ``scale`` (size over that of the mesh, where it is not 1) and ``scene_events.json`` (see `event_files`)
are additions of ours that other readers ignore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform

from .event_files import SCENE_EVENTS, read_events
from .image_files import read_color, read_depth, read_mask
from .sample import GroundTruthObject, Sample, silhouette_box

SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"
STAMPS = "stamps.txt"
# Period of a scene that states no stamps.
DEFAULT_PERIOD_NS = 100_000_000
# Pause between the scenes of one split: longer than a tracker keeps a lost object.
SCENE_GAP_NS = 10_000_000_000
FOLDERS = ("rgb", "depth", "mask_visib")


@dataclass(frozen=True)
class _Image:
    """One frame of a scene before its pixels are read."""

    folder: Path
    image_id: int
    stamp_ns: int
    depth_scale: float
    camera: Mapping[str, Any]
    entries: list[Any] | None
    infos: list[Any] | None
    events: list[Any] | None


class BopScene:
    """A BOP scene folder, or a split folder (``test/``) of one or several scenes, as a sequence of samples.

    Where scenes state no stamps, frames follow each other at 10 Hz. Scenes of a split follow each other with a pause of
    10 s. Images are read when a sample is taken, not before.

    Args:
        path: scene or split folder.
        obj_ids: keep only ground truth of these objects; None keeps all.

    Attributes:
        depth_scale: millimetres a depth step (the finest one, should images differ).

    Raises:
        DatasetError: not a BOP scene, or a file of it is missing, truncated or inconsistent.
    """

    def __init__(self, path: str | Path, obj_ids: set[int] | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.name or str(self.path)
        self.obj_ids = obj_ids
        self.scene_folders = scene_folders(self.path)
        self._images: list[_Image] = []
        start = 0
        for folder in self.scene_folders:
            images = _list_images(folder)
            if self._images and images[0].stamp_ns + start <= self._images[-1].stamp_ns:
                start = self._images[-1].stamp_ns + SCENE_GAP_NS - images[0].stamp_ns
            self._images.extend(replace(image, stamp_ns=image.stamp_ns + start) for image in images)
        self.depth_scale = min(image.depth_scale for image in self._images)

    @property
    def image_ids(self) -> list[int]:
        """Image numbers in the order of the samples; those of different scenes may be equal."""
        return [image.image_id for image in self._images]

    @property
    def stamps_ns(self) -> list[int]:
        """Stamp of each sample."""
        return [image.stamp_ns for image in self._images]

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Sample]:
        return self.take(0, len(self))

    def take(self, first: int, last: int) -> Iterator[Sample]:
        """Samples from number `first` to before number `last`."""
        for index in range(first, last):
            yield self[index]

    def __getitem__(self, index: int) -> Sample:
        image = self._images[index]
        frame = _read_frame(image)
        objects = None
        if image.entries is not None:
            objects = [
                _read_object(image, gt_id, entry)
                for gt_id, entry in enumerate(image.entries)
                if self.obj_ids is None or entry.get("obj_id") in self.obj_ids
            ]
        events = None
        if image.events is not None:
            where = f"{image.folder / SCENE_EVENTS}: image {image.image_id}"
            events = read_events(image.events, image.stamp_ns, where)
        return Sample(frame, objects, scene_id=_scene_id(image.folder), image_id=image.image_id, events=events)


def scene_folders(path: str | Path) -> list[Path]:
    """Scene folders at `path`: itself, or those of its numbered sub-folders that hold a scene.

    Raises:
        DatasetError: `path` does not exist or holds no complete scene.
    """
    path = Path(path)
    if not path.is_dir():
        raise DatasetError(f"{path}: no such folder")
    if (path / SCENE_CAMERA).is_file():
        return [path]
    if (path / "rgb").is_dir() or (path / "gray").is_dir():
        raise DatasetError(f"{path}: no {SCENE_CAMERA}: the scene is not complete (its writing may have been cut off)")
    scenes = sorted(f for f in path.iterdir() if f.is_dir() and f.name.isdigit())
    if not scenes:
        raise DatasetError(f"{path}: not a BOP scene (no {SCENE_CAMERA}) nor a folder of numbered scenes")
    for scene in scenes:
        if not (scene / SCENE_CAMERA).is_file():
            raise DatasetError(f"{scene}: no {SCENE_CAMERA}: the scene is not complete")
    return scenes


def _scene_id(folder: Path) -> int:
    return int(folder.name) if folder.name.isdigit() else 0


def _read_json(path: Path) -> dict[int, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {int(key): value for key, value in content.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def _read_stamps(path: Path) -> dict[int, int]:
    """Stamps (ns) by image of a ``stamps.txt``; further columns are left alone."""
    stamps: dict[int, int] = {}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            fields = line.partition("#")[0].split()
            if fields:
                image, stamp = int(fields[0]), int(fields[1])
                if stamp < 0 or image in stamps:
                    raise DatasetError(f"{path}: line {number}: a stamp below 0, or a second one of an image: {line!r}")
                stamps[image] = stamp
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    except (ValueError, IndexError) as error:
        raise DatasetError(f"{path}: line {number}: is not '<image> <stamp in ns>': {line!r}") from error
    return stamps


def _stamps(folder: Path, cameras: Mapping[int, Any]) -> dict[int, int]:
    """Stamp (ns) of every image: that of its camera entry, of ``stamps.txt``, or 10 Hz where no image has any.

    Raises:
        DatasetError: some images have a stamp and others none.
    """
    listed = _read_stamps(folder / STAMPS) if (folder / STAMPS).is_file() else {}
    order = sorted(cameras)
    stamps: dict[int, int] = {}
    for image_id in order:
        try:
            stamp = cameras[image_id].get("stamp_ns", listed.get(image_id))
            if stamp is not None:
                stamps[image_id] = int(stamp)
        except (AttributeError, TypeError, ValueError) as error:
            raise DatasetError(f"{folder / SCENE_CAMERA}: image {image_id}: not usable ({error})") from error
    if not stamps:
        return {image_id: index * DEFAULT_PERIOD_NS for index, image_id in enumerate(order)}
    if len(stamps) < len(order):
        missing = next(image_id for image_id in order if image_id not in stamps)
        raise DatasetError(f"{folder}: image {missing} has no stamp, though others have: in {SCENE_CAMERA} or {STAMPS}")
    return stamps


def _list_images(folder: Path) -> list[_Image]:
    cameras = _read_json(folder / SCENE_CAMERA)
    if not cameras:
        raise DatasetError(f"{folder / SCENE_CAMERA}: the scene has no images")
    truth = _read_json(folder / SCENE_GT) if (folder / SCENE_GT).is_file() else {}
    infos = _read_json(folder / SCENE_GT_INFO) if (folder / SCENE_GT_INFO).is_file() else {}
    events = _read_json(folder / SCENE_EVENTS) if (folder / SCENE_EVENTS).is_file() else None
    stamps = _stamps(folder, cameras)
    images = []
    for image_id, stamp_ns in stamps.items():
        camera, entries, info = cameras[image_id], truth.get(image_id), infos.get(image_id)
        if entries is not None and info is not None and len(info) != len(entries):
            raise DatasetError(
                f"{folder / SCENE_GT_INFO}: image {image_id} has {len(info)} entries but {SCENE_GT} {len(entries)}"
            )
        try:
            depth_scale = float(camera.get("depth_scale", 1.0))
        except (AttributeError, TypeError, ValueError) as error:
            raise DatasetError(f"{folder / SCENE_CAMERA}: image {image_id}: not usable ({error})") from error
        over = None if events is None else events.get(image_id, [])
        images.append(_Image(folder, image_id, stamp_ns, depth_scale, camera, entries, info, over))
    return images


def _find_image(folder: Path, kinds: tuple[str, ...], stem: str) -> Path:
    for kind in kinds:
        for suffix in (".png", ".jpg", ".jpeg", ".tif"):
            candidate = folder / kind / f"{stem}{suffix}"
            if candidate.is_file():
                return candidate
    raise DatasetError(f"{folder / kinds[0] / stem}.png: no such image, though {SCENE_CAMERA} lists it")


def _read_frame(image: _Image) -> RGBDFrame:
    where = f"{image.folder / SCENE_CAMERA}: image {image.image_id}"
    stem = f"{image.image_id:06d}"
    color = read_color(_find_image(image.folder, ("rgb", "gray"), stem))
    depth_path = _find_image(image.folder, ("depth",), stem)
    try:
        depth = read_depth(depth_path, image.depth_scale)
        height, width = color.shape[:2]
        intrinsics = CameraIntrinsics.from_matrix(image.camera["cam_K"], width, height)
        camera_pose = None
        if "cam_R_w2c" in image.camera and "cam_t_w2c" in image.camera:
            camera_pose = invert_transform(_transform_mm(image.camera["cam_R_w2c"], image.camera["cam_t_w2c"]))
    except FrameError as error:
        raise DatasetError(f"{where}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{where}: no {error}") from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: not usable ({error})") from error
    return RGBDFrame(color, depth, intrinsics, stamp_ns=image.stamp_ns, camera_pose=camera_pose)


def _transform_mm(rotation: Any, translation_mm: Any) -> Float:
    return make_transform(np.asarray(rotation, float).reshape(3, 3), np.asarray(translation_mm, float) * 1e-3)


def _read_object(image: _Image, gt_id: int, entry: Mapping[str, Any]) -> GroundTruthObject:
    where = f"{image.folder / SCENE_GT}: image {image.image_id}, entry {gt_id}"
    info: Mapping[str, Any] = image.infos[gt_id] if image.infos is not None else {}
    try:
        obj_id = int(entry["obj_id"])
        pose = _transform_mm(entry["cam_R_m2c"], entry["cam_t_m2c"])
        instance_id = int(entry["instance_id"]) if entry.get("instance_id") is not None else None
        scale = float(entry.get("scale", 1.0))
        visibility = float(info["visib_fract"]) if info.get("visib_fract", -1) >= 0 else None
        box, amodal_box = _box(info.get("bbox_visib")), _box(info.get("bbox_obj"))
    except KeyError as error:
        raise DatasetError(f"{where}: no {error}") from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: not usable ({error})") from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise DatasetError(f"{where}: the pose is not finite")
    if not 0 < scale < np.inf:
        raise DatasetError(f"{where}: scale = {scale:g} is not above 0")
    mask = None
    mask_path = image.folder / "mask_visib" / f"{image.image_id:06d}_{gt_id:06d}.png"
    if mask_path.is_file():
        mask = read_mask(mask_path)
        if box is None:
            box = silhouette_box(mask)
    return GroundTruthObject(obj_id, pose, visibility, box, mask, instance_id, amodal_box, scale)


def _box(xywh: Any) -> Float | None:
    """(x_min, y_min, x_max, y_max) of BOP's (x, y, width, height); None for BOP's (-1, -1, -1, -1)."""
    if xywh is None or xywh[2] <= 0 or xywh[3] <= 0:
        return None
    x, y, width, height = (float(v) for v in xywh)
    return np.array([x, y, x + width, y + height])

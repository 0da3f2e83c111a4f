"""Reader and writer of scenes in the layout of the BOP benchmark.

Layout of a scene folder (https://github.com/thodan/bop_toolkit/blob/master/docs/bop_datasets_format.md)::

    scene_camera.json    {"<image>": {"cam_K", "depth_scale", "cam_R_w2c", "cam_t_w2c", "stamp_ns"}}
    scene_gt.json        {"<image>": [{"cam_R_m2c", "cam_t_m2c", "obj_id", "instance_id"}]}
    scene_gt_info.json   {"<image>": [{"bbox_obj", "bbox_visib", "px_count_all", "px_count_visib", "visib_fract"}]}
    rgb/000000.png (or .jpg), depth/000000.png, mask_visib/000000_000000.png

Lengths are millimetres, depth values times ``depth_scale`` are millimetres. ``stamp_ns`` (time of exposure) and
``instance_id`` (identity over the frames, from 1) are additions of ours that other readers ignore.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, FrameError, OutputError
from pose_tracking.core.files import make_directory, output_errors, write_json
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform, make_transform
from pose_tracking.core.images import read_image

from .sample import GroundTruthObject, Sample, silhouette_box

SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"
# Period of a scene that states no stamps.
DEFAULT_PERIOD_NS = 100_000_000
# Pause between the scenes of one split: longer than a tracker keeps a lost object.
SCENE_GAP_NS = 10_000_000_000
_FOLDERS = ("rgb", "depth", "mask_visib")
_UNKNOWN_BOX = [-1, -1, -1, -1]


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

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
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
        return Sample(frame, objects, scene_id=_scene_id(image.folder), image_id=image.image_id)


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


def _list_images(folder: Path) -> list[_Image]:
    cameras = _read_json(folder / SCENE_CAMERA)
    if not cameras:
        raise DatasetError(f"{folder / SCENE_CAMERA}: the scene has no images")
    truth = _read_json(folder / SCENE_GT) if (folder / SCENE_GT).is_file() else {}
    infos = _read_json(folder / SCENE_GT_INFO) if (folder / SCENE_GT_INFO).is_file() else {}
    images = []
    for index, image_id in enumerate(sorted(cameras)):
        camera, entries, info = cameras[image_id], truth.get(image_id), infos.get(image_id)
        if entries is not None and info is not None and len(info) != len(entries):
            raise DatasetError(
                f"{folder / SCENE_GT_INFO}: image {image_id} has {len(info)} entries but {SCENE_GT} {len(entries)}"
            )
        try:
            stamp_ns = int(camera.get("stamp_ns", index * DEFAULT_PERIOD_NS))
            depth_scale = float(camera.get("depth_scale", 1.0))
        except (AttributeError, TypeError, ValueError) as error:
            raise DatasetError(f"{folder / SCENE_CAMERA}: image {image_id}: not usable ({error})") from error
        images.append(_Image(folder, image_id, stamp_ns, depth_scale, camera, entries, info))
    return images


def _find_image(folder: Path, kinds: tuple[str, ...], stem: str) -> Path:
    for kind in kinds:
        for suffix in (".png", ".jpg", ".jpeg", ".tif"):
            candidate = folder / kind / f"{stem}{suffix}"
            if candidate.is_file():
                return candidate
    raise DatasetError(f"{folder / kinds[0] / stem}.png: no such image, though {SCENE_CAMERA} lists it")


def load_image(path: Path) -> NDArray[Any]:
    """Pixels of the file at `path`, colour as RGB; see `images.read_image`.

    Raises:
        DatasetError: missing, truncated or not an image.
    """
    try:
        return read_image(path)
    except FrameError as error:
        raise DatasetError(str(error)) from error


def read_color(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB from a colour or grey image file."""
    color = load_image(path)
    if color.ndim == 2:
        color = np.repeat(color[:, :, None], 3, axis=2)
    if color.dtype != np.uint8:
        raise DatasetError(f"{path}: colour image is {color.dtype}, expected 8 bits a channel")
    return np.ascontiguousarray(color[:, :, :3])


def read_depth(path: Path, scale_mm: float) -> NDArray[np.float32]:
    """(H, W) float32 metres from a single-channel image file whose values times `scale_mm` are millimetres."""
    depth = load_image(path)
    if depth.ndim != 2:
        raise DatasetError(f"{path}: depth image has {depth.shape[2]} channels, expected one")
    return (depth * (scale_mm * 1e-3)).astype(np.float32)


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


def _transform_mm(rotation: Any, translation_mm: Any) -> NDArray[np.float64]:
    return make_transform(np.asarray(rotation, float).reshape(3, 3), np.asarray(translation_mm, float) * 1e-3)


def _read_object(image: _Image, gt_id: int, entry: Mapping[str, Any]) -> GroundTruthObject:
    where = f"{image.folder / SCENE_GT}: image {image.image_id}, entry {gt_id}"
    info: Mapping[str, Any] = image.infos[gt_id] if image.infos is not None else {}
    try:
        obj_id = int(entry["obj_id"])
        pose = _transform_mm(entry["cam_R_m2c"], entry["cam_t_m2c"])
        instance_id = int(entry["instance_id"]) if entry.get("instance_id") is not None else None
        visibility = float(info["visib_fract"]) if info.get("visib_fract", -1) >= 0 else None
        box, amodal_box = _box(info.get("bbox_visib")), _box(info.get("bbox_obj"))
    except KeyError as error:
        raise DatasetError(f"{where}: no {error}") from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{where}: not usable ({error})") from error
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise DatasetError(f"{where}: the pose is not finite")
    mask = None
    mask_path = image.folder / "mask_visib" / f"{image.image_id:06d}_{gt_id:06d}.png"
    if mask_path.is_file():
        pixels = load_image(mask_path)
        mask = np.asarray(pixels if pixels.ndim == 2 else pixels.max(2)) > 0
        if box is None:
            box = silhouette_box(mask)
    return GroundTruthObject(obj_id, pose, visibility, box, mask, instance_id, amodal_box)


def _box(xywh: Any) -> NDArray[np.float64] | None:
    """(x_min, y_min, x_max, y_max) of BOP's (x, y, width, height); None for BOP's (-1, -1, -1, -1)."""
    if xywh is None or xywh[2] <= 0 or xywh[3] <= 0:
        return None
    x, y, width, height = (float(v) for v in xywh)
    return np.array([x, y, x + width, y + height])


class BopWriter:
    """Writes samples as one BOP scene folder.

    Images are written as they come, the JSON files at `close` and ``scene_camera.json`` last: a scene without it was
    cut off, and the reader refuses it. Used as a context manager, an exception leaves the scene unfinished.

    Depth is stored in 0.1 mm, and in 1 mm in those frames that see farther than 6.5 m; readings beyond 65.5 m are
    stored as missing. Visibility and boxes that are unknown stay unknown.

    Args:
        out_dir: the scene folder, e.g. ``out/test/000000``; created.
        overwrite: replace a scene that lies there; otherwise a non-empty folder is refused.

    Raises:
        OutputError: the folder is in the way or cannot be written (also from `add` and `close`).
    """

    def __init__(self, out_dir: str | Path, overwrite: bool = False) -> None:
        self.path = make_directory(out_dir)
        with output_errors(self.path):
            if any(self.path.iterdir()):
                if not overwrite:
                    raise OutputError(f"{self.path}: the folder is not empty; choose another one or overwrite it")
                # The file that makes a scene whole goes first.
                for name in (SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO):
                    (self.path / name).unlink(missing_ok=True)
                for name in _FOLDERS:
                    shutil.rmtree(self.path / name, ignore_errors=True)
            for name in _FOLDERS:
                (self.path / name).mkdir()
        self._cameras: dict[str, Any] = {}
        self._truth: dict[str, list[Any]] = {}
        self._infos: dict[str, list[Any]] = {}

    def __enter__(self) -> BopWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def add(self, sample: Sample) -> None:
        """Append a sample as the next image; images are numbered from 0."""
        frame, image_id = sample.frame, len(self._cameras)
        if frame.intrinsics.is_distorted:
            raise OutputError(f"{self.path}: BOP scenes hold no lens distortion; rectify the frames first")
        stem = f"{image_id:06d}"
        depth_scale, depth = quantise_depth(frame.depth)
        self._write_png(f"rgb/{stem}.png", np.ascontiguousarray(frame.color[:, :, ::-1]))
        self._write_png(f"depth/{stem}.png", depth)
        for gt_id, item in enumerate(sample.objects or ()):
            if item.mask is not None:
                self._write_png(f"mask_visib/{stem}_{gt_id:06d}.png", item.mask.astype(np.uint8) * 255)
        self._cameras[str(image_id)] = _camera_entry(frame, depth_scale)
        if sample.objects is not None:
            self._truth[str(image_id)] = [_truth_entry(item) for item in sample.objects]
            self._infos[str(image_id)] = [_info_entry(item) for item in sample.objects]

    def close(self) -> None:
        """Write the JSON files, which completes the scene."""
        if not self._cameras:
            raise OutputError(f"{self.path}: nothing to write: no sample was added")
        if self._truth:
            write_json(self.path / SCENE_GT, self._truth)
            write_json(self.path / SCENE_GT_INFO, self._infos)
        write_json(self.path / SCENE_CAMERA, self._cameras)

    def _write_png(self, name: str, image: NDArray[Any]) -> None:
        # Level 1: twice the speed of the default for a tenth more bytes on noisy depth.
        done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise OutputError(f"{self.path / name}: cannot encode a {image.dtype} {image.shape} image")
        with output_errors(self.path / name):
            (self.path / name).write_bytes(data.tobytes())


def quantise_depth(depth: NDArray[np.floating]) -> tuple[float, NDArray[np.uint16]]:
    """(H, W) metres to a BOP ``depth_scale`` (0.1 or 1.0 mm) and (H, W) uint16; readings that are not finite, not
    positive or beyond 65.535 m become 0 (none)."""
    usable = np.where(np.isfinite(depth) & (depth > 0) & (depth < 65.535), depth, 0).astype(np.float64)
    scale = 0.1 if usable.max(initial=0.0) < 6.5535 else 1.0
    return scale, np.rint(usable * (1e3 / scale)).astype(np.uint16)


def _camera_entry(frame: RGBDFrame, depth_scale: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"cam_K": frame.intrinsics.matrix.ravel().tolist(), "depth_scale": depth_scale}
    if frame.camera_pose is not None:
        world_to_camera = invert_transform(frame.camera_pose)
        entry["cam_R_w2c"] = world_to_camera[:3, :3].ravel().tolist()
        entry["cam_t_w2c"] = (world_to_camera[:3, 3] * 1e3).tolist()
    entry["stamp_ns"] = int(frame.stamp_ns)
    return entry


def _truth_entry(item: GroundTruthObject) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "cam_R_m2c": item.pose[:3, :3].ravel().tolist(),
        "cam_t_m2c": (item.pose[:3, 3] * 1e3).tolist(),
        "obj_id": int(item.obj_id),
    }
    if item.instance_id is not None:
        entry["instance_id"] = int(item.instance_id)
    return entry


def _info_entry(item: GroundTruthObject) -> dict[str, Any]:
    entry: dict[str, Any] = {"bbox_obj": _xywh(item.amodal_box), "bbox_visib": _xywh(item.box)}
    if item.mask is not None:
        visible = int(item.mask.sum())
        entry["px_count_visib"] = visible
        if item.visibility:
            entry["px_count_all"] = round(visible / item.visibility)
    if item.visibility is not None:
        entry["visib_fract"] = float(item.visibility)
    return entry


def _xywh(box: NDArray[np.floating] | None) -> list[float]:
    if box is None:
        return [float(v) for v in _UNKNOWN_BOX]
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

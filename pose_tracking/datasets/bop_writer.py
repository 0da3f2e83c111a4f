"""Writes scenes in the layout of the BOP benchmark; `bop` says what it is and reads them."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import valid_depth
from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import make_directory, output_errors, write_json
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import invert_transform

from .bop import FOLDERS, SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO
from .event_files import SCENE_EVENTS, event_entry
from .sample import GroundTruthObject, Sample

_UNKNOWN_BOX = [-1.0, -1.0, -1.0, -1.0]


class BopWriter:
    """Writes samples as one BOP scene folder.

    Images are written as they come, the JSON files at `close` and ``scene_camera.json`` last: a scene without it was
    cut off, and the reader refuses it. Used as a context manager, an exception leaves the scene unfinished; before the
    first sample it takes the empty folders away again.

    Depth is stored in 0.1 mm, and in 1 mm in those frames that see farther than 6.5 m; readings beyond 65.5 m are
    stored as missing. Visibility and boxes that are unknown stay unknown.

    Args:
        out_dir: the scene folder, e.g. ``out/test/000000``; created.
        overwrite: replace a scene that lies there; otherwise a non-empty folder is refused.

    Raises:
        OutputError: the folder is in the way or cannot be written (also from `add` and `close`).
    """

    def __init__(self, out_dir: str | Path, overwrite: bool = False) -> None:
        path = Path(out_dir)
        self._created = [folder for folder in (path, *path.parents) if not folder.exists()]
        self.path = make_directory(path)
        with output_errors(self.path):
            if any(self.path.iterdir()):
                if not overwrite:
                    raise OutputError(f"{self.path}: the folder is not empty; choose another one or overwrite it")
                # The file that makes a scene whole goes first.
                for name in (SCENE_CAMERA, SCENE_GT, SCENE_GT_INFO, SCENE_EVENTS):
                    (self.path / name).unlink(missing_ok=True)
                for name in FOLDERS:
                    shutil.rmtree(self.path / name, ignore_errors=True)
            for name in FOLDERS:
                (self.path / name).mkdir()
        self._cameras: dict[str, Any] = {}
        self._truth: dict[str, list[Any]] = {}
        self._infos: dict[str, list[Any]] = {}
        self._events: dict[str, list[Any]] = {}

    def __enter__(self) -> BopWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif not self._cameras:
            self._remove_empty()

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
        if sample.events is not None:
            self._events[str(image_id)] = [event_entry(event) for event in sample.events]

    def close(self) -> None:
        """Write the JSON files, which completes the scene."""
        if not self._cameras:
            self._remove_empty()
            raise OutputError(f"{self.path}: nothing to write: no sample was added")
        if self._truth:
            write_json(self.path / SCENE_GT, self._truth)
            write_json(self.path / SCENE_GT_INFO, self._infos)
        if self._events:
            write_json(self.path / SCENE_EVENTS, self._events)
        write_json(self.path / SCENE_CAMERA, self._cameras)

    def _remove_empty(self) -> None:
        """Take away the folders made for the scene, as far as nothing is in them."""
        for folder in (*(self.path / name for name in FOLDERS), *self._created):
            with suppress(OSError):
                folder.rmdir()

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
    usable = np.where(valid_depth(depth) & (depth < 65.535), depth, 0).astype(np.float64)
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
    if item.scale != 1.0:
        entry["scale"] = float(item.scale)
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
        return list(_UNKNOWN_BOX)
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

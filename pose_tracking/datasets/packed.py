"""Packed frames: one zip file of rendered samples that training reads at random.

Members are stored as they are (no second compression): ``NNNNNN/color.jpg`` or ``.png``, ``NNNNNN/depth.png`` (16 bit,
0.1 mm), ``NNNNNN/instances.png`` (8 bit, 0 background, k the k-th object) and ``NNNNNN/meta.json``.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.camera import CameraIntrinsics
from pose_tracking.core.errors import DatasetError, OutputError
from pose_tracking.core.files import make_directory, output_errors, temporary_sibling
from pose_tracking.core.frame import RGBDFrame

from .sample import GroundTruthObject, Sample

DEPTH_UNIT = 1e-4  # metres


class PackedWriter:
    """Writes samples to one zip file, which appears under its name only when complete.

    Args:
        path: the file to write.
        jpeg_quality: 1 to 100, or None for lossless colour.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: str | Path, jpeg_quality: int | None = 95) -> None:
        self.path = Path(path)
        self._quality = jpeg_quality
        make_directory(self.path.parent)
        self._temporary = temporary_sibling(self.path)
        with output_errors(self.path):
            self._zip = zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._count = 0

    def add(self, sample: Sample) -> None:
        """Append a sample; its objects need masks, and there may be 255 of them at most."""
        frame, objects = sample.frame, sample.objects or []
        if len(objects) > 255:
            raise OutputError(f"{self.path}: a frame has {len(objects)} objects; 255 can be packed")
        instances = np.zeros(frame.depth.shape, np.uint8)
        for number, entry in enumerate(objects, start=1):
            if entry.mask is not None:
                instances[entry.mask] = number
        depth = np.clip(np.nan_to_num(frame.depth) / DEPTH_UNIT + 0.5, 0, 65535).astype(np.uint16)
        camera = frame.intrinsics
        meta = {
            "width": camera.width,
            "height": camera.height,
            "K": [camera.fx, camera.fy, camera.cx, camera.cy],
            "stamp_ns": frame.stamp_ns,
            "frame_id": frame.frame_id,
            "camera_pose": None if frame.camera_pose is None else np.asarray(frame.camera_pose).ravel().tolist(),
            "objects": [
                {
                    "obj_id": int(o.obj_id),
                    "pose": np.asarray(o.pose, float).ravel().tolist(),
                    "visibility": None if o.visibility is None else float(o.visibility),
                    "box": None if o.box is None else np.asarray(o.box, float).tolist(),
                    "instance_id": o.instance_id,
                    "scale": o.scale,
                }
                for o in objects
            ],
        }
        bgr = np.ascontiguousarray(frame.color[..., ::-1])
        if self._quality is None:
            color = ("color.png", cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
        else:
            color = ("color.jpg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1])
        fast = [cv2.IMWRITE_PNG_COMPRESSION, 2]
        members = (
            color,
            ("depth.png", cv2.imencode(".png", depth, fast)[1]),
            ("instances.png", cv2.imencode(".png", instances, fast)[1]),
        )
        with output_errors(self.path):
            for name, data in members:
                self._zip.writestr(f"{self._count:06d}/{name}", data.tobytes())
            # Last, so that a sample with meta is a whole one.
            self._zip.writestr(f"{self._count:06d}/meta.json", json.dumps(meta))
        self._count += 1

    def append_packed(self, path: str | Path) -> None:
        """Append all samples of another packed file as they are."""
        with zipfile.ZipFile(path) as other:
            count = sum(name.endswith("/meta.json") for name in other.namelist())
            with output_errors(self.path):
                for info in other.infolist():
                    number, name = info.filename.split("/")
                    self._zip.writestr(f"{self._count + int(number):06d}/{name}", other.read(info))
        self._count += count

    def close(self) -> None:
        """Finish the file and give it its name."""
        with output_errors(self.path):
            self._zip.close()
            os.replace(self._temporary, self.path)

    def discard(self) -> None:
        """Throw away what was written."""
        self._zip.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> PackedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class PackedDataset:
    """Random access to packed samples.

    It can be handed to forked or spawned workers: each process opens the file for itself at first use.

    Args:
        path: a packed file, or a folder of them (read one after the other in the order of their names).

    Raises:
        DatasetError: missing, truncated or not a packed file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        files = sorted(p for p in self.path.glob("*.zip") if p.name[0] != ".") if self.path.is_dir() else [self.path]
        if not files:
            raise DatasetError(f"{self.path}: has no packed files (*.zip)")
        self._files = files
        self._index: list[tuple[int, int, str]] = []
        for number, file in enumerate(files):
            try:
                with zipfile.ZipFile(file) as archive:
                    names = set(archive.namelist())
            except (OSError, zipfile.BadZipFile) as error:
                raise DatasetError(f"{file}: not a packed dataset, or truncated ({error})") from error
            count = sum(name.endswith("/meta.json") for name in names)
            if count == 0:
                raise DatasetError(f"{file}: holds no packed frames")
            suffix = "jpg" if "000000/color.jpg" in names else "png"
            self._index += [(number, k, suffix) for k in range(count)]
        self._open: dict[int, zipfile.ZipFile] = {}
        self._pid = -1

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        file, number, suffix = self._index[index]
        archive, meta = self._archive(file), self._meta(index)
        try:
            color = _decode(archive.read(f"{number:06d}/color.{suffix}"), cv2.IMREAD_COLOR)
            raw = _decode(archive.read(f"{number:06d}/depth.png"), cv2.IMREAD_UNCHANGED)
            instances = _decode(archive.read(f"{number:06d}/instances.png"), cv2.IMREAD_UNCHANGED)
            camera = CameraIntrinsics(meta["width"], meta["height"], *meta["K"])
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{self._files[file]}: frame {number} cannot be read ({error!r})") from error
        pose = meta["camera_pose"]
        frame = RGBDFrame(
            np.ascontiguousarray(color[..., ::-1]),
            raw.astype(np.float32) * np.float32(DEPTH_UNIT),
            camera,
            meta["stamp_ns"],
            meta["frame_id"],
            None if pose is None else np.array(pose).reshape(4, 4),
        )
        objects = [
            GroundTruthObject(
                entry["obj_id"],
                np.array(entry["pose"]).reshape(4, 4),
                entry["visibility"],
                None if entry["box"] is None else np.array(entry["box"]),
                instances == k,
                entry["instance_id"],
                scale=entry.get("scale", 1.0),
            )
            for k, entry in enumerate(meta["objects"], start=1)
        ]
        return Sample(frame, objects)

    def stamps_and_identities(self) -> tuple[list[int], bool]:
        """Stamps of all samples (ns), and whether all annotated instances have an identity; no image is read."""
        metas = [self._meta(index) for index in range(len(self))]
        identities = [entry["instance_id"] for meta in metas for entry in meta["objects"]]
        return [meta["stamp_ns"] for meta in metas], bool(identities) and None not in identities

    def _meta(self, index: int) -> dict[str, Any]:
        file, number, _ = self._index[index]
        try:
            meta: dict[str, Any] = json.loads(self._archive(file).read(f"{number:06d}/meta.json"))
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise DatasetError(f"{self._files[file]}: frame {number} cannot be read ({error!r})") from error
        return meta

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}, "_pid": -1}

    def _archive(self, number: int) -> zipfile.ZipFile:
        if self._pid != os.getpid():  # after a fork, a shared file position would mix up reads
            self._open, self._pid = {}, os.getpid()
        if number not in self._open:
            self._open[number] = zipfile.ZipFile(self._files[number])
        return self._open[number]


def _decode(data: bytes, flag: int) -> NDArray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise ValueError("image cannot be decoded")
    return image

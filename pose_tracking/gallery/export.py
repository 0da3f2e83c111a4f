"""Search results as files: pictures and a JSON of what they are, and COCO's layout for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import atomic_path, write_json

from .pictures import decode_crop
from .search import Result
from .store import GalleryReader


def export(store: GalleryReader, results: Sequence[Result], folder: str | Path) -> int:
    """Write results to a new folder: ``crops/``, ``sightings.json`` and ``coco.json``; returns the number of crops.

    The names of files are made of numbers alone, whatever cameras and classes are called.

    Raises:
        OutputError: the folder is there and not empty, or cannot be written; no half folder is left.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already: choose another name or remove it")
    rows, coco = [], _CocoWriter()
    with atomic_path(folder) as unfinished:
        (unfinished / "crops").mkdir(parents=True)
        for result in results:
            files = []
            for number, crop in enumerate(store.crops(result.sighting.id)):
                name = f"crops/{result.sighting.id:08d}_{number}.webp"
                (unfinished / name).write_bytes(crop.image)
                stamp = crop.stamp_ns / 1e9
                files.append({"file": name, "stamp_s": stamp, "box": [round(float(v), 1) for v in crop.box]})
                coco.add(name, crop.image, result)
            rows.append({**result.as_dict(), "path": _path(result), "crops": files})
        write_json(unfinished / "sightings.json", rows)
        write_json(unfinished / "coco.json", coco.content())
    return coco.count


def _path(result: Result) -> list[dict[str, Any]]:
    path = result.sighting.path
    return [
        {"stamp_s": int(stamp) / 1e9, "pose": pose.round(6).tolist()}
        for stamp, pose in zip(path.stamps_ns, path.poses, strict=True)
    ]


class _CocoWriter:
    """Crops as the images of a COCO data set, each with the one instance that it shows."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}

    @property
    def count(self) -> int:
        return len(self._images)

    def add(self, name: str, image: bytes, result: Result) -> None:
        from pycocotools import mask as coco_mask

        pixels, number, sighting = decode_crop(image), self.count + 1, result.sighting
        inside = pixels[..., 3] > 127
        height, width = inside.shape
        encoded = coco_mask.encode(np.asfortranarray(inside.astype(np.uint8)))
        category = self._categories.setdefault(sighting.class_name, len(self._categories) + 1)
        self._images.append({"id": number, "file_name": name, "width": width, "height": height})
        self._annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": category,
                "bbox": [0, 0, width, height],
                "area": int(inside.sum()),
                "iscrowd": 0,
                "segmentation": {"size": [height, width], "counts": encoded["counts"].decode("ascii")},
                "attributes": {"sighting": sighting.id, "identity": sighting.identity, "camera": sighting.camera},
            }
        )

    def content(self) -> dict[str, Any]:
        categories = [{"id": number, "name": name} for name, number in self._categories.items()]
        return {"images": self._images, "annotations": self._annotations, "categories": categories}

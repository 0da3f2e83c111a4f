"""Pictures of sightings as the label files of COCO and of FiftyOne.

COCO: https://cocodataset.org/#format-data, object detection. FiftyOne: its ``FiftyOneImageDetectionDataset``,
https://docs.voxel51.com/user_guide/import_datasets.html. Both lie beside the pictures as ``labels.json``, and FiftyOne
reads the first one, too, as ``COCODetectionDataset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Bool

from .search import Result


@dataclass(frozen=True, eq=False)
class Instance:
    """A thing in a picture: what it is, its (H, W) mask there, and (x, y, width, height) in pixels."""

    result: Result
    mask: Bool
    box: tuple[int, int, int, int]

    @property
    def attributes(self) -> dict[str, Any]:
        """What is known of it besides; only what has a value."""
        sighting = self.result.sighting
        known = {
            "sighting": sighting.id,
            "identity": sighting.identity,
            "camera": sighting.camera,
            "distance": None if self.result.distance is None else round(self.result.distance, 4),
        }
        return {key: value for key, value in known.items() if value is not None}


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that was written.

    Attributes:
        name: path below the folder, with ``/``.
        shape: (H, W).
        instances: what it shows.
        origin: where it comes from.
    """

    name: str
    shape: tuple[int, ...]
    instances: Sequence[Instance]
    origin: dict[str, Any] = field(default_factory=dict)


def coco_content(pictures: Sequence[Picture]) -> dict[str, Any]:
    """Of COCO's object detection; masks run-length encoded, names relative to the folder of pictures."""
    from pycocotools import mask as coco_mask

    names = _classes(pictures)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, 1):
        height, width = picture.shape[:2]
        images.append({"id": number, "file_name": _file(picture), "width": width, "height": height, **picture.origin})
        for each in picture.instances:
            encoded = coco_mask.encode(np.asfortranarray(each.mask.astype(np.uint8)))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": names.index(each.result.sighting.class_name) + 1,
                    "bbox": list(each.box),
                    "area": int(each.mask.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": [height, width], "counts": encoded["counts"].decode("ascii")},
                    "score": round(each.result.sighting.score, 4),
                    "attributes": each.attributes,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def fiftyone_content(pictures: Sequence[Picture]) -> dict[str, Any]:
    """Of FiftyOne's image detections: by the name of the picture without suffix, boxes as shares of the picture."""
    names = _classes(pictures)
    labels = {}
    for picture in pictures:
        height, width = picture.shape[:2]
        labels[str(PurePosixPath(_file(picture)).with_suffix(""))] = [
            {
                "label": names.index(each.result.sighting.class_name),
                "bounding_box": [round(v / side, 6) for v, side in zip(each.box, (width, height) * 2, strict=True)],
                "confidence": round(each.result.sighting.score, 4),
                "attributes": {**each.attributes, **picture.origin},
            }
            for each in picture.instances
        ]
    return {"classes": names, "labels": labels}


def _classes(pictures: Sequence[Picture]) -> list[str]:
    return sorted({each.result.sighting.class_name for picture in pictures for each in picture.instances})


def _file(picture: Picture) -> str:
    """Relative to ``data/``; in a folder for people, which has several, to that."""
    return picture.name.removeprefix("data/")

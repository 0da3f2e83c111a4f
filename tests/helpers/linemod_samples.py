"""A small folder in the layout of the DenseFusion archive."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml
from presence import objects_of, present
from synthetic_samples import INTRINSICS, make_sample


def write_folder(root: Path, number: int, objects: list[int], images: int = 4) -> Path:
    """An object folder in the layout of the DenseFusion archive, whose first image is make_sample(0), and so on."""
    folder = root / "data" / f"{number:02d}"
    for kind in ("rgb", "depth", "mask"):
        (folder / kind).mkdir(parents=True)
    truth, info = {}, {}
    for k in range(images):
        sample = make_sample(k)
        cv2.imwrite(str(folder / "rgb" / f"{k:04d}.png"), sample.frame.color[:, :, ::-1])
        cv2.imwrite(str(folder / "depth" / f"{k:04d}.png"), np.rint(sample.frame.depth * 1000).astype(np.uint16))
        annotated = objects_of(sample)[0]
        mask = present(annotated.mask).astype(np.uint8) * 255
        cv2.imwrite(str(folder / "mask" / f"{k:04d}.png"), np.repeat(mask[:, :, None], 3, 2))
        info[k] = {"cam_K": INTRINSICS.matrix.ravel().tolist(), "depth_scale": 1.0}
        truth[k] = [
            {
                "cam_R_m2c": annotated.pose[:3, :3].ravel().tolist(),
                "cam_t_m2c": (annotated.pose[:3, 3] * 1000).tolist(),
                "obj_bb": [1 + i, 2, 30, 20],
                "obj_id": obj_id,
            }
            for i, obj_id in enumerate(objects)
        ]
    (folder / "gt.yml").write_text(yaml.safe_dump(truth))
    (folder / "info.yml").write_text(yaml.safe_dump(info))
    (folder / "train.txt").write_text("0001\n")
    (folder / "test.txt").write_text("0000\n0002\n0003\n")
    return folder

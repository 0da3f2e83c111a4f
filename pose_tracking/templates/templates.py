"""Templates: views of the objects in the form they are compared in, and their file in a bundle."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pose_tracking.core.arrays import Float, even_indices
from pose_tracking.core.files import atomic_path
from pose_tracking.objects import ObjectModel, ObjectSet

from .channels import COLORED, COLORLESS, SUB, view_channels
from .views import ROTATIONS, SIDE, WINDOW, Views, render_views

LOGGER = logging.getLogger(__name__)

TEMPLATES_FILE = "templates.safetensors"
VERSION = "1"  # of what is in the file; others are rendered anew
POINTS = 96  # of each view, for aligning it


@dataclass(frozen=True)
class Templates:
    """R templates of one object; lengths in its diameters.

    Attributes:
        rotations: (R, 3, 3) float32 ``R_view_object``.
        centres: (R, 3) float32 the middle of what is seen, relative to the object's origin, in the view's frame.
        features: (R, D) float32 `channels.view_channels`.
        points: (R, P, 3) float32 points seen, relative to the object's origin, in the view's frame.
        normals: (R, P, 3) float32 unit normals there, towards the camera.
    """

    rotations: Tensor
    centres: Tensor
    features: Tensor
    points: Tensor
    normals: Tensor

    def __len__(self) -> int:
        return len(self.rotations)


def color_weights(model: ObjectModel) -> tuple[float, float, float, float]:
    """How much depth, normals, chromaticity and brightness count for an object."""
    return COLORED if model.mesh is not None and model.mesh.colored else COLORLESS


def make_templates(model: ObjectModel, count: int = ROTATIONS) -> Templates:
    """Render the templates of an object; about 2 s.

    Raises:
        ValueError: the object has no mesh.
    """
    views = render_views(model, count)
    features = view_channels(views.depth, views.normals, views.colors, color_weights(model))
    points, normals = zip(*(_points(views, k) for k in range(len(views))), strict=True)
    # Half precision, as in the file: templates made now and templates read later are the same.
    arrays = (views.rotations, views.centres, features, np.array(points), np.array(normals))
    return Templates(*(torch.from_numpy(np.asarray(array, np.float32)).half().float() for array in arrays))


def _points(views: Views, k: int) -> tuple[Float, Float]:
    """(P, 3) points of view `k` relative to the object's origin, and their normals; few are taken several times."""
    rows, cols = np.nonzero(np.isfinite(views.depth[k]))
    chosen = np.resize(even_indices(len(rows), POINTS), POINTS)
    rows, cols = rows[chosen], cols[chosen]
    depth = views.depth[k][rows, cols].astype(float)
    pitch, middle = WINDOW / SIDE, (SIDE - 1) / 2
    lateral = np.stack([cols - middle, rows - middle], 1) * pitch
    return np.column_stack([lateral, depth]) + views.centres[k], views.normals[k][rows, cols].astype(float)


def save_templates(objects: ObjectSet, templates: Mapping[int, Templates], path: str | Path) -> None:
    """Write the templates of objects, by id, into a file.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors, metadata = {}, {"version": VERSION}
    for obj_id, of_object in templates.items():
        for name, tensor in vars(of_object).items():
            tensors[f"{obj_id}.{name}"] = tensor.half().contiguous()
        metadata[f"mesh.{obj_id}"] = mesh_fingerprint(objects[obj_id])
    with atomic_path(Path(path)) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode
        save_file(tensors, temporary, metadata)
        temporary.chmod(mode)  # safetensors' own is for the owner alone


def load_templates(objects: ObjectSet, path: str | Path) -> dict[int, Templates]:
    """The templates of the objects, by id; what the file lacks, or has of another mesh, is rendered, with a warning.

    Args:
        objects: with their meshes.
        path: of the file; it need not be there.
    """
    found: dict[int, Templates] = {}
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("version") == VERSION:
                for i in objects:
                    if metadata.get(f"mesh.{i}") == mesh_fingerprint(objects[i]):
                        parts = [each.name for each in fields(Templates)]
                        found[i] = Templates(*(file.get_tensor(f"{i}.{part}").float() for part in parts))
    except FileNotFoundError:
        pass
    except (OSError, SafetensorError) as error:
        LOGGER.warning("%s: cannot be read (%s)", path, str(error).splitlines()[0])
    missing = [i for i in objects if i not in found]
    if missing:
        names = ", ".join(objects[i].name for i in missing)
        LOGGER.warning("%s: has no templates of %s as the mesh is now; they are rendered, 2 s each", path, names)
    for i in missing:
        found[i] = make_templates(objects[i])
    return found


def mesh_fingerprint(model: ObjectModel) -> str:
    """Tells whether templates are of the mesh as it is now."""
    assert model.mesh_path is not None
    return hashlib.sha256(model.mesh_path.read_bytes()).hexdigest()[:16]


assert SIDE % (2 * SUB) == 0  # the coarse grid has cells of twice the side

"""A set of known objects, as BOP describes them (``models_info.json`` and ``obj_NNNNNN.ply``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import BundleError, ConfigError, MeshError

from .mesh import MAX_DIAMETER, MIN_DIAMETER, UNIT_SCALE, Mesh, load_mesh
from .symmetry import symmetry_transforms


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """One known object; lengths in metres, object frame.

    Attributes:
        obj_id: BOP object id, > 0.
        name: class name for people and messages.
        diameter: largest distance between two surface points.
        box_min, size: (3,) lower corner and extent of the axis-aligned bounding box.
        symmetries: (S, 4, 4) transforms that map the object onto itself, the identity first.
        mesh_path: mesh file, or None where the meshes are not at hand.
        unit: unit of the mesh file.
    """

    obj_id: int
    name: str
    diameter: float
    box_min: Float
    size: Float
    symmetries: Float
    mesh_path: Path | None = None
    unit: str = "mm"

    @property
    def is_symmetric(self) -> bool:
        """Whether ADD-S replaces ADD for this object."""
        return len(self.symmetries) > 1

    @cached_property
    def mesh(self) -> Mesh | None:
        """The mesh in metres, read at first use; None where it is not at hand.

        Raises:
            MeshError: the file is unreadable or its extent does not fit `diameter`.
        """
        if self.mesh_path is None:
            return None
        mesh = load_mesh(self.mesh_path, self.unit)
        extent = mesh.vertices.max(0) - mesh.vertices.min(0)
        if not np.allclose(extent, self.size, rtol=0.05, atol=1e-3):
            raise MeshError(
                f"{self.mesh_path}: extent {np.round(extent, 4).tolist()} m does not fit models_info "
                f"({np.round(self.size, 4).tolist()} m): wrong mesh or wrong unit"
            )
        return mesh


class ObjectSet(Mapping[int, ObjectModel]):
    """The objects a model bundle knows, by BOP object id, in ascending order."""

    def __init__(self, models: Mapping[int, ObjectModel]) -> None:
        self._models = dict(sorted(models.items()))

    def __getitem__(self, obj_id: int) -> ObjectModel:
        return self._models[obj_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @property
    def has_meshes(self) -> bool:
        """Whether every object's mesh file is at hand."""
        return all(model.mesh_path is not None for model in self._models.values())

    def by_name(self, name: str) -> ObjectModel:
        """The object called `name`. Raises KeyError where there is none."""
        for model in self._models.values():
            if model.name == name:
                return model
        raise KeyError(name)

    def ids_of(self, names: Iterable[str]) -> list[int]:
        """Ids of the objects called `names`, in their order.

        Raises:
            ConfigError: there is no object of a name; the message lists those that there are.
        """
        known = {model.name: obj_id for obj_id, model in self._models.items()}
        ids = []
        for name in names:
            if name not in known:
                raise ConfigError(f"class {name!r} is not one of the bundle's: {', '.join(known)}")
            ids.append(known[name])
        return ids

    def index_of(self, obj_id: int) -> int:
        """Position of an object in the set: the class index networks use (0-based, background not counted)."""
        return list(self._models).index(obj_id)

    @classmethod
    def load(
        cls,
        models_info: str | Path,
        meshes: str | Path | None = None,
        *,
        names: Mapping[int, str] | None = None,
        unit: str = "mm",
    ) -> ObjectSet:
        """Read ``models_info.json`` and find the meshes ``obj_NNNNNN.ply`` beside it or in `meshes`.

        Args:
            models_info: the JSON file.
            meshes: folder with the mesh files; None where they are not at hand.
            names: class names by object id (BOP has none); objects without one are called ``obj_NNNNNN``. Where
                given, only these objects are taken.
            unit: unit of the JSON file and the meshes, "mm" (BOP) or "m".

        Raises:
            BundleError: missing or malformed file, an object without diameter, or a folder without a mesh.
            MeshError: a diameter outside 5 mm to 2 m (wrong unit).
        """
        path = Path(models_info)
        try:
            info = json.loads(path.read_text())
            entries = {int(key): value for key, value in info.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise BundleError(f"{path}: models_info cannot be read ({error})") from error
        if names is not None:
            missing = sorted(set(names) - set(entries))
            if missing:
                raise BundleError(f"{path}: has no object {missing[0]} ({names[missing[0]]})")
            entries = {obj_id: entries[obj_id] for obj_id in names}
        scale = UNIT_SCALE[unit]
        models: dict[int, ObjectModel] = {}
        for obj_id, entry in entries.items():
            try:
                size_diameter = float(entry["diameter"]) * scale
                box_min = np.array([entry[f"min_{a}"] for a in "xyz"], float) * scale
                size = np.array([entry[f"size_{a}"] for a in "xyz"], float) * scale
            except (KeyError, TypeError, ValueError) as error:
                raise BundleError(f"{path}: object {obj_id} has no usable {error}") from error
            if not MIN_DIAMETER <= size_diameter <= MAX_DIAMETER:
                other = "m" if unit == "mm" else "mm"
                raise MeshError(
                    f"{path}: object {obj_id} has a diameter of {size_diameter:.4g} m when read in {unit}; is the "
                    f"file in {other}?"
                )
            mesh_path = None
            if meshes is not None:
                mesh_path = Path(meshes) / f"obj_{obj_id:06d}.ply"
                if not mesh_path.is_file():
                    raise BundleError(f"{mesh_path}: no such mesh (object {obj_id} of {path})")
            name = names[obj_id] if names is not None else f"obj_{obj_id:06d}"
            models[obj_id] = ObjectModel(
                obj_id, name, size_diameter, box_min, size, symmetry_transforms(entry, scale), mesh_path, unit
            )
        if not models:
            raise BundleError(f"{path}: no objects")
        return cls(models)

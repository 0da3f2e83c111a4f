"""A set of known objects, as BOP describes them (``models_info.json`` and ``obj_NNNNNN.ply``)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import BundleError, ConfigError, MeshError
from pose_tracking.core.rotations import rotation_vectors

from .mesh import MAX_DIAMETER, MIN_DIAMETER, UNIT_SCALE, Mesh, load_mesh
from .solid import Solid
from .symmetry import LOOKALIKES, symmetry_transforms


@dataclass(frozen=True, eq=False)
class ObjectModel:
    """One known object; lengths in metres, object frame.

    Of one whose shape is not known (`of_unknown_shape`) diameter, box and size are NaN: they belong to each instance.

    Attributes:
        obj_id: BOP object id, > 0.
        name: class name for people and messages.
        diameter: largest distance between two surface points.
        box_min, size: (3,) lower corner and extent of the axis-aligned bounding box.
        symmetries: (S, 4, 4) transforms that map the object onto itself, the identity first.
        mesh_path: mesh file, or None where the meshes are not at hand.
        unit: unit of the mesh file.
        lookalikes: (A, 4, 4) transforms to poses that look the same without being declared equal, the identity first:
            of a mesh without colour, whose real colours tell them apart.
    """

    obj_id: int
    name: str
    diameter: float
    box_min: Float
    size: Float
    symmetries: Float
    mesh_path: Path | None = None
    unit: str = "mm"
    lookalikes: Float = field(default_factory=lambda: np.eye(4)[None])

    @classmethod
    def of_unknown_shape(cls, obj_id: int, name: str) -> ObjectModel:
        """An object of which nothing but its name is known: a class of everyday things, or people.

        What is measured of an instance is a box about a vertical axis; turned by 90 degrees it is the same box with
        two edges exchanged, so those turns are its symmetries.
        """
        unknown = np.full(3, np.nan)
        turns = np.tile(np.eye(4), (4, 1, 1))
        turns[:, :2, :2] = [[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]]
        return cls(obj_id, name, float("nan"), unknown, unknown, turns)

    @property
    def has_shape(self) -> bool:
        """Whether diameter, box and symmetries of the object are known, be its mesh at hand or not."""
        return bool(np.isfinite(self.diameter))

    @property
    def is_symmetric(self) -> bool:
        """Whether ADD-S replaces ADD for this object."""
        return len(self.symmetries) > 1

    @cached_property
    def ambiguity(self) -> Float:
        """(6, 6) covariance of (x, y, z, rx, ry, rz), in the object's axes, of not knowing which lookalike it is."""
        turns = rotation_vectors(self.lookalikes[:, :3, :3])
        steps = np.concatenate([self.lookalikes[:, :3, 3], turns], axis=1)
        return np.asarray(steps.T @ steps / len(steps))

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

    @cached_property
    def solid(self) -> Solid:
        """The space the object takes, found at first use; its bounding box's where the mesh is not at hand.

        Raises:
            MeshError: as `mesh`.
        """
        return Solid.of_box(self.box_min, self.size) if self.mesh is None else Solid.of_mesh(self.mesh)


class ObjectSet(Mapping[int, ObjectModel]):
    """The objects a model bundle knows: a mapping from BOP object id to `ObjectModel`, in ascending order.

    Args:
        models: the objects by id.
        download: argument of ``pose-tracking download`` that brings meshes that are missing, or None.
    """

    def __init__(self, models: Mapping[int, ObjectModel], download: str | None = None) -> None:
        self._models = dict(sorted(models.items()))
        self._download = download

    def __getitem__(self, obj_id: int) -> ObjectModel:
        return self._models[obj_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @property
    def has_meshes(self) -> bool:
        """Whether every object's mesh file is at hand."""
        return len(self.with_mesh) == len(self)

    @cached_property
    def with_mesh(self) -> frozenset[int]:
        """Ids of the objects whose mesh file is at hand: a frame can check their poses."""
        return frozenset(i for i, model in self._models.items() if model.mesh_path is not None)

    @cached_property
    def with_shape(self) -> ObjectSet:
        """The objects whose shape is known, the only ones that the pose networks know; may be empty."""
        return ObjectSet({i: model for i, model in self._models.items() if model.has_shape}, self._download)

    @property
    def colorless(self) -> list[str]:
        """Names of the objects whose meshes say nothing of their colour: they are told by shape alone.

        Raises:
            MeshError: a mesh file is unreadable or does not fit its object.
        """
        return [model.name for model in self._models.values() if model.obj_id in self.colorless_ids]

    @cached_property
    def colorless_ids(self) -> frozenset[int]:
        """Ids of the `colorless` objects."""
        return frozenset(i for i, m in self._models.items() if m.mesh is not None and not m.mesh.colored)

    def require_meshes(self, purpose: str) -> None:
        """Check that every object's mesh file is at hand.

        Args:
            purpose: what they are needed for, e.g. ``"to render"``.

        Raises:
            ConfigError: they are not; the message says how to get them.
        """
        shapeless = [model.name for model in self._models.values() if not model.has_shape]
        if shapeless:
            raise ConfigError(f"the model has no meshes {purpose}: object {shapeless[0]!r} has geometry: none")
        if not self.has_meshes:
            advice = f" (`pose-tracking download {self._download}` brings them)" if self._download else ""
            raise ConfigError(f"the model has no meshes {purpose}: give their folder with --objects{advice}")

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
        download: str | None = None,
        shapeless: Collection[int] = (),
    ) -> ObjectSet:
        """Read ``models_info.json`` and find the meshes ``obj_NNNNNN.ply`` beside it or in `meshes`.

        Args:
            models_info: the JSON file.
            meshes: folder with the mesh files; None where they are not at hand.
            names: class names by object id (BOP has none); objects without one are called ``obj_NNNNNN``. Where
                given, only these objects are taken.
            unit: unit of the JSON file and the meshes, "mm" (BOP) or "m".
            download: argument of ``pose-tracking download`` that brings the meshes, for messages.
            shapeless: ids among `names` whose shape is not known: neither file is asked for them, nor read where there
                are no others.

        Raises:
            BundleError: missing or malformed file, an object without diameter, or a folder without a mesh.
            MeshError: a diameter outside 5 mm to 2 m (wrong unit).
        """
        path = Path(models_info)
        named = dict(names or {})
        models = {i: ObjectModel.of_unknown_shape(i, named.pop(i)) for i in shapeless}
        entries = {} if models and not named else _entries(path, named if names is not None else None)
        for obj_id, entry in entries.items():
            mesh_path = None
            if meshes is not None:
                mesh_path = Path(meshes) / f"obj_{obj_id:06d}.ply"
                if not mesh_path.is_file():
                    raise BundleError(f"{mesh_path}: no such mesh (object {obj_id} of {path})")
            name = names[obj_id] if names is not None else f"obj_{obj_id:06d}"
            models[obj_id] = _model(obj_id, name, entry, mesh_path, unit, path)
        if not models:
            raise BundleError(f"{path}: no objects")
        return cls(models, download)


def _entries(path: Path, names: Mapping[int, str] | None) -> dict[int, Any]:
    """Entries of a ``models_info.json`` by object id, those of `names` where given."""
    try:
        entries = {int(key): value for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: models_info cannot be read ({error})") from error
    if names is None:
        return entries
    missing = sorted(set(names) - set(entries))
    if missing:
        raise BundleError(f"{path}: has no object {missing[0]} ({names[missing[0]]})")
    return {obj_id: entries[obj_id] for obj_id in names}


def _model(obj_id: int, name: str, entry: Any, mesh_path: Path | None, unit: str, path: Path) -> ObjectModel:
    """The object of one entry of the ``models_info.json`` at `path`."""
    scale = UNIT_SCALE[unit]
    try:
        diameter = float(entry["diameter"]) * scale
        box_min = np.array([entry[f"min_{a}"] for a in "xyz"], float) * scale
        size = np.array([entry[f"size_{a}"] for a in "xyz"], float) * scale
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path}: object {obj_id} has no usable {error}") from error
    if not MIN_DIAMETER <= diameter <= MAX_DIAMETER:
        other = "m" if unit == "mm" else "mm"
        raise MeshError(
            f"{path}: object {obj_id} has a diameter of {diameter:.4g} m when read in {unit}; is the file in {other}?"
        )
    symmetries = symmetry_transforms(entry, scale)
    lookalikes = symmetry_transforms(entry, scale, kind=LOOKALIKES)
    return ObjectModel(obj_id, name, diameter, box_min, size, symmetries, mesh_path, unit, lookalikes)

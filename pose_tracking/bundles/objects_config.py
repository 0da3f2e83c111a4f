"""Which objects a bundle knows: the ``objects`` section of ``bundle.yaml``, and the object set it describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose_tracking.core.config import option
from pose_tracking.core.errors import BundleError, ConfigError
from pose_tracking.objects import ObjectSet

MESH, NONE = "mesh", "none"


@dataclass(frozen=True)
class ObjectsConfig:
    """Which objects a bundle knows and where their meshes are."""

    names: dict[int, str] = option({}, "class name by BOP object id")
    geometry: str | dict[int, str] = option(
        MESH,
        "what is known of the objects' shape, of all or by object id: mesh (models_info and a mesh, a 6D pose); or "
        "none (a class of things of unlike sizes, such as people: a place, a box and its size are measured on the "
        "depth, and neither models_info nor pose weights are needed). Ids that are left out have a mesh",
    )
    models_info: str = option("models_info.json", "BOP models_info file, relative to the bundle")
    meshes: str | None = option(None, "mesh folder relative to the bundle, or null where they are not shipped")
    unit: str = option("mm", "unit of models_info and meshes", choices=("mm", "m"))
    segmented: tuple[int, ...] = option(
        (), "object ids of the segmentation's classes, in their order, where it knows others than `names` too"
    )
    download: str | None = option(None, "argument of `pose-tracking download` that brings the meshes")


def shapeless_ids(config: ObjectsConfig, where: str) -> list[int]:
    """Ids of the objects with ``geometry: none``.

    Args:
        config: the section.
        where: what to call it in an error.

    Raises:
        ConfigError: a geometry is not one of the two, of an object that has no name, or none has a name.
    """
    stated = config.geometry
    by_id = dict.fromkeys(config.names, stated) if isinstance(stated, str) else stated
    for value in (stated,) if isinstance(stated, str) else by_id.values():
        if value not in (MESH, NONE):
            raise ConfigError(f"{where}: geometry = {value!r} is not one of {MESH}, {NONE}")
    unnamed = sorted(set(by_id) - set(config.names))
    if unnamed:
        raise ConfigError(f"{where}: geometry has object {unnamed[0]}, which has no name in `names`")
    if stated == NONE and not config.names:
        raise ConfigError(f"{where}: geometry = {NONE!r} needs `names`: the class names by object id")
    return sorted(obj_id for obj_id, value in by_id.items() if value == NONE)


def load_objects(config: ObjectsConfig, path: Path, meshes: str | Path | None, file: str) -> ObjectSet:
    """The object set of the bundle in folder `path`.

    Args:
        config: its ``objects`` section.
        path: folder of the bundle.
        meshes: a folder of meshes to take instead of the bundle's own.
        file: name of the bundle's YAML, for messages.

    Raises:
        BundleError, MeshError: see `ObjectSet.load`, or `meshes` is no folder.
        ConfigError: see `shapeless_ids`.
    """
    own: Path | None = path / config.meshes if config.meshes else None
    if meshes is not None:
        own = Path(meshes)
        if not own.is_dir():
            raise BundleError(f"{own}: no such folder of meshes")
    return ObjectSet.load(
        path / config.models_info,
        own,
        names=config.names or None,
        unit=config.unit,
        download=config.download,
        shapeless=shapeless_ids(config, f"{path / file}: objects"),
    )

"""What a folder of CAD files holds: the meshes with their ids and names, and the annotations beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.errors import ConfigError, MeshError
from pose_tracking.objects.mesh import UNIT_SCALE
from pose_tracking.objects.mesh_files import SUFFIXES

# Files of shapes that are not read.
OTHER_FORMATS = {
    ".step", ".stp", ".iges", ".igs", ".off", ".dae", ".3mf", ".fbx", ".3ds", ".blend", ".usd", ".usdz", ".wrl", ".x",
    ".xyz", ".pcd", ".fcstd", ".sldprt", ".sldasm", ".ipt", ".f3d",
}  # fmt: skip
OBJECT_FILE = re.compile(r"obj_(\d{6})")


def find_meshes(folder: str | Path, names: Sequence[str] = ()) -> dict[int, tuple[str, Path]]:
    """Name and file of every mesh in `folder`, by object id.

    Ids come from names like ``obj_000012.ply`` where all files have such names, otherwise they count from 1 in the
    order of the file names. Where the folder has no mesh of its own but folders that have one each, as those of YCB
    (``002_can/textured.obj``), these are the objects and their names.

    Args:
        folder: where the meshes are.
        names: one class name a mesh in the order of the ids, or entries ``FILE=NAME`` (FILE without its suffix).

    Raises:
        MeshError: no folder, no mesh in it, or two files with one name.
        ConfigError: the names do not fit the files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MeshError(f"{folder}: no such folder of meshes")
    files = _mesh_files(folder)
    inside = not files  # a folder an object, as YCB has it
    if inside:
        files = _mesh_of_each_folder(folder)
    stems = [p.parent.name if inside else p.stem for p in files]
    for stem in stems:
        if stems.count(stem) > 1:
            both = ", ".join(p.name for p in files if p.stem == stem)
            raise MeshError(f"{folder}: {both} have one name: keep one file an object")
    matches = [OBJECT_FILE.fullmatch(stem) for stem in stems]
    numbered = all(m is not None and int(m[1]) > 0 for m in matches)
    ids = [int(m[1]) for m in matches if m] if numbered else list(range(1, len(files) + 1))
    given = dict(zip(stems, stems, strict=True))
    if any("=" in name for name in names):
        for entry in names:
            stem, _, name = entry.partition("=")
            if stem not in given or not name:
                raise ConfigError(f"--names {entry!r}: is not FILE=NAME with a FILE of: {', '.join(stems)}")
            given[stem] = name
    elif names:
        if len(names) != len(files):
            raise ConfigError(f"--names: {len(names)} names for {len(files)} meshes ({', '.join(stems)})")
        given = dict(zip(stems, names, strict=True))
    if len(set(given.values())) < len(given):
        raise ConfigError(f"--names: two objects have one name: {', '.join(given.values())}")
    return {i: (given[stem], path) for i, stem, path in zip(ids, stems, files, strict=True)}


def _mesh_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _mesh_of_each_folder(folder: Path) -> list[Path]:
    """The one mesh of each folder in `folder`; folders without one are none of objects.

    Raises:
        MeshError: there is none at all, or a folder has several.
    """
    files = []
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        meshes = _mesh_files(inner)
        if len(meshes) > 1:
            names = ", ".join(p.name for p in meshes)
            raise MeshError(f"{inner}: has {len(meshes)} meshes ({names}): keep one of an object")
        files += meshes
    if files:
        return files
    formats = ", ".join(s[1:].upper() for s in SUFFIXES)
    others = sorted({p.suffix.lower() for p in folder.iterdir() if p.suffix.lower() in OTHER_FORMATS})
    advice = f"; export what is in {', '.join(others)} as one of these" if others else ""
    raise MeshError(f"{folder}: has no mesh ({formats}){advice}")


def read_annotations(folder: Path, unit: str) -> dict[int, dict[str, Any]]:
    """Symmetries of the ``models_info.json`` in `folder` (a BOP models folder), in mm, by object id; or nothing.

    Args:
        folder: where the meshes are.
        unit: "mm" or "m", of that file as of the meshes.

    Raises:
        MeshError: it is there but cannot be read.
    """
    path = folder / "models_info.json"
    if not path.is_file():
        return {}
    factor = UNIT_SCALE[unit] * 1e3
    try:
        return {int(key): _symmetries(entry, factor) for key, entry in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise MeshError(f"{path}: models_info cannot be read ({error}); mend or remove it") from error


def _symmetries(entry: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The symmetries of a models_info entry, lengths times `factor`."""
    found: dict[str, Any] = {}
    for flat in entry.get("symmetries_discrete", ()):
        transform = np.array(flat, float).reshape(4, 4)
        transform[:3, 3] *= factor
        found.setdefault("symmetries_discrete", []).append(transform.ravel().tolist())
    for item in entry.get("symmetries_continuous", ()):
        offset = (np.asarray(item.get("offset", (0, 0, 0)), float) * factor).tolist()
        found.setdefault("symmetries_continuous", []).append({"axis": item["axis"], "offset": offset})
    return found

"""Makes a model bundle without weights out of a folder of meshes: reads, checks, proposes symmetries, writes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from pose_tracking.core.errors import ConfigError, MeshError, OutputError
from pose_tracking.core.files import atomic_path, write_json, write_text
from pose_tracking.objects.mesh import UNIT_SCALE, Mesh, diameter, save_mesh
from pose_tracking.objects.mesh_checks import (
    MAX_ORIGIN_DISTANCE,
    Topology,
    check_diameter,
    decimate,
    origin_distance,
    same_colors,
    same_geometry,
    to_mesh,
    topology,
)
from pose_tracking.objects.mesh_files import SUFFIXES, read_mesh_file

from .symmetry_choice import SymmetryChoice, chosen_symmetries, parse_choice
from .symmetry_search import SymmetryProposal, find_symmetries, models_info_symmetries

OBJECT_FILE = re.compile(r"obj_(\d{6})")
SYMMETRY_KEYS = ("symmetries_discrete", "symmetries_continuous")


@dataclass(eq=False)
class NewObject:
    """One object on its way into a bundle.

    Attributes:
        obj_id, name, source: BOP id, class name, the user's file.
        mesh: as it goes into the bundle, metres.
        diameter: metres.
        source_faces: faces of the user's file.
        topology: open edges of the user's mesh.
        colored: whether the file has colour.
        shift: (3,) metres added to the file's coordinates (``--centre``).
        proposal: what was found.
        symmetries: the keys of ``models_info.json`` that are written, in mm.
        choice: where they come from.
        notes: for people.
    """

    obj_id: int
    name: str
    source: Path
    mesh: Mesh
    diameter: float
    source_faces: int
    topology: Topology
    colored: bool
    shift: np.ndarray
    proposal: SymmetryProposal
    symmetries: dict[str, Any] = field(default_factory=dict)
    choice: str = "proposed"
    notes: list[str] = field(default_factory=list)

    def models_info(self) -> dict[str, Any]:
        """The entry of ``models_info.json``, in mm."""
        low = self.mesh.vertices.min(0).astype(float) * 1e3
        size = np.ptp(self.mesh.vertices, axis=0).astype(float) * 1e3
        entry: dict[str, Any] = {"diameter": round(self.diameter * 1e3, 4)}
        entry |= {f"min_{a}": round(float(v), 4) for a, v in zip("xyz", low, strict=True)}
        entry |= {f"size_{a}": round(float(v), 4) for a, v in zip("xyz", size, strict=True)}
        return entry | self.symmetries

    def summary(self) -> dict[str, Any]:
        """Everything for ``new_model.json``."""

        def axes(found: Sequence[Any]) -> list[dict[str, Any]]:
            return [
                {
                    "kind": str(a),
                    "fold": "continuous" if a.fold == 0 else a.fold,
                    "axis": a.axis.round(6).tolist(),
                    "offset_mm": (a.offset * 1e3).round(4).tolist(),
                    "mean_distance": round(a.mean, 5),
                    "p95_distance": round(a.p95, 5),
                    "p99_distance": round(a.p99, 5),
                    "color_share": round(a.color_share, 4),
                }
                for a in found
            ]

        return {
            "id": self.obj_id,
            "name": self.name,
            "file": self.source.name,
            "diameter_mm": round(self.diameter * 1e3, 3),
            "faces": len(self.mesh.faces),
            "source_faces": self.source_faces,
            "colored": self.colored,
            "watertight": self.topology.watertight,
            **asdict(self.topology),
            "shift_mm": (self.shift * 1e3).round(4).tolist(),
            "symmetries": self.choice,
            "symmetries_written": self.symmetries,
            "proposed": axes(self.proposal.axes),
            "symmetric_in_shape_only": axes(self.proposal.shape_only),
            "notes": self.notes,
        }


def find_meshes(folder: str | Path, names: Sequence[str] = ()) -> dict[int, tuple[str, Path]]:
    """Name and file of every mesh in `folder`, by object id.

    Ids come from names like ``obj_000012.ply`` where all files have such names, otherwise they count from 1 in the
    order of the file names.

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
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not files:
        raise MeshError(f"{folder}: has no mesh ({', '.join(s[1:].upper() for s in SUFFIXES)})")
    stems = [p.stem for p in files]
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


def prepare_object(
    obj_id: int,
    name: str,
    path: Path,
    unit: str,
    *,
    centre: bool = False,
    choice: SymmetryChoice | None = None,
    annotated: Mapping[str, Any] | None = None,
) -> NewObject:
    """Read and check one mesh and choose its symmetries.

    Args:
        obj_id, name, path: which object.
        unit: "mm" or "m", of the file.
        centre: move the origin to the middle of the bounding box.
        choice: what the user said of its symmetries; None: those of `annotated`, otherwise the proposal.
        annotated: an entry of ``models_info.json`` in mm that came with the mesh.

    Raises:
        MeshError: the mesh cannot be used; the message says how to mend that.
    """
    raw = read_mesh_file(path)
    check_diameter(raw, unit, path)
    open_edges = topology(raw)
    middle, away = origin_distance(raw.vertices)
    shift = np.zeros(3)
    if centre:
        shift = -middle * UNIT_SCALE[unit]
        raw.vertices = raw.vertices - middle
    notes = raw.notes  # `to_mesh` may add one
    full = to_mesh(raw, unit)
    if not centre and away > MAX_ORIGIN_DISTANCE:
        notes.append(
            f"the origin is {away:.1f} diameters from the middle of the mesh: poses tell where that origin is, and a "
            "small error in rotation moves the object far; --centre puts it in the middle"
        )
    if centre and away > 1e-3:
        notes.append(
            f"origin moved by {np.round(shift * 1e3, 2).tolist()} mm: poses are of the new origin; "
            "T_camera_file = T_camera_object * translation(shift_mm)"
        )
    if open_edges.boundary_edges:
        notes.append(f"not watertight: {open_edges.boundary_edges} boundary edges (the inside may show)")
    elif open_edges.non_manifold_edges:
        notes.append(f"not watertight: {open_edges.non_manifold_edges} edges with more than two faces")
    if not raw.colored:
        notes.append("no colour: shown grey, told apart by shape only")
    mesh, change = decimate(full)
    if mesh is not full:
        notes.append(f"{len(full.faces)} faces decimated to {len(mesh.faces)} (moves the surface by {change:.2%} of d)")
    proposal = find_symmetries(mesh, colored=raw.colored)
    for axis in proposal.shape_only:
        notes.append(f"{axis} in shape, but colour differs on {axis.color_share:.0%} of it")
    new = NewObject(
        obj_id, name, path, mesh, diameter(mesh.vertices), len(raw.faces), open_edges, raw.colored, shift, proposal,
        notes=notes,
    )  # fmt: skip
    if choice is None and annotated is not None:
        new.symmetries = {k: annotated[k] for k in SYMMETRY_KEYS if k in annotated}
        new.choice = "models_info.json"
        if bool(new.symmetries) != bool(proposal.axes):
            found = ", ".join(map(str, proposal.axes)) or "none"
            notes.append(f"symmetries are those of the models_info.json beside the mesh; found here: {found}")
    else:
        new.choice = str(choice or "proposed")
        new.symmetries = models_info_symmetries(chosen_symmetries(choice, new.mesh, proposal, name))
    return new


def read_annotations(folder: Path) -> dict[int, dict[str, Any]]:
    """Entries of the ``models_info.json`` in `folder` (a BOP models folder), or nothing.

    Raises:
        MeshError: it is there but cannot be read.
    """
    path = folder / "models_info.json"
    if not path.is_file():
        return {}
    try:
        return {int(key): dict(value) for key, value in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise MeshError(f"{path}: models_info cannot be read ({error}); mend or remove it") from error


def new_model(
    meshes: str | Path,
    unit: str,
    out: str | Path,
    *,
    names: Sequence[str] = (),
    symmetry: Sequence[str] = (),
    centre: bool = False,
    overwrite: bool = False,
    preview: bool = True,
    description: str = "",
) -> list[NewObject]:
    """Write a bundle for the meshes of a folder; see ``pose-tracking new-model --help``.

    The bundle has no weights yet. ``preview/`` shows the objects and their symmetries, ``new_model.json`` holds
    everything that was found.

    Raises:
        MeshError, ConfigError: a mesh or an option cannot be used.
        OutputError: `out` is there already, or cannot be written.
    """
    meshes, out = Path(meshes), Path(out)
    if unit not in UNIT_SCALE:
        raise ConfigError(f"--unit {unit!r} is not one of {', '.join(UNIT_SCALE)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not overwrite:
        raise OutputError(f"{out}: exists already: choose another name, or pass --overwrite to replace it")
    if overwrite and out.is_dir() and any(out.iterdir()) and not (out / "bundle.yaml").is_file():
        raise OutputError(f"{out}: is no bundle (no bundle.yaml), so it is not replaced: remove it, or choose another")
    if out.exists() and meshes.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{out}: holds the meshes that are read: choose another folder")
    found = find_meshes(meshes, names)
    choices = _choices(symmetry, {i: name for i, (name, _) in found.items()})
    annotated = {i: {**e, **_scaled(e, UNIT_SCALE[unit] * 1e3)} for i, e in read_annotations(meshes).items()}
    objects: list[NewObject] = []
    with tqdm(found.items(), unit="mesh", disable=None) as bar:
        for obj_id, (name, path) in bar:
            bar.set_description(name)
            objects.append(
                prepare_object(
                    obj_id, name, path, unit, centre=centre, choice=choices.get(obj_id),
                    annotated=None if centre else annotated.get(obj_id),
                )
            )  # fmt: skip
    _note_duplicates(objects)
    _write(objects, out, overwrite, preview, description)
    return objects


def _scaled(entry: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """The symmetries of a models_info entry in mm."""
    if factor == 1:
        return {}
    scaled: dict[str, Any] = {}
    for flat in entry.get("symmetries_discrete", ()):
        transform = np.array(flat, float).reshape(4, 4)
        transform[:3, 3] *= factor
        scaled.setdefault("symmetries_discrete", []).append(transform.ravel().tolist())
    for item in entry.get("symmetries_continuous", ()):
        offset = (np.asarray(item.get("offset", (0, 0, 0)), float) * factor).tolist()
        scaled.setdefault("symmetries_continuous", []).append({"axis": item["axis"], "offset": offset})
    return scaled


def _choices(symmetry: Sequence[str], names: Mapping[int, str]) -> dict[int, SymmetryChoice]:
    """The user's ``NAME=SPEC`` by object id; "all" means every object."""
    choices: dict[int, SymmetryChoice] = {}
    for entry in symmetry:
        name, _, text = entry.partition("=")
        ids = [i for i, known in names.items() if name in (known, "all")]
        if not ids or not text:
            raise ConfigError(
                f"--symmetry {entry!r}: is not NAME=SPEC with a NAME of: all, {', '.join(names.values())}"
            )
        for i in ids:
            choices[i] = parse_choice(text, entry)
    return choices


def _note_duplicates(objects: Sequence[NewObject]) -> None:
    for i, a in enumerate(objects):
        for b in objects[:i]:
            if not same_geometry(a.mesh, b.mesh):
                continue
            if same_colors(a.mesh, b.mesh):
                a.notes.append(f"same as {b.name}: they cannot be told apart, keep one")
            else:
                a.notes.append(f"same shape as {b.name}: only colour tells them apart")


def _write(objects: Sequence[NewObject], out: Path, overwrite: bool, preview: bool, description: str) -> None:
    import shutil

    from pose_tracking.bundles.bundle import CONFIG_FILE, SCHEMA

    from .preview import write_preview

    with atomic_path(out) as folder:
        folder.mkdir()
        (folder / "meshes").mkdir()
        for new in objects:
            save_mesh(new.mesh, folder / "meshes" / f"obj_{new.obj_id:06d}.ply")
        write_json(folder / "models_info.json", {str(n.obj_id): n.models_info() for n in objects})
        write_json(folder / "new_model.json", {"objects": [new.summary() for new in objects]})
        config = {
            "schema": SCHEMA,
            "name": out.name,
            "description": description or f"{len(objects)} objects of our own: {', '.join(n.name for n in objects)}.",
            "objects": {
                "names": {new.obj_id: new.name for new in objects},
                "models_info": "models_info.json",
                "meshes": "meshes",
                "unit": "mm",
            },
            "segmentation": {"depth": True},  # as in the shipped bundles
        }
        write_text(folder / CONFIG_FILE, yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=110))
        if preview:
            write_preview(objects, folder / "preview")
        if overwrite and out.is_dir():
            shutil.rmtree(out)

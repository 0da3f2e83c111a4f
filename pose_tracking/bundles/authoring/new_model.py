"""Makes a model bundle without weights out of a folder of meshes: reads, checks, proposes symmetries, writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pose_tracking.bundles.bundle import CONFIG_FILE
from pose_tracking.bundles.bundle_config import SCHEMA
from pose_tracking.bundles.edit import bundle_yaml
from pose_tracking.bundles.no_training import WITHOUT_NETWORKS
from pose_tracking.core.errors import ConfigError, OutputError
from pose_tracking.core.files import atomic_path, write_json, write_text
from pose_tracking.objects.mesh import UNIT_SCALE, save_mesh
from pose_tracking.objects.mesh_checks import same_colors, same_geometry

from .mesh_folder import find_meshes, read_annotations
from .new_object import NewObject
from .prepare import prepare_object
from .symmetry_choice import SymmetryChoice, parse_choice

PreviewWriter = Callable[[Sequence[NewObject], Path], None]


def new_model(
    meshes: str | Path,
    unit: str,
    out: str | Path,
    *,
    names: Sequence[str] = (),
    symmetry: Sequence[str] = (),
    centre: bool = False,
    overwrite: bool = False,
    write_preview: PreviewWriter | None = None,
    description: str = "",
    training: bool = True,
) -> list[NewObject]:
    """Write a bundle for the meshes of a folder; see ``pose-tracking new-model --help``.

    The bundle has no weights yet. ``new_model.json`` holds everything that was found. Made without `training` it has
    templates instead, rendered here (some seconds an object), and works as it is.

    Args:
        meshes: folder of PLY, OBJ, STL or GLB files, one object each.
        unit: "mm" or "m", of the meshes.
        out: folder of the bundle.
        names: class names, one a mesh in order, or ``FILE=NAME``.
        symmetry: ``NAME=SPEC``; see `parse_choice`.
        centre: move each origin to the middle of its mesh's bounding box.
        overwrite: replace a bundle that is there.
        write_preview: writes pictures of the objects into the folder that it is handed; None: no pictures.
        description: what the bundle is for.
        training: whether it is to be trained before it is used.

    Returns:
        The objects, in the order of their ids.

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
    annotated = read_annotations(meshes, unit)
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
    _write(objects, out, overwrite, write_preview, description, training)
    return objects


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


def _write(
    objects: Sequence[NewObject],
    out: Path,
    overwrite: bool,
    write_preview: PreviewWriter | None,
    description: str,
    training: bool,
) -> None:
    with atomic_path(out) as folder:
        folder.mkdir()
        (folder / "meshes").mkdir()
        for new in objects:
            save_mesh(new.mesh, folder / "meshes" / f"obj_{new.obj_id:06d}.ply")
        write_json(folder / "models_info.json", {str(n.obj_id): n.models_info() for n in objects})
        write_json(folder / "new_model.json", {"objects": [new.summary() for new in objects]})
        config: dict[str, Any] = {
            "schema": SCHEMA,
            "name": out.name,
            "description": description or f"Objects of our own: {', '.join(n.name for n in objects)}.",
            "objects": {
                "names": {new.obj_id: new.name for new in objects},
                "models_info": "models_info.json",
                "meshes": "meshes",
                "unit": "mm",
            },
            "segmentation": {"depth": True},  # as in the shipped bundles
        }
        if not training:
            _write_templates(folder, {new.obj_id: new.name for new in objects})
            for section, options in WITHOUT_NETWORKS.items():
                config[section] = {**config.get(section, {}), **options}
        write_text(folder / CONFIG_FILE, bundle_yaml(config))
        if write_preview is not None:
            write_preview(objects, folder / "preview")
        if overwrite and out.is_dir():
            shutil.rmtree(out)


def _write_templates(folder: Path, names: Mapping[int, str]) -> None:
    """Render the templates of the meshes that are in a bundle's folder."""
    from pose_tracking.objects import ObjectSet
    from pose_tracking.templates.templates import TEMPLATES_FILE, make_templates, save_templates

    objects = ObjectSet.load(folder / "models_info.json", folder / "meshes", names=names)
    templates = {}
    with tqdm(objects.items(), unit="object", disable=None) as bar:
        for obj_id, model in bar:
            bar.set_description(f"templates of {model.name}")
            templates[obj_id] = make_templates(model)
    save_templates(objects, templates, folder / TEMPLATES_FILE)

"""Reads and checks one mesh and chooses its symmetries: a CAD file becomes a `NewObject`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.core.errors import MeshError
from pose_tracking.objects.mesh import UNIT_SCALE, diameter
from pose_tracking.objects.mesh_checks import (
    MAX_ORIGIN_DISTANCE,
    Topology,
    check_diameter,
    decimate,
    origin_distance,
    to_mesh,
    topology,
)
from pose_tracking.objects.mesh_files import read_mesh_file
from pose_tracking.objects.symmetry import LOOKALIKES, SYMMETRIES

from .new_object import NewObject
from .symmetry_axis import models_info_symmetries
from .symmetry_choice import SymmetryChoice, chosen_symmetries
from .symmetry_search import find_symmetries

# Diameters from the middle: the networks work in diameters, and half precision tells 4 +- 0.004 apart, no finer.
FARTHEST_ORIGIN = 5.0
SMALLEST_SEEN = 0.02  # m: some 150 pixels at a metre; most files below it are in centimetres or inches


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
        annotated: symmetries in mm, as in ``models_info.json``, that came with the mesh.

    Raises:
        MeshError: the mesh cannot be used; the message says how to mend that.
    """
    raw = read_mesh_file(path)
    check_diameter(raw, unit, path)
    open_edges = topology(raw)
    middle, away = origin_distance(raw.vertices)
    if not centre and away > FARTHEST_ORIGIN:
        raise MeshError(
            f"{path}: the origin is {away:.0f} diameters from the middle of the mesh, too far to learn poses about it "
            f"(at most {FARTHEST_ORIGIN:g}): pass --centre to put it in the middle"
        )
    shift = np.zeros(3)
    if centre:
        shift = -middle * UNIT_SCALE[unit]
        raw.vertices = raw.vertices - middle
    notes = raw.notes  # `to_mesh` may add one
    full = to_mesh(raw, unit)
    notes += _size_notes(diameter(full.vertices))
    notes += _origin_notes(away, shift, centre)
    notes += _surface_notes(open_edges, raw.colored)
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
    _set_symmetries(new, choice, annotated)
    return new


def _size_notes(size: float) -> list[str]:
    """What people should know of an object of `size` metres that is hardly seen, if it is no matter of the unit."""
    if size >= SMALLEST_SEEN:
        return []
    return [
        f"only {size * 1e3:.1f} mm large, to be found from near alone: were the file in centimetres, it would be "
        f"{size * 1e4:.0f} mm, in inches {size * 25.4e3:.0f} mm (scale it to mm then)"
    ]


def _origin_notes(away: float, shift: Float, centre: bool) -> list[str]:
    """What people should know of the origin, `away` diameters from the middle of the file's mesh."""
    if not centre and away > MAX_ORIGIN_DISTANCE:
        return [
            f"the origin is {away:.1f} diameters from the middle of the mesh: poses tell where that origin is, and a "
            "small error in rotation moves the object far; --centre puts it in the middle"
        ]
    if centre and away > 1e-3:
        return [
            f"origin moved by {np.round(shift * 1e3, 2).tolist()} mm: poses are of the new origin; "
            "T_camera_file = T_camera_object * translation(shift_mm)"
        ]
    return []


def _surface_notes(edges: Topology, colored: bool) -> list[str]:
    notes = []
    if edges.boundary_edges:
        notes.append(f"not watertight: {edges.boundary_edges} boundary edges (the inside may show)")
    elif edges.non_manifold_edges:
        notes.append(f"not watertight: {edges.non_manifold_edges} edges with more than two faces")
    if not colored:
        notes.append("no colour: trained in any, told apart by shape only")
    return notes


def _set_symmetries(new: NewObject, choice: SymmetryChoice | None, annotated: Mapping[str, Any] | None) -> None:
    if choice is not None or annotated is None:
        new.choice = str(choice or "proposed")
        new.symmetries = models_info_symmetries(chosen_symmetries(choice, new.mesh, new.proposal))
    else:
        new.symmetries = dict(annotated)
        new.choice = "models_info.json"
        _compare_with_found(new)
    if new.proposal.axes and not new.symmetries and not new.colored:
        found = models_info_symmetries(chosen_symmetries(None, new.mesh, new.proposal))
        new.lookalikes = {name.replace(SYMMETRIES, LOOKALIKES): value for name, value in found.items()}
        new.notes.append(
            "without colour nothing tells poses apart that differ by the symmetry found here, so half of them or "
            f"more are off by it, and the covariance says so: --symmetry {new.name}=proposed makes them equal"
        )


def _compare_with_found(new: NewObject) -> None:
    if bool(new.symmetries) != bool(new.proposal.axes):
        found = ", ".join(map(str, new.proposal.axes)) or "none"
        new.notes.append(f"symmetries are those of the models_info.json beside the mesh; found here: {found}")

"""One object on its way from a CAD file into a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pose_tracking.core.arrays import Float
from pose_tracking.objects.mesh import Mesh
from pose_tracking.objects.mesh_checks import Topology

from .symmetry_axis import CONTINUOUS, SymmetryAxis, SymmetryProposal


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
        lookalikes: the same of poses that look equal without being so, see `ObjectModel.lookalikes`.
        choice: where `symmetries` come from.
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
    shift: Float
    proposal: SymmetryProposal
    symmetries: dict[str, Any] = field(default_factory=dict)
    lookalikes: dict[str, Any] = field(default_factory=dict)
    choice: str = "proposed"
    notes: list[str] = field(default_factory=list)

    def models_info(self) -> dict[str, Any]:
        """The entry of ``models_info.json``, in mm."""
        low = self.mesh.vertices.min(0).astype(float) * 1e3
        size = np.ptp(self.mesh.vertices, axis=0).astype(float) * 1e3
        entry: dict[str, Any] = {"diameter": round(self.diameter * 1e3, 4)}
        entry |= {f"min_{a}": round(float(v), 4) for a, v in zip("xyz", low, strict=True)}
        entry |= {f"size_{a}": round(float(v), 4) for a, v in zip("xyz", size, strict=True)}
        return entry | self.symmetries | self.lookalikes

    def summary(self) -> dict[str, Any]:
        """Everything for ``new_model.json``."""

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
            "proposed": [_summary(a) for a in self.proposal.axes],
            "symmetric_in_shape_only": [_summary(a) for a in self.proposal.shape_only],
            "notes": self.notes,
        }


def _summary(axis: SymmetryAxis) -> dict[str, Any]:
    return {
        "kind": str(axis),
        "fold": "continuous" if axis.fold == CONTINUOUS else axis.fold,
        "axis": axis.axis.round(6).tolist(),
        "offset_mm": (axis.offset * 1e3).round(4).tolist(),
        "mean_distance": round(axis.mean, 5),
        "p95_distance": round(axis.p95, 5),
        "p99_distance": round(axis.p99, 5),
        "color_share": round(axis.color_share, 4),
    }

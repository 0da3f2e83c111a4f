"""Object symmetries from BOP ``models_info.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from pose_tracking.core.arrays import Float
from pose_tracking.core.geometry import make_transform

# Steps a continuous symmetry is cut into: 10 degrees, a sixth of the basin ICP recovers from.
CONTINUOUS_STEPS = 36

# First parts of the keys of an entry: those of BOP, and ours for what the mesh cannot tell apart and the object can.
SYMMETRIES, LOOKALIKES = "symmetries", "lookalikes"


def symmetry_transforms(
    info: Mapping[str, Any], scale: float = 1e-3, continuous_steps: int = CONTINUOUS_STEPS, kind: str = SYMMETRIES
) -> Float:
    """(S, 4, 4) transforms that map the object onto itself, the identity first.

    Args:
        info: one entry of ``models_info.json`` (keys ``symmetries_discrete``: flat (16,) row-major transforms,
            ``symmetries_continuous``: ``{"axis", "offset"}``), as the BOP format defines them.
        scale: factor from the file's unit to metres.
        continuous_steps: number of rotations a continuous symmetry is cut into.
        kind: `SYMMETRIES` or `LOOKALIKES`, which is written in the same way under keys that begin so.
    """
    discrete = [np.eye(4)]
    for flat in info.get(f"{kind}_discrete", ()):
        transform = np.array(flat, float).reshape(4, 4)
        transform[:3, 3] *= scale
        discrete.append(transform)
    continuous = [np.eye(4)]
    for symmetry in info.get(f"{kind}_continuous", ()):
        axis = np.asarray(symmetry["axis"], float)
        offset = np.asarray(symmetry.get("offset", (0, 0, 0)), float) * scale
        angles = 2 * np.pi * np.arange(1, continuous_steps) / continuous_steps
        rotations = Rotation.from_rotvec(angles[:, None] * axis / np.linalg.norm(axis)).as_matrix()
        continuous.extend(make_transform(rotations, offset - rotations @ offset))
    return np.array([c @ d for d in discrete for c in continuous])

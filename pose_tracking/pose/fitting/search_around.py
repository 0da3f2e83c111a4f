"""Where around a predicted pose an object may be: places at which its surface agrees with the depth and stands out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt

from pose_tracking.core.arrays import Float
from pose_tracking.core.frame import RGBDFrame
from pose_tracking.core.geometry import view_rotation

from .scoring import Verifier
from .surface_comparison import SurfaceComparison

if TYPE_CHECKING:
    from .depth_tracking import DepthTrackedPose

GRID = 0.1  # diameters between the places of a search; ICP finds what is half of that off
GRID_RAYS = 150  # at each place
PLACES = 4  # that are worth trying
MIN_MEASURED = 0.12  # share of the silhouette measured within reach
RING = (2.5, 6.0)  # pixels outside the silhouette: nearer ones mix what lies on its two sides
CONTINUES = 2.0  # tolerances of the surface comparison within which it goes on
SLIDES = (0.06, 0.03, 0.015)  # steps in diameters
MOST_SLIDES = 3  # of each
# What is found by a search stands free, and no surroundings of it go on as its surface: a flat side fits every table
# top, and what is hidden for the most part fits much else.
MOST_FLUSH, MOST_HIDDEN = 0.2, 0.2


def agreement(verifier: Verifier, frame: RGBDFrame, obj_id: int, pose: Float, rays: int) -> float:
    """Share of the silhouette of an object at a (4, 4) pose that agrees less that before a void, -1 to 1."""
    compared = verifier.compare(frame, obj_id, pose, rays)
    return (int(compared.agrees.sum()) - int(compared.void.sum())) / max(len(compared.behind), 1)


def slid(verifier: Verifier, frame: RGBDFrame, obj_id: int, pose: Float) -> Float:
    """A (4, 4) pose shifted across the view ray to where most of the silhouette agrees and least lies before a void.

    ICP against surfaces seen from one side does not bind such a shift: a flat side slides within itself. The pose
    itself is given back where no shift is better.
    """
    diameter = verifier.objects[obj_id].diameter
    across = view_rotation(pose[:3, 3])[:, :2].T
    rays = verifier.config.max_rays
    best, most = pose, agreement(verifier, frame, obj_id, pose, rays)
    for step in SLIDES:
        for _ in range(MOST_SLIDES):
            start = best
            for direction in (*across, *-across):
                shifted = start.copy()
                shifted[:3, 3] += step * diameter * direction
                fit = agreement(verifier, frame, obj_id, shifted, rays)
                if fit > most:
                    best, most = shifted, fit
            if best is start:
                break
    return best


def places_around(verifier: Verifier, frame: RGBDFrame, obj_id: int, predicted: Float, reach: float) -> list[Float]:
    """Poses within `reach` (m) of a predicted (4, 4) one at which an object agrees and stands out, the best first.

    They are shifted across the view ray by the steps of a grid, and along it to what is measured there.
    """
    step = GRID * verifier.objects[obj_id].diameter
    side = np.arange(-int(reach / step), int(reach / step) + 1) * step
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    view = view_rotation(predicted[:3, 3])
    agreeing: list[tuple[float, Float]] = []
    for x, y in grid[np.linalg.norm(grid, axis=1) <= reach]:
        pose = predicted.copy()
        pose[:3, 3] += view @ (x, y, 0.0)
        compared = verifier.compare(frame, obj_id, pose, GRID_RAYS)
        behind = frame.depth[compared.rows, compared.cols] - compared.hits.depth
        behind = behind[~compared.blind & (np.abs(behind) < reach)]
        if len(behind) == 0 or len(behind) < MIN_MEASURED * len(compared.rows):
            continue
        pose[:3, 3] += view @ (0.0, 0.0, float(np.median(behind)))
        agrees = agreement(verifier, frame, obj_id, pose, GRID_RAYS)
        if agrees > 0:
            agreeing.append((agrees, pose))
    agreeing.sort(key=lambda one: -one[0])
    # How a place stands out takes all pixels to tell, and only speaks against it: most need not be asked.
    found: list[tuple[float, Float]] = []
    for agrees, pose in agreeing:
        if len(found) >= PLACES and agrees <= found[PLACES - 1][0]:
            break
        found.append((agrees - flush_share(frame, verifier.compare(frame, obj_id, pose)), pose))
        found.sort(key=lambda one: -one[0])
    return [pose for _, pose in found[:PLACES]]


def search(
    look: Callable[[Float, Float], DepthTrackedPose | str],
    verifier: Verifier,
    frame: RGBDFrame,
    obj_id: int,
    predicted: Float,
    covariance: Float,
    reach: float,
    manoeuvre: float,
) -> DepthTrackedPose | None:
    """What is found around a predicted pose; None where nothing stands out that is likely enough.

    Args:
        look: looks for the object near a (4, 4) pose of a (6, 6) covariance.
        verifier, frame, obj_id: of which object, in which frame.
        predicted, covariance: (4, 4) and (6, 6), where it was expected.
        reach: metres from there.
        manoeuvre: standard deviation (m) of the way from there.
    """
    # Where it was expected to stand still, its covariance says nothing of where it went.
    uncertain = covariance.copy()
    uncertain[:3, :3] += manoeuvre**2 * np.eye(3)
    best, most = None, -np.inf
    for start in places_around(verifier, frame, obj_id, predicted, reach):
        found = look(start, uncertain)
        if isinstance(found, str) or found.estimate.fit["occluded_fraction"] > MOST_HIDDEN:
            continue
        pose = found.estimate.pose
        away = float(np.linalg.norm(pose[:3, 3] - predicted[:3, 3]))
        likelihood = float(np.log(found.estimate.confidence)) - 0.5 * (away / manoeuvre) ** 2
        stands_out = flush_share(frame, verifier.compare(frame, obj_id, pose)) <= MOST_FLUSH
        if likelihood > most and away <= reach and stands_out:
            best, most = found, likelihood
    return best


def flush_share(frame: RGBDFrame, compared: SurfaceComparison) -> float:
    """Share of the surroundings of a silhouette, 0 to 1, in which the surface at its outline just goes on.

    A flat side of an object agrees with any table top; but what lies on one ends at its outline, and the table does
    not. Surroundings without depth (the shadow that an object throws for a structured-light sensor) do not go on.

    Args:
        frame: the frame.
        compared: the object, compared on every pixel.
    """
    if len(compared.rows) == 0:
        return 1.0
    margin = int(np.ceil(RING[1])) + 1
    height, width = frame.depth.shape
    y0, x0 = max(compared.rows.min() - margin, 0), max(compared.cols.min() - margin, 0)
    y1, x1 = min(compared.rows.max() + margin + 1, height), min(compared.cols.max() + margin + 1, width)
    of = np.full((y1 - y0, x1 - x0), -1)
    of[compared.rows - y0, compared.cols - x0] = np.arange(len(compared.rows))
    distance, nearest = distance_transform_edt(of < 0, return_indices=True)
    ring = (distance >= RING[0]) & (distance <= RING[1])
    if not ring.any():
        return 1.0
    at = of[nearest[0][ring], nearest[1][ring]]
    difference = np.abs(frame.depth[y0:y1, x0:x1][ring] - compared.hits.depth[at])
    # Depth that is missing is 0, NaN or infinite: never near the surface.
    return float((difference < CONTINUES * compared.tolerance[at]).mean())

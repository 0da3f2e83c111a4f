"""Options of tracking a pose on the depth."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option


@dataclass(frozen=True)
class DepthTrackingConfig:
    """Where an object is looked for near its predicted pose, and which finds are believed."""

    rays: int = option(1500, "rays cast at a pose to find the measured points near it", range=(100, 100000))
    sigmas: float = option(
        3.0, "standard deviations of the predicted position within which points are the object's", range=(0.0, 20.0)
    )
    least_reach: float = option(
        0.04, "how far from the prediction points are taken for the object's at least", unit="diameters",
        range=(0.0, 1.0),
    )  # fmt: skip
    most_reach: float = option(
        0.15, "the same at most: farther points are something else's", unit="diameters", range=(0.0, 1.0)
    )
    most_search: float = option(
        0.5,
        "how far around the prediction an object is searched for at most that is not found at it, where the detector "
        "has not looked either: it may have set off",
        unit="diameters",
        range=(0.0, 2.0),
    )
    search_frames: int = option(
        1,
        "frames in a row, from the first in which it is not found, in which it is searched for; 0: none. What a hand "
        "carries at 5 Hz is found in the first or not at all",
        unit="frames",
        range=(0, 1000),
    )
    search_confidence: float = option(
        0.6,
        "pose confidence from which what is found by a search is believed: more than at the prediction, for of many "
        "places one may fit by chance",
        range=(0.0, 1.0),
    )
    max_void: float = option(
        0.03,
        "share of the silhouette before what is measured farther away from which a shift across the view ray is "
        "tried: 99 % of right poses have less, poses a twentieth of the diameter off have more",
        range=(0.0, 1.0),
    )
    max_sunken: float = option(
        0.08,
        "share of the silhouette closely behind what is measured from which a shift is tried, too",
        range=(0.0, 1.0),
    )
    max_fall: float = option(
        2.0,
        "by how much the log-odds of the pose confidence may fall below the usual ones of a track since its last "
        "detection, until its pose is taken for one that has slipped off the object: right poses fall by 1.3 at most "
        "while little changes, those an eighth of the diameter off by 1.5 to 4. 100: never",
        range=(0.0, 100.0),
    )
    max_move: float = option(
        0.25, "mean distance of the surface from the predicted one that is no longer believed", unit="diameters",
        range=(0.0, 2.0),
    )  # fmt: skip
    min_visible: float = option(
        0.12, "share of the silhouette whose depth must agree; a more hidden object is not seen", range=(0.0, 1.0)
    )
    min_visible_px: int = option(
        60,
        "pixels whose depth must agree, at a focal length of 572 pixels: as much of the object in other cameras",
        unit="px",
        range=(1, 100000),
    )
    min_in_view: float = option(
        0.2, "share of the side towards the camera that must be in the picture", range=(0.0, 1.0)
    )

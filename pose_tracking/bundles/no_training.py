"""Bundles that run before anything is trained, and how they change over to networks once these are trained."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .bundle import CONFIG_FILE, ModelBundle
from .bundle_config import BundleConfig
from .edit import set_options

# What a new bundle says so that depth segments and templates stand in for the networks. The first two poses of an
# instance hold nearly every right one, all rotations having been looked at. Segments are of anything, not of what a
# detector has learnt to know, and more of them look like an object by chance: the weights of the pose check are fitted
# (`fit_calibration`, drawn to the usual ones) to what it sees here, on simulated sequences of coloured objects, on
# real recordings of ones without colour, and on real scenes without any, and the pose has to be surer. Of a right pose
# up to 0.16 of the outline goes on in renders, up to 0.31 on a real cube, which fits well; of wrong ones on larger
# things up to 0.6, of those that have convinced all the same 0.25 and more: that counts against a pose before it is the
# reason to refuse it; so does what the edge of the picture cuts off, a third and more of false ones in a recording.
# Of some 30 proposals a frame, what begins a track has to be surer than what continues it. Of 314 right poses of these
# scenes 311 reached 0.01 before ICP, of the poses that were refused one in four did. Whose camera it will be is not
# known, so its noise is measured, which changes nothing where it is a Kinect's; of a real bottle whose depth got
# 4 mm of noise 29 of 30 frames are right so, and none without.
WITHOUT_NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "segmentation": {"backend": "depth_segments"},
    "pose": {
        "proposed_by": "templates",
        "hypotheses": 2,
        "refine_from": 0.01,
        "depth_noise": {"model": "auto"},
        "search": {"enabled": False},
        "verification": {
            "max_continued": 0.35,
            "continued_weight": 6.0,
            "cut_weight": 5.0,
            "bias": -9.5,
            "weights": (7.4, -16.4, -18.3, 4.9, -4.0, 2.5, -9.6, -2.5, -4.1, -8.6, -3.1, 0.5),
        },
    },
    "pipeline": {
        "min_pose_confidence": 0.65,
        "begin_confidence": 0.75,
        "begin_repeated": False,
        "min_colorless_score": 0.0,
    },
}
_OF_DETECTOR = ("segmentation", "pipeline")


def use_trained_segmentation(bundle: ModelBundle) -> bool:
    """Have a bundle's own detector run from now on, where depth segments have stood in for it; whether they have.

    Raises:
        BundleError: ``bundle.yaml`` cannot be edited.
    """
    if bundle.config.segmentation.backend != "depth_segments":
        return False
    _take_back(bundle.path, _OF_DETECTOR)
    return True


def use_trained_pose(bundle: ModelBundle) -> bool:
    """The same for the pose networks and the templates.

    Raises:
        BundleError: as above.
    """
    if bundle.config.pose.proposed_by != "templates":
        return False
    _take_back(bundle.path, ("pose",))
    return True


def _take_back(folder: Path, sections: tuple[str, ...]) -> None:
    """Set the options of `WITHOUT_NETWORKS` to their defaults where they are what it says."""
    with _locked(folder):  # both trainings may end at the same time
        config = ModelBundle.load(folder, require_weights=False).config
        default = BundleConfig()
        for section in sections:
            _reset(folder, (section,), WITHOUT_NETWORKS[section], getattr(config, section), getattr(default, section))


def _reset(folder: Path, path: tuple[str, ...], written: Mapping[str, Any], now: Any, default: Any) -> None:
    values = {}
    for name, value in written.items():
        if isinstance(value, Mapping):
            _reset(folder, (*path, name), value, getattr(now, name), getattr(default, name))
        elif getattr(now, name) == value:
            usual = getattr(default, name)
            values[name] = list(usual) if isinstance(usual, tuple) else usual
    if values:
        set_options(folder / CONFIG_FILE, path, values)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for oneself, among the processes that ask."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

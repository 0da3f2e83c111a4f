"""Where what is compiled on this machine is kept from one start to the next."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "POSE_TRACKING_CACHE"


def cache_folder(kind: str) -> Path | None:
    """Folder of one kind of files, which need not exist yet.

    In ``$POSE_TRACKING_CACHE``, else in ``pose_tracking`` of the user's cache folder after the XDG rules; None where
    there is no home.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser() / kind
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home folder
        return None
    return base / "pose_tracking" / kind

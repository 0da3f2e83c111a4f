"""Where model bundles are found: by path, or by name in the folders of the search path."""

from __future__ import annotations

import os
from pathlib import Path

from pose_tracking.core.errors import BundleError
from pose_tracking.core.paths import share_roots

CONFIG_FILE = "bundle.yaml"


def search_path() -> list[Path]:
    """Folders that bundles are looked for in: ``$POSE_TRACKING_MODELS``, the checkout, the installed share folders."""
    folders = [Path(p) for p in os.environ.get("POSE_TRACKING_MODELS", "").split(os.pathsep) if p]
    folders += [root / "models" for root in share_roots()]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def known_bundles() -> dict[str, Path]:
    """Bundles of the search path by name; an earlier folder hides a later one."""
    found: dict[str, Path] = {}
    for folder in search_path():
        for file in sorted(folder.glob(f"*/{CONFIG_FILE}")):
            found.setdefault(file.parent.name, file.parent)
    return found


def find_bundle(name_or_path: str | Path) -> Path:
    """Folder of a bundle given by path or name.

    Raises:
        BundleError: there is none; the message lists those that there are.
    """
    path = Path(name_or_path).expanduser()
    if (path / CONFIG_FILE).is_file():
        return path
    if path.is_dir() and len(path.parts) > 1:
        raise BundleError(f"{path}: is not a model bundle (it has no {CONFIG_FILE})")
    if found := (known := known_bundles()).get(str(name_or_path)):
        return found
    listing = ", ".join(sorted(known)) or "none found"
    raise BundleError(f"unknown model {str(name_or_path)!r}: neither a bundle folder nor one of: {listing}")

"""Where the files lie that are shipped beside the code: models, config, launch, msg and rviz."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .errors import ConfigError


def share_roots() -> list[Path]:
    """Folders that may hold them, best first: the checkout, then the share folders of sourced and of this prefix."""
    package = Path(__file__).resolve().parents[1]
    sourced = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    prefixes = [*sourced, Path(sys.prefix), *package.parents]
    return list(dict.fromkeys([package.parent, *(prefix / "share" / "pose_tracking" for prefix in prefixes)]))


def share_file(*parts: str) -> Path:
    """A file or folder we ship (``config/...``, ``rviz/...``, ``msg/...``).

    Raises:
        ConfigError: it is in none of `share_roots`.
    """
    roots = share_roots()
    for root in roots:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    looked = ", ".join(map(str, roots[:3]))
    raise ConfigError(f"{'/'.join(parts)}: not found in {looked}; is the installation whole?")

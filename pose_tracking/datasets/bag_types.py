"""Message types of our bags, for `rosbags`, which needs no ROS installation."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from ..errors import DatasetError

MESSAGES = ("TrackedObject", "TrackedObjectArray")
TRACKED_OBJECT_ARRAY = "pose_tracking/msg/TrackedObjectArray"
# The definitions used here are the same from Humble to Kilted.
STORE = Stores.ROS2_JAZZY


def message_definitions() -> dict[str, str]:
    """Text of our ``.msg`` files by name: from the source tree, else from the installation's share folder.

    Raises:
        DatasetError: they are in neither.
    """
    package = Path(__file__).resolve().parents[1]
    prefixes = [Path(sys.prefix), *package.parents]
    folders = [package.parent / "msg", *(prefix / "share" / "pose_tracking" / "msg" for prefix in prefixes)]
    for folder in folders:
        if all((folder / f"{name}.msg").is_file() for name in MESSAGES):
            return {name: (folder / f"{name}.msg").read_text(encoding="utf-8") for name in MESSAGES}
    raise DatasetError(f"{MESSAGES[0]}.msg is neither in {folders[0]} nor in {folders[1]}: reinstall pose_tracking")


@cache
def typestore() -> Any:
    """`rosbags` type store with the standard messages and ours; shared, not to be changed."""
    store = get_typestore(STORE)
    types: dict[str, Any] = {}
    for name, text in message_definitions().items():
        types.update(get_types_from_msg(text, f"pose_tracking/msg/{name}"))
    store.register(types)
    return store

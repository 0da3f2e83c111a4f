"""Message types of our bags, for `rosbags`, which needs no ROS installation."""

from __future__ import annotations

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from pose_tracking.core.errors import ConfigError, DatasetError
from pose_tracking.core.paths import share_file

MESSAGES = ("TrackedObject", "TrackedObjectArray")
TRACKED_OBJECT_ARRAY = "pose_tracking/msg/TrackedObjectArray"
# The definitions used here are the same from Humble to Kilted.
STORE = Stores.ROS2_JAZZY


def message_definitions() -> dict[str, str]:
    """Text of our ``.msg`` files by name: from the source tree, else from the installation's share folder.

    Raises:
        DatasetError: they are in neither.
    """
    try:
        return {name: share_file("msg", f"{name}.msg").read_text(encoding="utf-8") for name in MESSAGES}
    except ConfigError as error:
        raise DatasetError(str(error)) from None


@cache
def typestore() -> Any:
    """`rosbags` type store with the standard messages and ours; shared, not to be changed."""
    store = get_typestore(STORE)
    types: dict[str, Any] = {}
    for name, text in message_definitions().items():
        types.update(get_types_from_msg(text, f"pose_tracking/msg/{name}"))
    store.register(types)
    return store

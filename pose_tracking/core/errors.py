"""Errors a user can act on: each message is one line that names the culprit and, where there is one, the fix.

Command-line tools print such an error without a traceback and exit with status 2; the node turns a
`FrameError` into a counted drop. Anything that is not a `PoseTrackingError` is a bug of ours.
"""

from __future__ import annotations


class PoseTrackingError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class ConfigError(PoseTrackingError):
    """A configuration value is unknown, of the wrong type or out of range."""


class BundleError(PoseTrackingError):
    """A model bundle, its weights or its object set is missing, corrupt or inconsistent."""


class MeshError(PoseTrackingError):
    """A mesh cannot be used (unit, size, emptiness, file format)."""


class DatasetError(PoseTrackingError):
    """A dataset or bag is missing, truncated or not in the expected layout."""


class StoreError(PoseTrackingError):
    """A gallery of sightings cannot be read or written, or does not fit what is to go into it."""


class RecordingError(StoreError):
    """A recording contradicts what a gallery has of it, of its camera or of its model; others can still go into it."""


class OverlapError(RecordingError):
    """A recording has a camera at a time at which another recording has it already."""


class OutputError(PoseTrackingError):
    """A result cannot be written (permissions, disk full, path in the way)."""


class FrameError(PoseTrackingError):
    """One RGB-D frame cannot be used.

    Args:
        message: one line that names the offending value and the fix.
        reason: short machine-readable key that drops are counted under, e.g. ``"depth_encoding"``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

"""Which sightings are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.errors import ConfigError


@dataclass(frozen=True)
class Near:
    """Within `radius` metres of a point in the map frame."""

    x: float
    y: float
    z: float
    radius: float


@dataclass(frozen=True)
class Filter:
    """Conditions that all have to hold; an empty one lets everything through.

    Attributes:
        cameras, classes: names, any of them; none: all.
        events: kinds of events, any of which happened; none: all.
        text: part of the class name, upper and lower case alike.
        after_ns, before_ns: seen at or after, at or before that time (nanoseconds since 1970).
        near: place; only sightings with a path in a map frame have one.
        map_frame: name of the map frame.
        identity: number of the identity.
        ids: numbers of the sightings; None: any.
        source: number of the recording.
    """

    cameras: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    text: str = ""
    after_ns: int | None = None
    before_ns: int | None = None
    near: Near | None = None
    map_frame: str | None = None
    identity: int | None = None
    ids: tuple[int, ...] | None = None
    source: int | None = None

    def check(self) -> None:
        """Check the conditions against each other.

        Raises:
            ConfigError: they contradict each other.
        """
        if self.after_ns is not None and self.before_ns is not None and self.after_ns > self.before_ns:
            raise ConfigError("after: is later than before:, so nothing can match: swap them")

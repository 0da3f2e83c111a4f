"""When two sightings are of one thing."""

from __future__ import annotations

from dataclasses import dataclass

from pose_tracking.core.config import option


@dataclass(frozen=True)
class LinkConfig:
    """Gates of the evidence that links sightings without being asked, and of what is proposed."""

    place_gate: float = option(
        16.27,
        "squared Mahalanobis distance of two positions in the map frame up to which they are one place (16.27: 99.9 % "
        "of three coordinates), by the covariances of both and place_noise",
        range=(0.1, 1000.0),
    )
    place_noise: float = option(
        0.01, "standard deviation that the given place of each camera adds along each axis", unit="m", range=(0.0, 10.0)
    )
    clearly: float = option(
        10.0,
        "a place has to be so many times as likely as that of any other thing which it could be instead",
        range=(1.0, 1e6),
    )
    rest_seconds: float = option(
        600.0, "a thing that was left at rest is looked for at its place for so long", unit="s", range=(0.0, 1e7)
    )
    looks_gate: float | None = option(
        None, "cosine distance up to which two things may look the same; by default that of the embedding",
        range=(0.0, 2.0),
    )  # fmt: skip
    looks_margin: float = option(
        0.1, "cosine distance by which copies must look less alike than that to be told apart", range=(0.0, 2.0)
    )
    looks_seconds: float = option(
        86400.0, "longest time between two sightings that looks alone may link", unit="s", range=(0.0, 1e9)
    )
    max_speed: float = option(
        3.0, "nothing is carried faster than this from one place of the map to another", unit="m/s", range=(0.01, 1e4)
    )
    size_tolerance: float = option(0.2, "largest relative difference of the size of one thing", range=(0.0, 1.0))
    proposals: int = option(5, "proposals made for each identity, best first", range=(0, 1000))

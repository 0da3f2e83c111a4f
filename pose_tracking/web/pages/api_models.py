"""The JSON that programs get; OpenAPI describes it from here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from pose_tracking.core.arrays import Float
from pose_tracking.gallery.search import Result
from pose_tracking.gallery.store import CameraEntry, IdentityEntry
from pose_tracking.web.matching import Candidate, score_of

Position = Annotated[list[float] | None, Field(description="x, y, z in metres; null where it is not known")]


class Credentials(BaseModel):
    """Name and password of a user."""

    name: str = Field(max_length=64)
    password: str = Field(max_length=4000)


class SessionOut(BaseModel):
    """Who is logged in."""

    user: str
    role: str
    csrf: str = Field(description="Send it as header X-CSRF-Token with each POST and DELETE.")


class IdentityOut(BaseModel):
    """One thing, as far as the gallery knows."""

    identity: int
    class_name: str
    cameras: list[str]
    sightings: int
    start_s: float = Field(description="first seen, seconds since 1970")
    end_s: float = Field(description="last seen, seconds since 1970")
    last_camera: str
    last_position: Position
    last_map: str | None

    @classmethod
    def of(cls, entry: IdentityEntry) -> IdentityOut:
        """That of an entry of the gallery."""
        return cls(
            identity=entry.id, class_name=entry.class_name, cameras=list(entry.cameras), sightings=entry.sightings,
            start_s=entry.start_ns / 1e9, end_s=entry.end_ns / 1e9, last_camera=entry.last_camera,
            last_position=numbers(entry.last_position), last_map=entry.last_map,
        )  # fmt: skip


class SightingOut(BaseModel):
    """One thing seen by one camera for a while."""

    sighting: int
    identity: int | None
    class_name: str
    camera: str
    start_s: float
    end_s: float
    frame: str = Field(description="map frame that position is in; camera: that of the camera itself")
    position: Position
    events: list[dict[str, Any]]
    frames: int
    track: int
    recording: str
    distance: float | None = Field(description="cosine distance, where looks were asked for")
    score: float | None = Field(description="1 for the same looks, 0.5 at the gate of linking; no probability")

    @classmethod
    def of(cls, result: Result, gate: float) -> SightingOut:
        """That of a result of a search."""
        known = result.as_dict()
        score = None if result.distance is None else round(score_of(result.distance, gate), 4)
        shared = ("sighting", "identity", "camera", "start_s", "end_s", "frame", "position", "events", "frames",
                  "track", "recording", "distance")  # fmt: skip
        return cls(class_name=known["class"], score=score, **{key: known[key] for key in shared})


class SightingDetail(SightingOut):
    """A sighting with its path and the number of its pictures."""

    crops: int = Field(description="pictures at /api/sightings/{sighting}/crops/0 and on")
    path: list[dict[str, Any]] = Field(description="stamp_s and pose, a 4x4 matrix, row by row")


class MatchOut(BaseModel):
    """Another identity that looks like one."""

    identity: int | None
    sighting: int
    camera: str
    distance: float
    score: float
    is_rejected: bool = Field(description="a person has said that it is another thing")
    note: str

    @classmethod
    def of(cls, candidate: Candidate) -> MatchOut:
        """That of a candidate."""
        s = candidate.sighting
        return cls(
            identity=s.identity, sighting=s.id, camera=s.camera, distance=round(candidate.distance, 4),
            score=round(candidate.score, 4), is_rejected=candidate.is_rejected, note=candidate.note,
        )  # fmt: skip


class CameraOut(BaseModel):
    """A camera."""

    camera: str
    map: str | None
    pose: list[list[float]] | None = Field(description="T_map_camera of the optical frame, 4x4, metres")
    sightings: int
    start_s: float | None
    end_s: float | None

    @classmethod
    def of(cls, entry: CameraEntry) -> CameraOut:
        """That of an entry of the gallery."""
        return cls(
            camera=entry.name, map=entry.map_frame, pose=None if entry.pose is None else entry.pose.round(6).tolist(),
            sightings=entry.sightings, start_s=None if entry.start_ns is None else entry.start_ns / 1e9,
            end_s=None if entry.end_ns is None else entry.end_ns / 1e9,
        )  # fmt: skip


class ProposalOut(BaseModel):
    """Two identities that may be one."""

    first: int | None
    other: int | None
    sightings: list[int]
    score: float
    reason: str


class Pair(BaseModel):
    """The other identity."""

    other: int = Field(ge=1, le=2**53)


class Taken(BaseModel):
    """Sightings to take out of an identity."""

    sightings: list[int] = Field(min_length=1, max_length=1000)


class Decided(BaseModel):
    """A decision is kept."""

    identity: int | None = Field(description="where the newest sighting of the identity is now")
    is_linked: bool = Field(description="false while the consequences are still being worked out")


def numbers(position: Float | None) -> list[float] | None:
    """A position as JSON."""
    return None if position is None else [round(float(v), 4) for v in position]

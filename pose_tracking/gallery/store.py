"""What keeps sightings: the protocol that commands, pages and nodes are written against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pose_tracking.core.arrays import Float, Float32
from pose_tracking.core.errors import RecordingError

from .filters import Filter
from .live import LiveCamera
from .sighting import Crop, Sighting, StoredSighting

SAME, DIFFERENT = "same", "different"
CROPS_A_SIGHTING = 8  # no sighting has more


@dataclass(frozen=True)
class EmbeddingKind:
    """What the embeddings of a store are; two kinds cannot be compared.

    Attributes:
        name: what computes them, for people.
        dimensions: length of a vector.
        weights: fingerprint of the weights they come from.
        gate: cosine distance up to which two crops may show one thing.
    """

    name: str
    dimensions: int
    weights: str
    gate: float

    def __str__(self) -> str:
        return f"{self.name}, {self.dimensions} numbers, weights {self.weights}"

    def check_same(self, other: EmbeddingKind, store: str) -> None:
        """Check that the embeddings to come are those that a store holds.

        Raises:
            RecordingError: they are others; `store` is what it is called.
        """
        if (self.name, self.dimensions, self.weights) != (other.name, other.dimensions, other.weights):
            raise RecordingError(
                f"{store}: holds embeddings of another kind ({self}) than this model's ({other}), and the two cannot "
                "be compared: take the model of the store, or another store"
            )


@dataclass
class Progress:
    """How far a recording has been taken in.

    Attributes:
        frames: number of its frames.
        start_ns, end_ns: stamps of the first and last of them; None before the first.
        dropped: what was not taken in, by reason.
        without_map: number of frames whose camera pose is unknown.
    """

    frames: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    without_map: int = 0


@dataclass(frozen=True)
class Recording:
    """A recording of one camera, in the store or to go into it.

    Attributes:
        camera: name of the camera.
        name: path or name, for people.
        fingerprint: tells it from every other recording.
        settings: what it is taken in with (model, options); a recording cannot be finished with other ones.
        id, is_done, progress: as the store has it.
    """

    camera: str
    name: str
    fingerprint: str
    settings: Mapping[str, Any]
    id: int = 0
    is_done: bool = False
    progress: Progress = field(default_factory=Progress)


@dataclass(frozen=True)
class CameraEntry:
    """A camera: its name, where it was last (`map_frame`, (4, 4) ``T_map_camera``; None: unknown), and what it saw."""

    name: str
    map_frame: str | None
    pose: Float | None
    sightings: int
    start_ns: int | None
    end_ns: int | None


@dataclass(frozen=True)
class IdentityEntry:
    """An identity: its class, when and where it was last seen, and what it is made of."""

    id: int
    class_name: str
    cameras: tuple[str, ...]
    sightings: int
    start_ns: int
    end_ns: int
    last_camera: str
    last_position: Float | None  # (3,) in `last_map`; None where unknown
    last_map: str | None


@dataclass(frozen=True)
class Match:
    """A sighting found by its looks: the nearest crop and its cosine distance, 0 to 2."""

    sighting: StoredSighting
    distance: float
    crop: int


@dataclass(frozen=True)
class Decision:
    """What a person has said of two sightings, `SAME` or `DIFFERENT`; the latest of a pair counts."""

    kind: str
    a: int
    b: int
    at_ns: int = 0
    by: str = ""


@dataclass(frozen=True)
class Proposal:
    """Two sightings that may be of one thing; `score` (0 to 1) orders proposals and is no probability."""

    a: int
    b: int
    score: float
    reason: str


class GalleryReader(Protocol):
    """What can be asked of sightings that are kept.

    Every method raises `StoreError` where the store cannot be read.
    """

    @property
    def embedding(self) -> EmbeddingKind | None:
        """What the embeddings are; None while there are none."""
        ...

    def recordings(self) -> list[Recording]: ...

    def cameras(self) -> list[CameraEntry]: ...

    def classes(self) -> dict[str, int]:
        """Number of sightings of each class, by its name, in the order of the names."""
        ...

    def identities(self, where: Filter, limit: int = 100, offset: int = 0) -> list[IdentityEntry]:
        """Identities with a sighting that the filter lets through, last seen first."""
        ...

    def find(self, where: Filter, limit: int | None = None, offset: int = 0) -> list[StoredSighting]:
        """Sightings, newest first."""
        ...

    def nearest(self, embeddings: Float32, where: Filter, limit: int = 10) -> list[Match]:
        """The sightings that look most like any of (Q, D) embeddings, nearest first."""
        ...

    def crops(self, sighting: int) -> list[Crop]:
        """The crops of a sighting, best first."""
        ...

    def embeddings(self, sightings: Iterable[int]) -> dict[int, Float32]:
        """(C, D) embeddings of the crops of each of the sightings that has any."""
        ...

    @property
    def last_identity(self) -> int:
        """The largest number that an identity ever had; 0 before the first."""
        ...

    def proposals(self, limit: int | None = None) -> list[Proposal]:
        """At most so many, best first."""
        ...

    def decisions(self) -> list[Decision]:
        """Those that count, oldest first."""
        ...

    def live_cameras(self) -> list[LiveCamera]:
        """What each camera that ever was live showed last, by name."""
        ...

    def close(self) -> None: ...


class GalleryStore(GalleryReader, Protocol):
    """Keeps sightings for good: what a call has returned from is on the disk.

    Every method raises `StoreError` where the store cannot be read or written.
    """

    def use_embedding(self, kind: EmbeddingKind) -> None:
        """Say what the embeddings to come are; a `RecordingError` where the store holds those of another kind."""
        ...

    def begin(self, recording: Recording) -> Recording:
        """Enter a recording, or find it where it has been begun; a `RecordingError` where the two differ."""
        ...

    def add(self, recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]:
        """Add sightings and note the progress, both or neither; one that is there already keeps its number."""
        ...

    def end(self, recording: int, progress: Progress) -> None:
        """Mark a recording as done."""
        ...

    def place_camera(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None:
        """Note where a camera is: (4, 4) ``T_map_camera``."""
        ...

    def link(self, identities: Mapping[int, int], proposals: Sequence[Proposal]) -> None:
        """Write the identity of each sighting and the proposals, in place of all earlier ones."""
        ...

    def decide(self, decisions: Sequence[Decision], instead_of: Iterable[tuple[int, int]] = ()) -> None:
        """Keep what a person has decided, in place of the decisions on these pairs of sightings."""
        ...

    def write_live(self, live: LiveCamera) -> None:
        """Write over what a camera showed before; the one thing that a power cut may take."""
        ...

    def remove(self, before_ns: int | None = None, max_bytes: int | None = None) -> int:
        """Forget sightings that ended before a time, then the oldest until the store fits a size; how many went."""
        ...

    def forget(self, recording: int) -> int:
        """Forget a recording and all its sightings, so that it can be taken in anew; how many went."""
        ...

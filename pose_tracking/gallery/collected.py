"""A recording that was taken in where the store is not: sent to the one writer, and added there once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pose_tracking.core.arrays import Float

from .sighting import Sighting
from .store import EmbeddingKind, GalleryStore, Progress, Recording


@dataclass
class CollectedRecording:
    """`IngestTarget` in memory, of one recording; crosses processes whole.

    Attributes:
        expected: what the embeddings of the store are, so that a wrong model shows before it runs; None: any.
        store: what the store is called.
        kind, recording, sightings, progress: what is to go into it.
        place: name, map frame, pose and stamp of the camera, as last noted; or None.
        is_whole: whether the recording was read to its end.
    """

    expected: EmbeddingKind | None = None
    store: str = "the store"
    kind: EmbeddingKind | None = None
    recording: Recording | None = None
    sightings: list[Sighting] = field(default_factory=list)
    progress: Progress = field(default_factory=Progress)
    place: tuple[str, str, Float, int] | None = None
    is_whole: bool = False

    def use_embedding(self, kind: EmbeddingKind) -> None:
        """See `GalleryStore`."""
        if self.expected is not None:
            self.expected.check_same(kind, self.store)
        self.kind = kind

    def begin(self, recording: Recording) -> Recording:
        """See `GalleryStore`."""
        self.recording = replace(recording, id=1)
        return self.recording

    def add(self, recording: int, sightings: Sequence[Sighting], progress: Progress) -> list[int]:
        """See `GalleryStore`; the numbers are those within this recording."""
        first = len(self.sightings)
        self.sightings += sightings
        self.progress = progress
        return list(range(first, len(self.sightings)))

    def place_camera(self, camera: str, map_frame: str, pose: Float, stamp_ns: int) -> None:
        """See `GalleryStore`."""
        if self.place is None or self.place[3] <= stamp_ns:
            self.place = (camera, map_frame, pose, stamp_ns)

    def end(self, recording: int, progress: Progress) -> None:
        """See `GalleryStore`."""
        self.progress, self.is_whole = progress, True

    def merge_into(self, store: GalleryStore) -> None:
        """Add all of it to a store. A second time adds nothing, and one that was cut short goes on where it was.

        Raises:
            RecordingError: it contradicts what is there.
            StoreError: the store cannot be written.
        """
        if self.kind is None or self.recording is None or not self.progress.frames:
            return  # refused before its first frame
        store.use_embedding(self.kind)
        entered = store.begin(self.recording)
        if entered.is_done:
            return
        store.add(entered.id, self.sightings, self.progress)
        if self.place is not None:
            store.place_camera(*self.place)
        if self.is_whole:
            store.end(entered.id, self.progress)

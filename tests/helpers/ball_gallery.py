"""The coloured balls as recordings of a camera, and an embedding that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from ball_scene import PERIOD_NS, render

from pose_tracking.core.arrays import Float, Float32, UInt8
from pose_tracking.datasets.sample import Sample
from pose_tracking.gallery.store import EmbeddingKind


class BallRecording:
    """The first twelve frames of the ball scene, again and again, by a camera at `pose` (None: unknown).

    A new scene begins every `scene` frames.
    """

    name = "balls"

    def __init__(self, frames: int = 12, pose: Float | None = None, scene: int = 1000, first: int = 0) -> None:
        self.frames, self.pose, self.scene, self.first = frames, pose, scene, first

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Sample]:
        for index in range(self.frames):
            frame = render(index % 12, (self.first + index + 1) * PERIOD_NS)
            yield Sample(replace(frame, camera_pose=self.pose), scene_id=index // self.scene)


class MeanColor:
    """Describes a crop by the mean colour of what is opaque in it."""

    kind = EmbeddingKind("mean colour", 3, "none", 0.1)
    compares_colors = False

    def embed(self, crops: Sequence[UInt8], colors: object = None) -> Float32:
        """(N, 3) unit vectors."""
        means = [crop[crop[..., 3] > 127][:, :3].mean(0) for crop in crops]
        vectors = np.array(means, np.float32).reshape(-1, 3)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

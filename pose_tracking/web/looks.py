"""Pictures that people ask with: described by the networks once, and kept while the results are looked at."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from pose_tracking.core.arrays import Float32, UInt8
from pose_tracking.core.errors import ConfigError, PoseTrackingError
from pose_tracking.gallery.crops import LONGEST_SIDE, encode
from pose_tracking.gallery.store import EmbeddingKind

from .access import Gallery
from .config import WebConfig

KEPT = 200
MIN_BOX = 8  # px


class Embedder(Protocol):
    """What describes pictures."""

    kind: EmbeddingKind

    def embed(self, crops: list[UInt8]) -> Float32: ...


@dataclass(frozen=True, eq=False)
class Asked:
    """A picture that was asked with: (1, D) embedding, a WebP to show, and the kind of the embedding."""

    embedding: Float32
    image: bytes
    kind: EmbeddingKind


class Looks:
    """Describes pictures with the model that the gallery was filled with, which is loaded when first needed.

    Args:
        gallery: what is searched.
        config: which model.
        load: gives what describes pictures, in place of that model.
    """

    def __init__(self, gallery: Gallery, config: WebConfig, load: Callable[[], Embedder] | None = None) -> None:
        self._gallery, self._config = gallery, config
        self._load = load or self._load_model
        self._model_lock, self._asked_lock = threading.Lock(), threading.Lock()
        self._embedder: Embedder | None = None
        self._is_warming = False
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def ask(self, pixels: UInt8) -> str:
        """Describe (H, W, 4) RGBA; the word under which the result is kept for a while.

        Raises:
            StoreError: the gallery is empty, or its model gives another kind of embedding.
            ConfigError: nothing shows.
        """
        shown = _shrunk(pixels)
        # One picture at a time: the networks take all the cores they may.
        with self._model_lock:
            embedder = self._fitting()
            vector = embedder.embed([pixels])
        word = secrets.token_urlsafe(16)
        with self._asked_lock:
            self._asked[word] = Asked(vector, encode(shown), embedder.kind)
            while len(self._asked) > KEPT:
                self._asked.popitem(last=False)
        return word

    def warm(self) -> None:
        """Load the model behind the requests, for someone who is about to ask; does nothing from the second time on."""
        if not self._is_warming:
            self._is_warming = True
            threading.Thread(target=self._warm, name="model", daemon=True).start()

    def _warm(self) -> None:
        with self._model_lock, suppress(PoseTrackingError):  # who asks is told what is wrong
            self._fitting()

    def _fitting(self) -> Embedder:
        """The embedder whose vectors can be compared with those of the gallery as it is now."""
        with self._gallery.reader() as store:
            kind = store.embedding
        if self._embedder is None or kind is None or _differ(self._embedder.kind, kind):
            self._embedder = self._load()
        return self._embedder

    def recall(self, word: str) -> Asked:
        """What was asked with.

        Raises:
            ConfigError: too much has been asked since, or the server was restarted.
        """
        with self._asked_lock:
            if word not in self._asked:
                raise ConfigError("the picture is no longer kept: send it again")
            self._asked.move_to_end(word)
            return self._asked[word]

    def _load_model(self) -> Embedder:
        from pose_tracking.gallery.embedder_of_store import embedder_of

        with self._gallery.reader() as store:
            return embedder_of(store, self._config.model, self._config.objects, self._config.device)


def box_of(pixels: UInt8, box: tuple[float, float, float, float]) -> UInt8:
    """The part of (H, W, 3 or 4) pixels in a box (x_min, y_min, x_max, y_max), as RGBA.

    Raises:
        ConfigError: it lies outside, or is too small to show anything.
    """
    height, width = pixels.shape[:2]
    x0, y0 = (max(0, int(v)) for v in box[:2])
    x1, y1 = min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))
    if min(x1 - x0, y1 - y0) < MIN_BOX:
        raise ConfigError(f"the box is smaller than {MIN_BOX} pixels or outside of the picture: draw it larger")
    part = pixels[y0:y1, x0:x1]
    if part.shape[2] == 3:
        part = np.dstack([part, np.full(part.shape[:2], 255, np.uint8)])
    return np.ascontiguousarray(part)


def _differ(a: EmbeddingKind, b: EmbeddingKind) -> bool:
    return (a.name, a.weights) != (b.name, b.weights)


def _shrunk(pixels: UInt8) -> UInt8:
    longest = max(pixels.shape[:2])
    if longest <= LONGEST_SIDE:
        return pixels
    size = [max(1, round(side * LONGEST_SIDE / longest)) for side in pixels.shape[1::-1]]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

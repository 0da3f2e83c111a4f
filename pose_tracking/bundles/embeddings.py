"""Builds the embeddings of a bundle: that of tracks, and that of a gallery's crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pose_tracking.core.errors import BundleError

if TYPE_CHECKING:
    from pose_tracking.segmentation.embedding import AppearanceEmbedding

    from .bundle import ModelBundle


def build_embedding(bundle: ModelBundle, weights: Path, command: str, device: str) -> AppearanceEmbedding | None:
    """An embedding with its weights on `device`, or None where the bundle has none.

    Args:
        bundle: whose detector has the features.
        weights: file of the embedding.
        command: what trains it, named in the error.
        device: torch device.

    Raises:
        BundleError: the file is corrupt, or was trained on the features of another detector.
    """
    if not weights.is_file():
        return None
    from pose_tracking.networks.weights import fingerprint
    from pose_tracking.segmentation.embedding import load_embedding, trained_for

    embedding, detector = load_embedding(weights, device), trained_for(weights)
    if detector and detector != fingerprint(bundle.segmentation_weights):
        raise BundleError(
            f"{weights}: was trained on other weights than {bundle.segmentation_weights.name}: "
            f"repeat `{command}`, or remove it to use pooled features"
        )
    return embedding

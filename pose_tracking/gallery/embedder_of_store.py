"""The embedder whose vectors can be compared with those that a store holds."""

from __future__ import annotations

from pathlib import Path

from pose_tracking.core.errors import StoreError

from .embedding import CropEmbedder
from .store import GalleryReader


def embedder_of(
    store: GalleryReader, model: str | None = None, objects: Path | None = None, device: str = "auto"
) -> CropEmbedder:
    """The embedder of the model that a store was filled with.

    Args:
        store: holds embeddings.
        model: name or folder of the bundle; None: that of the newest recording.
        objects: folder of the meshes, for bundles that do not ship them.
        device: of the networks.

    Raises:
        StoreError: the store is empty, or the model gives embeddings of another kind.
        BundleError: there is no such model.
    """
    from pose_tracking.bundles.bundle import ModelBundle
    from pose_tracking.core.device import choose_device

    there, used = store.embedding, [str(recording.settings.get("model", "")) for recording in store.recordings()]
    if there is None or not used:
        raise StoreError("the gallery holds nothing yet: `pose-tracking gallery ingest` fills it")
    bundle, chosen = ModelBundle.load(model or used[-1], objects), str(choose_device(device))
    embedder = CropEmbedder(bundle, bundle.build_segmenter(chosen), bundle.build_appearance(chosen))
    if (embedder.kind.name, embedder.kind.weights) != (there.name, there.weights):
        raise StoreError(
            f"the gallery holds embeddings of another kind ({there}) than model {bundle.name!r} gives "
            f"({embedder.kind}): name the model it was ingested with, --model"
        )
    return embedder

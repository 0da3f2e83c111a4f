"""The clip network that a bundle asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_tracking.core.device import choose_device

if TYPE_CHECKING:
    from pose_tracking.events.clips.recognizer import ClipRecognizer

    from .bundle import ModelBundle


def build_clip_recognizer(bundle: ModelBundle, device: str = "cpu") -> ClipRecognizer | None:
    """What looks at the clips of the tracks, with its network on `device`; None where no network is asked for.

    Raises:
        BundleError: the weights are missing, corrupt or of another network.
    """
    name = bundle.config.pipeline.events.clips.network
    if not name or not bundle.config.pipeline.events.enabled:
        return None
    from pose_tracking.events.clips.recognizer import ClipRecognizer
    from pose_tracking.networks.clips.classifier import ClipClassifier

    # The name of a file in the bundle, or a whole path, which stands for itself.
    return ClipRecognizer(ClipClassifier.load(bundle.path / name, choose_device(device)))

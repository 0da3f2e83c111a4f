"""The networks beside the event rules that a bundle asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose_tracking.core.device import choose_device

if TYPE_CHECKING:
    from pose_tracking.events.watchers import Watchers
    from pose_tracking.networks.engines.config import InferenceConfig

    from .bundle import ModelBundle


def build_watchers(bundle: ModelBundle, device: str = "cpu", inference: InferenceConfig | None = None) -> Watchers:
    """What looks at the tracks beside the rules; nothing where none is asked for.

    Args:
        bundle: asks for them.
        device: of the clip network.
        inference: what runs that; by default what the bundle states.

    Raises:
        BundleError: weights are missing, corrupt or of another network.
        ConfigError: what would run the pose network is not installed.
    """
    from pose_tracking.events.watchers import Watchers

    # Also where events are off: they may be switched on while it runs.
    events, watchers = bundle.config.pipeline.events, Watchers()
    # The name of a file in the bundle, or a whole path, which stands for itself.
    if events.clips.network:
        from pose_tracking.events.clips.recognizer import ClipRecognizer
        from pose_tracking.networks.clips.classifier import ClipClassifier
        from pose_tracking.networks.engines.choice import choose_engine

        where = choose_device(device)
        classifier = ClipClassifier.load(bundle.path / events.clips.network, where)
        engine = choose_engine(bundle.config.inference if inference is None else inference, where)
        watchers.clips = ClipRecognizer(classifier.run_by(engine), bundle.objects)
    if events.people.network:
        from pose_tracking.events.people.keypoints import KeypointNetwork
        from pose_tracking.events.people.recognizer import PeopleRecognizer

        watchers.people = PeopleRecognizer(KeypointNetwork(bundle.path / events.people.network))
    return watchers

"""What describes a crop: the detector, or its colours where the detector has nothing to say of it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.results import Instances
from pose_tracking.gallery.embedding import CropEmbedder
from pose_tracking.segmentation.config import SegmentationConfig
from pose_tracking.segmentation.segmenter import Segmenter


class WithoutNetwork(Segmenter):
    """Finds things somehow, and says nothing of given boxes."""

    config = SegmentationConfig()

    def segment(self, frame):
        return Instances.empty(*frame.depth.shape)


def crop(color, side=40, alpha=255):
    out = np.zeros((side, side, 4), np.uint8)
    out[..., :3] = 255 - np.array(color)  # what lies under the transparent part must not count
    out[5:-5, 5:-5] = (*color, alpha)
    return out


@pytest.fixture
def embedder():
    bundle: Any = SimpleNamespace(
        objects={1: None}, build_crop_embedding=lambda: None, segmentation_weights=None, appearance_weights=None
    )
    return CropEmbedder(bundle, WithoutNetwork(), None)


def test_a_detector_without_a_network_leaves_the_colours(embedder):
    assert embedder.kind.name == "colour histogram"
    red, dark_red, blue = embedder.embed([crop((200, 20, 20)), crop((180, 30, 30), 80), crop((20, 20, 200))])
    assert red.shape == (embedder.kind.dimensions,)
    np.testing.assert_allclose(np.linalg.norm([red, dark_red, blue], axis=1), 1, atol=1e-5)
    assert 1 - red @ dark_red <= embedder.kind.gate < 1 - red @ blue


def test_nothing_is_said_of_a_picture_in_which_nothing_shows(embedder):
    with pytest.raises(ConfigError, match="transparent all over"):
        embedder.embed([crop((200, 20, 20), alpha=0)])
    assert embedder.embed([]).shape == (0, embedder.kind.dimensions)

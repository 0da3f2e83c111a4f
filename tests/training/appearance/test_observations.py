"""What is taken of an annotated sequence."""

from __future__ import annotations

import numpy as np
import pytest
from appearance_sequences import BoxSegmenter, sequence

from pose_tracking.core.errors import DatasetError
from pose_tracking.datasets.sample import Sample
from pose_tracking.training.appearance.observations import IdentityOptions, observe


def test_observations_are_taken_at_noisy_boxes_of_visible_instances() -> None:
    samples, options = sequence(0, [1, 2]), IdentityOptions(boxes=3, min_visibility=0.5)
    found = observe(BoxSegmenter(), samples, options, np.random.default_rng(0), {1: 2 * np.eye(3, dtype=np.float32)})
    assert found is not None
    seen = [o for o in samples[0].objects or [] if (o.visibility or 0) >= 0.5]
    assert len(found) == 2 * 3 * len(seen)
    assert set(found.instances) == {o.instance_id for o in seen}
    for entry in seen:
        assert entry.mask is not None
        rows, columns = np.nonzero(entry.mask)
        true = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        off = found.features[found.instances == entry.instance_id][:, :, 0, 0].astype(float) - true
        assert 0 < np.abs(off).mean() < 8
        assert (np.isnan(found.tints[found.instances == entry.instance_id]).all()) == (entry.instance_id != 1)
    assert (found.masks == 1).all()


def test_frames_without_identities_are_refused() -> None:
    samples = sequence(0, [1])
    for entry in samples[0].objects or []:
        entry.instance_id = None
    with pytest.raises(DatasetError, match="no instance ids"):
        observe(BoxSegmenter(), samples, IdentityOptions(), np.random.default_rng(0))
    assert observe(BoxSegmenter(), [Sample(samples[0].frame, [])], IdentityOptions(), np.random.default_rng(0)) is None

"""Playing a recording for longer, with fresh noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic_samples import make_sample

from pose_tracking.datasets import Sample
from pose_tracking.simulation.repeat import noise_config, repeat_samples


def smooth(seed: int, stamp_ns: int) -> Sample:
    """A sample whose depth is a slope with a step, not noise."""
    sample = make_sample(seed, stamp_ns)
    depth = np.linspace(0.8, 1.2, 64, dtype=np.float32)[None].repeat(48, 0)
    depth[:, 40:] += 0.5
    depth[:3] = 0
    return replace(sample, frame=replace(sample.frame, depth=np.round(depth, 3)))


def test_stamp_zero_is_avoided():
    samples = [make_sample(k, k * 10**8) for k in range(2)]
    assert [s.frame.stamp_ns for s in repeat_samples(samples)] == [10**9, 11 * 10**8]


def test_repeats_are_restamped_evenly():
    samples = [make_sample(k, k) for k in range(2)]
    stamps = [s.frame.stamp_ns for s in repeat_samples(samples, 3)]
    assert stamps == [10**9 + k * 10**8 for k in range(6)]
    stamps = [s.frame.stamp_ns for s in repeat_samples(samples, 2, fps=30)]
    assert stamps == [10**9 + round(k * 1e9 / 30) for k in range(4)]


def test_noise_is_fresh_in_every_frame_and_repeatable_by_seed():
    def play(seed: int, depth_noise: bool = False, color_noise: bool = False) -> list[Sample]:
        return list(repeat_samples([smooth(0, 1)], 4, seed=seed, depth_noise=depth_noise, color_noise=color_noise))

    first, again, other = play(3, depth_noise=True), play(3, depth_noise=True), play(4, depth_noise=True)
    depths = [s.frame.depth for s in first]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.frame.depth, b.frame.depth)
    assert (depths[0] != other[0].frame.depth).any()
    assert len({d.tobytes() for d in depths}) == 4
    for sample in first:
        np.testing.assert_array_equal(sample.frame.color, smooth(0, 1).frame.color)
    colors = [s.frame.color for s in play(3, color_noise=True)]
    assert len({c.tobytes() for c in colors}) == 4
    difference = colors[0].astype(float) - smooth(0, 1).frame.color
    assert 1 < difference.std() < 5
    assert abs(difference.mean()) < 0.5


def test_depth_noise_looks_like_a_sensors():
    """Millimetre steps, a sigma of a millimetre or two at a metre that grows with distance, no new readings."""
    still = smooth(0, 1)
    far = replace(still, frame=replace(still.frame, depth=np.round(still.frame.depth * 3, 3)))
    near, distant = (
        np.stack([s.frame.depth for s in repeat_samples([sample], 60, depth_noise=True, noise=noise_config(1.0))])
        for sample in (still, far)
    )
    assert (near[:, still.frame.depth == 0] == 0).all()
    np.testing.assert_allclose(near * 1000, np.rint(near * 1000), atol=1e-3)
    flat = np.s_[:, 5:-2, 5:35]
    assert 0.5e-3 < np.median(near[flat].std(0)) < 3e-3
    assert np.median(distant[flat].std(0)) > 3 * np.median(near[flat].std(0))
    assert np.abs(np.median(near[flat], 0) - still.frame.depth[5:-2, 5:35]).max() < 2e-3
    holes = (near == 0).mean(0)
    assert holes[5:-2, 39:41].mean() > 0.03 > holes[5:-2, 5:35].mean()

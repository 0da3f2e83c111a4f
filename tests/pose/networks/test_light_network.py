"""The light pose network: the interface of the published one, and what it draws beside the colours."""

from __future__ import annotations

import pytest
import torch
from pose_network_inputs import OBJECTS, network_inputs
from presence import present

from pose_tracking.pose.hypotheses.predictor import fuse_batch_norm
from pose_tracking.pose.networks.light_network import LightPoseNet, draw_points


@pytest.fixture(scope="module")
def net() -> LightPoseNet:
    torch.manual_seed(1)
    return LightPoseNet(OBJECTS).eval()


@torch.no_grad()
def test_batch_equals_one_by_one(net: LightPoseNet) -> None:
    inputs = network_inputs(4)
    together = net(*inputs)
    assert [tuple(x.shape) for x in together] == [(4, 40, 4), (4, 40, 3), (4, 40, 1), (4, 32, 40), (4, 40, 3)]
    for i in range(4):
        for ours, theirs in zip(together, net(*(x[i : i + 1] for x in inputs)), strict=True):
            torch.testing.assert_close(ours[i : i + 1], theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_each_sample_takes_its_own_object(net: LightPoseNet) -> None:
    image, points, choose, _ = (x.expand(OBJECTS, *x.shape[1:]) for x in network_inputs(1))
    index = torch.arange(OBJECTS)
    before = net(image, points, choose, index)
    kept = net.out.bias.clone()
    net.out.bias.view(OBJECTS, -1)[2] += 1.0
    after = net(image, points, choose, index)
    net.out.bias.copy_(kept)
    moved = (after.rotation - before.rotation).abs().amax(dim=(1, 2))
    torch.testing.assert_close(moved, torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), atol=1e-5, rtol=0)


@torch.no_grad()
def test_order_of_points_does_not_matter_and_a_subset_is_a_cut(net: LightPoseNet) -> None:
    image, points, choose, index = network_inputs(2)
    plain = net(image, points, choose, index)
    order = torch.randperm(points.shape[1])
    shuffled = net(image, points[:, order], choose[:, order], index)
    torch.testing.assert_close(shuffled.rotation, plain.rotation[:, order], rtol=1e-3, atol=1e-4)
    cut = net(image, points, choose, index, torch.tensor([3, 7]))
    torch.testing.assert_close(cut.coordinates, plain.coordinates[:, [3, 7]], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_most_confident_is_a_cut_of_forward(net: LightPoseNet) -> None:
    inputs = network_inputs(3)
    full = net(*inputs)
    best, index = net.most_confident(*inputs, 7)
    torch.testing.assert_close(index, full.confidence[..., 0].topk(7, dim=1).indices)
    for name in ("rotation", "translation", "confidence"):
        value = getattr(full, name)
        expected = value.gather(1, index[..., None].expand(-1, -1, value.shape[-1]))
        torch.testing.assert_close(getattr(best, name), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(best.coordinates, full.coordinates)


@torch.no_grad()
def test_both_colour_and_shape_count(net: LightPoseNet) -> None:
    image, points, choose, index = network_inputs(2)
    plain = net(image, points, choose, index).coordinates
    assert (net(image, points.flip(0), choose, index).coordinates - plain).abs().max() > 1e-3
    # A trunk without its ImageNet weights gives faint features.
    assert (net(image.flip(0), points, choose, index).coordinates - plain).abs().max() > 1e-6


def test_drawn_points_are_means_of_their_cells() -> None:
    points = torch.tensor([[[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [1.0, 1.0, 1.0]]])
    choose = torch.tensor([[0, 3 * 16 + 2, 15 * 16 + 15]])  # the first two share the first cell of a 16 px crop
    drawn = draw_points(points, choose, (16, 16))
    assert drawn.shape == (1, 4, 4, 4)
    torch.testing.assert_close(drawn[0, :, 0, 0], torch.tensor([0.6, 0.6, 0.6, 1.0]))
    torch.testing.assert_close(drawn[0, :, 3, 3], torch.tensor([3.0, 3.0, 3.0, 1.0]))
    assert float(drawn[0, 3].sum()) == 2


def test_fits_its_budget_and_folds() -> None:
    torch.manual_seed(0)
    net = LightPoseNet(8).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            present(module.running_mean).uniform_(-0.2, 0.2)
            present(module.running_var).uniform_(0.5, 2.0)
    assert sum(2 * t.numel() for t in net.state_dict().values()) / 1e6 < 9.0
    image, points, choose, index = network_inputs(1)
    with torch.no_grad():
        before = net(image, points, choose, index)
        fuse_batch_norm(net)
        after = net(image, points, choose, index)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    torch.testing.assert_close(after.rotation, before.rotation, rtol=1e-3, atol=1e-4)


def test_crops_of_different_sizes_are_refused(net: LightPoseNet) -> None:
    with pytest.raises(ValueError, match="one size"):
        net.most_confident(*network_inputs(2), 7, sizes=[(48, 48), (40, 48)])

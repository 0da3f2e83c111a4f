"""The DenseFusion networks: batching over objects, pooling over any number of points."""

from __future__ import annotations

import pytest
import torch
from pose_network_inputs import OBJECTS, network_inputs
from presence import present

from pose_tracking.pose.networks.encoders import sample_embedding
from pose_tracking.pose.networks.network import PoseNet
from pose_tracking.pose.networks.refiner import PoseRefineNet, points_in_pose_frame, refine


@pytest.fixture(scope="module")
def pose_net() -> PoseNet:
    torch.manual_seed(1)
    return PoseNet(OBJECTS).eval()


@pytest.fixture(scope="module")
def refiner() -> PoseRefineNet:
    torch.manual_seed(2)
    net = PoseRefineNet(OBJECTS).eval()
    for parameter in net.conv3_r.parameters():  # away from the quiet start, so that objects differ
        torch.nn.init.normal_(parameter, std=0.1)
    return net


@torch.no_grad()
def test_batch_equals_one_by_one(pose_net: PoseNet) -> None:
    inputs = network_inputs(4)
    together = pose_net(*inputs)
    assert [tuple(x.shape) for x in together] == [(4, 40, 4), (4, 40, 3), (4, 40, 1), (4, 32, 40)]
    for i in range(4):
        alone = pose_net(*(x[i : i + 1] for x in inputs))
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i : i + 1], theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_each_sample_takes_its_own_object(pose_net: PoseNet) -> None:
    image, points, choose, _ = network_inputs(1)
    same = [x.expand(OBJECTS, *x.shape[1:]) for x in (image, points, choose)]
    rotation = pose_net(*same, torch.arange(OBJECTS)).rotation
    bias = present(pose_net.conv4_r.bias)
    local, pooled, _ = pose_net.fuse(image, points, choose)
    assert not torch.allclose(rotation[0], rotation[1])
    with torch.no_grad():
        kept = bias.clone()
        bias[4 * 2 : 4 * 3] += 1.0  # object 2 only
        moved = pose_net.head("r", local.expand(OBJECTS, -1, -1), pooled.expand(OBJECTS, -1), torch.arange(OBJECTS))
        bias.copy_(kept)
    difference = (moved - rotation).amax(dim=(1, 2))
    torch.testing.assert_close(difference, torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), atol=1e-5, rtol=0)


@torch.no_grad()
def test_pooled_feature_ignores_order_and_number_of_points(pose_net: PoseNet) -> None:
    image, points, choose, index = network_inputs(2)
    order = torch.randperm(points.shape[1])
    plain = pose_net(image, points, choose, index)
    shuffled = pose_net(image, points[:, order], choose[:, order], index)
    torch.testing.assert_close(shuffled.rotation, plain.rotation[:, order], rtol=1e-4, atol=1e-5)
    doubled = pose_net(image, points.repeat(1, 2, 1), choose.repeat(1, 2), index)
    assert doubled.rotation.shape[1] == 80
    torch.testing.assert_close(doubled.translation[:, :40], plain.translation, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_most_confident_is_a_cut_of_forward(pose_net: PoseNet) -> None:
    inputs = network_inputs(3)
    full = pose_net(*inputs)
    best, index = pose_net.most_confident(*inputs, 7)
    torch.testing.assert_close(index, full.confidence[..., 0].topk(7, dim=1).indices)
    for name in ("rotation", "translation", "confidence"):
        value = getattr(full, name)
        expected = value.gather(1, index[..., None].expand(-1, -1, value.shape[-1]))
        torch.testing.assert_close(getattr(best, name), expected, rtol=1e-4, atol=1e-5)
    assert best.embedding.shape == full.embedding.shape


def test_names_are_those_of_the_released_checkpoints() -> None:
    net, refiner = PoseNet(13), PoseRefineNet(13)
    names = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    assert names["feat.conv1.weight"] == (64, 3, 1)
    assert names["feat.e_conv2.weight"] == (128, 64, 1)
    assert names["feat.conv6.weight"] == (1024, 512, 1)
    assert names["conv1_r.weight"] == (640, 1408, 1)
    assert names["conv4_r.weight"] == (52, 128, 1)
    assert names["conv4_t.weight"] == (39, 128, 1)
    assert names["conv4_c.bias"] == (13,)
    assert names["cnn.feats.layer4.1.conv2.weight"] == (512, 512, 3, 3)
    assert names["cnn.psp.stages.3.1.weight"] == (512, 512, 1, 1)
    assert names["cnn.up_3.conv.2.weight"] == (1,)
    assert names["cnn.final.0.weight"] == (32, 64, 1, 1)
    sizes = {k: tuple(v.shape) for k, v in refiner.state_dict().items()}
    assert sizes["feat.conv5.weight"] == (512, 384, 1)
    assert sizes["conv1_t.weight"] == (512, 1024)
    assert sizes["conv3_r.weight"] == (52, 128)


def test_refiner_fits_its_budget() -> None:
    def megabytes(module: torch.nn.Module) -> float:
        return sum(2 * t.numel() for t in module.state_dict().values()) / 1e6

    assert megabytes(PoseRefineNet(8)) < 3.89


def test_sampling_a_small_map_equals_upsampling() -> None:
    draw = torch.Generator().manual_seed(0)
    small = torch.randn(2, 5, 12, 16, generator=draw)
    choose = torch.randint(0, 48 * 64, (2, 100), generator=draw)
    full = torch.nn.functional.interpolate(small, size=(48, 64), mode="bilinear", align_corners=False)
    expected = full.flatten(2).gather(2, choose[:, None].expand(-1, 5, -1))
    torch.testing.assert_close(sample_embedding(small, choose, (48, 64)), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_refiner_batch_equals_one_by_one(refiner: PoseRefineNet) -> None:
    draw = torch.Generator().manual_seed(3)
    points, embedding = torch.randn(4, 30, 3, generator=draw), torch.randn(4, 32, 30, generator=draw)
    index = torch.tensor([3, 0, 4, 0])
    together = refiner(points, embedding, index)
    assert [tuple(x.shape) for x in together] == [(4, 4), (4, 3)]
    for i in range(4):
        alone = refiner(points[i : i + 1], embedding[i : i + 1], index[i : i + 1])
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[i : i + 1], theirs, rtol=1e-5, atol=1e-5)
    order = torch.randperm(30)
    shuffled = refiner(points[:, order], embedding[:, :, order], index)
    torch.testing.assert_close(shuffled[0], together[0], rtol=1e-4, atol=1e-5)


def test_new_refiner_changes_next_to_nothing() -> None:
    torch.manual_seed(0)
    net = PoseRefineNet(3)
    rotation, translation = net(torch.randn(2, 20, 3), torch.randn(2, 32, 20), torch.tensor([0, 2]))
    torch.testing.assert_close(rotation, torch.tensor([[1.0, 0, 0, 0]] * 2), atol=0.02, rtol=0)
    torch.testing.assert_close(translation, torch.zeros(2, 3), atol=0.02, rtol=0)


@torch.no_grad()
def test_refinement_composes_on_the_right(refiner: PoseRefineNet) -> None:
    """M_new = M dM, with the points seen from the frame of M."""
    draw = torch.Generator().manual_seed(4)
    points, embedding = torch.randn(2, 30, 3, generator=draw), torch.randn(2, 32, 30, generator=draw)
    index = torch.tensor([1, 2])
    pose = torch.eye(4).repeat(2, 1, 1)
    pose[:, :3, :3] = torch.linalg.qr(torch.randn(2, 3, 3, generator=draw)).Q
    pose[:, :3, :3] *= torch.linalg.det(pose[:, :3, :3])[:, None, None]
    pose[:, :3, 3] = torch.randn(2, 3, generator=draw)

    seen = points_in_pose_frame(points, pose[:, :3, :3], pose[:, :3, 3])
    homogeneous = torch.cat([points, torch.ones(2, 30, 1)], -1)
    expected = (homogeneous @ torch.linalg.inv(pose).transpose(1, 2))[..., :3]
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-5)

    quaternion, shift = refiner(seen, embedding, index)
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=-1).double().unbind(-1)
    step = torch.eye(4).repeat(2, 1, 1)
    step[:, :3, 3] = shift
    for i in range(2):
        skew = torch.tensor([[0, -z[i], y[i]], [z[i], 0, -x[i]], [-y[i], x[i], 0]])
        step[i, :3, :3] = torch.eye(3) + 2 * w[i] * skew + 2 * skew @ skew
    rotation, translation = refine(refiner, points, embedding, index, pose[:, :3, :3], pose[:, :3, 3])
    new = pose @ step
    torch.testing.assert_close(rotation, new[:, :3, :3], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(translation, new[:, :3, 3], rtol=1e-4, atol=1e-5)

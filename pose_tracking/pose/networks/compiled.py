"""The networks of the pose stage, run by an engine: called like the modules they are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pose_tracking.networks.engines.engine import Engine, Part, Run, TorchEngine, in_steps
from pose_tracking.pose.config import CropConfig

from .encoders import EMBEDDING_CHANNELS
from .light_network import CoordinateOutput, LightPoseNet, cut_to_most_confident
from .network import PoseNet
from .refiner import PoseRefineNet

# Rows that an engine which prepares each shape computes at a time: the crop of an instance, and the poses that are
# usually refined of one. More at once gain a millisecond an instance on a CPU; each other number of them would cost
# twenty when it first comes, and three whenever it changes.
_CROPS, _POSES = 1, 4


class CompiledLightPoseNet:
    """A `LightPoseNet` as one graph.

    Args:
        network: with its weights, in evaluation mode.
        crop: sizes of its inputs.
        engine: what runs it.
    """

    def __init__(self, network: LightPoseNet, crop: CropConfig, engine: Engine) -> None:
        image = torch.rand(2, 3, crop.size, crop.size)
        choose = torch.arange(2 * crop.points).view(2, -1) % crop.size**2
        example = image, torch.rand(2, crop.points, 3), choose, torch.zeros(2, dtype=torch.long)
        self._run = _compiled(Part("pose network", network, example, ((0,),) * 4), engine, _CROPS)

    def most_confident(
        self,
        image: Tensor,
        points: Tensor,
        choose: Tensor,
        object_index: Tensor,
        count: int,
        sizes: Sequence[tuple[int, int]] | None = None,
    ) -> tuple[CoordinateOutput, Tensor]:
        """As `LightPoseNet.most_confident`."""
        if sizes is not None:
            raise ValueError("this network takes crops of one size")
        return cut_to_most_confident(CoordinateOutput(*self._run(image, points, choose, object_index)), count)


class _Compiled(nn.Module):
    """Stands where a part of a network was."""

    def __init__(self, run: Run, single: bool) -> None:
        super().__init__()
        self._run, self._single = [run], single  # in a list: the weights are no longer this module's

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = self._run[0](*inputs)
        return outputs[0] if self._single else outputs


class _Encoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.encoder(image),)


def compile_estimator(
    network: PoseNet | LightPoseNet, crop: CropConfig, engine: Engine
) -> PoseNet | LightPoseNet | CompiledLightPoseNet:
    """The pose network, its graphs run by `engine`; a network in PyTorch with fp32 is left as it is.

    Of the published network these are the colour encoder and the fusion of colour and points; its heads run at points
    that are chosen on the way, in PyTorch.
    """
    if isinstance(engine, TorchEngine) and engine.precision == "fp32":
        return network
    if isinstance(network, LightPoseNet):
        return CompiledLightPoseNet(network, crop, engine)
    image = torch.rand(2, 3, 80, 120)
    features = torch.rand(2, crop.points, 3), torch.rand(2, crop.points, EMBEDDING_CHANNELS)
    encoder = engine.compile(Part("colour encoder", _Encoder(network.cnn), (image,), ((0, 2, 3),)))
    fusion = engine.compile(Part("dense fusion", network.feat, features, ((0, 1), (0, 1))))
    network.cnn, network.feat = _Compiled(encoder, True), _Compiled(fusion, False)  # type: ignore[assignment]
    return network


def compile_refiner(refiner: PoseRefineNet, points: int, engine: Engine) -> Run:
    """The refiner, run by `engine`; called like the module.

    Args:
        refiner: with its weights, in evaluation mode.
        points: how many it usually sees of an object.
        engine: what runs it.
    """
    example = torch.rand(2, points, 3), torch.rand(2, EMBEDDING_CHANNELS, points), torch.zeros(2, dtype=torch.long)
    return _compiled(Part("refiner", refiner, example, ((0, 1), (0, 2), (0,))), engine, _POSES)


def _compiled(part: Part, engine: Engine, rows: int) -> Run:
    """What runs `part`: on `rows` rows at a time, where any other number would have to be prepared."""
    run = engine.compile(part)
    return in_steps(run, rows) if engine.prepares_shapes and part.name not in engine.on_torch else run

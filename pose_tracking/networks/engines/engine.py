"""What every engine has in common, and PyTorch as one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

# Tensors in the order of the part's example, to its outputs as contiguous float32 tensors.
Run: TypeAlias = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Part:
    """A part of a network without control flow, which can become a graph.

    Attributes:
        name: for people, e.g. "mask head".
        module: takes the tensors of `example`, gives a tuple of float tensors; its weights are final.
        example: inputs of the usual sizes.
        varying: for each input, the dimensions whose size differs from call to call; no output may depend on the size
            that the example has in them.
        exact: compute in fp32 whatever the precision: what coordinates go through, or what costs nothing.
    """

    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    varying: tuple[tuple[int, ...], ...]
    exact: bool = False


class Engine(ABC):
    """Runs parts of networks.

    Args:
        precision: "fp32" or "bf16"; of OpenVINO also "int8".

    Attributes:
        name: as in `InferenceConfig.engine`.
        precision: of all parts that are not `exact`.
        on_torch: names of the parts that it could not take and that PyTorch runs.
        prepares_shapes: whether it prepares a graph anew for each shape of its inputs, in about the time that it then
            computes.
    """

    name: str
    copies_weights = False
    prepares_shapes = False

    def __init__(self, precision: str = "fp32") -> None:
        self.precision = precision
        self.on_torch: list[str] = []

    @property
    def has_copies(self) -> bool:
        """Whether all parts so far have weights of their own, so that those of the modules are not needed any more."""
        return self.copies_weights and not self.on_torch

    @abstractmethod
    def compile(self, part: Part) -> Run:
        """What runs `part`, its outputs those of the module within the precision. Never fails: PyTorch steps in."""

    def __str__(self) -> str:
        """Engine and precision for people, e.g. "openvino bf16"; parts that PyTorch runs are named."""
        text = f"{self.name} {self.precision}"
        return f"{text} ({', '.join(self.on_torch)} on torch)" if self.on_torch else text


def in_steps(run: Run, rows: int) -> Run:
    """`run` on no more than so many rows of its inputs at a time: of the shapes that it is called with few are left.

    Args:
        run: takes and gives tensors whose first dimension is that of the rows, none of which knows of the others.
        rows: at a time.
    """

    def run_in_steps(*inputs: Tensor) -> tuple[Tensor, ...]:
        if len(inputs[0]) <= rows:
            return run(*inputs)
        steps = [run(*step) for step in zip(*(tensor.split(rows) for tensor in inputs), strict=True)]
        return tuple(torch.cat(outputs) for outputs in zip(*steps, strict=True))

    return run_in_steps


class TorchEngine(Engine):
    """PyTorch itself, on any device; bf16 by autocast."""

    name = "torch"

    def compile(self, part: Part) -> Run:
        """The module itself, whose weights may still change."""
        if self.precision == "fp32" or part.exact:
            return part.module

        def run(*inputs: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast(inputs[0].device.type, torch.bfloat16):
                outputs = part.module(*inputs)
            return tuple(output.float() for output in outputs)

        return run

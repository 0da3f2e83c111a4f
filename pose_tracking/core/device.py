"""Which torch device the networks run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """The torch device called `name`; "auto" takes a GPU where there is one.

    Raises:
        ConfigError: unknown device, or one this machine does not have.
    """
    import torch  # takes seconds, which a pipeline without networks need not wait

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used ({reason}): try cpu, cuda or auto") from error
    return device


def computes_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 natively, so that it saves time: GPUs, and CPUs with AVX512-BF16."""
    import torch

    if device.type != "cpu":
        return True
    check = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(check and check())

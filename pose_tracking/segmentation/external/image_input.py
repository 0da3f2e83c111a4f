"""A picture as the array that a graph's image input takes: layout of the channels, type, scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose_tracking.core.arrays import UInt8
from pose_tracking.core.errors import BundleError
from pose_tracking.networks.engines.graph_file import Port


def channels_last(port: Port) -> bool:
    """Whether the channels of an image input are its last axis."""
    channel = -3
    return port.shape[channel] != 3 and port.shape[-1] == 3


def input_size(port: Port) -> tuple[int, int]:
    """Width and height that an image input wants; 0 where any will do."""
    height, width = port.shape[-3:-1] if channels_last(port) else port.shape[-2:]
    return width or 0, height or 0


def check_image_input(ports: Sequence[Port], what: str) -> Port:
    """The one input of a detector, an image.

    Args:
        ports: its inputs.
        what: the file, for errors.

    Raises:
        BundleError: there are several, or it takes no colour image.
    """
    if len(ports) != 1:
        described = ", ".join(map(str, ports)) or "none"
        raise BundleError(
            f"{what}: has {len(ports)} inputs ({described}); a detector has one, the image: export it alone"
        )
    port = ports[0]
    if len(port.shape) not in (3, 4):
        raise BundleError(f"{what}: its input is {port}; a colour image is (1, 3, height, width) or (3, height, width)")
    if len(port.shape) == 4 and port.shape[0] not in (None, 1):
        raise BundleError(f"{what}: its input is {port}, a batch of {port.shape[0]}: export it for a batch of 1")
    if port.shape[-3] not in (3, None) and port.shape[-1] not in (3, None):
        raise BundleError(f"{what}: its input is {port}, which has no axis of 3 channels: it takes no colour image")
    if port.dtype not in ("float32", "float16", "uint8"):
        raise BundleError(f"{what}: its input is {port}: only float32, float16 and uint8 images are supported")
    return port


def to_array(picture: UInt8, port: Port, mean: Sequence[float], std: Sequence[float], bgr: bool) -> NDArray[Any]:
    """The (H, W, 3) RGB picture as the array of an input.

    Args:
        picture: in the size of the input.
        port: the input; one of whole numbers takes the picture as it is.
        mean, std: of the channels of 0 to 255.
        bgr: blue before red.
    """
    array: NDArray[Any] = picture[..., ::-1] if bgr else picture
    if port.dtype != "uint8":
        scale, offset = np.asarray(std, np.float32), np.asarray(mean, np.float32)
        array = ((array.astype(np.float32) - offset) / scale).astype(port.dtype)
    if not channels_last(port):
        array = array.transpose(2, 0, 1)
    return np.ascontiguousarray(array[None] if len(port.shape) == 4 else array)

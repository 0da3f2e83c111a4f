"""Malformed messages at the decoder: each is refused with a reason, or is an image after all; nothing else raises."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

import ball_scene
import numpy as np
from fuzz_messages import KINDS
from fuzz_spoilers import Frame
from soak_scene import small

from pose_tracking.core.errors import FrameError
from pose_tracking.ros.messages.frames import FrameDecoder

SOURCE = small(ball_scene.render(0, 10**18), 4)


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.has_frame])
def test_malformed_messages_are_refused_or_decoded(kind):
    rng = np.random.default_rng(0)
    decoder = FrameDecoder()
    for _ in range(40):
        frame = Frame(SOURCE)
        KINDS[kind].spoil(frame, rng)
        if frame.color is None or frame.depth is None or isinstance(frame.color, bytes):
            continue  # ends in the middleware or the synchroniser
        try:
            decoded = decoder.decode(frame.color, frame.depth, frame.info)
        except FrameError:
            continue
        assert decoded.color.shape[:2] == decoded.depth.shape
        assert not KINDS[kind].is_refused

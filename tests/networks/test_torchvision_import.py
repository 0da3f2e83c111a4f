"""Torchvision comes without PyTorch's compiler, and with it where that is wanted; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

START = "import sys; from pose_tracking.networks.torchvision_import import import_torchvision as light; "
POOL = (
    "import torch, torchvision; x = torch.arange(64.).reshape(1, 1, 8, 8); "
    "print(float(torchvision.ops.roi_align(x, [torch.tensor([[0., 0., 8., 8.]])], 2).sum()))"
)


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_it_comes_without_the_compiler_and_computes_the_same() -> None:
    light = run(START + "light(); print('torch._dynamo' in sys.modules); " + POOL)
    assert light == ["False", *run(POOL)]


def test_the_question_is_answered_by_the_real_compiler() -> None:
    code = START + (
        "light(); import torchvision.ops.roi_align; roi_align = sys.modules['torchvision.ops.roi_align']; "
        "print(roi_align.is_compile_supported('cpu')); "
        "from torch._dynamo.utils import is_compile_supported; print(is_compile_supported('cpu'))"
    )
    stand_in, real = run(code)
    assert stand_in == real


def test_where_torchvision_wants_more_it_is_imported_as_ever() -> None:
    bare = (
        "import pose_tracking.networks.torchvision_import as module; "
        "module._provide = lambda stand_in: None; "  # a stand-in that has nothing of what is asked for
        "module.import_torchvision(); import sys; import torchvision.ops; print('torch._dynamo' in sys.modules); "
    )
    assert run(bare + POOL) == ["True", *run(POOL)]

"""The environment of worker processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pose_tracking.training.processes import spawn_pool


@pytest.mark.parametrize("chosen", [None, "active"])
def test_workers_wait_passively_unless_the_user_chose(monkeypatch: pytest.MonkeyPatch, chosen: str | None) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", chosen or "")  # restored after the test
    if chosen is None:
        del os.environ["OMP_WAIT_POLICY"]
    with spawn_pool(1, os.getenv, ("HOME",)) as pool:  # type: ignore[arg-type]
        assert pool.submit(os.getenv, "OMP_WAIT_POLICY").result() == (chosen or "passive")


@pytest.mark.parametrize("module", ["pose_tracking.cli.main", "pose_tracking.cli.__main__"])
@pytest.mark.parametrize("chosen", [None, "active"])
def test_the_command_waits_passively_before_torch_is_there(module: str, chosen: str | None) -> None:
    code = (
        "import sys\nsys.argv = ['pose-tracking', '--version']\n"
        f"try:\n    import {module}\nexcept SystemExit:\n    pass\n"
        "import os; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    own = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment = own if chosen is None else own | {"OMP_WAIT_POLICY": chosen}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1].split()[0] == (chosen or "passive")
    if module == "pose_tracking.cli.main":
        assert out.stdout.split()[-1] == "False"  # torch reads the variable when it is imported

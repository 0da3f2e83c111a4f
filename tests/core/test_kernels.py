"""Compiled kernels are kept on disk, and do without where that cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pose_tracking.core.kernels import compiling_nothing, kernel

MODULE = """
from pose_tracking.core.kernels import kernel

@kernel
def doubled(x):
    return 2 * x
"""
SCRIPT = """
import logging
logging.basicConfig(format="%(message)s")
from own_kernels import doubled
assert doubled(2.0) == 4.0
assert doubled(3.0) == 6.0
print(sum(doubled.stats.cache_hits.values()))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own_kernels.py").write_text(MODULE)
    return folder


def hits(module: Path, cache: Path, **variables: str) -> tuple[int, list[str]]:
    """Calls of the kernel that a new process answers from the cache, and what it logs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    path = os.pathsep.join([str(module), str(Path(__file__).resolve().parents[2])])
    environment |= {"POSE_TRACKING_CACHE": str(cache), "PYTHONPATH": path, **variables}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout), ran.stderr.splitlines()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*.nb?") if path.is_file()}


def test_the_second_start_compiles_nothing(module: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert hits(module, cache) == (0, [])
    assert len(files(cache / "kernels")) == 2
    assert (cache / "kernels").stat().st_mode & 0o077 == 0  # what is read back is code
    assert hits(module, cache) == (1, [])
    assert not files(module)


def test_a_changed_source_is_compiled_again(module: Path, tmp_path: Path) -> None:
    hits(module, tmp_path / "cache")
    (module / "own_kernels.py").write_text(MODULE.replace("2 * x", "x + x"))
    assert hits(module, tmp_path / "cache") == (0, [])


def test_a_changed_source_of_a_kernel_that_is_called_is_compiled_again(module: Path, tmp_path: Path) -> None:
    (module / "factors.py").write_text(MODULE.replace("doubled", "times"))
    (module / "between.py").write_text("from factors import times\n" + MODULE.replace("2 * x", "times(x)"))
    (module / "own_kernels.py").write_text(
        "from between import doubled as twice\n" + MODULE.replace("2 * x", "twice(x)")
    )
    hits(module, tmp_path / "cache")
    assert hits(module, tmp_path / "cache") == (1, [])
    (module / "factors.py").write_text(MODULE.replace("doubled", "times").replace("2 * x", "x + x"))
    assert hits(module, tmp_path / "cache") == (0, [])


def test_numbas_own_variable_goes_first(module: Path, tmp_path: Path) -> None:
    assert hits(module, tmp_path / "cache", NUMBA_CACHE_DIR=str(tmp_path / "own")) == (0, [])
    assert files(tmp_path / "own")
    assert not (tmp_path / "cache").exists()


def test_a_damaged_cache_is_made_anew(module: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for ending in ("*.nbi", "*.nbc"):
        hits(module, cache)
        for path in cache.rglob(ending):
            path.write_bytes(path.read_bytes()[:20])
        found, lines = hits(module, cache)
        assert found == 0
        assert len(lines) == 1
        assert "the kernel is compiled again" in lines[0]
        assert hits(module, cache) == (1, [])


def test_where_nothing_can_be_kept_one_line_says_so(module: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    (module / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    found, lines = hits(module, tmp_path / "cache", HOME=str(home), XDG_CACHE_HOME=str(home))
    assert found == 0
    assert len(lines) == 1
    assert "compiled kernels cannot be kept" in lines[0]
    assert "POSE_TRACKING_CACHE" in lines[0]


def test_kernels_run_as_python_where_numba_is_switched_off(module: Path, tmp_path: Path) -> None:
    script = "from own_kernels import doubled; assert doubled(2.0) == 4.0; print(type(doubled).__name__)"
    path = os.pathsep.join([str(module), str(Path(__file__).resolve().parents[2])])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "function"


def test_a_kernel_is_not_compiled_while_nothing_may_be() -> None:
    @kernel
    def tripled(x: float) -> float:
        return 3 * x

    with ThreadPoolExecutor(1) as pool:
        with compiling_nothing():
            compiling = pool.submit(tripled, 2.0)
            with pytest.raises(TimeoutError):
                compiling.result(0.5)
            assert not tripled.signatures  # type: ignore[attr-defined]
        assert compiling.result() == 6.0

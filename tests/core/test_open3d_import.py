"""Open3D comes without what it draws with in a browser, and draws all the same; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

START = "import sys; from pose_tracking.core.open3d_import import import_open3d; o3d = import_open3d(); "


def run(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_it_comes_without_a_web_server() -> None:
    assert run(START + "print(o3d.__name__, 'dash' in sys.modules, 'plotly' in sys.modules)") == [
        "open3d", "False", "False",
    ]  # fmt: skip


def test_it_draws_all_the_same() -> None:
    figure = "box = o3d.geometry.TriangleMesh.create_box(); print(type({}([box])).__name__)"
    assert run(START + figure.format("o3d.visualization.get_plotly_fig")) == ["Figure"]
    real = "; from open3d.visualization.draw_plotly import get_plotly_fig; print('dash' in sys.modules)"
    assert run(START + "pass" + real) == ["True"]


def test_where_it_is_imported_already_it_is_that_one() -> None:
    assert run("import open3d, sys; " + START + "print(o3d is open3d, 'dash' in sys.modules)") == ["True", "True"]

"""A real frame as other cameras would have taken it: the object is found, and where it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from camera_variants import VARIANTS, CatFrame

# Some of each kind; `camera_variants` as a script looks at all of them.
TESTED = (
    "320x240", "1920x1440", "black borders, 1280x720", "pixels not square, 640x360", "portrait, turned to the left",
    "upside down", "brightness 0.3", "brightness 2",
)  # fmt: skip


@pytest.fixture(scope="module")
def cat(data_dir: Path) -> CatFrame:
    return CatFrame(data_dir)


@pytest.mark.parametrize("name", TESTED)
def test_the_cat_is_found_whatever_the_camera(cat: CatFrame, name: str) -> None:
    outcome = cat.look(VARIANTS[name](cat.view))
    assert outcome.add < 0.006

"""Opening recorded or simulated data without having to say what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from pose_tracking.core.errors import DatasetError

from .bag.reader import BagReader
from .bop import SCENE_CAMERA, BopScene
from .linemod_preprocessed import LinemodPreprocessed, is_object_folder
from .sample import Sample, Source

LAYOUTS = "a rosbag2 folder, a BOP scene or split folder, Linemod_preprocessed, or a packed file"


class PackedSource:
    """A packed training file (`training.packed`) as a sequence of samples.

    Random frames are unrelated: each is a scene of its own. Where all instances have identities they are those of
    sequences, and a new scene begins where the stamps do not rise.
    """

    def __init__(self, path: Path) -> None:
        # Training reads datasets, not the other way round: only this format lives there.
        from .packed import PackedDataset

        self.name = path.stem
        self._samples: Any = PackedDataset(path)
        if len(self._samples) == 0:
            raise DatasetError(f"{path}: holds no samples")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        return replace(self._samples[index], scene_id=self._scenes[index], complete=True)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self[index]

    @cached_property
    def _scenes(self) -> list[int]:
        stamps, have_identities = self._samples.stamps_and_identities()
        begins = [not have_identities or now <= before for before, now in pairwise(stamps)]
        return [0, *accumulate(map(int, begins))]


def open_source(path: str | Path) -> Source:
    """The samples at `path`, whatever its layout.

    Args:
        path: a rosbag2 folder (or a single .mcap or .db3 file), a BOP scene or split folder, an object folder or the
            root of Linemod_preprocessed (its test split), or a packed .zip file.

    Raises:
        DatasetError: nothing there, an unknown layout, or a damaged or unfinished recording.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder; expected {LAYOUTS}")
    if path.is_file():
        if path.suffix in (".mcap", ".db3"):
            return BagReader(path)
        if path.suffix == ".zip":
            return PackedSource(path)
        raise DatasetError(f"{path}: not a known kind of file; expected {LAYOUTS}")
    if (path / "metadata.yaml").is_file():
        return BagReader(path)
    if is_object_folder(path) or (path / "data").is_dir() or any(path.glob("[0-9][0-9]/gt.yml")):
        return LinemodPreprocessed(path)
    if (path / SCENE_CAMERA).is_file() or (path / "rgb").is_dir() or any(path.glob(f"[0-9]*/{SCENE_CAMERA}")):
        return BopScene(path)
    if any(path.glob("*.mcap")) or any(path.glob("*.db3")):
        raise DatasetError(f"{path}: not a bag (no metadata.yaml): was its recording cut off? try `ros2 bag reindex`")
    if not any(path.iterdir()):
        raise DatasetError(f"{path}: the folder is empty; expected {LAYOUTS}")
    raise DatasetError(f"{path}: not a known layout; expected {LAYOUTS}")

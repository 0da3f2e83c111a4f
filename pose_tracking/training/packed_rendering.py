"""Renders random training frames into one packed file, with several processes, and goes on where it was stopped."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pose_tracking.core.errors import OutputError
from pose_tracking.core.files import make_directory, write_json
from pose_tracking.datasets.packed import PackedWriter
from pose_tracking.objects import ObjectSet
from pose_tracking.simulation.frames.random_scenes import RandomSceneConfig, RandomScenes
from pose_tracking.simulation.scenery.backgrounds import RecordedBackgrounds

from .processes import spawn_pool

CHUNK = 10  # frames a process renders before it puts them on disk, and looks at the time
FEWEST_FRAMES = 50  # that `minutes` leaves, as a rule
SECONDS_FILE = "seconds.json"


def render_packed(
    objects: ObjectSet,
    config: RandomSceneConfig | None,
    seed: int,
    count: int,
    path: str | Path,
    backgrounds: str | Path | None = None,
    split: str = "train",
    processes: int = 1,
    progress: bool = True,
    minutes: float | None = None,
    fewest: int = FEWEST_FRAMES,
) -> Path:
    """Render frames 0 to `count` - 1 of series `seed` into the packed file `path`, or fewer in `minutes`.

    Frames are kept in chunks in the folder ``<path>.chunks`` until all are there (training may read that folder
    already); a second call goes on with the missing ones. Frames do not depend on `processes`.

    Args:
        objects: the known objects, with meshes.
        config: how frames are made; None for the defaults.
        seed: number of the series.
        count: number of frames.
        path: the packed file to write; nothing is done where it exists.
        backgrounds: folder of recorded RGB-D backgrounds in BOP layout, or None.
        split: which of them: "train", "test" or "all".
        processes: number of processes.
        progress: whether to show a progress bar.
        minutes: begin no further frames after this time, that of earlier calls included, once there are `fewest`;
            None renders all.
        fewest: see `minutes`.

    Raises:
        OutputError: the file cannot be written, or the chunks there are of other settings.
        DatasetError: the backgrounds cannot be read.
    """
    path = Path(path)
    if path.exists():
        return path
    config = config or RandomSceneConfig()
    folder = make_directory(path.with_name(path.name + ".chunks"))
    _check_settings(folder, objects, config, seed, backgrounds, split)
    chunks = [(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    missing = [chunk for chunk in chunks if not _chunk_path(folder, *chunk).is_file()]
    used, began = _seconds(folder), time.monotonic()
    end = None if minutes is None else began + 60 * minutes - used
    arguments = (objects, config, seed, folder, backgrounds, split, end, fewest)
    done = count - sum(b - a for a, b in missing)
    with tqdm(total=count, initial=done, unit="frame", disable=not progress, desc=path.name) as bar:
        for rendered in _rendered(missing, processes, arguments):
            bar.update(rendered)
            write_json(folder / SECONDS_FILE, round(used + time.monotonic() - began, 1))
    with PackedWriter(path) as writer:
        for chunk in chunks:
            if _chunk_path(folder, *chunk).is_file():
                writer.append_packed(_chunk_path(folder, *chunk))
    shutil.rmtree(folder)
    return path


def _rendered(chunks: Sequence[tuple[int, int]], processes: int, arguments: tuple[Any, ...]) -> Iterator[int]:
    """Render `chunks`; how many frames of each there are now."""
    if processes > 1 and len(chunks) > 1:
        with spawn_pool(processes, _start, arguments) as pool:
            yield from pool.map(_render_chunk, chunks)
    elif chunks:
        _start(*arguments)
        yield from map(_render_chunk, chunks)


def _seconds(folder: Path) -> float:
    """Time that earlier calls took for what is in `folder`."""
    try:
        return float(json.loads((folder / SECONDS_FILE).read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or not to be read: counts as none
        return 0.0


def _check_settings(
    folder: Path,
    objects: ObjectSet,
    config: RandomSceneConfig,
    seed: int,
    backgrounds: str | Path | None,
    split: str,
) -> None:
    """Write what the chunks in `folder` are of, or check that it is the same."""
    settings = {
        "objects": {str(i): [m.name, m.diameter] for i, m in objects.items()},
        "config": asdict(config),
        "seed": seed,
        "backgrounds": None if backgrounds is None else str(backgrounds),
        "split": split,
    }
    note = folder / "settings.json"
    if note.is_file() and json.loads(note.read_text()) != json.loads(json.dumps(settings)):
        raise OutputError(f"{folder}: holds frames of other settings: remove it or choose another file")
    write_json(note, settings)


def _chunk_path(folder: Path, first: int, last: int) -> Path:
    return folder / f"{first:07d}_{last:07d}.zip"


_worker: dict[str, Any] = {}


def _start(
    objects: ObjectSet,
    config: RandomSceneConfig,
    seed: int,
    folder: Path,
    backgrounds: str | Path | None,
    split: str,
    end: float | None,
    fewest: int,
) -> None:
    """Set up a process: the scenes are built once and render all its chunks, until `end` (`time.monotonic`)."""
    recorded = None if backgrounds is None else RecordedBackgrounds(backgrounds, split)
    _worker.update(scenes=RandomScenes(objects, config, recorded), seed=seed, folder=folder, end=end, fewest=fewest)


def _render_chunk(chunk: tuple[int, int]) -> int:
    if _worker["end"] is not None and chunk[0] >= _worker["fewest"] and time.monotonic() > _worker["end"]:
        return 0
    with PackedWriter(_chunk_path(_worker["folder"], *chunk)) as writer:
        for index in range(*chunk):
            writer.add(_worker["scenes"].render(_worker["seed"], index))
    return chunk[1] - chunk[0]

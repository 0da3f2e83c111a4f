"""A part of a network in int8, kept in a folder of the bundle: the graph, and of which weights it was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.files import atomic_path, write_json
from pose_tracking.networks.weights import fingerprint

FOLDER = "int8"  # in the bundle
_GRAPH, _DATA, _ABOUT = "trunk.xml", "trunk.bin", "about.json"
_SCHEMA = 1


def store(bundle: Path, part: str, weights: Path, save: Callable[[Path], None], about: Mapping[str, Any]) -> Path:
    """Keep a graph in a bundle, in place of the one before.

    Args:
        bundle: folder of the bundle.
        part: name of the `Part` that it stands for.
        weights: the file of the weights that it was made of.
        save: writes the graph as an OpenVINO IR: the .xml of the given name, and the .bin beside it.
        about: what was measured, for people.

    Returns:
        the graph file.

    Raises:
        OutputError: the bundle cannot be written.
    """
    folder = bundle / FOLDER
    with atomic_path(folder / "new") as temporary:
        temporary.mkdir()
        save(temporary / _GRAPH)
        # Whatever is there is worth nothing while the graph is changed.
        (folder / _ABOUT).unlink(missing_ok=True)
        for name in (_GRAPH, _DATA):
            (temporary / name).replace(folder / name)
    (folder / "new").rmdir()
    of = {"part": part, "weights": fingerprint(weights), "graph": fingerprint(folder / _DATA)}
    write_json(folder / _ABOUT, {"schema": _SCHEMA, **of, **about})
    return folder / _GRAPH


def stored(bundle: Path, weights: Path) -> dict[str, Path]:
    """Graph files in int8 of a bundle by the name of their part.

    Raises:
        ConfigError: there is none, it is damaged, or it was made of other weights than the bundle has.
    """
    folder = bundle / FOLDER
    again = f"`pose-tracking optimize --model {bundle}` makes one"
    if not (folder / _ABOUT).is_file():
        raise ConfigError(f"precision 'int8': {bundle} has no detector in int8: {again}; or take auto")
    try:
        about = json.loads((folder / _ABOUT).read_text())
        part, of, graph = (about[key] for key in ("part", "weights", "graph"))
        whole = (folder / _GRAPH).is_file() and graph == fingerprint(folder / _DATA)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"precision 'int8': {folder} is damaged ({error}): {again}") from error
    if not whole:
        raise ConfigError(f"precision 'int8': {folder} is damaged: {again}")
    if of != fingerprint(weights):
        raise ConfigError(
            f"precision 'int8': {folder} was made of other weights than {weights.name}: {again}; or take auto"
        )
    return {part: folder / _GRAPH}

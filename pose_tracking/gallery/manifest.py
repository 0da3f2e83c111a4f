"""A list of recordings to be taken in: YAML or CSV, one entry a recording or a pattern of several."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from glob import glob, has_magic
from pathlib import Path
from typing import Any

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.yaml_files import YamlFileError, parse_yaml, read_text

from .jobs import SIMULATED, TF, IngestJob

SUFFIXES = (".yaml", ".yml", ".csv")
# Key in a manifest, field of a job, and what its values are.
_KEYS: dict[str, tuple[str, type]] = {
    "recording": ("recording", str),
    "camera": ("camera", str),
    "model": ("model", str),
    "objects": ("objects", str),
    "camera_pose": ("camera_pose", str),
    "map": ("map_frame", str),
    "clock_offset": ("clock_offset", float),
    "start": ("start", str),
    "max_frames": ("max_frames", int),
    "set": ("settings", tuple),
}
_EXPECTED = "expected recordings: [{recording: PATH, camera: NAME, ...}, ...], with defaults: {...} for what is alike"


def is_manifest(text: str) -> bool:
    """Whether what is to be taken in is a list of recordings rather than one."""
    path = Path(text).expanduser()
    return path.suffix in SUFFIXES and (path.is_file() or not path.exists())


def read_manifest(path: str | Path, defaults: IngestJob) -> list[IngestJob]:
    """The recordings that a manifest names. Its paths are relative to its folder; patterns and seeds are resolved.

    Args:
        path: ``.yaml``, ``.yml`` or ``.csv``, whose first line has the keys.
        defaults: what an entry and the manifest's own defaults leave open.

    Raises:
        ConfigError: the file, an entry or a value cannot be used; the message names it.
    """
    path = Path(path).expanduser()
    try:
        text = read_text(path)
        given, entries = _csv(text, path) if path.suffix == ".csv" else _yaml(parse_yaml(text), path)
    except YamlFileError as error:
        raise ConfigError(f"{path}: cannot be read as a list of recordings ({error})") from error
    common = _job(given, defaults, f"{path}: defaults", path.parent)
    jobs: list[IngestJob] = []
    for where, entry in entries:
        job = _job(entry, common, where, path.parent)
        if not job.recording or not job.camera:
            raise ConfigError(f"{where}: {'recording' if not job.recording else 'camera'} is missing")
        for each in _resolved(job, where):
            try:
                each.check()
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from error
            jobs.append(each)
    if not jobs:
        raise ConfigError(f"{path}: names no recording: {_EXPECTED}")
    _check_once(jobs, path)
    return jobs


def _yaml(content: Any, path: Path) -> tuple[Mapping[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    if isinstance(content, list):
        content = {"recordings": content}
    if not isinstance(content, dict) or not isinstance(content.get("recordings"), list):
        raise ConfigError(f"{path}: {_EXPECTED}")
    unknown = sorted(set(content) - {"recordings", "defaults"}, key=str)
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}: {_EXPECTED}")
    given = content.get("defaults") or {}
    entries = [{"recording": entry} if isinstance(entry, str) else entry for entry in content["recordings"]]
    numbered = [(f"{path}: recording {number}", entry) for number, entry in enumerate(entries, 1)]
    for where, entry in [(f"{path}: defaults", given), *numbered]:
        if not isinstance(entry, dict):
            raise ConfigError(f"{where}: is no mapping: {_EXPECTED}")
    return given, numbered


def _csv(text: str, path: Path) -> tuple[Mapping[str, Any], list[tuple[str, Mapping[str, Any]]]]:
    rows = csv.DictReader(io.StringIO(text), restkey="")
    entries = []
    for row in rows:
        where = f"{path}: line {rows.line_num}"
        if "" in row:
            raise ConfigError(f"{where}: has more values than the first line has keys")
        entries.append((where, {(key or "").strip(): value.strip() for key, value in row.items() if value}))
    return {}, [(where, {key: value for key, value in entry.items() if value}) for where, entry in entries]


def _job(entry: Mapping[str, Any], common: IngestJob, where: str, folder: Path) -> IngestJob:
    """The job of an entry, on top of what is common; settings add up."""
    changes: dict[str, Any] = {}
    for key, value in entry.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}; keys: {', '.join(_KEYS)}")
        field, kind = _KEYS[key]
        changes[field] = _value(key, value, kind, where)
    if "settings" in changes:
        changes["settings"] = (*common.settings, *changes["settings"])
    for field in ("recording", "objects", "camera_pose"):
        if changes.get(field) not in (None, "", TF) and not str(changes[field]).startswith(SIMULATED):
            changes[field] = str(folder / Path(changes[field]).expanduser())
    if "model" in changes and (folder / changes["model"]).is_dir():
        changes["model"] = str(folder / changes["model"])
    return replace(common, **changes)


def _value(key: str, value: Any, kind: type, where: str) -> Any:
    try:
        if kind is tuple:
            texts = value.split() if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError
            return tuple(texts)
        # YAML reads 2026-11-29T10:00 as a date, and a camera that is called 2 as a number.
        if kind is str and not isinstance(value, (dict, list, bool)) and value is not None:
            return value.isoformat() if hasattr(value, "isoformat") else str(value)
        if kind is not str and not isinstance(value, bool):
            number = kind(value)
            if (kind is not int or number >= 1) and number == float(value) and abs(number) < float("inf"):
                return number
    except (TypeError, ValueError, OverflowError):
        pass
    wanted = {str: "a text", float: "a number", int: "a whole number above 0", tuple: "a list of NAME=VALUE"}[kind]
    raise ConfigError(f"{where}: {key} = {value!r}: expected {wanted}")


def _resolved(job: IngestJob, where: str) -> list[IngestJob]:
    """One job for each seed, or each path that a pattern fits."""
    from pose_tracking.simulation.sequences.source import parse_seeds

    if job.is_simulated:
        return [replace(job, recording=f"{SIMULATED}{seed}") for seed in parse_seeds(job.recording)]
    if not has_magic(job.recording) or Path(job.recording).exists():
        return [job]
    paths = sorted(glob(job.recording))
    if not paths:
        raise ConfigError(f"{where}: nothing fits {job.recording}")
    return [replace(job, recording=path) for path in paths]


def _check_once(jobs: list[IngestJob], path: Path) -> None:
    seen: set[str] = set()
    for job in jobs:
        if job.recording in seen:
            raise ConfigError(f"{path}: {job.recording} stands there twice")
        if not job.is_simulated:  # a world has several views
            seen.add(job.recording)

"""This run of the benchmark beside an earlier one: what has become slower or faster beyond chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pose_tracking.core.errors import ConfigError
from pose_tracking.evaluation.report.schema import STAGES, read_output

from .worker import SCHEMA

# Share by which the time of a stage over that of the reference work differs from run to run on a busy machine.
MARGIN = 0.2
# What has to be the same for times to be comparable.
SAME = ("model", "scenes", "image", "segment_every")


def load_benchmark(path: Path) -> dict[str, Any]:
    """Read a file that `benchmark --out` has written.

    Raises:
        DatasetError: no such file, not of the benchmark, or of another schema.
    """
    return read_output(path, "benchmark", "benchmark", {"objects", "engines", "reference_ms"}, (SCHEMA,))


def compare(now: dict[str, Any], before: dict[str, Any]) -> tuple[list[str], bool]:
    """What has changed, one line each, and whether anything is slower.

    Compared are processor times as multiples of the reference work's, by number of objects and stage.

    Raises:
        ConfigError: the runs cannot be compared.
    """
    for name in SAME:
        if now[name] != before[name]:
            raise ConfigError(f"--compare: {name} is {before[name]} there and {now[name]} here: compare like with like")
    lines, is_slower = [], False
    if now["engines"] != before["engines"]:
        text = [", ".join(f"{stage} on {engine}" for stage, engine in run["engines"].items()) for run in (before, now)]
        lines.append(f"other engines: {text[0]} there, {text[1]} here")
    common = [count for count in now["objects"] if count in before["objects"]]
    if not common:
        raise ConfigError(f"--compare: no number of objects is in both; there: {', '.join(before['objects'])}")
    for count in common:
        for stage in STAGES:
            old, new = (run["objects"][count]["cpu_over_reference"][stage] for run in (before, now))
            if not old or new is None or abs(new / old - 1) <= MARGIN:
                continue
            is_slower |= new > old
            change = "slower" if new > old else "faster"
            lines.append(f"{count} objects, {stage}: {change}, {old:.2f} -> {new:.2f} times the reference work")
    return lines, is_slower

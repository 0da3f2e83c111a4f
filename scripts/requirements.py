"""Print requirements of pyproject.toml, one a line: `build`, `project`, or the name of an optional group."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # pip has this library's predecessor
    from pip._vendor import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(groups: list[str]) -> list[str]:
    """Requirements of all the groups, in their order; a KeyError names a group that does not exist."""
    content = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    project = content["project"]
    known = {
        "build": content["build-system"]["requires"],
        "project": project["dependencies"],
        **project["optional-dependencies"],
    }
    return [requirement for group in groups for requirement in known[group]]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))

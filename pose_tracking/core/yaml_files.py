"""Reading YAML files, with errors that say where in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class YamlFileError(ValueError):
    """A YAML file cannot be read; the message is one line without the file's name, e.g. ``"line 3: ..."``."""


def read_text(path: str | Path) -> str:
    """The text (UTF-8) of a file, its line ends as they are.

    Raises:
        YamlFileError: the file cannot be opened or is no text.
    """
    try:
        return Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise YamlFileError(f"no UTF-8 text: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise YamlFileError(error.strerror or str(error)) from error


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        YamlFileError: the text is no YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise YamlFileError(yaml_problem(error)) from error


def yaml_problem(error: Exception) -> str:
    """One line about an error of PyYAML or ruamel.yaml: the line in the file and what is wrong there."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).strip() or type(error).__name__
    problem = problem.splitlines()[0]
    return problem if mark is None else f"line {mark.line + 1}: {problem}"


def read_yaml(path: str | Path) -> Any:
    """What a YAML file holds.

    Raises:
        YamlFileError: it cannot be opened, is no text or no YAML.
    """
    return parse_yaml(read_text(path))

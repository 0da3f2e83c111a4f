"""Names of the classes of somebody else's detector: stated, written in its file, or COCO's."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path

from pose_tracking.core.errors import ConfigError
from pose_tracking.segmentation.external.coco import COCO_80, COCO_91

_BACKGROUNDS = ("__background__", "background", "bg")


def parse_names(entries: Sequence[str]) -> list[str]:
    """Class names out of ``a,b,c`` or of a text file with one a line.

    An empty one, or ``N/A``, stands for a label without a class.

    Raises:
        ConfigError: the file cannot be read, or there are none.
    """
    names: list[str] = []
    for entry in entries:
        path = Path(entry)
        if path.suffix.lower() in (".txt", ".names") or ("," not in entry and path.is_file()):
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"--names {entry}: cannot be read ({error}): give a text file, a name a line"
                ) from error
            names += [line.strip() for line in lines]
        else:
            names += [name.strip() for name in entry.split(",")]
    names = ["" if name.upper() == "N/A" else name for name in names]
    while names and not names[-1]:
        names.pop()
    if entries and not any(names):
        raise ConfigError(f"--names {entries[0]!r}: holds no name")
    return names


def names_in_metadata(metadata: Mapping[str, str]) -> list[str]:
    """Class names that an exporter has written into a file as a list or as {number: name}; none where it has not."""
    try:
        value = ast.literal_eval(metadata["names"])
    except (KeyError, ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    if isinstance(value, dict) and value and all(isinstance(key, int) and 0 <= key < 10_000 for key in value):
        value = [value.get(number, "") for number in range(max(value) + 1)]
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        return []
    # A network that nobody has named has its numbers for names.
    if all(name in (str(number), f"class{number}") for number, name in enumerate(value)):
        return []
    return [name.strip() for name in value]


def label_names(stated: Sequence[str], count: int | None, numbered_from_one: bool, what: str) -> list[str]:
    """The name of every label of a detector.

    Args:
        stated: names by the user or in the file, in the order of the labels; none takes COCO's.
        count: classes that its outputs have, the background not counted; None where they do not tell.
        numbered_from_one: label 0 is the background, as torchvision and TensorFlow number.
        what: the file, for errors.

    Returns:
        Names from the first label on (1 or 0), empty where a label has no class.

    Raises:
        ConfigError: the names are not as many as the classes, or are needed and not stated.
    """
    names = list(stated)
    if numbered_from_one and names and names[0].lower() in _BACKGROUNDS:
        names = names[1:]
    if names:
        if count is not None and len(names) != count:
            raise ConfigError(
                f"{what}: has {count} classes, but {len(names)} names are stated ({', '.join(names[:3])}, ...): give "
                "--names one a class, in the order of its training, the background left out"
            )
        return names
    if count is None:
        return list(COCO_91 if numbered_from_one else COCO_80)
    known = {len(COCO_91): COCO_91, len(COCO_80): COCO_80}.get(count)
    if known is None:
        raise ConfigError(
            f"{what}: has {count} classes, which are not COCO's 80 (or 90 with gaps): name them in the order of its "
            "training, --names a,b,c or --names FILE with one a line"
        )
    return list(known)


def chosen_classes(names: Sequence[str], wanted: Sequence[str], what: str) -> list[str]:
    """The classes that become objects: those wanted, all where none is.

    Raises:
        ConfigError: the detector has no class of that name.
    """
    known = [name for name in names if name]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"--classes: {name!r} is no class of {what}; its classes are {', '.join(known)}")
    return [name for name in known if not wanted or name in wanted]

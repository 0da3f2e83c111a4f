"""The public archives of the BOP benchmark: their names, and unpacking them where they belong."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pose_tracking.core.errors import DatasetError
from pose_tracking.core.files import atomic_path, write_json

BASE_URL = "https://huggingface.co/datasets/bop-benchmark"
# Which archive of a data set holds the test images of the BOP Challenge.
TEST_PARTS = {
    "hb": "test_primesense_bop19",
    "icbin": "test_bop19",
    "itodd": "test_bop19",
    "lm": "test_bop19",
    "lmo": "test_bop19",
    "tless": "test_primesense_bop19",
    "tudl": "test_bop19",
    "ycbv": "test_bop19",
}


@dataclass(frozen=True)
class Archive:
    """One zip file: `dataset` is the folder it belongs to, e.g. "lm"."""

    dataset: str
    url: str

    @property
    def file_name(self) -> str:
        """Name of the zip file."""
        return self.url.rsplit("/", 1)[-1].split("?")[0]


def find_archives(name: str, base_url: str = BASE_URL) -> list[Archive]:
    """The archives that `name` stands for.

    Args:
        name: a data set ("lm": calibration, meshes and BOP test images), a file ("lm_models", "hope_base.zip"), or a
            URL.
        base_url: server folder with one sub-folder a data set, laid out as on Hugging Face
            (``<base>/lm/resolve/main/lm_models.zip``).

    Raises:
        DatasetError: not such a name.
    """
    if re.match(r"^https?://", name):
        file_name = name.rsplit("/", 1)[-1].split("?")[0]
        return [Archive(file_name.split("_")[0].removesuffix(".zip"), name)]
    stem = name.removesuffix(".zip")
    dataset, _, part = stem.partition("_")
    if not re.match(r"^[a-z0-9]+$", dataset) or not re.match(r"^\w*$", part) or not (part or dataset in TEST_PARTS):
        raise DatasetError(
            f"{name}: not a BOP data set or file; data sets: {', '.join(TEST_PARTS)}; a file is e.g. lm_models"
        )
    parts = (part,) if part else ("base", "models", TEST_PARTS[dataset])
    return [Archive(dataset, f"{base_url.rstrip('/')}/{dataset}/resolve/main/{dataset}_{p}.zip") for p in parts]


def marker(archive: Archive, out: Path) -> Path:
    """The file that says an archive has been unpacked completely."""
    return out / archive.dataset / f".{archive.file_name}.done"


def unpack(archive: Archive, zip_path: Path, out: Path) -> list[Path]:
    """Unpack a downloaded archive into ``out/<data set>/`` and mark it as done.

    Returns:
        Files written.

    Raises:
        DatasetError: the archive is damaged, or a member would land outside the folder.
        OutputError: a file cannot be written.
    """
    root = out / archive.dataset
    written = []
    try:
        with zipfile.ZipFile(zip_path) as zipped:
            members = [info for info in zipped.infolist() if not info.is_dir()]
            targets = [(info, root / _inside(zip_path, archive.dataset, info)) for info in members]
            for info, target in targets:
                with zipped.open(info) as source, atomic_path(target) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(source, file)
                written.append(target)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DatasetError(f"{zip_path}: the archive is damaged ({error}); remove it and download it again") from error
    write_json(marker(archive, out), {"url": archive.url, "files": len(written)})
    return written


def _inside(zip_path: Path, dataset: str, info: zipfile.ZipInfo) -> Path:
    """Path of a member under the data set's folder; a leading folder of that very name is dropped."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in info.filename or is_link:
        raise DatasetError(f"{zip_path}: member {info.filename!r} would land outside the folder: not unpacked")
    parts = path.parts[1:] if len(path.parts) > 1 and path.parts[0] == dataset else path.parts
    return Path(*parts)

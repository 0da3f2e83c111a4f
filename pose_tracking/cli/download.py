"""`pose-tracking download`: public BOP archives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pose_tracking.datasets.download.archives import BASE_URL


def download(
    names: Annotated[
        list[str], typer.Argument(help="Data sets (lm, lmo, ycbv, ...), their files (lm_models) or URLs of zip files.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to unpack into, one sub-folder a data set.")] = Path("bop"),
    base_url: Annotated[str, typer.Option(help="Server folder, laid out as the default one.")] = BASE_URL,
    attempts: Annotated[int, typer.Option(min=1, help="Tries a file.")] = 5,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the zip files.")] = False,
) -> None:
    """Download and unpack data sets of the BOP benchmark; run it again to go on where it stopped.

    `download lm_models` brings the LineMOD meshes that `--objects` of the linemod model asks for.
    """
    from tqdm import tqdm

    from pose_tracking.datasets.download.archives import find_archives, marker, unpack
    from pose_tracking.datasets.download.http import fetch

    archives = [archive for name in names for archive in find_archives(name, base_url)]
    for archive in archives:
        if marker(archive, out).is_file():
            typer.echo(f"{archive.file_name}: unpacked already in {out / archive.dataset}")
            continue
        zip_path = out / archive.file_name
        if not zip_path.is_file():
            with tqdm(desc=archive.file_name, unit="B", unit_scale=True, disable=None) as bar:

                def show(have: int, size: int | None, bar: tqdm = bar) -> None:
                    bar.total = size
                    bar.update(have - bar.n)

                remote = fetch(archive.url, zip_path, attempts, show)
            if not (remote.sha256 or remote.md5):
                typer.echo(f"{archive.file_name}: the server states no digest; only its size was checked", err=True)
        files = unpack(archive, zip_path, out)
        if not keep:
            zip_path.unlink()
        typer.echo(f"{archive.file_name}: {len(files)} files in {out / archive.dataset}")
    for dataset in dict.fromkeys(archive.dataset for archive in archives):
        for models in sorted((out / dataset).glob("models*/models_info.json")):
            typer.echo(f"meshes: --objects {models.parent}")

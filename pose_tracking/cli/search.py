"""`pose-tracking search`: what a gallery has of a class, camera, time, place or look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import evaluation_options as options

if TYPE_CHECKING:
    from pose_tracking.core.arrays import Float32
    from pose_tracking.gallery.filters import Filter
    from pose_tracking.gallery.search import Result
    from pose_tracking.gallery.store import GalleryReader


def search(
    query: Annotated[
        str,
        typer.Argument(
            help='Conditions, e.g. "class:mug_red camera:2 after:10:00 before:11:30 near:0.4,0.1,0,0.2 like:17"; '
            "fields: class, camera, after, before, near, map, identity, like. See docs/gallery.md."
        ),
    ] = "",
    store: Annotated[str, typer.Option(help="File of the gallery, or postgresql://USER@HOST/NAME.")] = "gallery.db",
    like: Annotated[
        Path | None, typer.Option(help="Picture (PNG, JPEG, WebP) that shows one thing: what looks like it.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most results.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Folder to write the results to; it must not be there yet.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--export-format",
            metavar="folder|coco|fiftyone",
            help="folder (default): pictures, sightings.json, coco.json; coco, fiftyone: data/ and labels.json.",
        ),
    ] = None,
    frames: Annotated[
        bool,
        typer.Option(
            "--frames", help="Export whole frames of the recordings, which have to be there, with their boxes."
        ),
    ] = False,
    model: Annotated[str | None, typer.Option(help="--like: model of the gallery; default: as ingested.")] = None,
    objects: options.Objects = None,
    device: options.Device = "auto",
) -> None:
    """Find sightings: newest first, or by their looks, nearest first."""
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.export import export as write
    from pose_tracking.gallery.query import parse_query
    from pose_tracking.gallery.search import newest_day
    from pose_tracking.gallery.search import search as find
    from pose_tracking.gallery.stores import open_reader

    if export is None and (layout is not None or frames):
        raise ConfigError(f"{'--frames' if frames else '--export-format'} needs --export FOLDER")
    with open_reader(store) as opened:
        asked = parse_query(query, newest_day(opened))
        looks = None if like is None else _looks_of(like, opened, model, objects, device)
        found = find(opened, asked, looks, limit)
        if as_json:
            typer.echo(json.dumps([result.as_dict() for result in found], indent=1))
        elif not found:
            typer.echo(_nothing(opened, asked.where))
        else:
            for result in found:
                typer.echo(_line(result))
        if export is not None:
            report = write(opened, found, export, layout or "folder", frames)
            for note in report.notes:
                typer.echo(f"note: {note}", err=True)
            typer.echo(f"{export}: {len(found)} sightings, {report.pictures} pictures", err=True)


def _looks_of(picture: Path, store: GalleryReader, model: str | None, objects: Path | None, device: str) -> Float32:
    """(1, D) embedding of a picture, of the kind that the gallery holds."""
    from pose_tracking.gallery.pictures import read_picture

    pixels = read_picture(picture)  # before the networks are loaded

    from pose_tracking.gallery.embedder_of_store import embedder_of

    return embedder_of(store, model, objects, device).embed([pixels])


def _nothing(store: GalleryReader, where: Filter) -> str:
    """That nothing was found; of a class that the gallery does not know, which ones it does."""
    known = store.classes()
    unknown = [name for name in where.classes if name not in known]
    if not unknown:
        return "nothing found"
    return f"nothing found: there is no class {unknown[0]!r}; classes: {', '.join(known) or 'none yet'}"


def _line(result: Result) -> str:
    from pose_tracking.gallery.query import moment_of

    s = result.sighting
    identity = "not linked" if s.identity is None else f"identity {s.identity}"
    where = "place unknown"
    if len(s.path):
        x, y, z = s.path.positions[-1]
        where = f"({x:.2f}, {y:.2f}, {z:.2f}) m in {s.map_frame or 'the camera'!r}"
    looks = "" if result.distance is None else f" distance {result.distance:.3f},"
    start, end = moment_of(s.start_ns), moment_of(s.end_ns)
    told = ", ".join(f"{e.kind.value} at {moment_of(e.end_ns):%H:%M:%S}" for e in s.events)
    return (
        f"sighting {s.id}:{looks} {s.class_name}, {identity}, camera {s.camera}, {start:%Y-%m-%d %H:%M:%S.%f} to "
        f"{end:%H:%M:%S.%f}, {where}, {result.recording} at {s.start_ns / 1e9:.3f} s"
        f"{'; ' if told else ''}{told}"
    )

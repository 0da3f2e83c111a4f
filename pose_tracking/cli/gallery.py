"""`pose-tracking gallery`: what several cameras have seen, kept in one file, and who is who in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import evaluation_options as options
from .gallery_ingest import ingest

if TYPE_CHECKING:
    from pose_tracking.gallery.linking.linker import LinkReport
    from pose_tracking.gallery.store import GalleryStore

app = typer.Typer(help="Remember what several cameras see, and link it into identities.", no_args_is_help=True)
app.command("ingest")(ingest)

Store = Annotated[str, typer.Option(help="File of the gallery, or postgresql://USER@HOST/NAME.")]
DEFAULT = "gallery.db"
First = Annotated[int, typer.Argument(min=1, metavar="IDENTITY", help="Number of an identity.")]
Second = Annotated[int, typer.Argument(min=1, metavar="IDENTITY", help="Number of another one.")]
LinkSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change an option of linking, e.g. max_speed=1, looks_gate=0.1."),
]


@app.command("link")
def link(store: Store = DEFAULT, settings: LinkSettings = None) -> None:
    """Link all sightings into identities anew, by place, time and looks; what people have decided stays."""
    from pose_tracking.core.settings import with_settings
    from pose_tracking.gallery.linking.config import LinkConfig
    from pose_tracking.gallery.linking.linker import link as link_all
    from pose_tracking.gallery.stores import open_store

    config = with_settings(LinkConfig(), settings or [])
    with open_store(store) as opened:
        show(link_all(opened, config))


@app.command("list")
def list_identities(
    query: Annotated[str, typer.Argument(help='Conditions, as of `search`: "class:mug_red camera:2".')] = "",
    store: Store = DEFAULT,
    limit: Annotated[int, typer.Option(min=1, help="Most identities, and most proposals.")] = 50,
) -> None:
    """Show recordings, cameras, identities, last seen first, and what is proposed to be one."""
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.filters import Filter
    from pose_tracking.gallery.query import moment_of, parse_query
    from pose_tracking.gallery.search import newest_day
    from pose_tracking.gallery.stores import open_reader

    with open_reader(store) as opened:
        asked = parse_query(query, newest_day(opened))
        if asked.like is not None:
            raise ConfigError("like: orders sightings: use `pose-tracking search`")
        for recording in opened.recordings():
            state = "" if recording.is_done else ", cut short: give `gallery ingest` again"
            typer.echo(
                f"recording {recording.id}: {recording.name}, camera {recording.camera}, "
                f"{recording.progress.frames} frames{state}"
            )
        for camera in opened.cameras():
            place = "place unknown" if camera.pose is None else f"in {camera.map_frame!r}"
            typer.echo(f"camera {camera.name}: {camera.sightings} sightings, {place}")
        for each in opened.identities(asked.where, limit):
            where = "place unknown"
            if each.last_position is not None:
                where = "at ({:.2f}, {:.2f}, {:.2f}) m".format(*each.last_position) + f" in {each.last_map!r}"
            typer.echo(
                f"identity {each.id}: {each.class_name}, {each.sightings} sightings by {', '.join(each.cameras)}; "
                f"last {moment_of(each.end_ns):%Y-%m-%d %H:%M:%S} by {each.last_camera}, {where}"
            )
        proposals = opened.proposals(limit)
        concerned = tuple({number for proposal in proposals for number in (proposal.a, proposal.b)})
        of = {s.id: s.identity for s in opened.find(Filter(ids=concerned))}
        for proposal in proposals:
            first, second = sorted((of[proposal.a] or 0, of[proposal.b] or 0))
            typer.echo(
                f"proposed by {proposal.reason}, score {proposal.score:.2f}: {first} and {second} are one "
                f"(gallery confirm {first} {second}, or gallery reject {first} {second})"
            )


@app.command("confirm")
def confirm(a: First, b: Second, store: Store = DEFAULT) -> None:
    """Accept the proposal that two identities are one."""
    from pose_tracking.gallery.linking.curation import confirm as decide

    _decide(store, lambda opened: decide(opened, a, b))


@app.command("reject")
def reject(a: First, b: Second, store: Store = DEFAULT) -> None:
    """Say that two identities are two things."""
    from pose_tracking.gallery.linking.curation import reject as decide

    _decide(store, lambda opened: decide(opened, a, b))


@app.command("merge")
def merge(a: First, b: Second, store: Store = DEFAULT) -> None:
    """Make one identity of two, proposed or not."""
    from pose_tracking.gallery.linking.curation import merge as decide

    _decide(store, lambda opened: decide(opened, a, b))


@app.command("split")
def split(
    identity: First,
    sightings: Annotated[list[int], typer.Argument(min=1, metavar="SIGHTING...", help="What does not belong to it.")],
    store: Store = DEFAULT,
) -> None:
    """Take sightings out of an identity; together they become another one."""
    from pose_tracking.gallery.linking.curation import split as decide

    _decide(store, lambda opened: decide(opened, identity, sightings))


@app.command("prune")
def prune(
    store: Store = DEFAULT,
    days: Annotated[float | None, typer.Option(min=0, help="Forget what ended so many days ago.")] = None,
    megabytes: Annotated[float | None, typer.Option(min=0, help="Then forget the oldest until it fits.")] = None,
) -> None:
    """Forget old sightings; what people have decided passes to what stays of the identity."""
    import time

    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.stores import open_store

    if days is None and megabytes is None:
        raise ConfigError("gallery prune: give --days, --megabytes or both")
    before = None if days is None else time.time_ns() - round(days * 86400e9)
    with open_store(store) as opened:
        removed = opened.remove(before, None if megabytes is None else round(megabytes * 1e6))
        typer.echo(f"{removed} sightings forgotten; {opened.size / 1e6:.1f} MB in use")


@app.command("forget")
def forget(
    recording: Annotated[int, typer.Argument(min=1, help="Number of the recording, as `gallery list` shows it.")],
    store: Store = DEFAULT,
) -> None:
    """Forget a recording and its sightings, e.g. to take it in anew with another model or clock offset."""
    from pose_tracking.core.errors import ConfigError
    from pose_tracking.gallery.linking.linker import link as link_all
    from pose_tracking.gallery.stores import open_store

    with open_store(store) as opened:
        if recording not in {r.id for r in opened.recordings()}:
            raise ConfigError(f"no recording {recording}: `pose-tracking gallery list` shows them")
        typer.echo(f"{opened.forget(recording)} sightings forgotten")
        show(link_all(opened))


@app.command("evaluate")
def evaluate_cameras(
    sources: options.Sources,
    model: options.Model = "demo",
    views: Annotated[int, typer.Option(min=1, max=8, help="Cameras around the table whose views overlap.")] = 2,
    rooms: Annotated[int, typer.Option(min=1, max=4, help="Tables; each further one shows the things anew.")] = 1,
    frames: Annotated[int, typer.Option(min=2, help="Frames of each camera.")] = 60,
    background: Annotated[
        bool, typer.Option(help="Leave what stands around things in their crops, for comparison.")
    ] = False,
    device: options.Device = "auto",
    threads: options.Threads = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write the figures to.")] = None,
) -> None:
    """Score identities over simulated cameras (simulated:SEEDS) against the truth."""
    from pose_tracking.core.files import write_json
    from pose_tracking.core.threads import use_threads
    from pose_tracking.evaluation.camera_scores import format_scores
    from pose_tracking.evaluation.cameras import evaluate_cameras as evaluate
    from pose_tracking.simulation.sequences.source import parse_seeds

    use_threads(threads)
    seeds = [seed for source in sources for seed in parse_seeds(source)]
    scores = evaluate(model, seeds, views, rooms, frames, device, background)
    typer.echo(format_scores(scores))
    if out is not None:
        write_json(out, scores)


def show(report: LinkReport) -> None:
    """Print what linking has come to."""
    links = ", ".join(f"{count} by {reason}" for reason, count in sorted(report.links.items()) if count) or "none"
    typer.echo(f"{report.sightings} sightings, {report.identities} identities; links: {links}")
    typer.echo(f"{report.proposals} proposals: `pose-tracking gallery list` shows them")
    for note in report.notes:
        typer.echo(f"note: {note}", err=True)


def _decide(store: str, decide: Callable[[GalleryStore], LinkReport]) -> None:
    from pose_tracking.gallery.stores import open_store

    with open_store(store) as opened:
        show(decide(opened))

"""One identity: when and where it was seen, and the walk by which people say who is who."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking import curation
from pose_tracking.gallery.search import newest_day
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import GalleryReader, GalleryStore
from pose_tracking.web.forms import local_path, where_of
from pose_tracking.web.guard import editor, state_of
from pose_tracking.web.matching import candidates
from pose_tracking.web.plan_view import plan_view
from pose_tracking.web.timeline import timeline
from pose_tracking.web.users import Session

from .common import MOST_MEMBERS, Number, members_of, render, see, sighting_of
from .identities import Field, Names

router = APIRouter(include_in_schema=False)
LINK_SECONDS = 3.0  # a change waits so long for its consequences; a large gallery is linked after the answer
MOST_PROPOSALS = 2000  # looked through for those of one identity
Editor = Annotated[Session, Depends(editor)]
Other = Annotated[int, Form(ge=1, le=2**53)]
Back = Annotated[str, Form(max_length=2000)]


@router.get("/identities/{number}")
def identity(request: Request, number: Number) -> Response:
    """The page of one identity."""
    with state_of(request).gallery.reader() as store:
        members = members_of(store, number)
        return render(request, "identity.html", **_described(store, number, members), asked=None, error="")


@router.get("/identities/{number}/matches")
def matches(
    request: Request,
    number: Number,
    camera: Names,
    near: Field = "",
    after: Field = "",
    before: Field = "",
) -> Response:
    """Re-identify: other identities that look like this one, within cameras, an area and a time."""
    error, found = "", []
    with state_of(request).gallery.reader() as store:
        members = members_of(store, number)
        described = _described(store, number, members)
        view = described["plan"]
        asked = {"camera": [c for c in camera if c], "near": near, "after": after, "before": before}
        try:
            where = where_of(
                newest_day(store), cameras=asked["camera"], near=near, after=after, before=before,
                map_frame=view.map_frame if near.strip() and view is not None else "",
            )  # fmt: skip
            found = candidates(store, members, where)
            if view is not None:
                others = [c.sighting for c in found]
                described["plan"] = plan_view(view.map_frame, members, store.cameras(), others, where.near)
        except ConfigError as refused:
            error = str(refused)
        has_looks = bool(store.embeddings([m.id for m in members]))
    return render(
        request, "identity.html", 400 if error else 200, **described, asked=asked, error=error, found=found,
        has_looks=has_looks,
    )  # fmt: skip


def _described(store: GalleryReader, number: int, members: list[StoredSighting]) -> dict[str, Any]:
    """What the page shows of an identity in any case."""
    frames = Counter(m.map_frame for m in members if m.map_frame is not None and len(m.path))
    cameras = store.cameras()
    view = plan_view(str(frames.most_common(1)[0][0]), members, cameras) if frames else None
    of = {m.id for m in members}
    pairs = [(p, p.b if p.a in of else p.a) for p in store.proposals(MOST_PROPOSALS) if (p.a in of) != (p.b in of)]
    others = {s.id: s for s in store.find(Filter(ids=tuple(o for _, o in pairs)))} if pairs else {}
    by_people = [d for d in store.decisions() if d.a in of or d.b in of]
    return {
        "active": "identities",
        "number": number,
        "members": members,
        "is_cut": len(members) == MOST_MEMBERS,
        "crops": {m.id: len(store.crops(m.id)) for m in members[:24]},
        "line": timeline(members),
        "plan": view,
        "other_maps": [name for name in frames if view is None or name != view.map_frame],
        "cameras": sorted({m.camera for m in members}),
        "all_cameras": [c.name for c in cameras],
        "first_ns": min(m.start_ns for m in members),
        "last": members[0],
        "proposals": [(p, others[o]) for p, o in pairs if o in others],
        "decisions": by_people[-12:][::-1],
        "recordings": {r.id: r.name for r in store.recordings()},
    }


@router.post("/identities/{number}/accept")
def accept(request: Request, session: Editor, number: Number, other: Other, back: Back = "") -> Response:
    """Two identities are one, proposed or not."""
    with deciding(request, number) as (store, relink):
        curation.merge(store, number, other, by=name_of(session), relink=relink)
    return _after(request, number, back, "accepted")


@router.post("/identities/{number}/reject")
def reject(request: Request, session: Editor, number: Number, other: Other, back: Back = "") -> Response:
    """Two identities are two things, for good."""
    with deciding(request, number) as (store, relink):
        curation.reject(store, number, other, by=name_of(session), relink=relink)
    return _after(request, number, back, "rejected")


@router.post("/identities/{number}/split")
def split(
    request: Request,
    session: Editor,
    number: Number,
    sighting: Annotated[list[int], Form(max_length=MOST_MEMBERS, default_factory=list)],
) -> Response:
    """Take sightings out of an identity; together they are another one."""
    if not sighting:
        raise ConfigError("nothing is chosen: tick the sightings that do not belong to this identity")
    with deciding(request, number) as (store, relink):
        curation.split(store, number, sighting, by=name_of(session), relink=relink)
    return _after(request, number, "", "split")


@contextmanager
def deciding(request: Request, number: int) -> Iterator[tuple[GalleryStore, curation.Relink]]:
    """A store to decide in, and how it is linked; at the end a little is waited for what follows from it."""
    state = state_of(request)
    with state.gallery.writer() as store:
        # The number may vanish with the decision: where its newest sighting is then, its page is.
        newest = store.find(Filter(identity=number), limit=1)
        request.state.sighting = newest[0].id if newest else None
        yield store, state.relinker.ask
    state.relinker.wait(LINK_SECONDS)


def name_of(session: Session) -> str:
    """In whose name something is decided."""
    return session.user.name if session.user else ""


def _after(request: Request, number: int, back: str, told: str) -> Response:
    """Back to where it was decided, under whatever number the identity has by now."""
    with state_of(request).gallery.reader() as store:
        sighting = request.state.sighting
        now = number if sighting is None else sighting_of(store, sighting).identity or number
    page = f"/identities/{number}"
    parts = urlsplit(local_path(back, page))
    path = parts.path.replace(page, f"/identities/{now}", 1) if parts.path in (page, f"{page}/matches") else parts.path
    return see(with_word(f"{path}?{parts.query}", told))


def with_word(target: str, told: str) -> str:
    """A path that tells what was done, in place of what it told before."""
    parts = urlsplit(target)
    kept = [(k, v) for k, v in parse_qsl(parts.query) if k != "told"]
    section = "#reidentify" if parts.path.endswith("/matches") else ""
    return f"{parts.path}?{urlencode([*kept, ('told', told)])}{section}"

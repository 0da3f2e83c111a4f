"""REST: what the pages show and do, for programs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, UploadFile
from starlette.responses import JSONResponse, Response

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking import curation
from pose_tracking.gallery.pictures import MAX_BYTES, decode_picture
from pose_tracking.gallery.query import parse_query
from pose_tracking.gallery.search import Result, newest_day
from pose_tracking.gallery.search import search as find
from pose_tracking.gallery.store import GalleryReader
from pose_tracking.web.forms import where_of
from pose_tracking.web.guard import SESSION, changing, check_origin, cookie_name, set_cookie, state_of, viewer
from pose_tracking.web.live_scene import scene
from pose_tracking.web.matching import candidates
from pose_tracking.web.users import Session

from .api_models import (
    CameraOut,
    Credentials,
    Decided,
    IdentityOut,
    MatchOut,
    Pair,
    ProposalOut,
    SessionOut,
    SightingDetail,
    SightingOut,
    Taken,
)
from .common import Number, members_of, sighting_of
from .identities import Field, Names, crop_of
from .identity import Editor, deciding, name_of

public = APIRouter(prefix="/api", tags=["session"])
router = APIRouter(prefix="/api")
Viewer = Annotated[Session, Depends(viewer)]
Text = Annotated[
    str, Query(max_length=4000, description='as of search: class:mug_red camera:left after:-2h "two words"')
]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]


@public.post("/session", response_model=SessionOut)
def log_in(request: Request, given: Credentials) -> Response:
    """Log in: sets the cookie of the session. 429 with Retry-After after too many wrong passwords."""
    check_origin(request)
    state = state_of(request)
    result = state.log_ins.log_in(given.name, given.password, request.client.host if request.client else "")
    if result.token is None:
        headers = {"Retry-After": str(int(result.wait) + 1)} if result.wait else None
        raise HTTPException(429 if result.wait else 401, "name or password is wrong, or too many were", headers)
    session = state.users.session(result.token)
    assert session is not None
    response = JSONResponse(_session(session).model_dump())
    set_cookie(request, response, SESSION, result.token)
    return response


@router.get("/session", tags=["session"])
def who(session: Viewer) -> SessionOut:
    """Who is logged in, and the token that changes have to carry."""
    return _session(session)


@router.delete("/session", tags=["session"], status_code=204)
def log_out(request: Request, session: Annotated[Session, Depends(changing)]) -> Response:
    """Log out."""
    name = cookie_name(request, SESSION)
    state_of(request).users.end_session(request.cookies.get(name, ""))
    response = Response(status_code=204)
    response.delete_cookie(name, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
    return response


def _session(session: Session) -> SessionOut:
    assert session.user is not None
    return SessionOut(user=session.user.name, role=session.user.role.value, csrf=session.csrf)


@router.get("/identities", tags=["identities"])
def identities(request: Request, q: Text = "", limit: Limit = 50, offset: Offset = 0) -> list[IdentityOut]:
    """Identities with a sighting that the query lets through, last seen first."""
    with state_of(request).gallery.reader() as store:
        where = parse_query(q, newest_day(store)).where
        return [IdentityOut.of(entry) for entry in store.identities(where, limit, offset)]


@router.get("/identities/{number}/matches", tags=["identities"])
def matches(
    request: Request,
    number: Number,
    camera: Names,
    near: Annotated[str, Query(max_length=200, description="x,y,z,r in metres of the map")] = "",
    map: Field = "",
    after: Field = "",
    before: Field = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
) -> list[MatchOut]:
    """Re-identify: other identities of its class that look like it, most alike first."""
    with state_of(request).gallery.reader() as store:
        members = members_of(store, number)
        where = where_of(newest_day(store), cameras=camera, near=near, after=after, before=before, map_frame=map)
        return [MatchOut.of(candidate) for candidate in candidates(store, members, where, limit)]


@router.post("/identities/{number}/merge", tags=["identities"])
def merge(request: Request, session: Editor, number: Number, pair: Pair) -> Decided:
    """Two identities are one, proposed or not. For editors."""
    with deciding(request, number) as (store, relink):
        curation.merge(store, number, pair.other, by=name_of(session), relink=relink)
    return _decided(request)


@router.post("/identities/{number}/reject", tags=["identities"])
def reject(request: Request, session: Editor, number: Number, pair: Pair) -> Decided:
    """Two identities are two things, for good. For editors."""
    with deciding(request, number) as (store, relink):
        curation.reject(store, number, pair.other, by=name_of(session), relink=relink)
    return _decided(request)


@router.post("/identities/{number}/split", tags=["identities"])
def split(request: Request, session: Editor, number: Number, taken: Taken) -> Decided:
    """Take sightings out of an identity; together they are another one. For editors."""
    with deciding(request, number) as (store, relink):
        curation.split(store, number, taken.sightings, by=name_of(session), relink=relink)
    return _decided(request)


def _decided(request: Request) -> Decided:
    state = state_of(request)
    with state.gallery.reader() as store:
        found = store.find(Filter(ids=(request.state.sighting,)), limit=1)
    return Decided(identity=found[0].identity if found else None, is_linked=not state.relinker.is_busy)


@router.get("/proposals", tags=["identities"])
def proposals(request: Request, limit: Limit = 100) -> list[ProposalOut]:
    """What linking proposes to be one, the surest first."""
    with state_of(request).gallery.reader() as store:
        found = store.proposals(limit)
        numbers = tuple({n for p in found for n in (p.a, p.b)})
        of = {s.id: s.identity for s in store.find(Filter(ids=numbers))} if numbers else {}
    return [
        ProposalOut(
            first=of.get(p.a), other=of.get(p.b), sightings=[p.a, p.b], score=round(p.score, 4), reason=p.reason
        )
        for p in found
    ]


@router.get("/sightings", tags=["sightings"])
def sightings(request: Request, q: Text = "", picture: Field = "", limit: Limit = 50) -> list[SightingOut]:
    """Sightings that the query lets through: newest first, or by looks, with `like:` or a picture that was sent."""
    state = state_of(request)
    with state.gallery.reader() as store:
        looks = state.looks.recall(picture).embedding if picture else None
        found = find(store, parse_query(q, newest_day(store)), looks, limit)
        return [SightingOut.of(result, _gate(store)) for result in found]


@router.get("/sightings/{number}", tags=["sightings"])
def sighting(request: Request, number: Number) -> SightingDetail:
    """One sighting, with its path."""
    with state_of(request).gallery.reader() as store:
        found = sighting_of(store, number)
        names = {recording.id: recording.name for recording in store.recordings()}
        known = SightingOut.of(Result(found, names[found.source]), _gate(store))
        crops = len(store.crops(number))
    path = [
        {"stamp_s": int(stamp) / 1e9, "pose": pose.round(6).tolist()}
        for stamp, pose in zip(found.path.stamps_ns, found.path.poses, strict=True)
    ]
    return SightingDetail(**known.model_dump(), crops=crops, path=path)


@router.get("/sightings/{number}/crops/{crop}", tags=["sightings"], response_class=Response)
def crop(request: Request, number: Number, crop: int) -> Response:
    """A picture of a sighting, WebP with a transparent background."""
    return crop_of(request, number, crop)


@router.post("/search/picture", tags=["sightings"])
def by_picture(request: Request, session: Annotated[Session, Depends(changing)], picture: UploadFile) -> dict[str, str]:
    """Send a PNG, JPEG or WebP that shows one thing; the answer's `picture` is a parameter of GET /api/sightings."""
    data = picture.file.read(MAX_BYTES + 1)
    return {"picture": state_of(request).looks.ask(decode_picture(data))}


@router.get("/cameras", tags=["cameras"])
def cameras(request: Request) -> list[CameraOut]:
    """Every camera with its place and what it saw."""
    with state_of(request).gallery.reader() as store:
        return [CameraOut.of(entry) for entry in store.cameras()]


@router.get("/live", tags=["cameras"])
def live(request: Request) -> dict[str, Any]:
    """What the cameras show now: poses as 4x4 matrices in the map, metres."""
    with state_of(request).gallery.reader() as store:
        return scene(store)


def _gate(store: GalleryReader) -> float:
    return store.embedding.gate if store.embedding else 0.2

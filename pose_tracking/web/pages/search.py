"""Search by words, by a picture that is sent, and by a box drawn in a picture that is there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, UploadFile
from starlette.responses import Response

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.pictures import MAX_BYTES, decode_picture
from pose_tracking.gallery.query import parse_query
from pose_tracking.gallery.search import newest_day
from pose_tracking.gallery.search import search as find
from pose_tracking.web.guard import changing, state_of
from pose_tracking.web.looks import box_of
from pose_tracking.web.matching import score_of
from pose_tracking.web.present import query as query_string
from pose_tracking.web.users import Session

from .cameras import picture_of
from .common import FOREVER, PAGE, Number, render, see
from .identities import Field
from .sightings import clip_of

router = APIRouter(include_in_schema=False)
Changing = Annotated[Session, Depends(changing)]
Share = Annotated[float, Form(ge=0.0, le=1.0)]


@router.get("/search")
def search(request: Request, q: Annotated[str, Query(max_length=4000)] = "", picture: Field = "") -> Response:
    """Sightings that a query lets through, newest first or by their looks."""
    state, error, found, gate = state_of(request), "", [], 0.2
    state.looks.warm()
    with state.gallery.reader() as store:
        known = {"classes": store.classes(), "cameras": [c.name for c in store.cameras()]}
        try:
            asked = parse_query(q, newest_day(store))
            looks = state.looks.recall(picture).embedding if picture else None
            found = find(store, asked, looks, PAGE) if q.strip() or picture else []
            gate = store.embedding.gate if store.embedding else gate
        except ConfigError as refused:
            error, picture = str(refused), "" if "no longer kept" in str(refused) else picture
    results = [(r, None if r.distance is None else score_of(r.distance, gate)) for r in found]
    return render(
        request, "search.html", 400 if error else 200, active="search", q=q, picture=picture, results=results,
        error=error, known=known, is_full=len(found) == PAGE,
    )  # fmt: skip


@router.post("/search/picture")
def by_picture(
    request: Request, session: Changing, picture: UploadFile, q: Annotated[str, Form(max_length=4000)] = ""
) -> Response:
    """Take a picture that shows one thing."""
    data = picture.file.read(MAX_BYTES + 1)
    if not data:
        raise ConfigError("no picture was chosen: choose a PNG, JPEG or WebP file")
    word = state_of(request).looks.ask(decode_picture(data))
    return see(f"/search?{query_string(q=q, picture=word)}")


@router.get("/search/picture/{word}")
def asked_picture(request: Request, word: str) -> Response:
    """The picture that was asked with."""
    return Response(state_of(request).looks.recall(word).image, media_type="image/webp", headers=FOREVER)


@router.post("/search/frame/{number}/{frame}")
def by_frame(
    request: Request, session: Changing, number: Number, frame: int, x0: Share, y0: Share, x1: Share, y1: Share
) -> Response:
    """Take what a box in a frame of a recording shows; its corners are shares of width and height."""
    clip = clip_of(request, number)
    if not 0 <= frame < len(clip.frames):
        raise ConfigError(f"frame {frame}: there are {len(clip.frames)}")
    return _by_box(request, clip.frames[frame].image, (x0, y0, x1, y1))


@router.post("/search/camera/{name}")
def by_camera(request: Request, session: Changing, name: str, x0: Share, y0: Share, x1: Share, y1: Share) -> Response:
    """Take what a box in the last picture of a camera shows."""
    return _by_box(request, picture_of(request, name), (x0, y0, x1, y1))


def _by_box(request: Request, image: bytes, shares: tuple[float, float, float, float]) -> Response:
    pixels = decode_picture(image)
    height, width = pixels.shape[:2]
    (x0, x1), (y0, y1) = sorted(shares[::2]), sorted(shares[1::2])
    part = box_of(pixels, (x0 * width, y0 * height, x1 * width, y1 * height))
    return see(f"/search?picture={state_of(request).looks.ask(part)}")

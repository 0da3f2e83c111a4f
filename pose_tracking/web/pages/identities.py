"""The first page: every identity by its picture, last seen first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.search import newest_day
from pose_tracking.web.forms import where_of
from pose_tracking.web.guard import state_of

from .common import FOREVER, PAGE, SHORTLY, Number, render, see, sighting_of

router = APIRouter(include_in_schema=False)
Names = Annotated[list[str], Query(max_length=50, default_factory=list)]
Field = Annotated[str, Query(max_length=500)]
MOST_LOOKED_AT = 20  # sightings of an identity in which a picture is looked for


@router.get("/")
def home() -> Response:
    """The first page."""
    return see("/identities")


@router.get("/identities")
def identities(
    request: Request,
    class_: Annotated[list[str], Query(alias="class", max_length=50, default_factory=list)],
    camera: Names,
    text: Field = "",
    after: Field = "",
    before: Field = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """Identities that a form lets through."""
    fields = {
        "classes": [c for c in class_ if c], "cameras": [c for c in camera if c], "text": text, "after": after,
        "before": before,
    }  # fmt: skip
    error, found = "", []
    with state_of(request).gallery.reader() as store:
        known = {"classes": store.classes(), "cameras": [c.name for c in store.cameras()]}
        try:
            where = where_of(newest_day(store), **fields)  # type: ignore[arg-type]
            found = store.identities(where, PAGE + 1, PAGE * (page - 1))
        except ConfigError as refused:
            error = str(refused)
    return render(
        request, "identities.html", 400 if error else 200, active="identities", fields=fields, known=known,
        found=found[:PAGE], has_more=len(found) > PAGE, page=page, error=error, is_filtered=any(fields.values()),
    )  # fmt: skip


@router.get("/identities/{number}/thumbnail")
def thumbnail(request: Request, number: Number) -> Response:
    """The best picture of the newest sighting of an identity that has one."""
    with state_of(request).gallery.reader() as store:
        newest = Filter(identity=number)
        for found in store.find(newest, limit=1) + store.find(newest, limit=MOST_LOOKED_AT, offset=1):
            if crops := store.crops(found.id):
                return Response(crops[0].image, media_type="image/webp", headers=SHORTLY)
    return _nothing()


@router.get("/sightings/{number}/crops/{crop}")
def crop_of(request: Request, number: Number, crop: int) -> Response:
    """A picture of a sighting."""
    with state_of(request).gallery.reader() as store:
        crops = store.crops(number)
        if 0 <= crop < len(crops):
            return Response(crops[crop].image, media_type="image/webp", headers=FOREVER)
        sighting_of(store, number)
    return _nothing()


def _nothing() -> Response:
    """A picture that says that there is none."""
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><g fill="none" stroke="#8a8580" stroke-width="2">'
        '<rect x="26" y="30" width="44" height="36" rx="4"/><path d="M26 58l14-12 12 10 8-6 10 8"/>'
        '<circle cx="58" cy="40" r="3"/></g></svg>'
    )
    return Response(drawing, media_type="image/svg+xml", headers=SHORTLY)

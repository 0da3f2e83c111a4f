"""What all pages share: templates, and numbers in addresses."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import HTTPException, Path, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sighting import StoredSighting
from pose_tracking.gallery.store import GalleryReader
from pose_tracking.web import present
from pose_tracking.web.guard import state_of
from pose_tracking.web.users import Role

FOLDER = FilePath(__file__).resolve().parent.parent
PAGE = 48  # of identities, and of sightings
FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
SHORTLY = {"Cache-Control": "private, max-age=30"}
MOST_MEMBERS = 400  # sightings of one identity that its page shows

# Numbers of sightings and identities; what is larger is none, and SQLite would not take it.
Number = Annotated[int, Path(ge=1, le=2**53)]

_TEMPLATES = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined,
                         trim_blocks=True, lstrip_blocks=True)  # fmt: skip
_TEMPLATES.filters.update(present.FILTERS)
_TEMPLATES.globals["query"] = present.query


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page."""
    state, session = state_of(request), getattr(request.state, "session", None)
    user = session.user if session else None
    base = {
        "request_path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "user": user,
        "is_open": session is not None and state.is_open,
        "can_edit": user is not None and user.role is Role.EDITOR,
        "csrf": session.csrf if session else "",
        "is_linking": state.relinker.is_busy,
        "link_error": state.relinker.error if session else "",
        "told": request.query_params.get("told", "")[:40] if session else "",
    }
    return HTMLResponse(_TEMPLATES.get_template(template).render({**base, **context}), status)


def see(target: str) -> Response:
    """Go to another page after a change."""
    return RedirectResponse(target, 303)


def sighting_of(store: GalleryReader, number: int) -> StoredSighting:
    """A sighting, or 404."""
    found = store.find(Filter(ids=(number,)), limit=1)
    if not found:
        raise HTTPException(404, f"There is no sighting {number}. It may have been forgotten.")
    return found[0]


def members_of(store: GalleryReader, identity: int) -> list[StoredSighting]:
    """The sightings of an identity, newest first and so many as a page shows, or 404."""
    found = store.find(Filter(identity=identity), limit=MOST_MEMBERS)
    if not found:
        raise HTTPException(404, f"There is no identity {identity}. It may have become part of another one.")
    return found

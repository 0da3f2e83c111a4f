"""The cameras, and what they show now."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from pose_tracking.web.guard import state_of
from pose_tracking.web.live_scene import camera_states
from pose_tracking.web.plan_view import plan_view

from .common import render

router = APIRouter(include_in_schema=False)


@router.get("/cameras")
def cameras(request: Request) -> Response:
    """Where each camera stands, whether it is live, and what it showed last."""
    with state_of(request).gallery.reader() as store:
        states = camera_states(store)
        recordings = store.recordings()
    entries = [state.entry for state in states]
    frames = sorted({entry.map_frame for entry in entries if entry.map_frame is not None and entry.pose is not None})
    views = [view for frame in frames if (view := plan_view(frame, [], entries)) is not None]
    return render(request, "cameras.html", active="cameras", states=states, views=views, recordings=recordings)


@router.get("/cameras/{name}")
def camera(request: Request, name: str) -> Response:
    """The last picture of a camera, to draw a box in."""
    with state_of(request).gallery.reader() as store:
        found = next((state for state in camera_states(store) if state.entry.name == name), None)
    if found is None:
        raise HTTPException(404, "There is no such camera.")
    return render(request, "camera.html", active="cameras", state=found)


@router.get("/cameras/{name}/picture")
def picture(request: Request, name: str) -> Response:
    """The last picture of a camera."""
    return Response(picture_of(request, name), media_type="image/jpeg")


@router.get("/live")
def live(request: Request) -> Response:
    """The scene in three dimensions; the browser asks for what changes."""
    with state_of(request).gallery.reader() as store:
        states = camera_states(store)
    return render(request, "live.html", active="live", states=states)


def picture_of(request: Request, name: str) -> bytes:
    """The last picture of a camera, or 404."""
    with state_of(request).gallery.reader() as store:
        found = next((live for live in store.live_cameras() if live.camera == name), None)
    if found is None or found.picture is None:
        raise HTTPException(404, "This camera has sent no picture.")
    return found.picture

"""One sighting: its pictures, what is known of it, and the recording at that moment."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from pose_tracking.core.errors import DatasetError, FrameError
from pose_tracking.gallery.search import Result
from pose_tracking.web.guard import state_of
from pose_tracking.web.plan_view import plan_view
from pose_tracking.web.playback import Clip

from .common import FOREVER, Number, render, sighting_of

router = APIRouter(include_in_schema=False)


@router.get("/sightings/{number}")
def sighting(request: Request, number: Number) -> Response:
    """The page of one sighting; a recording that cannot be played is said so in its place."""
    with state_of(request).gallery.reader() as store:
        found = sighting_of(store, number)
        recording = next(r for r in store.recordings() if r.id == found.source)
        view = None if found.map_frame is None else plan_view(found.map_frame, [found], store.cameras())
        crops = store.crops(number)
    clip, error = None, ""
    state_of(request).looks.warm()
    try:
        clip = clip_of(request, number)
    except (DatasetError, FrameError) as refused:
        error = str(refused)
    start = clip.nearest(crops[0].stamp_ns if crops else found.start_ns) if clip else 0
    return render(
        request, "sighting.html", active="identities", sighting=found, recording=recording, crops=crops, plan=view,
        clip=clip, start=start, error=error, facts=Result(found, recording.name).as_dict(),
    )  # fmt: skip


@router.get("/sightings/{number}/frames/{frame}")
def frame_of(request: Request, number: Number, frame: int) -> Response:
    """A picture of the recording around a sighting, as JPEG."""
    clip = clip_of(request, number)
    if not 0 <= frame < len(clip.frames):
        raise HTTPException(404, f"There is no picture {frame} of this sighting.")
    return Response(clip.frames[frame].image, media_type="image/jpeg", headers=FOREVER)


def clip_of(request: Request, number: int) -> Clip:
    """The clip of a sighting.

    Raises:
        DatasetError: its recording cannot be played.
    """
    state = state_of(request)
    with state.gallery.reader() as store:
        found = sighting_of(store, number)
        recording = next(r for r in store.recordings() if r.id == found.source)
        pose = next((c.pose for c in store.cameras() if c.name == found.camera), None)
    return state.playback.clip(found, recording, pose)

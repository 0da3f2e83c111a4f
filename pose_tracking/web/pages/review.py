"""What the gallery proposes, pair by pair, to accept or reject."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.linking import curation
from pose_tracking.web.guard import state_of

from .common import render, see
from .identity import Editor, Other, deciding, name_of

router = APIRouter(include_in_schema=False)
SHOWN, MOST = 24, 1000


@router.get("/review")
def review(request: Request, page: Annotated[int, Query(ge=1, le=40)] = 1) -> Response:
    """The surest proposals first."""
    with state_of(request).gallery.reader() as store:
        found = store.proposals(MOST)
        shown = found[SHOWN * (page - 1) : SHOWN * page]
        of = {s.id: s for s in store.find(Filter(ids=tuple({n for p in shown for n in (p.a, p.b)})))} if shown else {}
        pairs = [(p, of[p.a], of[p.b]) for p in shown if p.a in of and p.b in of]
    return render(
        request, "review.html", active="review", pairs=pairs, count=len(found), is_cut=len(found) == MOST, page=page,
        has_more=len(found) > SHOWN * page,
    )  # fmt: skip


@router.post("/review")
def decide(
    request: Request, session: Editor, first: Other, other: Other, verdict: Annotated[str, Form(max_length=10)]
) -> Response:
    """Accept or reject one of them."""
    chosen = curation.confirm if verdict == "accept" else curation.reject
    with deciding(request, first) as (store, relink):
        chosen(store, first, other, by=name_of(session), relink=relink)
    return see(f"/review?told={'accepted' if verdict == 'accept' else 'rejected'}")

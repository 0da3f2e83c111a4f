"""The description of REST: as OpenAPI, and as a page to read that loads nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from .common import render

router = APIRouter(include_in_schema=False)


@router.get("/api/openapi.json")
def openapi(request: Request) -> Response:
    """OpenAPI 3."""
    return JSONResponse(request.app.openapi())


@router.get("/api")
def reference(request: Request) -> Response:
    """The same for people."""
    schema: dict[str, Any] = request.app.openapi()
    routes = [
        {"method": method.upper(), "path": path, "text": each.get("description", ""), "parameters": [
            {"name": p["name"], "where": p["in"], "text": p["schema"].get("description") or p.get("description", "")}
            for p in each.get("parameters", [])]}
        for path, methods in schema["paths"].items() for method, each in methods.items()
    ]  # fmt: skip
    return render(request, "reference.html", active="", routes=routes)

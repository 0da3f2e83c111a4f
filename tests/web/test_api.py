"""REST: what programs get, and that OpenAPI describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
from web_gallery import PASSWORD, POSE, add_people, client_of, csrf_of, make_gallery, png

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_gallery(tmp_path)


@pytest.fixture
def client(store: Path) -> Any:
    return client_of(store)


def test_a_program_logs_in_asks_decides_and_logs_out(store: Path) -> None:
    add_people(store)
    client = client_of(store)
    assert client.get("/api/identities").status_code == 401
    answer = client.post("/api/session", json={"name": "erin", "password": PASSWORD})
    assert answer.json()["role"] == "editor"
    headers = {"X-CSRF-Token": answer.json()["csrf"]}
    assert [i["identity"] for i in client.get("/api/identities").json()] == [2, 3, 4, 1]
    decided = client.post("/api/identities/4/merge", json={"other": 1}, headers=headers)
    assert decided.json() == {"identity": 1, "is_linked": True}
    with SqliteReader(store) as gallery:
        assert {d.by for d in gallery.decisions()} == {"erin"}
    assert client.delete("/api/session", headers=headers).status_code == 204
    assert client.get("/api/identities").status_code == 401


def test_identities(client: Any) -> None:
    (found,) = client.get("/api/identities", params={"q": "class:blue_ball"}).json()
    assert found["cameras"] == ["left", "right", "door"] or set(found["cameras"]) == {"left", "right", "door"}
    assert found["sightings"] == 3
    assert found["last_camera"] == "door"
    with SqliteReader(client.app.state.web.config.store) as gallery:
        place = gallery.find(Filter(ids=(7,)))[0].path.positions[-1]
    np.testing.assert_allclose(found["last_position"], place, atol=1e-4)
    assert [i["identity"] for i in client.get("/api/identities", params={"limit": 2, "offset": 1}).json()] == [3, 4]


def test_matches_within_limits(client: Any) -> None:
    matches = client.get("/api/identities/1/matches").json()
    assert [m["identity"] for m in matches] == [3, 4]
    assert matches[0]["score"] == pytest.approx(1.0, abs=1e-3)
    assert client.get("/api/identities/1/matches", params={"camera": ["left", "right"]}).json() == []
    assert client.get("/api/identities/1/matches", params={"near": "x"}).status_code == 400
    assert client.get("/api/identities/99/matches").status_code == 404


def test_proposals_and_decisions(client: Any) -> None:
    headers = {"X-CSRF-Token": csrf_of(client)}
    assert [(p["first"], p["other"]) for p in client.get("/api/proposals").json()] == [(1, 3), (1, 4)]
    client.post("/api/identities/1/reject", json={"other": 3}, headers=headers)
    assert [(p["first"], p["other"]) for p in client.get("/api/proposals").json()] == [(1, 4)]
    assert client.get("/api/identities/1/matches").json()[-1]["is_rejected"]
    split = client.post("/api/identities/2/split", json={"sightings": [7]}, headers=headers)
    assert split.status_code == 200
    assert client.post("/api/identities/2/split", json={"sightings": []}, headers=headers).status_code == 400
    wrong = client.post("/api/identities/1/merge", json={"other": 2}, headers=headers)
    assert wrong.status_code == 400
    assert "one thing is of one class" in wrong.json()["error"]


def test_sightings(client: Any) -> None:
    found = client.get("/api/sightings", params={"q": "camera:left class:red_ball"}).json()
    assert [s["sighting"] for s in found] == [1]
    like = client.get("/api/sightings", params={"q": "like:1", "limit": 3}).json()
    assert all(s["class_name"] == "red_ball" for s in like)
    one = client.get("/api/sightings/1").json()
    assert one["crops"] == 2
    assert len(one["path"]) == 12
    assert np.array(one["path"][0]["pose"]).shape == (4, 4)
    assert client.get("/api/sightings/1/crops/0").headers["content-type"] == "image/webp"
    assert client.get("/api/sightings", params={"q": "like:99"}).status_code == 400
    assert client.get("/api/sightings", params={"limit": 100_000}).status_code == 400


def test_a_picture_is_asked_with(client: Any) -> None:
    files = {"picture": ("x.png", png(color=(30, 30, 220)), "image/png")}
    word = client.post("/api/search/picture", files=files, headers={"X-CSRF-Token": csrf_of(client)}).json()["picture"]
    found = client.get("/api/sightings", params={"picture": word}).json()
    assert found[0]["class_name"] == "blue_ball"
    assert found[0]["distance"] == pytest.approx(0.0, abs=0.01)


def test_cameras_and_what_they_show_now(client: Any) -> None:
    cameras = {c["camera"]: c for c in client.get("/api/cameras").json()}
    np.testing.assert_allclose(cameras["left"]["pose"], POSE)
    assert cameras["door"]["sightings"] == 3
    live = {c["camera"]: c for c in client.get("/api/live").json()["cameras"]}
    assert live["left"]["is_live"]
    assert [o["class"] for o in live["left"]["objects"]] == ["red_ball", "blue_ball"]
    np.testing.assert_allclose(np.array(live["left"]["objects"][0]["pose"])[:3, 3], [0.1, 0, 0.3])
    assert not live["right"]["is_live"]
    assert live["right"]["objects"] == []  # of a minute ago: not what is there now
    assert live["right"]["silent_seconds"] == pytest.approx(60, abs=30)
    assert live["door"]["silent_seconds"] is None


def test_openapi_describes_every_route(client: Any) -> None:
    schema = client.get("/api/openapi.json").json()
    assert schema["openapi"].startswith("3.")
    assert set(schema["paths"]) == {
        "/api/session", "/api/identities", "/api/identities/{number}/matches", "/api/identities/{number}/merge",
        "/api/identities/{number}/reject", "/api/identities/{number}/split", "/api/proposals", "/api/sightings",
        "/api/sightings/{number}", "/api/sightings/{number}/crops/{crop}", "/api/search/picture", "/api/cameras",
        "/api/live",
    }  # fmt: skip
    for path, methods in schema["paths"].items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)
            if method == "get" and "{" not in path:
                assert client.get(path).status_code == 200, path
    page = client.get("/api").text
    assert all(path in page for path in schema["paths"])

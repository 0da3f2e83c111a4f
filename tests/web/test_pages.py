"""Every page, and what people do there."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
from web_gallery import client_of, make_gallery, png, post

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.gallery.sqlite_store import SqliteStore

PAGES = (
    "/identities", "/identities/1", "/identities/1/matches", "/review", "/search", "/search?q=like:1", "/sightings/1",
    "/sightings/3", "/cameras", "/cameras/left", "/cameras/door", "/live", "/account", "/api",
)  # fmt: skip


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A browser on a gallery that no test changes."""
    return client_of(make_gallery(tmp_path_factory.mktemp("gallery")))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_gallery(tmp_path)


def names(page: str) -> list[str]:
    """Of the cards of a page, in their order."""
    return [html.unescape(name) for name in re.findall(r'class="name">([^<]+)<', page)]


def numbers(page: str) -> list[int]:
    """Of the identities whose cards a page shows."""
    return [int(n) for n in re.findall(r'class="card" href="/identities/(\d+)"', page)]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_whole(looked_at: Any, path: str) -> None:
    answer = looked_at.get(path)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("</html>")
    assert len(re.findall(r"<h1", answer.text)) == (0 if path == "/live" else 1)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", answer.text), "the policy forbids what stands inside"
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text), "nothing is loaded from elsewhere"


@pytest.mark.parametrize("path", PAGES)
def test_every_link_and_picture_of_a_page_is_there(looked_at: Any, path: str) -> None:
    page = looked_at.get(path).text
    targets = {html.unescape(t) for t in re.findall(r'(?:src|href)="(/[^"]*)"', page)}
    assert len(targets) > 5
    for target in targets:
        assert looked_at.get(target).status_code == 200, target


def test_static_files_name_no_other_server() -> None:
    folder = Path(__file__).resolve().parents[2] / "pose_tracking" / "web" / "static"
    files = sorted(folder.iterdir())
    assert len(files) > 4
    for file in files:
        found = set(re.findall(r"https?://[^\s\"')]+", file.read_text(encoding="utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, file


def test_identities_last_seen_first(looked_at: Any) -> None:
    page = looked_at.get("/identities").text
    assert numbers(page) == [2, 3, 4, 1]
    assert names(page) == ["blue ball", "red ball", "red ball", "red ball"]
    assert "door" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [("class=red_ball", [3, 4, 1]), ("camera=left", [1, 2]), ("class=red_ball&camera=door", [3, 4]),
     ("text=blue", [2]), ("after=100", [2, 3, 4]), ("before=100", [1, 2]), ("class=&camera=&text=", [2, 3, 4, 1]),
     ("class=red_ball&class=blue_ball&before=100", [1, 2])],
)  # fmt: skip
def test_filters_of_identities(looked_at: Any, query: str, expected: list[int]) -> None:
    assert numbers(looked_at.get(f"/identities?{query}").text) == expected


def test_a_filter_that_cannot_be_read_says_so_and_keeps_what_was_written(looked_at: Any) -> None:
    answer = looked_at.get("/identities", params={"after": "yesterday-ish", "text": "ball"})
    assert answer.status_code == 400
    assert "no time; write 10:00" in answer.text
    assert 'value="yesterday-ish"' in answer.text
    assert 'value="ball"' in answer.text


def test_a_filter_that_nothing_passes_leads_back(looked_at: Any) -> None:
    page = looked_at.get("/identities?class=red_ball&after=-1s").text
    assert "Nothing matches" in page
    assert 'href="/identities">Clear' in page


def test_pages_follow_each_other(looked_at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.web.pages import identities

    monkeypatch.setattr(identities, "PAGE", 3)
    first = looked_at.get("/identities").text
    assert numbers(first) == [2, 3, 4]
    (target,) = re.findall(r'rel="next" href="([^"]+)"', first)
    second = looked_at.get(html.unescape(target)).text
    assert numbers(second) == [1]
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second


def test_pictures_are_those_of_the_store(looked_at: Any, tmp_path: Path) -> None:
    with SqliteReader(looked_at.app.state.web.config.store) as gallery:
        crops = gallery.crops(1)
        newest = gallery.find(Filter(identity=2), limit=1)[0]
        thumbnail = gallery.crops(newest.id)[0].image
    answer = looked_at.get("/sightings/1/crops/1")
    assert answer.content == crops[1].image
    assert answer.headers["content-type"] == "image/webp"
    assert looked_at.get("/identities/2/thumbnail").content == thumbnail
    assert looked_at.get("/sightings/1/crops/9").headers["content-type"] == "image/svg+xml"  # says that there is none
    assert looked_at.get("/sightings/99/crops/0").status_code == 404


def test_one_identity_shows_when_and_where(looked_at: Any) -> None:
    page = looked_at.get("/identities/2").text
    assert len(re.findall(r'class="visit"', page)) == 3  # one bar a sighting
    assert "59 min 59 s" in page  # the time in between
    assert len(re.findall(r'class="trail', page)) == 3
    assert page.count('class="viewpoint"') == 3
    assert 'aria-label="Map of lab from above"' in page


def test_what_is_not_there_is_told(looked_at: Any) -> None:
    for path in ("/identities/99", "/sightings/99", "/cameras/nowhere", "/nothing", "/identities/99/matches"):
        answer = looked_at.get(path)
        assert answer.status_code == 404, path
        assert "Nothing here" in answer.text
        assert 'href="/identities"' in answer.text


def test_an_empty_gallery_says_how_to_fill_it(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "empty.db").close()
    client = client_of(tmp_path / "empty.db")
    assert "pose-tracking gallery ingest" in client.get("/identities").text
    assert "Nothing to review" in client.get("/review").text
    assert "No camera yet" in client.get("/cameras").text
    assert client.get("/live").status_code == 200
    assert client.get("/search?q=class:x").status_code == 200


def test_re_identify_ranks_and_keeps_what_is_accepted(store: Path) -> None:
    client = client_of(store)
    assert 'href="/identities/1/matches#reidentify"' in client.get("/identities/1").text
    page = client.get("/identities/1/matches").text
    assert re.findall(
        r'<li class="pair[^"]*" data-item[^>]*>\s*<a href="/identities/(\d+)"', page.split('id="reidentify"')[1]
    ) == ["3", "4"]
    answer = post(client, "/identities/1/accept", other=3, back="/identities/1/matches?camera=door")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/identities/1/matches?camera=door&told=accepted#reidentify"
    with SqliteReader(store) as gallery:
        assert {s.identity for s in gallery.find(Filter(ids=(1, 3, 5)))} == {1}
        assert {d.by for d in gallery.decisions()} == {"this machine"}
    after = client.get(answer.headers["location"]).text
    assert "They are one now" in after
    assert "one thing" in after  # among the decisions


def test_re_identify_within_limits(looked_at: Any) -> None:
    def found(**limits: Any) -> list[str]:
        page = looked_at.get("/identities/1/matches", params=limits).text
        return re.findall(r'/identities/1/reject.*?name="other" value="(\d+)"', page.split('id="reidentify"')[1], re.S)

    assert found() == ["3", "4"]
    assert found(camera="left") == []
    assert found(camera="door") == ["3", "4"]
    assert found(before="100") == []
    assert found(after="100") == ["3", "4"]
    with SqliteReader(looked_at.app.state.web.config.store) as gallery:
        x, y, z = gallery.find(Filter(ids=(6,)))[0].path.positions[0]
    assert found(near=f"{x:.3f},{y:.3f},{z:.3f},0.02") == ["4"]


def test_limits_that_cannot_be_read(looked_at: Any) -> None:
    answer = looked_at.get("/identities/1/matches", params={"near": "here", "camera": "left"})
    assert answer.status_code == 400
    assert "expected x,y,z,r" in answer.text
    assert 'value="here"' in answer.text


def test_a_match_that_is_rejected_goes_last_and_is_not_proposed_again(store: Path) -> None:
    client = client_of(store)
    post(client, "/identities/1/reject", other=3, back="/identities/1/matches")
    page = client.get("/identities/1/matches").text
    assert re.findall(r'<li class="(pair[^"]*)"', page.split('id="reidentify"')[1]) == ["pair", "pair rejected"]
    assert "rejected by a person" in page
    with SqliteReader(store) as gallery:
        assert all({p.a, p.b} != {1, 5} for p in gallery.proposals())


def test_an_identity_that_loses_its_number_is_still_found(store: Path) -> None:
    client = client_of(store)
    answer = post(client, "/identities/4/accept", other=1, back="/identities/4/matches?after=1")
    assert answer.headers["location"] == "/identities/1/matches?after=1&told=accepted#reidentify"
    assert client.get(answer.headers["location"]).status_code == 200
    assert client.get("/identities/4").status_code == 404


def test_split_takes_out_what_is_ticked(store: Path) -> None:
    client = client_of(store)
    assert post(client, "/identities/2/split").status_code == 400
    answer = post(client, "/identities/2/split", sighting=[7])
    assert answer.status_code == 303
    with SqliteReader(store) as gallery:
        of = {s.id: s.identity for s in gallery.find(Filter(ids=(2, 4, 7)))}
    assert of[2] == of[4] != of[7]
    assert "no sighting 1" in post(client, "/identities/2/split", sighting=[1]).text


def test_things_of_two_classes_are_not_one(store: Path) -> None:
    answer = post(client_of(store), "/identities/1/accept", other=2)
    assert answer.status_code == 400
    assert "one thing is of one class" in answer.text


def test_review_goes_through_proposals(store: Path) -> None:
    client = client_of(store)
    page = client.get("/review").text
    assert "2 pairs that may be one thing" in page
    assert post(client, "/review", first=1, other=3, verdict="accept").headers["location"] == "/review?told=accepted"
    # The copies were seen at one time: with the one, the other is out of the question.
    assert "Nothing to review" in client.get("/review").text
    assert "Nothing proposes" in post(client, "/review", first=1, other=4, verdict="accept").text


def test_search_by_words(looked_at: Any) -> None:
    page = looked_at.get("/search", params={"q": "class:blue_ball camera:left"}).text
    assert names(page) == ["blue ball"]
    assert "1 sightings, newest first" in page
    answer = looked_at.get("/search", params={"q": "colour:red"})
    assert answer.status_code == 400
    assert "there is no field" in answer.text


def test_search_by_a_picture(looked_at: Any) -> None:
    answer = post(
        looked_at,
        "/search/picture",
        q="camera:door",
        files={"picture": ("b.png", png(color=(30, 30, 220)), "image/png")},
    )
    assert answer.status_code == 303
    page = looked_at.get(answer.headers["location"]).text
    assert names(page)[0] == "blue ball"
    assert 'value="camera:door"' in page
    shown = re.search(r'src="(/search/picture/[^"]+)"', page)
    assert shown is not None
    assert looked_at.get(shown[1]).headers["content-type"] == "image/webp"


def test_a_picture_that_is_no_longer_kept(looked_at: Any) -> None:
    answer = looked_at.get("/search?picture=forgotten")
    assert answer.status_code == 400
    assert "send it again" in answer.text


def test_search_by_a_box_in_the_recording(looked_at: Any) -> None:
    page = looked_at.get("/sightings/2").text
    box = re.search(r'data-box="([^"]+)"', page)
    assert box is not None
    corners = dict(zip(("x0", "y0", "x1", "y1"), box[1].split(), strict=True))
    answer = post(looked_at, "/search/frame/2/0", **corners)
    assert names(looked_at.get(answer.headers["location"]).text)[0] == "blue ball"
    turned = {"x0": corners["x1"], "x1": corners["x0"], "y0": corners["y1"], "y1": corners["y0"]}
    assert post(looked_at, "/search/frame/2/0", **turned).status_code == 303  # drawn from the other corner
    small = {"x0": 0.5, "x1": 0.5001, "y0": 0.5, "y1": 0.5001}
    assert "draw it larger" in post(looked_at, "/search/frame/2/0", **small).text
    assert post(looked_at, "/search/frame/2/999", **corners).status_code == 400
    assert post(looked_at, "/search/frame/2/0", x0=-1, y0=0, x1=2, y1=1).status_code == 400


def test_search_by_a_box_in_what_a_camera_shows(looked_at: Any) -> None:
    answer = post(looked_at, "/search/camera/left", x0=0.0, y0=0.0, x1=1.0, y1=1.0)
    assert answer.status_code == 303
    assert post(looked_at, "/search/camera/right", x0=0, y0=0, x1=1, y1=1).status_code == 404  # sends no picture


def test_cameras_tell_live_from_silent(looked_at: Any) -> None:
    page = looked_at.get("/cameras").text
    assert "1 of 3 live" in page or "0 of 3 live" in page  # the picture is seconds old
    assert re.search(r"silent for 1 min|silent for \d+ min", page)
    assert "not live" in page
    assert "gone/door_bag" in page
    assert looked_at.get("/cameras/left/picture").headers["content-type"] == "image/jpeg"
    assert looked_at.get("/cameras/door/picture").status_code == 404


def test_a_recording_plays_at_the_moment(looked_at: Any) -> None:
    page = looked_at.get("/sightings/1").text
    assert 'data-count="12"' in page
    assert page.count("data-seen") == 12
    frames = {looked_at.get(f"/sightings/1/frames/{n}").content for n in range(12)}
    assert len(frames) == 12
    assert all(f.startswith(b"\xff\xd8") for f in frames)
    assert looked_at.get("/sightings/1/frames/12").status_code == 404


def test_a_recording_that_is_gone_is_told_on_the_page(looked_at: Any) -> None:
    answer = looked_at.get("/sightings/3")
    assert answer.status_code == 200
    assert "The recording cannot be played" in answer.text
    assert "gone/right_bag" in answer.text
    assert "--recordings" in answer.text
    assert looked_at.get("/sightings/3/frames/0").status_code == 404


def test_who_decides_does_not_wait_for_a_large_gallery(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from pose_tracking.web.pages import identity

    client, may_go = client_of(store), threading.Event()
    relinker = client.app.state.web.relinker
    link = relinker._relink
    monkeypatch.setattr(relinker, "_relink", lambda gallery: (may_go.wait(60), link(gallery))[1])
    monkeypatch.setattr(identity, "LINK_SECONDS", 0.05)
    answer = post(client, "/identities/1/accept", other=3)
    assert answer.status_code == 303
    with SqliteReader(store) as gallery:
        assert gallery.decisions()  # kept at once
        assert gallery.find(Filter(ids=(5,)))[0].identity == 3  # not linked yet
    assert "being linked anew" in client.get("/identities").text
    assert post(client, "/identities/1/reject", other=4).status_code == 303  # meanwhile
    may_go.set()
    assert relinker.wait(60)
    with SqliteReader(store) as gallery:
        assert gallery.find(Filter(ids=(5,)))[0].identity == 1
    assert "being linked anew" not in client.get("/identities").text


def test_linking_that_fails_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.core.errors import StoreError

    client = client_of(store)
    relinker = client.app.state.web.relinker

    def fail(_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(relinker, "_relink", fail)
    assert post(client, "/identities/1/accept", other=3).status_code == 303
    assert "Linking failed: the disk is full" in client.get("/identities").text


def test_what_a_killed_server_had_not_linked_is_linked_by_the_next(store: Path) -> None:
    from starlette.testclient import TestClient

    from pose_tracking.gallery.store import SAME, Decision
    from pose_tracking.web.app import create_app
    from pose_tracking.web.config import WebConfig

    with SqliteStore(store) as gallery:
        gallery.decide([Decision(SAME, 1, 5, by="erin")])
    app = create_app(WebConfig(str(store)))
    with TestClient(app):
        assert app.state.web.relinker.wait(60)
        with SqliteReader(store) as gallery:
            assert {s.identity for s in gallery.find(Filter(ids=(1, 5)))} == {1}


def test_the_model_is_loaded_while_someone_is_about_to_ask(store: Path) -> None:
    import threading

    from ball_gallery import MeanColor
    from starlette.testclient import TestClient

    from pose_tracking.web.app import create_app
    from pose_tracking.web.config import WebConfig

    loads, may_go = [], threading.Event()

    def load() -> MeanColor:
        loads.append(1)
        may_go.wait(60)
        return MeanColor()

    client = TestClient(create_app(WebConfig(str(store)), load), base_url="http://127.0.0.1")
    client.get("/login")
    for _ in range(3):
        assert client.get("/search?q=red").status_code == 200  # does not wait for it
    assert client.get("/search?picture=gone").status_code == 400
    may_go.set()
    answer = post(client, "/search/picture", files={"picture": ("r.png", png(), "image/png")})
    assert names(client.get(answer.headers["location"]).text)[0] == "red ball"
    assert loads == [1]


def test_pictures_are_forgotten_oldest_first(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose_tracking.web import looks

    monkeypatch.setattr(looks, "KEPT", 2)
    client = client_of(store)
    picture = {"files": {"picture": ("r.png", png(), "image/png")}}
    asked = [post(client, "/search/picture", **picture).headers["location"] for _ in range(3)]
    assert [client.get(a).status_code for a in asked] == [400, 200, 200]

"""The pages in a real browser: Chromium of the system, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
pytest.importorskip("playwright.sync_api")
from ball_gallery import MeanColor
from playwright.sync_api import expect, sync_playwright
from web_gallery import PASSWORD, add_people, make_gallery, png, serving

from pose_tracking.gallery.filters import Filter
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.web.app import create_app
from pose_tracking.web.config import WebConfig

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 60_000  # ms; other work may share the machine
PAGES = {
    "/identities": "Identities", "/identities/1": "red ball", "/identities/1/matches": "red ball", "/review": "Review",
    "/search?q=red": "Search", "/sightings/1": "red ball", "/sightings/3": "red ball", "/cameras": "Cameras",
    "/cameras/left": "left", "/account": "Account", "/api": "REST", "/nothing": "Nothing here",
}  # fmt: skip
# What a screen reader would have no name for; those inside of a card are beside its text.
UNNAMED = """() => [...document.querySelectorAll("button, a, input:not([type=hidden]), select")].filter((e) =>
  e.offsetParent && !e.closest(".pair, .strip, .card") && !e.textContent.trim() && !e.getAttribute("aria-label")
  && !e.labels?.length && !e.querySelector("title, img[alt]:not([alt=''])")).map((e) => e.outerHTML.slice(0, 80))"""
CONTRAST = """() => {
  const probe = Object.assign(document.createElement("p"), { className: "quiet" });
  document.body.append(probe);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const a = luminance(getComputedStyle(probe).color), b = luminance(getComputedStyle(document.body).backgroundColor);
  probe.remove();
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""
SIZES = {"desk": (1280, 860), "phone": (360, 740)}

pytestmark = pytest.mark.skipif(shutil.which(CHROMIUM) is None, reason=f"no {CHROMIUM}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = make_gallery(tmp_path)
    add_people(path)
    return path


@pytest.fixture
def address(store: Path) -> Iterator[str]:
    with serving(create_app(WebConfig(str(store)), load=MeanColor)) as served:
        yield served


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """An empty browser; what goes wrong in it, and what it asks of other servers, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE)
    opened, wrong = context.new_page(), []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "status of 4" not in m.text else None)
    opened.on(
        "request", lambda r: wrong.append(r.url) if not re.match(r"(http://127\.0\.0\.1|blob:|data:)", r.url) else None
    )
    yield opened
    context.close()
    assert wrong == []


def log_in(page: Any, address: str, name: str = "erin", path: str = "/identities") -> None:
    page.goto(address + path)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**" + path)


def test_a_stranger_is_turned_away_and_a_wrong_password_too(page: Any, address: str) -> None:
    for path in PAGES:
        page.goto(address + path)
        if path != "/nothing":
            assert "/login" in page.url
            assert page.get_by_role("heading", name="Log in").is_visible()
    page.goto(address + "/identities/1")
    page.get_by_label("Name").fill("erin")
    page.get_by_label("Password").fill("not her password")
    page.get_by_label("Password").press("Enter")
    assert page.get_by_role("alert").inner_text().strip() == "Name or password is wrong."
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.wait_for_url("**/identities/1")
    page.get_by_label("Account of erin").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto(address + "/identities")
    assert "/login" in page.url


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_is_readable(browser: Any, page: Any, address: str, size: str, scheme: str) -> None:
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    log_in(page, address)
    for path, title in PAGES.items():
        page.goto(address + path)
        assert title in page.locator("h1, .empty h2").first.inner_text(), path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the screen"
        broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
        assert broken == [], path
        assert contrast(page) >= 4.5, path
        unnamed = page.evaluate(UNNAMED)
        assert unnamed == [], path


def contrast(page: Any) -> float:
    """Between quiet text and the page, as WCAG has it."""
    return float(page.evaluate(CONTRAST))


def test_the_re_identify_walk(page: Any, address: str, store: Path) -> None:
    log_in(page, address)
    page.locator("a.card[href='/identities/1']").click()
    page.get_by_role("link", name="Re-identify").click()
    panel = page.locator("#reidentify")
    panel.locator("li.pair").first.wait_for()
    assert panel.locator("li.pair").count() == 2
    panel.locator("label.chip", has_text="left").click()
    panel.get_by_role("button", name="Search").click()
    page.get_by_text("Nothing else looks like it").wait_for()
    panel.get_by_role("link", name="Clear").click()
    panel.locator("li.pair").first.wait_for()

    page.wait_for_load_state()

    # An area, drawn on the map around the second ball at the door.
    with SqliteReader(store) as gallery:
        x, y, _ = gallery.find(Filter(ids=(6,)))[0].path.positions[-1]
    figure = page.locator("[data-area]")
    figure.scroll_into_view_if_needed()
    box = figure.locator("svg").bounding_box()
    scale, ox, oy = (float(figure.get_attribute(f"data-{name}")) for name in ("scale", "x", "y"))
    per_unit = box["width"] / 960
    cx, cy = box["x"] + (ox + x * scale) * per_unit, box["y"] + (oy - y * scale) * per_unit
    page.mouse.move(cx, cy)
    page.mouse.down()
    page.mouse.move(cx + 0.08 * scale * per_unit, cy, steps=4)
    page.mouse.up()
    drawn = [float(v) for v in page.locator("#near").input_value().split(",")]
    assert drawn[:2] == pytest.approx([x, y], abs=0.02)
    assert drawn[3] == pytest.approx(0.08, abs=0.02)
    page.locator("#near").fill(",".join(str(v) for v in [*drawn[:2], 0.5, 0.3]))
    panel.get_by_role("button", name="Search").click()
    page.wait_for_url("**near=**")
    assert panel.locator("li.pair").count() == 1
    assert "4" in panel.locator("li.pair .number").inner_text()

    # Rejected with the mouse, the other one accepted with keys.
    panel.get_by_role("button", name="Reject: 1 and 4 are two").click()
    page.get_by_text("They are two things, for good").wait_for()
    page.goto(address + "/identities/1/matches")
    page.keyboard.press("j")
    page.keyboard.press("a")
    page.get_by_text("They are one now").wait_for()
    with SqliteReader(store) as gallery:
        assert {s.identity for s in gallery.find(Filter(ids=(1, 3, 5)))} == {1}
        assert gallery.find(Filter(ids=(6,)))[0].identity == 4
        assert {d.by for d in gallery.decisions()} == {"erin"}
    assert page.locator("svg.timeline .visit").count() == 3

    # And taken apart again.
    page.locator("input[name=sighting][value='5']").check()
    page.get_by_role("button", name="Split off").click()
    page.get_by_text("an identity of their own").wait_for()
    with SqliteReader(store) as gallery:
        assert gallery.find(Filter(ids=(5,)))[0].identity not in (None, 1)


def test_review_with_keys(page: Any, address: str, store: Path) -> None:
    log_in(page, address, path="/review")
    assert page.locator(".duel").count() == 2
    page.keyboard.press("j")
    page.keyboard.press("r")
    page.get_by_text("They are two things, for good").wait_for()
    assert page.locator(".duel").count() == 1


def test_a_viewer_sees_no_way_to_decide(page: Any, address: str) -> None:
    log_in(page, address, "vera", "/identities/1/matches")
    assert page.locator("#reidentify li.pair").count() == 2
    assert page.get_by_role("button", name=re.compile("Accept|Reject|Split|Merge")).count() == 0


def test_search_by_words_and_by_a_picture_that_is_chosen(page: Any, address: str, tmp_path: Path) -> None:
    log_in(page, address)
    page.keyboard.press("/")
    page.keyboard.type("class:blue_ball camera:door")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=**")
    assert page.locator("a.card").count() == 1
    picture = tmp_path / "blue.png"
    picture.write_bytes(png(color=(30, 30, 220)))
    page.locator("input[type=file]").set_input_files(picture)
    page.wait_for_url("**picture=**")
    assert "blue ball" in page.locator("a.card .name").first.inner_text()
    assert page.get_by_alt_text("What was asked with").is_visible()


def test_a_recording_plays_and_a_box_in_it_is_searched_for(page: Any, address: str) -> None:
    log_in(page, address, path="/sightings/1")
    first = page.locator("output").inner_text()
    page.get_by_label("Picture", exact=True).fill("0")
    page.get_by_label("Play or pause").click()
    expect(page.get_by_label("Picture", exact=True)).to_have_value("11", timeout=PATIENCE)
    assert page.locator("output").inner_text() != first
    assert float(page.locator(".where").get_attribute("width")) > 0
    page.get_by_label("Picture", exact=True).fill("0")
    where = page.locator(".where")
    x, y, w, h = (float(where.get_attribute(name)) for name in ("x", "y", "width", "height"))
    box = page.locator("[data-box-on]").bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + (x + w) * box["width"], box["y"] + (y + h) * box["height"], steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Find what looks like it").click()
    page.wait_for_url("**/search?picture=**")
    assert "red ball" in page.locator("a.card .name").first.inner_text()


def test_the_live_view_follows_what_comes_into_it(page: Any, address: str, store: Path) -> None:
    """The cameras are known before the first object is: it must not appear out of sight."""
    from web_gallery import show_live

    from pose_tracking.gallery.sqlite_store import SqliteStore

    with SqliteStore(store) as gallery:
        gallery.write_live(replace(gallery.live_cameras()[0], received_ns=1, objects=()))
        log_in(page, address, path="/live")
        page.wait_for_selector("[data-live][data-objects='0']")
        show_live(gallery)
        page.wait_for_selector("[data-live][data-objects='2']", timeout=PATIENCE)
    page.wait_for_selector("[data-live][data-in-view='2']", timeout=5000)


def test_the_live_scene_is_drawn_and_moves(page: Any, address: str, store: Path) -> None:
    from web_gallery import show_live

    from pose_tracking.gallery.sqlite_store import SqliteStore

    with SqliteStore(store) as gallery:
        show_live(gallery)
        log_in(page, address, path="/live")
        page.wait_for_selector("[data-live][data-objects]")
        show_live(gallery)
        page.wait_for_selector("[data-live][data-objects='2']", timeout=PATIENCE)
    assert "1 of 3 cameras live, 2 objects" in page.locator(".status[role=status]").inner_text()
    assert "red ball · track 1" in page.locator("[data-roll]").inner_text()
    before = picture_of(page)
    assert len(set(before)) > 50  # not one colour
    page.locator("canvas").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert picture_of(page) != before


def picture_of(page: Any) -> str:
    return str(page.evaluate("document.querySelector('canvas').toDataURL()"))


def test_dark_and_light_are_switched_and_remembered(page: Any, address: str) -> None:
    page.emulate_media(color_scheme="light")
    log_in(page, address)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Dark or light").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark


def test_everything_can_be_reached_by_keys(page: Any, address: str) -> None:
    log_in(page, address)
    page.goto(address + "/identities")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('href') ?? document.activeElement.name ?? ''"))
    assert {"/identities/1", "/identities/2", "class", "camera", "after", "before", "text"} <= reached

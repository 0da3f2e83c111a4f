"""Who gets in, who does not, and what each may do."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("argon2")
from fastapi.routing import APIRoute
from web_gallery import PASSWORD, add_people, client_of, csrf_of, log_in, make_gallery, png, post

from pose_tracking.core.errors import ConfigError
from pose_tracking.gallery.sqlite_reader import SqliteReader
from pose_tracking.web.app import create_app
from pose_tracking.web.config import WebConfig
from pose_tracking.web.guard import SESSION
from pose_tracking.web.login import NAME, PAIR, LoginResult, LogIns
from pose_tracking.web.passwords import check_password, hash_password, verify
from pose_tracking.web.users import Role, UserStore

PUBLIC = {"/login", "/api/session"}  # the latter to POST to


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_gallery(tmp_path_factory.mktemp("gallery"))
    add_people(path)
    return path


@pytest.fixture
def client(store: Path) -> Any:
    """A browser that nobody has logged in with, whose failures nobody else has to wait for."""
    with contextlib.closing(UserStore(store.with_name("gallery.db.users"))) as users:
        users._run("DELETE FROM failures")
    return client_of(store)


@pytest.fixture
def users(tmp_path: Path) -> Iterator[UserStore]:
    with contextlib.closing(UserStore(tmp_path / "users")) as opened:
        yield opened


def all_routes(app: Any) -> list[tuple[str, str]]:
    """(method, path with numbers in it) of everything that is served."""
    found: list[tuple[str, str]] = []

    def collect(routes: Any, prefix: str = "") -> None:
        for route in routes:
            if isinstance(route, APIRoute):
                path = re.sub(r"\{[^}]*\}", "1", prefix + route.path)
                found.extend((method, path) for method in route.methods or ())
            else:
                inner = getattr(route, "original_router", None) or getattr(route, "router", None)
                if inner is not None:
                    collect(inner.routes, prefix + getattr(getattr(route, "include_context", None), "prefix", ""))

    collect(app.routes)
    return found


def test_a_stranger_is_turned_away_from_every_route(client: Any) -> None:
    routes = all_routes(client.app)
    assert len(routes) > 40
    for method, path in routes:
        if path == "/login" or (path == "/api/session" and method == "POST"):
            continue
        answer = client.request(method, path, follow_redirects=False)
        if path.startswith("/api/"):
            assert answer.status_code == 401, (method, path, answer.status_code)
        else:
            assert answer.status_code == 303, (method, path, answer.status_code)
            assert answer.headers["location"].startswith("/login?next="), path
        assert "red_ball" not in answer.text
        assert not re.search(rb"WEBP|JFIF", answer.content)


def test_the_cookie_of_another_server_is_none(client: Any) -> None:
    client.cookies.set(SESSION, "x" * 43)
    assert client.get("/identities", follow_redirects=False).status_code == 303


def test_a_user_logs_in_and_comes_to_where_he_wanted(client: Any) -> None:
    page = client.get("/identities/1?x=1")
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    assert 'value="/identities/1?x=1"' in page.text
    fields = {"name": "erin", "password": PASSWORD, "token": token[1], "next": "/identities/1?x=1"}
    answer = client.post("/login", data=fields, follow_redirects=False)
    assert answer.headers["location"] == "/identities/1?x=1"
    assert "red ball" in client.get("/identities/1").text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_log_in_leads_to_no_other_server(client: Any, target: str) -> None:
    form = client.get("/login", params={"next": target})
    token = re.search(r'name="token" value="([^"]+)"', form.text)
    assert token is not None
    fields = {"name": "erin", "password": PASSWORD, "token": token[1], "next": target}
    assert client.post("/login", data=fields, follow_redirects=False).headers["location"] == "/identities"


def test_name_or_password_being_wrong_looks_the_same(client: Any) -> None:
    answers = [log_in(client, "erin", "wrong"), log_in(client, "nobody", "wrong"), log_in(client, "", "")]
    assert [a.status_code for a in answers] == [401] * 3
    messages = {re.search(r'role="alert">.*?<span>(.*?)</span>', a.text)[1] for a in answers}  # type: ignore[index]
    assert messages == {"Name or password is wrong."}
    assert SESSION not in client.cookies


def test_the_cookie_is_hidden_from_scripts_and_other_sites(client: Any) -> None:
    cookie = log_in(client).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie


def test_over_https_the_cookie_is_secure_and_of_this_host(store: Path) -> None:
    from starlette.testclient import TestClient

    client = TestClient(create_app(WebConfig(str(store))), base_url="https://127.0.0.1")
    answer = log_in(client)
    (cookie,) = [c for c in answer.headers.get_list("set-cookie") if c.startswith(f"__Host-{SESSION}=")]
    assert "Secure" in cookie
    assert "max-age=" in answer.headers["strict-transport-security"]
    assert client.get("/identities", follow_redirects=False).status_code == 200


def test_a_log_in_begins_a_new_session_and_ends_the_old_one(client: Any, store: Path) -> None:
    log_in(client)
    first = client.cookies[SESSION]
    other = client_of(store)
    token = re.search(r'name="token" value="([^"]+)"', other.get("/login").text)
    assert token is not None
    other.cookies.set(SESSION, first)  # as if somebody had planted it
    fields = {"name": "erin", "password": PASSWORD, "token": token[1]}
    answer = other.post("/login", data=fields, follow_redirects=False)
    given = re.search(rf"{SESSION}=([^;]+)", answer.headers["set-cookie"])
    assert given is not None
    second = given[1]
    assert second != first
    for value, status in ((first, 303), (second, 200)):
        fresh = client_of(store)
        fresh.cookies.set(SESSION, value)
        assert fresh.get("/identities", follow_redirects=False).status_code == status


def test_tokens_are_long_random_and_kept_as_hashes(client: Any, store: Path) -> None:
    log_in(client)
    token = client.cookies[SESSION]
    assert len(token) >= 43  # 32 bytes
    assert token.encode() not in store.with_name("gallery.db.users").read_bytes()


def test_after_logging_out_the_cookie_opens_nothing(client: Any) -> None:
    log_in(client)
    token = client.cookies[SESSION]
    assert post(client, "/logout").status_code == 303
    client.cookies.set(SESSION, token)
    assert client.get("/identities", follow_redirects=False).status_code == 303


def test_a_session_ends_by_itself(users: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    users.add("erin", PASSWORD, Role.EDITOR)
    token = users.begin_session("erin")
    now = 0.0

    def later() -> float:
        return real() + now

    from pose_tracking.web import users as module

    real = module.time.time
    monkeypatch.setattr(module.time, "time", later)
    for _ in range(11):  # used every hour
        now += 3600
        assert users.session(token) is not None
    now += 3700  # twelve hours are over, though it was in use
    assert users.session(token) is None
    idle = users.begin_session("erin")
    now += 2 * 3600 + 10
    assert users.session(idle) is None


def test_a_new_password_a_new_role_and_removal_end_all_sessions(users: UserStore) -> None:
    users.add("erin", PASSWORD, Role.EDITOR)
    for change in (
        lambda: users.change("erin", password="another five words here"),
        lambda: users.change("erin", role=Role.VIEWER),
        lambda: users.remove("erin"),
    ):
        token = users.begin_session("erin")
        assert users.session(token) is not None
        change()
        assert users.session(token) is None


def test_one_changes_ones_own_password_with_the_current_one(store: Path, tmp_path: Path) -> None:
    with contextlib.closing(UserStore(tmp_path / "users")) as users:
        users.add("erin", PASSWORD, Role.EDITOR)
    client = client_of(store, users=tmp_path / "users")
    log_in(client)
    new = "five other words are here"
    wrong = post(client, "/account", current="not it", new=new, again=new)
    assert wrong.status_code == 400
    assert "current password is wrong" in wrong.text
    assert "differ" in post(client, "/account", current=PASSWORD, new=new, again=new + "!").text
    assert "12 or more" in post(client, "/account", current=PASSWORD, new="short", again="short").text
    before = client.cookies[SESSION]
    assert post(client, "/account", current=PASSWORD, new=new, again=new).status_code == 303
    assert client.cookies[SESSION] != before
    assert client.get("/identities", follow_redirects=False).status_code == 200
    client.cookies.clear()
    assert log_in(client, password=PASSWORD).status_code == 401
    assert log_in(client, password=new).status_code == 303


def test_a_change_needs_the_token_of_the_session(client: Any, store: Path) -> None:
    log_in(client)
    for path, fields in (
        ("/identities/1/accept", {"other": 3}), ("/review", {"first": 1, "other": 3, "verdict": "accept"}),
        ("/logout", {}), ("/account", {}), ("/search/frame/1/1", {"x0": 0, "y0": 0, "x1": 1, "y1": 1}),
    ):  # fmt: skip
        for csrf in (None, "", "x" * 43):
            sent = fields if csrf is None else {**fields, "csrf": csrf}
            answer = client.post(path, data=sent, follow_redirects=False)
            assert answer.status_code == 403, (path, csrf)
    files = {"picture": ("a.png", png(), "image/png")}
    assert client.post("/search/picture", files=files).status_code == 403
    assert client.post("/api/identities/1/merge", json={"other": 3}).status_code == 403
    assert client.delete("/api/session").status_code == 403
    with SqliteReader(store) as gallery:
        assert gallery.decisions() == []


def test_a_page_of_another_site_changes_nothing(client: Any) -> None:
    log_in(client)
    fields = {"csrf": csrf_of(client), "other": 3}
    for site in ("cross-site", "same-site"):
        answer = client.post("/identities/1/accept", data=fields, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403


def test_no_other_site_logs_anyone_in(client: Any) -> None:
    fields = {"name": "erin", "password": PASSWORD}
    assert client.post("/login", data=fields, follow_redirects=False).status_code == 403
    assert client.post("/login", data={**fields, "token": "x"}, follow_redirects=False).status_code == 403
    cross = client.post("/api/session", json=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403


def test_a_viewer_looks_and_decides_nothing(client: Any, store: Path) -> None:
    log_in(client, "vera")
    page = client.get("/identities/1/matches")
    assert page.status_code == 200
    assert "Same" not in page.text
    assert "Editors accept or reject" in page.text
    for path, fields in (
        ("/identities/1/accept", {"other": 3}), ("/identities/1/reject", {"other": 3}),
        ("/identities/1/split", {"sighting": 1}), ("/review", {"first": 1, "other": 3, "verdict": "accept"}),
    ):  # fmt: skip
        answer = post(client, path, **fields)
        assert answer.status_code == 403, path
        assert "only editors" in answer.text
    headers = {"X-CSRF-Token": csrf_of(client)}
    for action, body in (("merge", {"other": 3}), ("reject", {"other": 3}), ("split", {"sightings": [1]})):
        answer = client.post(f"/api/identities/1/{action}", json=body, headers=headers)
        assert answer.status_code == 403, action
    with SqliteReader(store) as gallery:
        assert gallery.decisions() == []
    answer = post(client, "/search/picture", files={"picture": ("a.png", png(), "image/png")})
    assert answer.status_code == 303  # asking is looking


def test_without_users_other_machines_are_not_served(tmp_path: Path) -> None:
    store = make_gallery(tmp_path, with_live=False)
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0.*adduser"):
        create_app(WebConfig(str(store), host="0.0.0.0"))
    add_people(store)
    create_app(WebConfig(str(store), host="0.0.0.0"))


def test_the_first_user_closes_a_server_that_was_open(tmp_path: Path) -> None:
    client = client_of(make_gallery(tmp_path, with_live=False))
    assert client.get("/identities", follow_redirects=False).status_code == 200
    add_people(tmp_path / "gallery.db")
    assert client.get("/identities", follow_redirects=False).status_code == 303


def test_an_open_server_answers_to_the_names_of_this_machine_alone(tmp_path: Path) -> None:
    client = client_of(make_gallery(tmp_path, with_live=False), allowed_hosts=("gallery.example",))
    for host, status in (("127.0.0.1:8765", 200), ("localhost", 200), ("gallery.example", 200), ("evil.example", 400)):
        answer = client.get("/identities", headers={"Host": host}, follow_redirects=False)
        assert answer.status_code in (status, 303 if status == 200 else 400), host
        assert (answer.status_code == 400) == (status == 400)


def test_a_wrong_password_10000_times(client: Any) -> None:
    """Over HTTP, each try with another password: ten are looked at, the rest wait; and so does the right one."""
    form = client.get("/login")
    token = re.search(r'name="token" value="([^"]+)"', form.text)
    assert token is not None
    kept = dict(client.cookies)
    counts: dict[int, int] = {}
    for number in range(10_000):
        answer = client.post("/api/session", json={"name": "erin", "password": f"guess {number}"})
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
    assert counts == {401: PAIR[1], 429: 10_000 - PAIR[1]}
    assert 0 < int(answer.headers["retry-after"]) <= PAIR[0] + 1
    client.cookies.update(kept)
    late = client.post("/login", data={"name": "erin", "password": PASSWORD, "token": token[1]}, follow_redirects=False)
    assert late.status_code == 429
    assert "Too many wrong passwords. Try again in" in late.text
    assert SESSION not in client.cookies


def test_who_was_wrong_gets_in_again_after_a_while_and_others_all_the_time(users: UserStore) -> None:
    users.add("erin", PASSWORD, Role.EDITOR)
    now = 1000.0
    log_ins = LogIns(users, lambda: now)
    for _ in range(PAIR[1]):
        assert log_ins.log_in("erin", "wrong", "10.0.0.1") == LoginResult(None)
    refused = log_ins.log_in("erin", PASSWORD, "10.0.0.1")
    assert refused.token is None
    assert refused.wait == pytest.approx(PAIR[0])
    assert log_ins.log_in("erin", PASSWORD, "10.0.0.2").token is not None  # erin herself, from elsewhere
    now += PAIR[0] + 1
    assert log_ins.log_in("ERIN", PASSWORD, "10.0.0.1").token is not None


def test_one_name_is_not_guessed_from_many_addresses(users: UserStore) -> None:
    users.add("erin", PASSWORD, Role.EDITOR)
    log_ins = LogIns(users, lambda: 1000.0)
    looked_at = sum(not log_ins.log_in("erin", "wrong", f"10.0.{n // 250}.{n % 250}").wait for n in range(150))
    assert looked_at == NAME[1]


def test_those_who_are_right_do_not_use_up_tries(users: UserStore) -> None:
    users.add("erin", PASSWORD, Role.EDITOR)
    log_ins = LogIns(users, lambda: 1000.0)
    assert all(log_ins.log_in("erin", PASSWORD, "10.0.0.1").token for _ in range(PAIR[1] + 5))


@pytest.mark.parametrize(
    ("password", "message"),
    [("short", "5 characters"), ("x" * 129, "129 characters"), ("aaaaaaaaaaaaaaaa", "tried first"),
     ("password1234!", "tried first"), ("123456789012", "tried first"), ("qwertyuiop123", "tried first"),
     ("i am Erin of here", "name of its user")],
)  # fmt: skip
def test_passwords_that_can_be_guessed_are_refused(password: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_password(password, "erin")


def test_passwords_may_be_long_and_of_any_characters() -> None:
    for password in ("correct horse battery", "ünïcödé pässwörds öf äll", "x y z " * 20 + "12345678"):
        check_password(password, "erin")
        kept = hash_password(password)
        assert kept.startswith("$argon2id$")
        assert verify(password, kept)
        assert not verify(password[:-1], kept)
        assert hash_password(password) != kept  # each has a salt of its own


def test_nobody_else_on_the_machine_reads_the_hashes(store: Path) -> None:
    assert stat.S_IMODE(store.with_name("gallery.db.users").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "a b", "'; DROP TABLE users", "<b>", "../x", "ä" * 3, "x" * 65])
def test_names_of_users_are_plain(users: UserStore, name: str) -> None:
    with pytest.raises(ConfigError, match="user name"):
        users.add(name, PASSWORD, Role.VIEWER)


def test_a_file_of_users_that_is_none(tmp_path: Path) -> None:
    from pose_tracking.core.errors import StoreError

    store = make_gallery(tmp_path, with_live=False)
    with pytest.raises(StoreError, match="no file of users"):
        UserStore(store)
    (tmp_path / "text").write_text("not a database at all, but long enough to look like one" * 20)
    with pytest.raises(StoreError, match="users"):
        UserStore(tmp_path / "text")


def test_every_answer_carries_the_headers(client: Any) -> None:
    log_in(client)
    for path in ("/identities", "/login", "/api/live", "/static/app.js", "/nothing", "/sightings/1/crops/0"):
        headers = client.get(path, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "cache-control" in headers
        assert "server" not in headers
    assert client.get("/identities").headers["cache-control"] == "no-store"

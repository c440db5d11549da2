"""Who the page lets in, and what no answer may lack: names, origins, links, tokens, limits."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

from keys.errors import Busy
from pipeline.errors import Refused
from pipeline.session import acting
from pipeline.web import asked, guard, line
from pipeline.web.door import SILENT, Door, _names, door, warning
from pipeline.web.guard import HEADERS, Guard, Secrets, cookie_name
from tests.household import make, reopen, say
from tests.lateness import lateness_s
from tests.web_client import NAME, ORIGIN, Browser, in_house

CANARY = "zanzibar xylophone"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    say(make(tmp_path), f"the {CANARY} said so")
    return in_house(tmp_path)


def test_every_answer_has_the_headers(browser: Browser) -> None:
    answers = [
        browser.get("/"),
        browser.get("/static/style.css"),
        browser.get("/nothing"),
        browser.get("/", cookie=None),
        browser.get("/", host="evil.example"),
        browser.post("/search", {"words": "the"}),
        browser.post("/search", {"words": "the"}, csrf=False),
        browser.get("/interactions/0000"),
    ]
    for it in answers:
        assert {key: it.headers[key] for key in HEADERS} == HEADERS
    policy = HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert HEADERS["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example:7532", "127.0.0.1", "127.0.0.1:80", "", None])
def test_a_foreign_name_gets_nothing(browser: Browser, host: str | None) -> None:
    for it in (browser.get("/", host=host), browser.get("/static/page.js", host=host)):
        assert it.status == 421
        assert CANARY not in it.text
    assert browser.get("/").status == 200  # control: under its own name it answers


@pytest.mark.parametrize("path", ["/", "/events", "/agenda", "/held", "/receipts", "/settings"])
def test_without_a_cookie_nobody_looks(browser: Browser, path: str) -> None:
    assert browser.get(path, cookie=None).status == 401
    assert browser.get(path, cookie="anechoic-7532=" + "0" * 64).status == 401
    assert browser.get(path, cookie="anechoic-7532=\xe9").status == 401


@pytest.mark.parametrize(
    "others",
    [
        'prefs={"theme": "dark"}',
        "anechoic-7532=someone's",
        "a;=;;",
        'a="' + "\\" * 30_000 + '"',
    ],
    ids=["json", "same name", "nothing", "long"],
)
def test_cookies_of_other_programs_keep_nobody_out(browser: Browser, others: str) -> None:
    """They know no ports, so whatever another program of this machine sets comes along."""
    begun_s = time.monotonic()
    assert browser.get("/", cookie=f"{others}; {browser.cookie['cookie']}").status == 200
    assert browser.get("/", cookie=f"{browser.cookie['cookie']}; {others}").status == 200
    assert browser.get("/", cookie=others).status == 401
    assert time.monotonic() - begun_s < 1.0 + lateness_s()


def test_a_second_server_on_another_port_takes_nobodys_cookie(browser: Browser) -> None:
    names = {cookie_name(it) for it in (NAME, "127.0.0.1:7533", "127.0.0.1", "[::1]", "[::1]:81")}
    assert names == {f"anechoic-{port}" for port in (7532, 7533, 80, 81)}
    value = browser.known.cookie
    assert browser.get("/", cookie=f"anechoic-7533={value}").status == 401
    entered = browser.post("/enter", {"ticket": browser.known.ticket}, csrf=False, cookie=None)
    assert entered.headers["set-cookie"].startswith(f"anechoic-7532={value};")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_looks_at_nothing_even_with_the_cookie(browser: Browser, site: str) -> None:
    answer = browser.get("/", sec_fetch_site=site)
    assert answer.status == 403
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", "cross-site"),
        ("http://127.0.0.1:8000", "same-site"),
        ("null", "cross-site"),
        ("null", None),
        (None, None),
        (ORIGIN, "cross-site"),
    ],
)
def test_nothing_changes_at_the_wish_of_another_site(
    browser: Browser, origin: str | None, site: str | None
) -> None:
    changes = ("/plan", "/forget", "/settings/limits", "/search", "/living", "/judge", "/enter")
    for path in changes:
        answer = browser.post(path, {"way": "all"}, origin=origin, sec_fetch_site=site)
        assert answer.status == 403
        assert CANARY not in answer.text
    assert browser.post("/plan", {"way": "all"}).status == 200  # control


def test_a_form_without_our_token_changes_nothing(browser: Browser) -> None:
    for path in ("/plan", "/forget", "/search", "/outlines", "/settings/profiles"):
        assert browser.post(path, {"way": "all"}, csrf=False).status == 403
        bad = [("way", "all"), ("csrf", "0" * 64)]
        assert browser.post(path, bad, csrf=False).status == 403


@pytest.mark.parametrize(
    "path", ["/enter", "/enterXYZ", "/enter/x", "/static/none.js", "/calendar/x"]
)
def test_who_has_not_come_in_gets_no_token(browser: Browser, path: str) -> None:
    assert browser.known.csrf not in browser.get(path, cookie=None).text
    assert browser.known.csrf not in browser.post("/plan", {}, csrf=False).text
    assert browser.known.csrf in browser.get("/").text  # control


def test_a_link_is_good_once_and_the_next_one_is_shown(browser: Browser) -> None:
    ticket = browser.known.ticket
    first = browser.post("/enter", {"ticket": ticket}, csrf=False, cookie=None)
    assert first.status == 204
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.links_used == 1
    again = browser.post("/enter", {"ticket": ticket}, csrf=False, cookie=None)
    assert (again.status, "set-cookie" in again.headers) == (403, False)
    assert browser.known.ticket != ticket
    value = cookie.partition(";")[0]
    assert browser.get("/", cookie=value).status == 200


def test_a_link_that_was_left_in_a_journal_is_good_for_nobody(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants to come in later finds the next one there."""
    old = browser.known.ticket
    assert guard.GOOD_S == 600
    monkeypatch.setattr(guard, "GOOD_S", 0.0)
    assert not browser.known.take(old)
    assert browser.get("/static/style.css", cookie=None).status == 200
    assert (browser.links_renewed, browser.known.ticket) == (0, old)
    assert browser.get("/enter", cookie=None).status == 200
    assert browser.links_renewed == 1
    monkeypatch.setattr(guard, "GOOD_S", 600.0)
    for path in ("/enter", "/"):
        browser.get(path, cookie=None)
    assert browser.links_renewed == 1  # as long as it is good, no other is made
    assert not browser.known.take(old)
    assert browser.known.take(browser.known.ticket)


@pytest.mark.parametrize("ticket", ["", "0" * 64, "\u2603", "x" * 10_000])
def test_a_wrong_ticket_lets_nobody_in(browser: Browser, ticket: str) -> None:
    answer = browser.post("/enter", {"ticket": ticket}, csrf=False, cookie=None)
    assert (answer.status, "set-cookie" in answer.headers) == (403, False)
    assert browser.links_used == 0


def test_tickets_cookies_and_tokens_tell_nothing_of_each_other() -> None:
    one, other = Secrets(), Secrets()
    values = [it for known in (one, other) for it in (known.cookie, known.csrf, known.ticket)]
    assert len(set(values)) == 6


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=" + b"x" * asked.MOST_BYTES, FORM),
        (b"&".join([b"a=1"] * (asked.MOST_FIELDS + 1)), FORM),
        (b"words=%ff%fe", FORM),
        (b"words=\xff", FORM),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b"),
        (b"{}", "application/json"),
    ],
)
def test_a_body_beyond_the_limits_is_refused(browser: Browser, body: bytes, kind: str) -> None:
    ours = {**browser.cookie, "origin": ORIGIN, "content-type": kind}
    csrf = {"x-anechoic-csrf": browser.known.csrf}
    answer = browser.ask("POST", "/search", body, {**ours, **csrf}, {})
    assert answer.status == 413
    fine = browser.ask("POST", "/search", b"words=the", {**ours, **csrf, "content-type": FORM}, {})
    assert fine.status == 200


def test_a_body_that_comes_too_slowly_is_given_up(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked, "PATIENCE_S", 0.05)
    monkeypatch.setattr("tests.web_client.WHOLE", False)
    assert browser.post("/search", {"words": "the"}).status == 413


@pytest.mark.parametrize(
    "path",
    [
        "/interactions/..%2f..%2fetc",
        "/receipts/..%2f..%2fvault.json",
        "/static/..%2fguard.py",
        "/static/guard.py",
        "/sound/ffff",
        "/receipts/" + "0" * 32,
        "/receipts/x/file",
        "/?older=-1",
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status in {400, 404}
    assert "Traceback" not in answer.text
    assert CANARY not in answer.text


def test_no_word_is_in_a_log_an_error_or_an_address(
    browser: Browser,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(CANARY)

    with caplog.at_level(logging.DEBUG):
        assert CANARY in browser.get("/").text
        assert browser.post("/search", {"words": CANARY}).status == 200
        monkeypatch.setattr("pipeline.web.acts.found", fails)
        answer = browser.post("/search", {"words": CANARY})
        part = browser.post("/search", {"words": CANARY}, x_anechoic_part="1")
    assert (answer.status, part.status) == (500, 500)
    assert "RuntimeError" in answer.text
    out, err = capfd.readouterr()
    for text in (answer.text, part.text, caplog.text, out, err, repr(answer.headers)):
        assert CANARY not in text


def test_a_busy_vault_is_said(browser: Browser, tmp_path: Path) -> None:
    browser.get("/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.web.house.acting", lambda it: acting(it, wait_s=0.05))
        with acting(reopen(tmp_path)):
            answer = browser.get("/")
    assert answer.status == 503
    assert "busy" in answer.text


def test_who_holds_the_vault_keeps_no_page_from_watching_it(tmp_path: Path) -> None:
    vault = make(tmp_path)
    house = in_house(tmp_path).house
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.web.house.acting", lambda it: acting(it, wait_s=0.05))
        with acting(vault):
            assert house.entries() == vault.directory / "log" / "entries"
            with pytest.raises(Busy), house.acting():  # control: it is held
                pass


# The real server


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Door, list[str]]]:
    say(make(tmp_path), f"the {CANARY} said so")
    it, told = door("127.0.0.1:0"), list[str]()
    with it.opened(lambda: reopen(tmp_path), told.append):
        yield it, told
    it.listening.close()


def talk(it: Door, data: bytes, wait_s: float = 5.0) -> bytes:
    with socket.create_connection(it.listening.getsockname(), timeout=wait_s) as line:
        line.sendall(data)
        found = b""
        while part := line.recv(65536):
            found += part
        return found


def test_it_answers_on_a_socket_and_names_no_server(opened: tuple[Door, list[str]]) -> None:
    it, told = opened
    name = it.link.split("/")[2]
    cookie = f"Cookie: {cookie_name(name)}={it.known.cookie}\r\n"
    page = talk(it, f"GET / HTTP/1.1\r\nHost: {name}\r\n{cookie}Connection: close\r\n\r\n".encode())
    assert page.startswith(b"HTTP/1.1 200")
    assert CANARY.encode() in page
    assert b"server:" not in page.lower().partition(b"\r\n\r\n")[0]
    ticket = f"ticket={it.link.partition('#')[2]}"
    enter = (
        f"POST /enter HTTP/1.1\r\nHost: {name}\r\nOrigin: http://{name}\r\nConnection: close\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: {len(ticket)}\r\n\r\n{ticket}"
    )
    assert talk(it, enter.encode()).startswith(b"HTTP/1.1 204")
    assert told == [f"the page, for one more browser: {it.link}"]


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        os.urandom(4000) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
        b"BREW / HTCPCP/1.0\r\n\r\n",
    ],
    ids=["zeros", "hosts", "noise", "headers", "pot"],
)
def test_what_is_no_request_ends_its_connection(
    opened: tuple[Door, list[str]], data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    it, _ = opened
    try:
        answer = talk(it, data)
    except ConnectionError:
        answer = b""
    assert CANARY.encode() not in answer
    assert not answer or answer[9:12] in {b"400", b"421", b"431"}
    assert capfd.readouterr().err == ""


def test_a_request_that_never_ends_is_hung_up_on(
    opened: tuple[Door, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = opened
    monkeypatch.setattr("pipeline.web.line._HEADER_S", 0.3)
    begun_s = time.monotonic()
    assert talk(it, b"GET / HTTP/1.1\r\nHost: ", wait_s=5) == b""
    assert time.monotonic() - begun_s < 4


def knocks(it: Door, count: int) -> list[socket.socket]:
    return [socket.create_connection(it.listening.getsockname(), timeout=5) for _ in range(count)]


def asks(it: Door, path: str, more: str = "Connection: close\r\n") -> bytes:
    name = it.link.split("/")[2]
    cookie = f"Cookie: {cookie_name(name)}={it.known.cookie}\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: {name}\r\n{cookie}{more}\r\n".encode()


def test_of_too_many_connections_the_idle_ones_go(opened: tuple[Door, list[str]]) -> None:
    """Else any process of this machine could have it run out of files, or keep others out."""
    it, _ = opened
    with socket.create_connection(it.listening.getsockname(), timeout=5) as watching:
        watching.sendall(asks(it, "/events", ""))
        assert watching.recv(1000).startswith(b"HTTP/1.1 200")
        crowd = knocks(it, 300)
        assert talk(it, asks(it, "/")).startswith(b"HTTP/1.1 200")
        left = 0
        for each in crowd:
            each.settimeout(0.0)
            try:
                each.recv(1)
            except BlockingIOError:
                left += 1
            except ConnectionError:
                pass
            each.close()
        assert 0 < left <= 64
        watching.settimeout(0.3)
        with contextlib.suppress(TimeoutError):  # what is at work stays
            assert watching.recv(1000)


HELD = {
    "body": b"POST /enter HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\nContent-Length: 100\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\nticket=",
    "header": b"GET / HTTP/1.1\r\nHost: %b\r\nOrigin: http://%b\r\n",
}


@pytest.mark.parametrize("what", [*HELD])
def test_a_stranger_does_not_keep_a_server_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Its worker may hold what was forgotten."""
    monkeypatch.setattr(line, "_LAST_S", 0.3)
    make(tmp_path)
    it = door("127.0.0.1:0")
    name = it.link.split("/")[2].encode()
    with it.opened(lambda: reopen(tmp_path), list[str]().append) as serving:
        held = knocks(it, 3)
        for each in held:
            each.sendall(HELD[what] % (name, name))
        time.sleep(0.3)
        begun_s = time.monotonic()
        serving.drain()
    assert time.monotonic() - begun_s < 4 + lateness_s()
    for each in (*held, it.listening):
        each.close()


def test_what_is_being_answered_is_not_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_LAST_S", 0.1)
    say(make(tmp_path), f"the {CANARY} said so")
    it = door("127.0.0.1:0")
    with ThreadPoolExecutor(1) as pool:
        opened = it.opened(lambda: reopen(tmp_path), list[str]().append)
        with opened as serving, acting(reopen(tmp_path)):
            answer = pool.submit(talk, it, asks(it, "/"))
            time.sleep(0.3)
            serving.drain()
            time.sleep(1.0)
        it.listening.close()
        assert CANARY.encode() in answer.result()


def test_names_are_as_browsers_say_them(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    at_80 = mock.Mock(getsockname=lambda: ("127.0.0.1", 80))
    names = {"127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"}
    assert _names("LocalHost", at_80) == names
    monkeypatch.setattr(socket, "gethostname", lambda: "Annas-PC")
    monkeypatch.setattr("pipeline.web.door._addresses", set)
    at_all = mock.Mock(getsockname=lambda: ("0.0.0.0", 7532))  # noqa: S104 - nothing is bound
    assert "annas-pc:7532" in _names("all", at_all)
    assert "[::1]:7532" in _names("::", mock.Mock(getsockname=lambda: ("::", 7532)))
    at_home = Guard(
        browser.app._app, browser.known, frozenset(names | {"annas-pc:7532"}), lambda: None
    )
    browser.app = at_home
    for host in ("127.0.0.1", "localhost:80", "Annas-PC:7532", "annas-pc:7532"):
        cookie = f"{cookie_name(host)}={browser.known.cookie}"
        assert browser.get("/", host=host, cookie=cookie).status == 200
        origin = f"http://{host.lower()}"
        answer = browser.post("/search", {"words": "the"}, host=host, origin=origin, cookie=cookie)
        assert answer.status == 200


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (("0a1b2c3d4e5f:80", "127.0.0.1:80", "localhost:80", "172.18.0.2:80"), "127.0.0.1:80"),
        (("[::1]:7532", "localhost:7532"), "[::1]:7532"),
        (("192.168.1.5:7532", "home:7532"), "192.168.1.5:7532"),
        (("0home:7532",), "0home:7532"),
    ],
)
def test_the_link_has_the_name_that_is_most_likely_to_lead_here(
    names: tuple[str, ...], best: str
) -> None:
    it = Door(mock.Mock(), frozenset(names))
    assert it.link.startswith(f"http://{best}/enter#")


def test_only_names_of_its_own() -> None:
    it = door("127.0.0.1:0")
    port = it.listening.getsockname()[1]
    assert it.names == {f"127.0.0.1:{port}", f"localhost:{port}"}
    assert warning(it) == ""
    it.listening.close()
    wide = door("0.0.0.0:0")
    assert "can be reached by other machines" in warning(wide)
    wide.listening.close()
    for text in ("7532", "localhost", "127.0.0.1:x", "127.0.0.1:1/path"):
        with pytest.raises(Refused, match="HOST:PORT"):
            door(text)


def test_loggers_are_as_before_when_the_door_is_closed(tmp_path: Path) -> None:
    make(tmp_path)
    before = [(it.handlers, it.propagate) for it in map(logging.getLogger, SILENT)]
    it = door("127.0.0.1:0")
    with it.opened(lambda: reopen(tmp_path), list[str]().append):
        assert not logging.getLogger("asyncio").propagate
    it.listening.close()
    assert [(it.handlers, it.propagate) for it in map(logging.getLogger, SILENT)] == before


def test_the_name_in_these_tests_is_the_default() -> None:
    from pipeline.cli_terms import WEB

    assert NAME == WEB

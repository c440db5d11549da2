"""The page in a real Chromium: journeys, an attack from elsewhere, and what the browser keeps.

What was said must be in no file of the browser's profile or cache; the control serves the same
page with permission to store it, and finds it there.
"""

import contextlib
import http.server
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from pipeline import write
from pipeline.artefact import ACTION
from pipeline.assistant.values import Action
from pipeline.session import acting
from tests.commandline import COMMAND, Shell
from tests.household import flac_of, reopen, sound_of

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER, reason="there is no Chromium"),
]
CANARY = ("zanzibar", "xylophone")
SAID = f"wake me in {CANARY[0]} with a {CANARY[1]}"
PATIENCE_MS = 15_000
STORING = (
    *(sys.executable, "-c"),
    (
        "from pipeline.web import guard; "
        "guard.HEADERS['cache-control'] = 'private, max-age=3600'; "
        "from pipeline.cli import main; raise SystemExit(main())"
    ),
)
"""The command with a page that a browser may store."""


class Served:
    """A running `serve --web`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said = ""
        self.link = self.next_link()

    def next_link(self) -> str:
        """Waits for the link that the terminal shows next."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line
            if found := re.search(r"http://127\.0\.0\.1:\d+/enter#\S+", line):
                return found[0]
        raise AssertionError(self.said)

    @property
    def base(self) -> str:
        return self.link.partition("/enter")[0]


@contextlib.contextmanager
def served(shell: Shell, command: tuple[str, ...] = COMMAND) -> Iterator[Served]:
    process = shell.start("serve", "--web", "127.0.0.1:0", command=command)
    try:
        yield Served(process)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not any(word in out + err for word in CANARY)


@contextlib.contextmanager
def chromium(profile: Path) -> "Iterator[BrowserContext]":
    """A browser with a profile on disk, as people have."""
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            str(profile), executable_path=BROWSER, args=["--no-sandbox"]
        )
        browser.set_default_timeout(PATIENCE_MS)
        yield browser
        browser.close()


def entered(browser: "BrowserContext", it: Served) -> "Page":
    page = browser.pages[0]
    page.goto(it.link)
    page.wait_for_url(f"{it.base}/")
    return page


def household(home: Path) -> tuple[Shell, str]:
    """Makes a vault in which the canary has an alarm; returns the id of its interaction."""
    shell = Shell(home)
    shell.say("buy a ticket", "what is the time", "play some music")
    (id_,) = shell.say(SAID)
    vault = reopen(home)
    with acting(vault):
        action = Action("alarm", at="2036-03-02T07:00:00+00:00", label="work")
        write.add(vault, vault.resolve(id_), (ACTION, action.encode()))
    return shell, id_


def test_the_whole_journey(tmp_path: Path) -> None:
    """In by the link, listen, find, forget but for the alarm, and all of it is gone everywhere."""
    shell, id_ = household(tmp_path)
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        problems = list[str]()
        browser.on("weberror", lambda error: problems.append(str(error.error)))
        page = entered(browser, it)
        second = browser.new_page()
        for each in (page, second):
            each.on("console", lambda said: problems.extend([said.text] * (said.type == "error")))
        second.goto(f"{it.base}/interactions/{id_}")
        assert SAID in " ".join(second.inner_text("#spoken").split())
        third = browser.new_page()
        third.goto(f"{it.base}/")
        assert third.locator(".said").count() == 4

        row = page.locator(f'[data-interaction="{id_}"]')
        row.get_by_role("button", name="Play").click()
        sync_api.expect(row.locator(".play")).to_have_attribute("aria-pressed", "true")
        sync_api.expect(row.locator(".play")).to_have_attribute("aria-pressed", "false")
        sync_api.expect(row.locator(".wave path")).to_have_count(2)
        second.locator(".word", has_text=CANARY[1]).click()

        page.get_by_label("Words that were said").fill(CANARY[0])
        page.keyboard.press("Enter")
        hit = page.locator(f'#found [data-interaction="{id_}"]')
        hit.get_by_role("checkbox").check()
        assert not page.url.count(CANARY[0])
        page.get_by_role("button", name="Forget…").click()
        page.get_by_role("heading", name="Before you forget").wait_for()
        assert SAID in page.inner_text("main")
        page.get_by_label("alarm 07:00, work").check()
        page.get_by_role("button", name="Forget for ever").click()

        page.get_by_role("heading", name="Forgotten").wait_for()
        assert page.locator(".verdict.confirmed").count() == 1
        assert page.locator(".steps > li").count() >= 5
        second.get_by_text("This has been forgotten.").wait_for()
        sync_api.expect(third.locator(".said")).to_have_count(3)
        for each in (second, third):
            assert not any(word in each.content() for word in CANARY)

        for _ in range(3):
            page.go_back()
            page.wait_for_load_state()
            assert not any(word in page.content() for word in CANARY)
        page.goto(f"{it.base}/agenda")
        assert "07:00, work kept" in page.inner_text("main")
        assert not [text for text in problems if "410" not in text]
    assert len(shell.json("history")) == 3
    assert shell("audit").code == 0


def test_a_link_lets_one_browser_in(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.say("hello")
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        page = entered(browser, it)
        assert "#" not in page.url
        assert page.evaluate("document.cookie") == ""
        used, it.link = it.link, it.next_link()
        browser.clear_cookies()  # as another browser would come
        page.goto(used)
        page.get_by_text("This link has been used already").wait_for()
        refused = page.goto(f"{it.base}/")
        assert refused
        assert refused.status == 401
        page.goto(it.link)
        page.wait_for_url(f"{it.base}/")
        assert page.locator(".said").count() == 1


def test_a_page_that_nobody_answers_any_more_shows_nothing(tmp_path: Path) -> None:
    """Nobody could tell it then that what it shows was forgotten."""
    shell = Shell(tmp_path)
    shell.say(SAID)
    with chromium(tmp_path / "profile") as browser:
        browser.pages[0].clock.install()
        with served(shell) as it:
            page = entered(browser, it)
            assert SAID in page.inner_text("main")
            page.clock.fast_forward(60_000)
            assert SAID in page.inner_text("main")  # control: as long as somebody answers
            page.wait_for_timeout(500)
        page.wait_for_timeout(500)
        page.clock.fast_forward(16_000)
        page.get_by_text("The connection is lost.").wait_for()
        assert not any(word in page.content() for word in CANARY)


def test_a_page_that_was_refused_the_news_asks_again(tmp_path: Path) -> None:
    shell, id_ = household(tmp_path)
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        answers = list[int]()
        refused = [503, 503]
        browser.on("response", lambda row: answers.append(row.status))
        browser.route(
            "**/events",
            lambda route: route.fulfill(status=refused.pop()) if refused else route.continue_(),
        )
        page = entered(browser, it)
        page.wait_for_event("response", lambda row: row.url.endswith("/events") and row.ok)
        assert answers.count(503) == 2
        assert page.locator(".said").count() == 4  # control: it is shown as long as it lives
        shell.json("forget", id_, "--yes")
        sync_api.expect(page.locator(".said")).to_have_count(3)
        assert not any(word in page.content() for word in CANARY)


def test_an_answer_from_before_an_erasure_shows_nothing_of_it(tmp_path: Path) -> None:
    """A page, what was searched for, and a plan with what can be kept; each is late once."""
    shell, id_ = household(tmp_path)
    others = shell.say(*[SAID] * 2)
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        first = entered(browser, it)  # this one listens for the other
        page = browser.new_page()

        def late(gone: str) -> "Callable[[Route], None]":
            def answer(route: "Route") -> None:
                found = route.fetch()
                shell.json("forget", gone, "--yes")
                route.fulfill(response=found)

            return answer

        address = f"{it.base}/interactions/{others[0]}"
        page.route(address, late(others[0]))
        page.goto(address)
        page.get_by_text("This has been forgotten.").wait_for()
        page.goto(f"{it.base}/")
        page.route("**/search", late(others[1]))
        page.get_by_label("Words that were said").fill(CANARY[0])
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#found .said")).to_have_count(1)  # control: what lives
        page.locator("#found .said").get_by_role("checkbox").check()
        page.get_by_role("button", name="Forget…").click()
        page.get_by_label("alarm 07:00, work").wait_for()
        shell.json("forget", id_, "--yes")
        page.get_by_text("Something of this has been forgotten meanwhile.").wait_for()
        assert "07:00" not in page.content()
        sync_api.expect(first.locator(".said")).to_have_count(3)
        for each in (first, page):
            assert not any(word in each.content() for word in CANARY)


ATTACK = """<!doctype html><title>attack</title><body>
<form id=f method=post target=t><input name=way value=all></form><iframe name=t></iframe>
<script>
const base = "BASE", results = {};
const settled = (name, promise) => promise.then(
  (got) => { results[name] = got; }, () => { results[name] = "refused"; });
const loaded = (tag, address) => new Promise((done, fail) => {
  const it = document.createElement(tag);
  it.onload = it.onloadedmetadata = () => done(it);
  it.onerror = fail;
  it.src = base + address;
  document.body.append(it);
});
const ask = (address, more) =>
  fetch(base + address, { credentials: "include", ...more }).then((it) => it.text() + it.type);
const inside = (it) => it.contentDocument ? it.contentDocument.body.innerText : Promise.reject();
const way = new URLSearchParams({ way: "all" });
Promise.all([
  settled("fetch", ask("/")),
  settled("opaque", ask("/", { mode: "no-cors" })),
  settled("post", ask("/plan", { method: "POST", mode: "no-cors", body: way })),
  settled("audio", loaded("audio", "/sound/ID")),
  settled("script", loaded("script", "/static/page.js")),
  settled("frame", loaded("iframe", "/").then(inside)),
  settled("events", new Promise((done, fail) => {
    const it = new EventSource(base + "/events", { withCredentials: true });
    it.onopen = () => done("open");
    it.onerror = () => { it.close(); fail(); };
  })),
]).then(() => { window.results = results; });
</script>"""
TRIED = ("fetch", "opaque", "post", "audio", "script", "frame", "events")


@contextlib.contextmanager
def another_site(page: str) -> Iterator[str]:
    """A web server on another port of this machine; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.05))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_another_site_gets_and_changes_nothing(tmp_path: Path) -> None:
    """A page on another port, for which the browser sends the cookie along; and a foreign name."""
    shell, id_ = household(tmp_path)
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        entered(browser, it)
        with another_site(ATTACK.replace("BASE", it.base).replace("ID", id_)) as site:
            evil = browser.new_page()
            evil.goto(site)
            evil.wait_for_function("window.results", timeout=PATIENCE_MS)
            found = evil.evaluate("window.results")
            assert found == dict.fromkeys(TRIED, "refused")
            for path in ("/plan", "/forget", "/settings/limits"):
                evil.evaluate(f'document.getElementById("f").action = "{it.base}{path}"')
                with evil.expect_response(f"{it.base}{path}") as answer:
                    evil.evaluate('document.getElementById("f").submit()')
                assert answer.value.status == 403
        rebound = f"http://anechoic.localhost:{urlsplit(it.base).port}/"  # a name that leads here
        refused = evil.goto(rebound)
        assert refused
        assert refused.status == 421
        assert not any(word in evil.content() for word in CANARY)
        page = browser.pages[0]
        page.reload()
        assert page.locator(".said").count() == 4  # control: the user still gets it all


@pytest.mark.parametrize("may_store", [False, True], ids=["no-store", "control"])
def test_the_browser_keeps_nothing_of_what_was_said(tmp_path: Path, *, may_store: bool) -> None:
    shell, id_ = household(tmp_path)
    sample = sound_of(SAID).astype("<i2").tobytes()[400:432]
    with acting(vault := reopen(tmp_path)):
        (noise,) = [write.create(vault, [("audio", flac_of(SAID)), *_rest(vault, id_)]).hex()]
    profile = tmp_path / "profile"
    with served(shell, STORING if may_store else COMMAND) as it, chromium(profile) as browser:
        page = entered(browser, it)
        page.get_by_label("Words that were said").fill(CANARY[0])
        page.keyboard.press("Enter")
        page.locator("#found .said").first.wait_for()
        page.goto(f"{it.base}/interactions/{noise}")
        page.get_by_role("button", name="Play", exact=True).click()
        for is_played in ("true", "false"):  # all of it has been fetched then
            sync_api.expect(page.locator(".play")).to_have_attribute("aria-pressed", is_played)
        page.goto(f"{it.base}/interactions/{id_}")
        page.get_by_role("button", name="Forget this…").click()
        page.get_by_role("button", name="Forget for ever").click()
        page.get_by_role("heading", name="Forgotten").wait_for()
        sent_in_vain(page, it, as_navigation=may_store)
        page.wait_for_timeout(500)
    needles = [w.encode(c) for w in CANARY for c in ("utf-8", "utf-16-le")] + [sample]
    files = {path: path.read_bytes() for path in profile.rglob("*") if path.is_file()}
    found = {needle for needle in needles for data in files.values() if needle in data}
    assert any(b"interactions/" in data for data in files.values())  # it has a memory of its own
    if may_store:
        assert sample in found
        assert any(word.encode() in found for word in CANARY)
        kept = [data for path, data in files.items() if path.parent.name == "Sessions"]
        assert any(word.encode() in data for word in CANARY for data in kept)
    else:
        assert not found


def sent_in_vain(page: "Page", it: Served, *, as_navigation: bool) -> None:
    """Looks for what is not there, without our script and with it; has settings refused."""
    page.route("**/static/forms.js", lambda route: route.abort())
    by_words = page.locator("form.card", has_text="By words")
    page.goto(f"{it.base}/forget")
    by_words.locator("input[name=words]").fill(f"{SAID} nowhere")
    by_words.get_by_role("button").click()
    page.unroute("**/static/forms.js")
    page.goto(f"{it.base}/forget")
    by_words.locator("input[name=words]").fill(f"{SAID} nowhere")
    if as_navigation:
        by_words.evaluate("it => { it.method = 'post'; it.submit(); }")
        page.get_by_text("That did not come from this page").wait_for()
        return
    by_words.get_by_role("button").click()
    sync_api.expect(by_words.get_by_role("alert")).to_contain_text("No interaction in this vault")
    by_words.locator("input[name=words]").fill(SAID)  # this was said once more, and lives
    by_words.get_by_role("button").click()
    page.get_by_role("heading", name="Before you forget").wait_for()
    page.goto(f"{it.base}/settings")
    everybody = page.locator("form", has=page.locator("textarea"))
    everybody.locator("textarea").fill(SAID)
    everybody.get_by_role("checkbox").check()
    everybody.get_by_role("button", name="Save").click()
    sync_api.expect(everybody.get_by_role("alert")).to_contain_text("shortens what is held")


def _rest(vault: object, id_: str) -> list[write.Part]:
    from pipeline.vault import Vault

    assert isinstance(vault, Vault)
    interaction = vault.resolve(id_)
    return [(kind, bytes(vault.read(interaction, kind))) for kind in ("transcript", "meta")]


def test_proving_with_an_old_backup_and_a_tar_of_it(tmp_path: Path) -> None:
    shell, id_ = household(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(shell.vault, copy)
    shutil.make_archive(str(tmp_path / "copy"), "tar", copy)
    shell.json("forget", id_, "--yes")
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        page = entered(browser, it)
        page.goto(f"{it.base}/prove")
        sent = list[int]()
        browser.on("request", lambda row: sent.append(len(row.post_data or "")))
        for way, source in (("#folder", copy), ("#tar", tmp_path / "copy.tar")):
            page.set_input_files(way, source)
            page.get_by_text("4 files of 13 are dark for ever").wait_for()
            sync_api.expect(page.locator(".tiles i.erased")).to_have_count(4)
            sync_api.expect(page.locator(".tiles i.live")).to_have_count(9)
            assert "darkened 4 of these files" in page.inner_text("#proofs")
            page.reload()
        assert max(sent) < 13 * 300  # the headers, and not the files


def test_with_the_keyboard_alone(tmp_path: Path) -> None:
    """Past the menu, to a row, into it, from word to word, to the plan; a ring is on each stop."""
    shell, id_ = household(tmp_path)
    with served(shell) as it, chromium(tmp_path / "profile") as browser:
        page = entered(browser, it)
        page.locator(".said").first.wait_for()
        press, focused = page.keyboard.press, page.locator(":focus")
        press("Tab")
        sync_api.expect(focused).to_have_text("Skip to the content")
        press("Enter")
        for _ in range(20):
            press("Tab")
            assert focused.evaluate("it => getComputedStyle(it).outlineStyle") == "solid"
            if focused.get_attribute("href") == f"/interactions/{id_}":
                break
        press("Enter")
        page.wait_for_url(f"**/interactions/{id_}")
        words = page.locator(".word")
        words.first.focus()
        press("ArrowRight")
        sync_api.expect(words.nth(1)).to_be_focused()
        press("End")
        sync_api.expect(words.last).to_be_focused()
        press("Tab")
        sync_api.expect(words.last).not_to_be_focused()
        assert focused.get_attribute("class") != "word"  # all of them are one stop
        page.get_by_role("button", name="Forget this…").focus()
        press("Enter")
        page.get_by_role("heading", name="Before you forget").wait_for()

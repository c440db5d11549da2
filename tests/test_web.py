"""The page, asked as a browser asks, without one: what it shows, and how it forgets."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.errors import Erased
from keys.verify import main as verify
from pipeline import index, write
from pipeline.artefact import ACTION, RECORD
from pipeline.assistant.values import Action
from pipeline.index import Which
from pipeline.indexing import keep_up
from pipeline.retention import settings_of
from pipeline.session import acting, now
from pipeline.web import acts, pages
from pipeline.web.sound import part_of, peaks
from tests.household import make, parts_of, reopen, say, sealed_of, sound_of
from tests.web_client import Browser, in_house

CANARY = "zanzibar xylophone"
TEMPLATES = Path(pages.__file__).parent / "templates"
FILTER = '<form method="get" action="/" class="fields" autocomplete="off">'
"""The only form that is a navigation: days, and what stands for a profile."""


def house(base: Path, *texts: str) -> tuple[Browser, list[str]]:
    vault = make(base)
    ids = [it.hex() for it in say(vault, *texts)]
    return in_house(base), ids


def shown_in(page: str) -> list[str]:
    return re.findall(r'<li class="said" data-interaction="([0-9a-f]{32})"', page)


def plan_in(page: str) -> str:
    found = re.search(r'name="plan" value="([0-9a-f]{32})"', page)
    assert found, page
    return found[1]


def test_the_timeline_is_paged_and_lists_each_once(tmp_path: Path) -> None:
    vault = make(tmp_path)
    ids = [it.hex() for it in say(vault, *(f"number {n}" for n in range(300)))]
    keep_up(vault)
    ids += [it.hex() for it in say(vault, "one", "two")]
    browser, seen, path = in_house(tmp_path), list[str](), "/"
    while path:
        page = browser.get(path).text
        seen += shown_in(page)
        older = re.search(r'id="older" href="([^"]+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == ids[::-1]
    assert "302 interactions" in browser.get("/").text


def test_what_was_said_is_escaped(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "<script>alert(1)</script> & more")
    for path in ("/", f"/interactions/{id_}"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_a_filter_tells_no_name_in_its_address(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, "mine")
    (theirs,) = say(vault, "theirs", profile="timothy")
    browser = in_house(tmp_path)
    stands = re.search(r'<option value="([0-9a-f]+)">timothy<', browser.get("/").text)
    assert stands
    assert shown_in(browser.get(f"/?profile={stands[1]}").text) == [theirs.hex()]
    assert browser.get("/?profile=timothy").status == 400
    assert shown_in(browser.get("/?since=2026-02-02").text) == []
    assert len(shown_in(browser.get("/?since=2026-02-01&until=2026-02-01").text)) == 2


def test_search_finds_by_words_in_the_body(tmp_path: Path) -> None:
    browser, ids = house(tmp_path, "red wine", "white wine", "red tea")
    assert shown_in(browser.post("/search", {"words": "red wine"}).text) == ids[:1]
    assert shown_in(browser.post("/search", {"words": "tea"}).text) == ids[2:]
    assert browser.get("/search?words=red").status == 405


def test_an_interaction_is_shown_with_all_that_is_known(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "order a pizza")
    browser.get("/")
    page = browser.get(f"/interactions/{id_}").text
    assert "/nowhere/sample.wav" in page
    assert "this page, 1 time" in page
    assert page.count('class="dot live"') == 3
    assert 'data-start="20"' in page


def test_sound_comes_as_wav_whole_and_in_parts(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "hello")
    whole = browser.get(f"/sound/{id_}")
    assert whole.body.endswith(sound_of("hello").astype("<i2").tobytes())
    assert whole.headers["content-type"] == "audio/wav"
    part = browser.get(f"/sound/{id_}", range="bytes=44-47")
    assert (part.status, part.body) == (206, whole.body[44:48])
    assert part.headers["content-range"] == f"bytes 44-47/{len(whole.body)}"
    assert browser.get(f"/sound/{id_}", range="bytes=999999-").status == 416


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-", 0, 10),
        ("bytes=-3", 7, 10),
        ("bytes=2-4", 2, 5),
        ("bytes=0-99", 0, 10),
        ("bytes=-99", 0, 10),
        ("lines=1-2", 0, 10),
        ("bytes=1-2,4-5", 0, 10),
    ],
)
def test_ranges(header: str, start: int, end: int) -> None:
    part = part_of(header, 10)
    assert part is not None
    assert (part.start, part.end) == (start, end)


def test_an_outline_follows_the_sound(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "hello")
    found = json.loads(browser.post("/outlines", {"ids": f"{id_} {'0' * 32}"}).body)
    assert found == {id_: peaks(sound_of("hello")), "0" * 32: None}
    assert max(found[id_]) == 100


def test_forgetting_shows_a_plan_keeps_what_is_marked_and_gives_a_receipt(tmp_path: Path) -> None:
    vault = make(tmp_path)
    (id_, other) = say(vault, f"wake me {CANARY}", "stay")
    with acting(vault):
        action = Action("alarm", at="2026-03-02T07:00:00+00:00", label="work")
        write.add(vault, id_, (ACTION, action.encode()))
    browser = in_house(tmp_path)
    plan = browser.post("/plan", {"way": "chosen", "id": id_.hex()}).text
    assert CANARY in plan
    keep = re.search(r'name="keep" value="([^"]+)"', plan)
    assert keep
    assert "alarm 07:00" in plan
    with acting(vault):
        assert vault.resolve(id_.hex()) == id_  # nothing has happened
    fields = {"plan": plan_in(plan), "way": "chosen", "id": id_.hex(), "keep": keep[1]}
    done = browser.post("/forget", fields)
    assert done.status == 303
    receipt = browser.get(done.headers["location"]).text
    assert "Forgotten" in receipt
    assert "confirmed" in receipt
    assert "How it was verified" in receipt
    with acting(vault):
        assert sealed_of(vault, other)
        assert len(vault.owned(RECORD)) == 1
        with pytest.raises(Erased):
            vault.resolve(id_.hex())
    assert browser.get(f"/interactions/{id_.hex()}").status == 410
    assert CANARY not in browser.get("/").text


def test_a_receipt_that_is_downloaded_verifies_elsewhere(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "gone")
    plan = plan_in(browser.post("/plan", {"way": "all"}).text)
    where = browser.post("/forget", {"plan": plan, "way": "all"}).headers["location"]
    file = browser.get(where.partition("?")[0] + "/file")
    assert "attachment" in file.headers["content-disposition"]
    (tmp_path / "a.receipt").write_bytes(file.body)
    assert verify([str(tmp_path / "a.receipt")]) == 0
    assert id_ in file.text


def test_receipts_are_listed_newest_first_and_paged_and_a_damaged_one_is_named(
    tmp_path: Path,
) -> None:
    browser, ids = house(tmp_path, "first", "second", "third")
    plans = []
    for id_ in ids:
        fields = {"way": "chosen", "id": id_}
        plan = plan_in(browser.post("/plan", fields).text)
        done = browser.post("/forget", {**fields, "plan": plan}).headers["location"]
        plans.append(done.split("/")[2].partition("?")[0])
    vault = reopen(tmp_path)
    with acting(vault):
        newest, older = acts.receipts(vault, None, 2)
        assert [it.plan for it in newest] == plans[:0:-1]
        assert [it.plan for it in acts.receipts(vault, older, 2)[0]] == plans[:1]
    (vault.receipts / f"{plans[1]}.receipt").write_bytes(b"{}")
    page = browser.get("/receipts").text
    assert page.count("does not verify") == 1
    assert page.count('class="verdict confirmed"') == 2
    assert "This receipt does not verify" in browser.get(f"/receipts/{plans[1]}").text


def test_no_form_is_sent_but_by_a_script() -> None:
    """A navigation, even one that is refused, leaves what was sent in the browser's files."""
    found = [it for page in TEMPLATES.glob("*.html") for it in _forms(page.read_text())]
    assert len(found) >= 12
    assert {it for it in found if 'method="dialog"' not in it} == {FILTER}
    assert _forms('<form\n method="post">') == ['<form\n method="post">']  # control


def _forms(page: str) -> list[str]:
    return re.findall(r"<form[^>]*>", page)


def test_a_script_is_told_where_to_go_on(tmp_path: Path) -> None:
    browser, _ = house(tmp_path, "hello")
    answer = browser.post("/settings/limits", {"words": "1y"}, x_anechoic_part="1")
    assert (answer.status, json.loads(answer.body)) == (200, {"to": "/settings?saved"})
    refused = browser.post("/plan", {"way": "words", "words": "wine"}, x_anechoic_part="1")
    assert (refused.status, "problem" in json.loads(refused.body)) == (404, True)


def test_all_that_a_plan_shows_names_its_interaction(tmp_path: Path) -> None:
    """By that it leaves the page when another door has erased it."""
    browser, (id_, _) = house(tmp_path, "wake me", "hello")
    with acting(vault := reopen(tmp_path)):
        alarm = Action("alarm", at="2036-03-02T07:00:00+00:00", label=CANARY)
        write.add(vault, vault.resolve(id_), (ACTION, alarm.encode()))
    page = browser.post("/plan", {"way": "all"}).text
    plan = page[page.index("<div data-together>") :]
    lines = [it for it in plan.splitlines() if CANARY in it]
    assert len(lines) == 1
    assert all(f'data-interaction="{id_}"' in it for it in lines)


def test_a_plan_is_good_once_and_shown_anew_where_it_is_not_known(tmp_path: Path) -> None:
    browser, ids = house(tmp_path, "first", "second")
    fields = {"way": "chosen", "id": ids[0]}
    again = browser.post("/forget", {**fields, "plan": "0" * 32})
    assert again.status == 200
    assert "Something has changed" in again.text
    assert len(shown_in(browser.get("/").text)) == 2  # nothing was erased unseen
    plan = plan_in(again.text)
    assert browser.post("/forget", {**fields, "plan": plan}).status == 303
    assert browser.post("/forget", {**fields, "plan": plan}).status == 410


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        ({"way": "words", "words": "wine"}, {0, 1}),
        ({"way": "time", "since": "2026-02-01T08:00:01Z", "until": "2026-02-01T08:00:02Z"}, {1}),
        ({"way": "time", "until": "2026-02-01"}, {0, 1, 2}),
        ({"way": "all"}, {0, 1, 2}),
    ],
)
def test_each_way_to_choose(tmp_path: Path, fields: dict[str, str], gone: set[int]) -> None:
    browser, ids = house(tmp_path, "red wine", "white wine", "tea")
    plan = browser.post("/plan", fields)
    named = set(re.findall(r'<li data-interaction="([0-9a-f]{32})"', plan.text))
    assert named == {ids[n] for n in gone}


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as here:
        here.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("day", "said", "is_meant"),
    [
        ("2026-03-29", "2026-03-29T21:30:00.000Z", True),  # 23:30 of a day of 23 hours
        ("2026-03-29", "2026-03-29T22:30:00.000Z", False),  # 0:30 of the next
        ("2026-10-25", "2026-10-25T22:30:00.000Z", True),  # 23:30 of a day of 25 hours
        ("2026-10-25", "2026-10-25T23:30:00.000Z", False),
    ],
)
def test_a_day_is_as_long_as_the_clocks_say(
    tmp_path: Path, day: str, said: str, *, is_meant: bool
) -> None:
    with acting(vault := make(tmp_path)):
        id_ = write.create(vault, parts_of("hello", said)).hex()
    browser = in_house(tmp_path)
    plan = browser.post("/plan", {"way": "time", "since": day, "until": day})
    assert (plan.status, id_ in plan.text) == ((200, True) if is_meant else (404, False))
    assert shown_in(browser.get(f"/?since={day}&until={day}").text) == [id_] * is_meant


@pytest.mark.parametrize("until", ["9999-12-31", "9999-12-31T23:59:59", "0001-01-01", "12-31"])
def test_no_day_is_beyond_what_can_be_reckoned(tmp_path: Path, until: str) -> None:
    browser, _ = house(tmp_path, "hello")
    assert browser.get(f"/?until={until}").status in {200, 400}
    plan = browser.post("/plan", {"way": "time", "since": "2027-01-01", "until": until})
    assert plan.status in {400, 404}


def test_only_the_sound_can_go(tmp_path: Path) -> None:
    browser, (id_,) = house(tmp_path, "words stay")
    fields = {"way": "chosen", "id": id_, "only": "audio"}
    plan = plan_in(browser.post("/plan", fields).text)
    assert browser.post("/forget", {**fields, "plan": plan}).status == 303
    assert browser.get(f"/sound/{id_}").status == 410
    assert "words stay" in browser.get("/").text
    assert json.loads(browser.post("/living", {"ids": id_}).body) == {id_: ["words"]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"way": "chosen"},
        {"way": "words"},
        {"way": "time"},
        {"way": "some"},
        {"way": "profile", "profile": "nobody"},
        {"way": "time", "since": "soon"},
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, fields: dict[str, str]) -> None:
    browser, _ = house(tmp_path, "stay")
    assert browser.post("/plan", fields).status == 400
    assert len(shown_in(browser.get("/").text)) == 1


def test_an_open_page_learns_what_lives(tmp_path: Path) -> None:
    browser, ids = house(tmp_path, "first", "second")
    plan = plan_in(browser.post("/plan", {"way": "chosen", "id": ids[0]}).text)
    asked = {"ids": " ".join([*ids, "0" * 32, "../../x", "ff"])}
    assert sorted(json.loads(browser.post("/living", asked).body)) == sorted(ids)
    browser.post("/forget", {"plan": plan, "way": "chosen", "id": ids[0]})
    assert json.loads(browser.post("/living", asked).body) == {ids[1]: ["sound", "words"]}


def test_an_old_copy_is_judged_by_its_headers(tmp_path: Path) -> None:
    import base64

    browser, ids = house(tmp_path, "first", "second")
    vault = reopen(tmp_path)
    with acting(vault):
        owners = list(vault.interactions())
        copy = {it.hex(): sealed_of(vault, it) for it in owners}
    fields = {"way": "chosen", "id": ids[0]}
    done = browser.post("/forget", {**fields, "plan": plan_in(browser.post("/plan", fields).text)})
    plan = done.headers["location"].split("/")[2].partition("?")[0]

    def judged(*headers: bytes) -> list[dict[str, str]]:
        rows = [("header", base64.b64encode(it).decode()) for it in headers]
        found: list[dict[str, str]] = json.loads(browser.post("/judge", rows).body)
        return found

    dead = judged(*(data[:160] for data in copy[ids[0]].values()))
    assert {(it["state"], it["plan"]) for it in dead} == {("erased", plan)}
    assert {it["kind"] for it in dead} == {"audio", "transcript", "meta"}
    live = judged(*(data[:160] for data in copy[ids[1]].values()))
    assert {(it["state"], it["plan"]) for it in live} == {("live", "")}
    forged = bytearray(next(iter(copy[ids[0]].values()))[:160])
    forged[-1] ^= 1
    assert [it["state"] for it in judged(bytes(forged), b"short", b"")] == ["unknown"] * 3
    assert browser.post("/judge", {"header": "?"}).status == 400


def test_settings_are_shown_and_set(tmp_path: Path) -> None:
    browser, _ = house(tmp_path, "hello")
    fields = {"audio": "7d", "words": "30d", "own_words": "budget\nboss", "sensitive": "1d"}
    assert browser.post("/settings/limits", fields).status == 303
    child = {"name": "tim", "child": "yes", "consent_by": "Ada"}
    assert browser.post("/settings/profiles", child).status == 303
    vault = reopen(tmp_path)
    with acting(vault):
        found = settings_of(vault, now)
    assert (found.limits.audio_s, found.words) == (7 * 86400, ("budget", "boss"))
    page = browser.get("/settings").text
    assert "Ada agreed" in page
    longer = browser.post("/settings/limits", {"profile": "tim", "words": "1y"})
    assert longer.status == 400
    assert "guardian" in longer.text


PAGES = ("/agenda", "/held", "/machine", "/prove", "/receipts", "/forget", "/skills", "/settings")


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_its_landmarks(tmp_path: Path, path: str) -> None:
    browser, _ = house(tmp_path, "hello")
    page = browser.get(path)
    assert page.status == 200
    for it in ("<main", "<nav aria-label", "<h1", 'lang="en"', "aria-current", 'role="status"'):
        assert it in page.text
    assert page.text.count("<h1") == 1
    assert not _nameless(page.text)
    assert not re.search(
        r"<[^>]+\s(style|on[a-z]+)=|<style|<script(?! type=\"module\" src)", page.text
    )


def _nameless(page: str) -> list[str]:
    """What is to be filled in on a page, and has no label."""
    named = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
    rest = re.sub(r"<label.*?</label>", "", page, flags=re.DOTALL)
    found = re.findall(r'<(?:input|select|textarea)(?![^>]*type="hidden")[^>]*>', rest)
    ids = (re.search(r' id="([^"]+)"', it) for it in found)
    return [it for it, id_ in zip(found, ids, strict=True) if not (id_ and id_[1] in named)]


def test_a_field_without_a_name_would_be_found() -> None:
    assert _nameless('<label>a <input name="a"></label><input name="b">') == ['<input name="b">']
    assert not _nameless('<label for="c">c</label><input id="c"><input type="hidden" name="d">')


def test_an_empty_vault_has_words_for_it(tmp_path: Path) -> None:
    make(tmp_path)
    browser = in_house(tmp_path)
    assert "Silence." in browser.get("/").text
    assert "nothing to forget" in browser.get("/forget").text
    assert browser.post("/plan", {"way": "all"}).status == 404


def test_a_cursor_of_the_index_goes_on_where_a_page_ended(tmp_path: Path) -> None:
    vault = make(tmp_path)
    say(vault, *(f"number {n}" for n in range(20)))
    keep_up(vault)
    say(vault, "late")
    with acting(vault):
        rows = list(index.rows(vault))
        for n in (1, 5, 20):
            below = Which(below=rows[n].slot)
            assert list(index.rows(vault, below)) == rows[n + 1 :]
        assert index.census(vault).interactions == 21
        assert acts.timeline(vault, Which(below=rows[-1].slot)).rows == ()

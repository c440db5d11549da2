"""The calendar at an address of its own: off at first, on record, erased from, taken back."""

import re
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from keys.entry import Noted
from pipeline import retention, write
from pipeline.artefact import ACTION
from pipeline.assistant.values import Action
from pipeline.forgetting import carry_out, propose
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, clock, make, say
from tests.web_client import NAME, Browser, Got, in_house

LABEL, OTHER, SAID = "zanzibar dentist", "call mum", "remind me of the xylophone"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    vault = make(tmp_path)
    for label, what in ((LABEL, "event"), (OTHER, "reminder"), ("a secret timer", "timer")):
        (said,) = say(vault, f"{SAID} {what}")
        with acting(vault):
            action = Action(what, at="2036-03-02T07:00:00+00:00", label=label)
            write.add(vault, said, (ACTION, action.encode()))
    return vault


@pytest.fixture
def browser(vault: Vault) -> Browser:
    return in_house(vault.directory.parent)


def turned(browser: Browser, wish: str) -> str:
    """Makes an address, or gives it up; returns its path, nothing where there is none."""
    assert browser.post("/agenda/calendar", {"wish": wish}).status == 303
    found = re.search(rf"http://{NAME}(/calendar/[\w-]+\.ics)", browser.get("/agenda").text)
    return found[1] if found else ""


def fetched(browser: Browser, path: str, **more: str | None) -> Got:
    """Asks as a calendar program does: without a cookie, and without a browser's headers."""
    return browser.get(path, cookie=None, **{"sec-fetch-site": None, **more})


def calendars(vault: Vault) -> list[tuple[str, str]]:
    """What the log has of it: which act, of whom."""
    with acting(vault):
        return [
            (it.act, owner.hex())
            for _, it in vault.log.scan()
            if isinstance(it, Noted) and it.how == "calendar"
            for owner in it.interactions
        ]


def test_it_is_off_and_says_what_it_would_give_out(browser: Browser, vault: Vault) -> None:
    page = browser.get("/agenda").text
    for words in ("titles and times", "not sealed", "recorded as having left", "beyond reach"):
        assert words in page
    assert "/calendar/" not in page.replace("/agenda/calendar", "")
    for path in ("/calendar/.ics", "/calendar/x.ics", "/calendar/"):
        assert fetched(browser, path).status == 404
    assert calendars(vault) == []


def test_who_knows_the_address_reads_the_calendar_and_nothing_else(browser: Browser) -> None:
    path = turned(browser, "on")
    got = fetched(browser, path)
    assert (got.status, got.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert got.headers["cache-control"] == "no-store"
    assert got.text.count("BEGIN:VEVENT") == 2
    assert LABEL in got.text
    assert OTHER in got.text
    assert "timer" not in got.text
    assert "xylophone" not in got.text  # how it was said
    assert len(path) > 40
    for other in ("/", "/agenda", "/calendar/../agenda", path + "/x", path.upper()):
        assert fetched(browser, other).status in {401, 404}
    assert browser.ask("POST", path, b"", {}, {}).status in {401, 403, 405}


def test_a_page_of_another_site_does_not_read_it_nor_a_foreign_name(browser: Browser) -> None:
    path = turned(browser, "on")
    assert browser.get(path, sec_fetch_site="cross-site").status == 403
    assert fetched(browser, path, host="evil.example").status == 421
    assert fetched(browser, path).status == 200  # control


def test_each_entry_is_on_record_as_having_left_once(browser: Browser, vault: Vault) -> None:
    path = turned(browser, "on")
    with acting(vault):
        before = vault.log.size
    fetched(browser, path)
    with acting(vault):
        first = next(it for n, it in vault.log.scan() if n >= before and isinstance(it, Noted))
    assert first.act == "disclose"  # before it was read, and before the answer
    acts = [act for act, _ in calendars(vault)]
    assert (acts.count("disclose"), acts.count("read")) == (2, 2)
    fetched(browser, path)
    browser.house.memory.read_by_calendar.clear()  # as another worker would begin
    fetched(browser, path)
    acts = [act for act, _ in calendars(vault)]
    assert (acts.count("disclose"), acts.count("read")) == (2, 4)
    owner = next(owner for act, owner in calendars(vault) if act == "disclose")
    assert "whoever has the address of the calendar" in browser.get(f"/interactions/{owner}").text


def test_what_is_erased_is_gone_at_the_next_fetch_and_its_receipt_says_that_it_left(
    browser: Browser, vault: Vault
) -> None:
    path = turned(browser, "on")
    assert LABEL in fetched(browser, path).text
    with acting(vault, clock):
        owner = next(it for it in vault.interactions() if _label(vault, it) == LABEL)
        done = carry_out(vault, propose(vault, Selection(ids=(owner.hex(),)), NOON), clock)
    assert LABEL not in fetched(browser, path).text
    assert OTHER in fetched(browser, path).text
    assert "calendar" in done.receipt.read_text()


def _label(vault: Vault, interaction: object) -> str:
    files = [it for it in vault.artefacts(interaction) if it.kind == ACTION]  # type: ignore[arg-type]
    return Action.decode(vault.open(files[0]).read()).label if files else ""


def test_what_was_kept_as_a_record_is_in_it_and_on_record_too(
    browser: Browser, vault: Vault
) -> None:
    with acting(vault, clock):
        owner = next(it for it in vault.interactions() if _label(vault, it) == LABEL)
        plan = propose(vault, Selection(ids=(owner.hex(),)), NOON)
        (keep,) = plan.keepable
        carry_out(vault, plan, clock, [f"{keep.kind}:{keep.artefact.hex()}"])
    path = turned(browser, "on")
    assert fetched(browser, path).text.count("BEGIN:VEVENT") == 2
    assert [act for act, _ in calendars(vault)].count("disclose") == 2
    browser.house.memory.read_by_calendar.clear()
    fetched(browser, path)
    assert [act for act, _ in calendars(vault)].count("disclose") == 2


def test_an_address_ends_when_it_is_given_up_or_replaced(browser: Browser) -> None:
    first = turned(browser, "on")
    second = turned(browser, "new")
    assert first != second
    assert [fetched(browser, it).status for it in (first, second)] == [404, 200]
    assert turned(browser, "off") == ""
    assert fetched(browser, second).status == 404
    assert turned(browser, "on") not in {first, second}
    assert browser.post("/agenda/calendar", {"wish": "maybe"}).status == 400
    assert browser.post("/agenda/calendar", {"wish": "off"}, csrf=False).status == 403


def test_who_guesses_an_address_does_not_get_the_vault(browser: Browser, vault: Vault) -> None:
    """Forty who ask for nothing would have the page wait for them."""
    path, held = turned(browser, "on"), list[int]()
    acting_ = browser.house.acting

    def counted() -> AbstractContextManager[Vault]:
        held.append(1)
        return acting_()

    browser.house.acting = counted  # type: ignore[assignment,method-assign]
    assert fetched(browser, "/calendar/guess.ics").status == 404
    assert len(held) == 1  # it has changed since this worker looked
    assert [fetched(browser, "/calendar/guess.ics").status for _ in range(20)] == [404] * 20
    assert len(held) == 1
    assert fetched(browser, path).status == 200
    with acting(vault):
        retention.change(vault, lambda old, _: replace(old, calendar="another"), clock)
    answers = [fetched(browser, "/calendar/guess.ics").status for _ in range(20)]
    assert set(answers) <= {404, 503}
    assert len(held) <= 4
    assert fetched(browser, path).status == 404  # what it was is compared with what it is
    assert fetched(browser, "/calendar/another.ics").status == 200

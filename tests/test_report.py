"""The report counts what is held and tells who saw it, and holds nothing of what was said."""

import json
import re
from pathlib import Path

import pytest

from pipeline import forgetting, history, report, reporting, retention, share, write
from pipeline.report import Report
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.settings import Limits
from pipeline.vault import Vault
from tests.commandline import Shell
from tests.household import NOON, clock, forget, make, say

SAID = ("the doctor called about my knee", "buy oat milk")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path / "house")


def report_of(vault: Vault, profile: str | None = None) -> Report:
    with acting(vault, clock):
        return report.report(vault, clock, profile)


def counts(found: Report) -> dict[str, int]:
    return {it.kind: it.files for it in found.categories}


def test_an_empty_vault_holds_nothing(vault: Vault) -> None:
    found = report_of(vault)
    assert (found.held, found.categories, found.reads, found.erasures) == ((), (), (), ())
    assert "Nothing is held" in reporting.page(found)


def test_what_is_held_is_counted_by_kind_and_profile(vault: Vault) -> None:
    say(vault, *SAID)
    say(vault, "goodnight", profile="child")
    found = report_of(vault)
    assert counts(found) == {"audio": 3, "transcript": 3, "meta": 3}
    assert [(it.profile, it.interactions) for it in found.held] == [("child", 1), ("default", 2)]
    assert counts(report_of(vault, "child")) == {"audio": 1, "transcript": 1, "meta": 1}
    assert counts(report_of(vault, "nobody")) == {}


def test_what_is_erased_is_no_longer_held_and_the_erasure_is_told(vault: Vault) -> None:
    first, _ = say(vault, *SAID)
    forget(vault, first)
    found = report_of(vault)
    assert counts(found) == {"audio": 1, "transcript": 1, "meta": 1}
    (gone,) = found.erasures
    assert (gone.interactions, gone.verdict, gone.at) == (1, "confirmed", NOON)
    (vault.receipts / f"{gone.plan}.receipt").unlink()
    assert report_of(vault).erasures[0].verdict == "its receipt is missing"


def test_every_showing_and_every_disclosure_is_counted(vault: Vault, tmp_path: Path) -> None:
    ids = say(vault, *SAID)
    with acting(vault, clock):
        history.history(vault, history.Filter(), None)
        history.detail(vault, ids[0])
        row = history.one(vault, ids[0], "export")
        share.export_plain(vault, row, tmp_path / "out", NOON)
    found = report_of(vault)
    reads = {it.how: (it.times, len(it.interactions), it.last) for it in found.reads}
    day = NOON[:10]
    assert reads == {"history": (1, 2, day), "show": (1, 1, day), "export": (1, 1, day)}
    assert [(it.how, it.times) for it in found.disclosures] == [("plain-export", 1)]


def test_the_limits_shown_are_those_of_the_settings(vault: Vault) -> None:
    say(vault, *SAID)
    with acting(vault, clock):
        retention.change(
            vault, lambda old, _: type(old)(limits=Limits(audio_s=86400, words_s=None)), clock
        )
    (held,) = reporting.document(report_of(vault))["held"]
    assert (held["audio"], held["words"]) == ("1d", "forever")


def test_a_record_that_was_kept_is_counted(vault: Vault) -> None:
    from pipeline.assistant.values import ALARM, Action

    (said,) = say(vault, "wake me at seven")
    with acting(vault, clock):
        write.add(vault, said, ("action", Action(ALARM, at="2026-03-02T07:00:00+00:00").encode()))
        found = forgetting.propose(vault, Selection(last=True), NOON)
        forgetting.carry_out(vault, found, clock, [found.keepable[0].name])
    assert counts(report_of(vault)) == {"record": 1}
    assert report_of(vault).erasures[0].kept == 1


def test_nothing_that_was_said_is_in_a_report(vault: Vault) -> None:
    say(vault, *SAID)
    found = report_of(vault)
    shown = repr(found) + json.dumps(reporting.document(found)) + reporting.page(found)
    words = {word for text in SAID for word in text.split() if len(word) > 3}
    assert {"doctor", "knee"} <= words
    # "about" is a word of our own, too
    assert not {word for word in words - {"about"} if re.search(rf"\b{word}\b", shown)}


def test_a_page_asks_nobody_for_anything_and_escapes_names(vault: Vault) -> None:
    say(vault, "hello there", profile="<script>alert(1)</script>")
    page = reporting.page(report_of(vault))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(src|href|url)\s*[=(]", page)


def test_the_command(shell: Shell, tmp_path: Path) -> None:
    found = shell.json("report")
    assert found["held"] == []
    page = tmp_path / "held.html"
    assert shell("report", "--page", page).code == 0
    assert "Nothing is held" in page.read_text()
    assert "nothing is held" in shell("report").out
    assert shell("report", "--page", tmp_path).code == 1

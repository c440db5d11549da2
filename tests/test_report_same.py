"""The report by columns and by the names of files is the one that reading each file gives.

The reference reads the header of every sealed file and every line of the log, one by one.
"""

import shutil
from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest

from keys.entry import Created, Noted
from keys.errors import Malformed
from keys.model import InteractionId
from pipeline import forgetting, history, index, indexing, report, retention, share, write
from pipeline.assistant.values import ALARM, Action
from pipeline.index import Which
from pipeline.lineage import is_owned
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.settings import Limits, Settings
from pipeline.vault import Vault
from tests.household import NOON, clock, forget, make, parts_of, reopen, say

Files = Counter[str]


def files_of(vault: Vault, profile: str | None) -> tuple[Files, Files]:
    """Returns files and bytes by kind, by the header of each file."""
    files, sizes = Files(), Files()
    mine = {it.interaction for it in index.rows(vault, Which(profile=profile))}
    for path in vault.paths():
        try:
            it = vault.artefact(path)
        except Malformed:
            continue
        of_all = profile is None or (it.header.label.interaction in mine and not is_owned(it.kind))
        if of_all and vault.is_live(it):
            files[it.kind] += 1
            sizes[it.kind] += it.size
    return files, sizes


def held_of(vault: Vault, profile: str | None) -> list[tuple[object, ...]]:
    rows = list(index.rows(vault, Which(profile=profile)))
    found: list[tuple[object, ...]] = []
    for name in sorted({it.profile for it in rows}):
        of = [it for it in rows if it.profile == name]
        times = [it.started_at.astimezone(UTC) for it in of]
        seconds = sum(it.duration_ms for it in of) / 1000
        sensitive = sum(it.is_sensitive for it in of)
        found.append((name, len(of), seconds, sensitive, min(times), max(times)))
    return found


def acts_of(vault: Vault, profile: str | None) -> dict[tuple[str, str], list[object]]:
    """Returns of each act, in the order of the log, how often, of whom, first and last day."""
    mine = {it.interaction for it in index.rows(vault, Which(profile=profile))}
    found: dict[tuple[str, str], list[object]] = {}
    for _, it in vault.log.scan():
        if isinstance(it, Noted) and it.act in {"read", "disclose"}:
            ids = set(it.interactions[:1] if it.act == "disclose" else it.interactions)
            meant = ids if profile is None else ids & mine
            if meant:
                row = found.setdefault((it.act, it.how), [0, set[InteractionId](), it.day, ""])
                assert isinstance(row[0], int)
                assert isinstance(row[1], set)
                row[0], row[3] = row[0] + 1, it.day or row[3]
                row[1] |= meant
    return found


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A vault in which there was everything that a report tells of."""
    base = tmp_path_factory.mktemp("house")
    vault = make(base)
    with acting(vault, clock):
        retention.change(vault, lambda *_: Settings(limits=Limits(86_400, None)), clock)
    ids = say(vault, *(f"note number {n}" for n in range(70)))
    say(vault, "the doctor called", "one more", profile="bob")
    indexing.keep_up(vault, clock)
    with acting(vault, clock):
        assert retention.create(vault, parts_of("blood pressure", profile="tim"), clock)
        alarm = Action(ALARM, at="2026-03-02T07:00:00+00:00").encode()
        write.add(vault, ids[5], ("action", alarm))
        history.history(vault, history.Filter(), None)
        history.history(vault, history.Filter(profile="bob"), None)
        history.detail(vault, ids[7])
        row = history.one(vault, ids[8], "export")
        share.export_plain(vault, row, base / "out", NOON)
        history.history(vault, history.Filter(), 3)
    backup = base / "backup"
    shutil.copytree(vault.sealed, backup)
    forget(vault, ids[1], ids[2])
    forget(vault, ids[3], only_audio=True)
    with acting(vault, clock):
        found = forgetting.propose(vault, Selection(ids=(ids[5].hex(),)), NOON)
        forgetting.carry_out(vault, found, clock, [found.keepable[0].name])
    for path in backup.rglob(f"{ids[1].hex()}*"):  # a dead file comes back, and is still dead
        shutil.copy(path, vault.bucket(ids[1]))
    (vault.sealed / "own" / "stranger").write_bytes(b"x")
    (vault.sealed / "abc").mkdir(exist_ok=True)
    (vault.sealed / "abc" / f"{'ab' * 16}.{'cd' * 16}.audio").write_bytes(b"of nobody")
    return vault


@pytest.mark.parametrize("profile", [None, "default", "bob", "tim", "nobody"])
def test_it_is_what_reading_everything_gives(lived_in: Vault, profile: str | None) -> None:
    with acting(lived_in, clock):
        found = report.report(lived_in, clock, profile)
        files, sizes = files_of(lived_in, profile)
        assert {it.kind: it.files for it in found.categories} == files
        assert {it.kind: it.size for it in found.categories} == sizes
        held = [
            (it.profile, it.interactions, it.seconds, it.sensitive, it.oldest, it.newest)
            for it in found.held
        ]
        assert held == held_of(lived_in, profile)
        acts = {
            (act, it.how): [it.times, it.interactions, it.first, it.last]
            for act, them in (("read", found.reads), ("disclose", found.disclosures))
            for it in them
        }
        expected = acts_of(lived_in, profile)
        assert acts == expected
        order = [how for act, how in expected if act == "read"]
        assert [it.how for it in found.reads] == order
        created = (it for _, it in lived_in.log.scan() if isinstance(it, Created))
        assert found.ever == sum(len(it.slots) == 2 for it in created)
        assert [it.interactions for it in found.erasures] == [2, 1, 1]
        assert found.log_entries == lived_in.log.size


def test_what_lives_in_it_is_much(lived_in: Vault) -> None:
    """Control: the vault that the comparison is made on has all kinds of things."""
    with acting(lived_in, clock):
        found = report.report(lived_in, clock)
    kinds = {it.kind for it in found.categories}
    assert {"audio", "transcript", "meta", "index", "record", "settings"} <= kinds
    assert {it.how for it in found.reads} >= {"history", "show", "export"}
    assert [it.profile for it in found.held] == ["bob", "default", "tim"]
    assert found.disclosures


def test_control_a_dead_file_that_is_still_there_is_not_held(
    lived_in: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(lived_in, clock):
        right = report.report(lived_in, clock)
        everything = bytearray(b"\1" * lived_in.ring.slot_count)
        monkeypatch.setattr(lived_in.ring, "liveness", lambda: everything)
        wrong = report.report(lived_in, clock)
    assert sum(it.files for it in wrong.categories) > sum(it.files for it in right.categories)


def test_the_rest_needs_no_lock_and_what_comes_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    vault = make(tmp_path / "house")
    first, _ = say(vault, "one", "two")
    with acting(vault, clock):
        seen = report.look(vault, clock)
    other = reopen(tmp_path / "house")
    say(other, "three")
    forget(other, first)
    found = report.tell(vault, seen)
    assert found.held[0].interactions == 2
    assert found.ever == 2
    assert found.erasures == ()
    assert {it.kind: it.files for it in found.categories} == {
        "audio": 1,
        "transcript": 1,
        "meta": 1,
    }

"""Failures that other systems met, by name: none of them happens here.

Each was reported of some assistant, recorder or event store. Where the other system can be had in
a few lines (SQLite's full-text search), it is the control: there the failure is shown to happen.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import pytest

from keys.errors import Erased
from keys.model import InteractionId, Slot
from keys.receipt import DOES_NOT_PROVE, FAILED, Check, verify
from pipeline import confirm, history, indexing, retention, write
from pipeline.artefact import INDEX
from pipeline.audit import audit
from pipeline.errors import NotFound
from pipeline.reckoning import seconds_of, time_of
from pipeline.restore import restore
from pipeline.session import acting
from pipeline.settings import DAY_S, Limits, Settings
from pipeline.vault import Vault
from tests.household import Thief, clock, forget, make, parts_of, reopen, say, sealed_of
from tests.test_listen_crash import META_NOW, SPOKEN, begun
from tests.world.adversary import RecordingDisk, shares_in

SECRET = "rumpelstiltskin"
TEXTS = (f"my name is {SECRET}", "what is the weather", f"{SECRET} again", "good night")


@pytest.fixture
def disk() -> RecordingDisk:
    return RecordingDisk()


@pytest.fixture
def vault(tmp_path: Path, disk: RecordingDisk) -> Vault:
    return make(tmp_path / "house", disk)


def thief(vault: Vault, disk: RecordingDisk) -> Thief:
    anchors = vault.directory.parent / "anchors"
    share = (anchors / f"{vault.id.hex()}.share").read_bytes()
    return Thief(disk.versions(outside=anchors), shares_in(share))


def files_of(vault: Vault) -> set[Path]:
    return {path for path in vault.directory.rglob("*") if path.is_file()}


def indexed(vault: Vault) -> list[InteractionId]:
    """Says enough that a segment of the index is written, and returns who is in it."""
    ids = say(vault, *TEXTS, *(f"number {n}" for n in range(indexing.TAIL)))
    indexing.keep_up(vault, clock)
    with acting(vault, clock):
        assert vault.owned(INDEX)
    return ids


def test_a_job_in_flight_does_not_bring_back_what_was_erased(vault: Vault) -> None:
    recording = begun(vault)
    recording.add(SPOKEN)
    other = reopen(vault.directory.parent)
    forget(other, recording.interaction)
    before = files_of(vault)
    with acting(vault, clock), pytest.raises(Erased):
        write.finish(vault, recording, parts_of(TEXTS[0]))
    recording.release()
    with acting(vault, clock):
        assert list(vault.interactions()) == []
        assert audit(vault).problems == []
    assert {p.suffix for p in files_of(vault) - before} <= {".receipt"}


def test_a_late_flush_writes_no_audio_after_the_erasure(vault: Vault, disk: RecordingDisk) -> None:
    recording = begun(vault)
    recording.add(SPOKEN)
    forget(reopen(vault.directory.parent, disk), recording.interaction)
    written = len(disk.history)
    with pytest.raises(Erased):
        recording.add(SPOKEN)
    recording.release()
    sealed = {str(path): data for path, data in disk.history[written:] if "capture" in path.parts}
    assert thief(vault, disk).opened(sealed) == set()


def test_a_cancelled_recording_leaves_no_sound(vault: Vault, disk: RecordingDisk) -> None:
    recording = begun(vault)
    recording.add(SPOKEN)
    with acting(vault, clock):
        write.cancel(vault, recording)
    with acting(vault, clock):
        assert not list(vault.capture.iterdir())
        assert not list(vault.sealed.rglob("*.*"))
    segments = {str(p): data for p, data in disk.history if p.parent.parent == vault.capture}
    assert segments
    assert thief(vault, disk).opened(segments) == set()


def test_what_a_crash_left_has_a_date_and_expires(vault: Vault) -> None:
    with acting(vault, clock):
        limits = Limits(words_s=DAY_S)
        retention.change(vault, lambda _, __: Settings(limits=limits), clock)
    with acting(vault, clock):
        begins = retention.begin(vault, META_NOW, clock)
    assert begins is not None
    recording, meta = begins
    recording.start(meta, lambda: acting(vault, clock))
    recording.add(SPOKEN)
    recording.release()  # the process is gone
    with acting(vault, clock):
        assert list(vault.interactions()) == [recording.interaction]
    with acting(vault, lambda: time_of(seconds_of(clock()) + DAY_S + 60)):
        assert list(vault.interactions()) == []


def test_the_retention_setting_is_enforced_by_whatever_opens_the_vault(vault: Vault) -> None:
    with acting(vault, clock):
        limits = Limits(words_s=DAY_S)
        retention.change(vault, lambda _, __: Settings(limits=limits), clock)
        kept = retention.create(vault, parts_of(TEXTS[0], started_at=clock()), clock)
    assert kept is not None
    with acting(vault, lambda: time_of(seconds_of(clock()) + DAY_S - 60)):
        assert list(vault.interactions()) == [kept]
    with acting(vault, lambda: time_of(seconds_of(clock()) + DAY_S + 60)):
        assert list(vault.interactions()) == []


def test_words_leave_the_index_with_the_erasure(vault: Vault, disk: RecordingDisk) -> None:
    first, _, third, *_ = indexed(vault)
    with acting(vault, clock):
        old = {k: v for owner in vault.owned(INDEX) for k, v in sealed_of(vault, owner).items()}
    assert thief(vault, disk).opened(old) == old.keys()
    forget(vault, first, third)
    assert thief(vault, disk).opened(old) == set()
    with acting(vault, clock):
        assert history.search(vault, [SECRET]) == []
        assert history.search(vault, ["weather"])
    assert not any(SECRET.encode() in data for _, data in disk.history)


def test_in_sqlite_the_words_outlive_their_deletion(tmp_path: Path) -> None:
    """The control: full-text search as it comes, after DELETE."""
    base = sqlite3.connect(tmp_path / "words.db")
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA secure_delete=OFF")
    base.execute("CREATE VIRTUAL TABLE said USING fts5(text)")
    base.executemany("INSERT INTO said VALUES (?)", [(text,) for text in TEXTS])
    base.commit()
    base.execute("DELETE FROM said WHERE text MATCH ?", (SECRET,))
    base.commit()
    left = [p for p in tmp_path.iterdir() if SECRET.encode() in p.read_bytes()]
    base.close()
    assert left


def test_no_key_is_in_any_version_of_any_file(vault: Vault, disk: RecordingDisk) -> None:
    """A write-ahead log elsewhere held a deleted key 32 times."""
    (only,) = say(vault, TEXTS[0])
    with acting(vault, clock):
        keys = [bytes(vault.ring.key(Slot(slot))) for slot in range(vault.ring.slot_count)]
    forget(vault, only)
    versions = [data for _, data in disk.history]
    assert len(keys) == 2
    assert not any(key in data for key in keys for data in versions)
    share = next(
        iter(shares_in((vault.directory.parent / "anchors").glob("*").__next__().read_bytes()))
    )
    assert any(share in data for data in versions), "the control: what is written is found"


def test_neither_names_nor_logs_at_any_level_hold_words(
    vault: Vault, caplog: pytest.LogCaptureFixture, disk: RecordingDisk
) -> None:
    with caplog.at_level(logging.DEBUG):
        ids = indexed(vault)
        with acting(vault, clock):
            history.search(vault, [SECRET])
        forget(vault, ids[1])
    names = " ".join(str(path) for path in [*files_of(vault), *(p for p, _ in disk.history)])
    told = names + caplog.text
    for text in TEXTS:
        assert text not in told
        assert md5(text.encode(), usedforsecurity=False).hexdigest() not in told
    assert SECRET not in told


def test_an_aggregate_is_made_anew_from_the_survivors(vault: Vault) -> None:
    """A centroid of voices elsewhere went on holding who was deleted."""
    first, *others = indexed(vault)
    with acting(vault, clock):
        before = set(vault.owned(INDEX))
    forget(vault, first)
    with acting(vault, clock):
        after = vault.owned(INDEX)
        assert not before & set(after)
        contents = [bytes(vault.read(owner, INDEX)) for owner in after]
        parents = {it for owner in after for it in _parents(vault, owner)}
        living = {a.header.label.artefact for i in others for a in vault.artefacts(i)}
    assert contents
    assert parents
    assert parents <= living
    assert not any(b"name" in content for content in contents)
    assert any(b"weather" in content for content in contents)


def _parents(vault: Vault, owner: InteractionId) -> Iterator[bytes]:
    from pipeline.logged import logged

    for entry in logged(vault, [owner]).owners[owner].sealed:
        yield from entry.parents


def test_a_restore_revives_nothing(vault: Vault, tmp_path: Path) -> None:
    first, second = say(vault, TEXTS[0], TEXTS[1])
    shutil.copytree(vault.directory, tmp_path / "backup")
    forget(vault, first)
    with acting(vault, clock):
        states = {row.interaction: row.state for row in restore(vault, tmp_path / "backup")}
        assert (states[first.hex()], states[second.hex()]) == ("erased", "present")
        with pytest.raises(Erased):
            vault.words_slot(first)


def test_erased_missing_and_never_there_are_three_things(vault: Vault) -> None:
    erased, missing, _ = say(vault, *TEXTS[:3])
    forget(vault, erased)
    for path in vault.bucket(missing).glob(f"{missing.hex()}.*"):
        path.unlink()
    with acting(vault, clock):
        with pytest.raises(Erased):
            vault.words_slot(erased)
        with pytest.raises(NotFound, match="missing"):
            vault.words_slot(missing)
        with pytest.raises(NotFound, match="no interaction"):
            vault.resolve("0" * 32)
        assert any("missing" in problem for problem in audit(vault).problems)


def test_a_receipt_says_no_more_than_was_done(
    vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = say(vault, TEXTS[0], TEXTS[1])
    done = forget(vault, first)
    statement = verify(done.receipt.read_bytes()).statement
    assert statement.does_not_prove == DOES_NOT_PROVE
    assert {row.interaction for row in statement.erased} == {first.hex()}
    bad = [(False, Check("keys", "one still opens"))]
    monkeypatch.setattr(confirm, "looked_at", lambda *_: bad)
    assert forget(vault, second).statement.verdict == FAILED

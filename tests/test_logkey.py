"""keys.handover and pipeline.logkey: the log changes its key, and whoever has one finds the others.

Old receipts stay under the old key, new ones are under the new one, no key signs beyond its time.
"""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import handover
from keys.attested import Trust
from keys.durable import RealDisk
from keys.entry import Noted, RekeyEntry, line_of
from keys.errors import KeysError, Malformed, StateUnknown, Tampered
from keys.handover import Handover
from keys.log import Log, signer_of
from keys.merkle import leaf_hash
from keys.model import InteractionId, VaultId
from keys.note import Checkpoint, LogProof, Signer, VerifierKey, sign
from keys.outcome import verify_files
from keys.receipt import verify
from keys.verify import explain, main
from pipeline import logkey, write
from pipeline.audit import audit
from pipeline.erase import Erasure, erase
from pipeline.plan import make_plan
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    clock,
    forget,
    house_disk,
    make,
    parts_of,
    reopen,
    say,
    settled,
)
from tests.test_write_crash import moments_of

VAULT = VaultId(bytes(range(16)))
SEED = bytearray(range(32))


@dataclass(frozen=True, slots=True)
class Rotated:
    """A vault with an erasure under each of three keys."""

    vault: Vault
    keys: tuple[VerifierKey, ...]
    done: list[Erasure]

    def receipts(self) -> list[Path]:
        return [it.receipt for it in self.done]

    def handovers(self) -> list[Path]:
        return [self.vault.receipts / f"{n}.rekey" for n in (1, 2)]


@pytest.fixture
def rotated(tmp_path: Path) -> Rotated:
    vault = make(tmp_path)
    done = [forget(vault, *say(vault, "under the first key"))]
    for text in ("under the second", "under the third"):
        with acting(vault, clock):
            logkey.rotate(vault)
        done.append(forget(vault, *say(vault, text)))
    with acting(vault, clock):
        return Rotated(vault, logkey.keys(vault), done)


# Which key signs


def test_every_receipt_is_under_the_key_of_its_time(rotated: Rotated) -> None:
    assert len(set(rotated.keys)) == 3
    for key, receipt in zip(rotated.keys, rotated.receipts(), strict=True):
        assert verify(receipt.read_bytes(), key).key == key
        for other in set(rotated.keys) - {key}:
            with pytest.raises(Tampered, match="expected"):
                verify(receipt.read_bytes(), other)
    with acting(rotated.vault, clock):
        assert logkey.signer(rotated.vault).verifier == rotated.keys[-1]
        assert audit(rotated.vault).problems == []
    again = reopen(rotated.vault.directory.parent)
    with acting(again, clock):
        assert logkey.keys(again) == rotated.keys


def test_no_seed_is_the_ring_s_and_none_is_another_s() -> None:
    """Who learns the seed of one key can make none of the others from it."""
    keys = {signer_of(VAULT, SEED, n).verifier for n in range(8)}
    keys.add(Signer(signer_of(VAULT, SEED).verifier.name, bytes(SEED)).verifier)
    assert len(keys) == 9


# What is remembered of the log


def key(generation: int) -> VerifierKey:
    return signer_of(VAULT, SEED, generation).verifier


def noise(log: Log, entries: int) -> None:
    log.append([Noted("read", "history", (InteractionId(bytes(16)),))] * entries)


def reopened(folder: Path) -> Log:
    log = Log(RealDisk(), folder / "log", VAULT)
    log.open()
    return log


def long_log(folder: Path) -> tuple[Log, Path, list[tuple[int, RekeyEntry]]]:
    """A log with three changes of key, of which the file has two and is one change behind."""
    log = log_of(folder)
    for n in range(3):
        log.rekey(key(n), key(n + 1))
        noise(log, 300 if n == 1 else 3)
        log.rekeys()
    rows = [(n, it) for n, it in log.scan() if isinstance(it, RekeyEntry)]
    assert [row[0] for row in rows] == [2, 6, 307]
    return log, folder / "log-keys", rows


def test_what_is_remembered_is_what_the_log_says(tmp_path: Path) -> None:
    log, path, rows = long_log(tmp_path)
    assert log.rekeys() == rows
    assert path.read_bytes().count(b" rekey ") == 2
    assert reopened(tmp_path).rekeys() == rows


def test_a_short_log_remembers_nothing(rotated: Rotated) -> None:
    assert not (rotated.vault.directory / "log-keys").exists()


def test_what_is_remembered_may_be_lost_or_of_any_age_or_another_log_s(tmp_path: Path) -> None:
    _, path, rows = long_log(tmp_path)
    good = path.read_bytes()
    head, *lines = good.splitlines(keepends=True)
    bad = [b"", b"\n", b"x y\n", good[:-1], good[:-5], head.replace(b"3", b"4", 1)]
    bad += [b"1 " + bytes(32).hex().encode() + b"\n", head + lines[0] + lines[0][:-3] + b"\n"]
    for data in bad:
        path.write_bytes(data)
        assert reopened(tmp_path).rekeys() == rows, data
    path.unlink()
    assert reopened(tmp_path).rekeys() == rows
    assert path.read_bytes().count(b" rekey ") == 3


def test_of_a_longer_log_it_counts_not(tmp_path: Path) -> None:
    """An old copy of the log was put back beside a newer memory of it."""
    log = log_of(tmp_path)
    before = {it: (tmp_path / "log" / it).read_bytes() for it in ("entries", "hashes")}
    log.rekey(key(0), key(1))
    noise(log, 300)
    assert len(log.rekeys()) == 1
    for name, data in before.items():
        (tmp_path / "log" / name).write_bytes(data)
    assert reopened(tmp_path).rekeys() == []


def test_who_lies_in_it_is_named_by_the_audit(rotated: Rotated) -> None:
    """The control: what is remembered is believed, and the audit does not."""
    vault = rotated.vault
    with acting(vault, clock):
        leaf = leaf_hash(line_of(*list(vault.log.scan())[-1])).hex()
        (vault.directory / "log-keys").write_text(f"{vault.log.size} {leaf}\n")
    again = reopen(vault.directory.parent)
    with acting(again, clock):
        assert len(logkey.keys(again)) == 1
        assert any("is not what the log says" in row for row in audit(again).problems)


# Which key is which, to a stranger


@pytest.mark.parametrize("trusted", range(3))
def test_from_any_key_the_handovers_lead_to_all(rotated: Rotated, trusted: int) -> None:
    outcomes = verify_files(rotated.receipts(), Trust((rotated.keys[trusted],)))
    assert [it.problem for it in outcomes] == [""] * 3
    for n, one in enumerate(outcomes):
        (line,) = [it for it in explain(one, "given by you") if it.startswith("  log key")]
        assert ("(given by you)" in line) == (n == trusted)
        assert ("it came after the key that is trusted, at log entry" in line) == (n > trusted)
        assert ("it came before the key that is trusted, until log" in line) == (n < trusted)


@pytest.mark.parametrize("trusted", range(3))
def test_without_handovers_only_its_own_receipt_verifies(
    rotated: Rotated, tmp_path: Path, trusted: int
) -> None:
    """The control: the relation comes from the files, not from the receipts."""
    apart = [shutil.copy(it, tmp_path / f"{n}.receipt") for n, it in enumerate(rotated.receipts())]
    command = ["--log-key", rotated.keys[trusted].format()]
    for n, path in enumerate(apart):
        assert main([str(path), *command]) == (0 if n == trusted else 5)
    more = [str(it) for it in rotated.handovers()]
    assert main([*map(str, apart), *more, *command]) == 0


def test_a_handover_alone_says_what_it_is(
    rotated: Rotated, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = map(str, rotated.handovers())
    keys = [it.format() for it in rotated.keys]
    assert main([first]) == 0
    out = capsys.readouterr().out
    assert "a change of the log's key and no receipt" in out
    assert keys[0] in out
    assert keys[1] in out
    assert main([first, second, "--json", "--log-key", keys[0]]) == 0
    rows = json.loads(capsys.readouterr().out)["receipts"]
    assert [(row["from"], row["to"]) for row in rows] == [(keys[0], keys[1]), (keys[1], keys[2])]
    assert main([first, "--log-key", keys[2]]) == 5, "the control: nothing leads there"
    stranger = signer_of(rotated.vault.id, bytearray(32)).verifier.format()
    assert main([first, second, "--log-key", stranger]) == 5
    assert "none leads to one given" in capsys.readouterr().out


def test_a_gap_in_the_handovers_leads_nowhere(rotated: Rotated, tmp_path: Path) -> None:
    last = shutil.copy(rotated.receipts()[2], tmp_path / "last.receipt")
    second = str(rotated.handovers()[1])
    assert main([str(last), second, "--log-key", rotated.keys[0].format()]) == 5
    assert main([str(last), second, "--log-key", rotated.keys[1].format()]) == 0


# A log of its own, with a thief


def log_of(folder: Path, entries: int = 1) -> Log:
    log = Log(RealDisk(), folder / "log", VAULT)
    log.create()
    log.append([Noted("read", "history", (InteractionId(bytes(16)),))] * entries)
    return log


def handed_over(folder: Path) -> tuple[Log, bytes, Handover]:
    log, (old, new) = log_of(folder), (signer_of(VAULT, SEED, n) for n in range(2))
    index = log.rekey(old.verifier, new.verifier)
    ((_, entry),) = log.rekeys()
    data = handover.encode(index, entry, log.prove(index, old, new))
    return log, data, handover.verify(data)


def test_no_byte_of_a_handover_can_be_changed(tmp_path: Path) -> None:
    _, data, it = handed_over(tmp_path)
    assert (it.generation, it.index) == (1, 2)
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            with pytest.raises((Malformed, Tampered)):
                handover.verify(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
    for end in range(len(data)):
        with pytest.raises((Malformed, Tampered)):
            handover.verify(data[:end])


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_malformed(data: bytes) -> None:
    for start in (b"", handover.MARK, handover.MARK + b"\n\nc2sp.org/tlog-proof@v1\nindex 0\n\n"):
        with pytest.raises(Malformed):
            handover.verify(start + data)


def forged(
    folder: Path, entry: Callable[[Signer, Signer, Signer], RekeyEntry], *who: int, late: int = 0
) -> bytes:
    """A handover with this entry, signed by the old key (0), the new one (1) or a thief's (2)."""
    log, thief = log_of(folder), Signer(signer_of(VAULT, SEED).verifier.name, bytes(32))
    signers = (signer_of(VAULT, SEED), signer_of(VAULT, SEED, 1), thief)
    it = entry(*signers)
    index = log.append([it])
    log.append([Noted("read", "history", (InteractionId(bytes(16)),))] * late) if late else None
    return handover.encode(index, it, log.prove(index, *(signers[n] for n in who)))


def entry_of(old: Signer, new: Signer, generation: int = 1) -> RekeyEntry:
    return RekeyEntry(generation, old.verifier.public, new.verifier.public)


FORGERIES: dict[str, Callable[[Path], bytes]] = {
    "signed by the old key alone": lambda it: forged(it, lambda a, b, _: entry_of(a, b), 0),
    "signed by the new key alone": lambda it: forged(it, lambda a, b, _: entry_of(a, b), 1),
    "a thief calls himself the new": lambda it: forged(it, lambda a, _, c: entry_of(a, c), 2),
    "a thief calls himself the old": lambda it: forged(it, lambda _, b, c: entry_of(c, b), 2),
    "a thief adds his name": lambda it: forged(it, lambda a, _, c: entry_of(a, c), 1, 2),
    "from a key to itself": lambda it: forged(it, lambda a, *_: entry_of(a, a), 0),
    "of no generation": lambda it: forged(it, lambda a, b, _: entry_of(a, b, 0), 0, 1),
    "of a later checkpoint": lambda it: forged(it, lambda a, b, _: entry_of(a, b), 0, 1, late=2),
}


def test_the_forger_of_these_tests_makes_a_good_one(tmp_path: Path) -> None:
    """The control: with the right entry and both signatures it verifies."""
    handover.verify(forged(tmp_path, lambda a, b, _: entry_of(a, b), 0, 1))


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_handover_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeysError):
        handover.verify(FORGERIES[name](tmp_path))


def test_a_name_added_to_a_note_is_no_earlier_key(tmp_path: Path) -> None:
    """Both keys stand in the entry: else anybody could sign along as the key before."""
    log, data, it = handed_over(tmp_path)
    thief = Signer(it.old.name, bytes(32))
    text = data.decode().partition("\n\n")[2]
    proof = LogProof.parse(text)
    note = proof.checkpoint_note + thief.signature_line(
        proof.checkpoint_note.partition("\n\n")[0] + "\n"
    )
    more = handover.encode(it.index, log.rekeys()[0][1], LogProof(it.index, proof.hashes, note))
    assert handover.verify(more) == it
    assert not handover.route([it], thief.verifier, it.new)


def test_handovers_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    _, _, it = handed_over(tmp_path)
    key = signer_of(VAULT, SEED, 5).verifier
    handover.refuse_forks([it, it, Handover(it.new, key, 2, 9)])
    for other in (Handover(it.old, key, 1, 2), Handover(key, it.new, 1, 2)):
        with pytest.raises(Tampered, match="contradict"):
            handover.refuse_forks([it, other])


def test_a_way_of_keys_goes_up_one_generation_at_a_time() -> None:
    a, b, c = (signer_of(VAULT, SEED, n).verifier for n in range(3))
    first = Handover(a, b, 1, 5)
    assert handover.route([first, Handover(b, c, 2, 9)], a, c) == [first, Handover(b, c, 2, 9)]
    for wrong in (Handover(b, c, 3, 9), Handover(b, c, 2, 5), Handover(b, c, 2, 4)):
        assert handover.route([first, wrong], a, c) == []
    circle = [first, Handover(b, a, 2, 9)]
    assert handover.route(circle, a, c) == []


def test_no_key_signs_after_its_end_or_before_its_beginning(rotated: Rotated) -> None:
    """Whoever steals an old key later cannot make receipts of what came since."""
    first = verify(rotated.receipts()[0].read_bytes())
    key, later = rotated.keys[:2]
    for index, of in ((first.index, key), (first.index + 1, key), (first.index - 1, later)):
        known = Handover(key, later, 1, index)
        bad = rotated.receipts()[0].read_bytes()
        trust = Trust((of,), handovers=(known,))
        if of == key and index > first.index:
            verify(bad, trust)
            continue
        with pytest.raises(Tampered, match="ended at log entry"):
            verify(bad, trust)
    second = verify(rotated.receipts()[1].read_bytes())
    data = rotated.receipts()[1].read_bytes()
    with pytest.raises(Tampered, match="began at log entry"):
        verify(data, Trust((later,), handovers=(Handover(key, later, 1, second.index),)))


def test_the_audit_refuses_a_receipt_under_a_key_of_another_time(rotated: Rotated) -> None:
    """Signed with a key that is the log's, but was not at that entry."""
    vault = rotated.vault
    with acting(vault, clock):
        signer, log_key = logkey.signer, rotated.keys[0].format()
        old = signer(vault, 0)
        (fresh,) = say_under(vault)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(logkey, "signer", lambda *_: old)
            done = erase(vault, make_plan(vault, [fresh], clock()), clock)
        assert done.statement.log_key == log_key
        verify(done.receipt.read_bytes(), rotated.keys[0])
        problems = audit(vault).problems
    assert any("did not have at entry" in row for row in problems)


def say_under(vault: Vault) -> list[InteractionId]:
    return [write.create(vault, parts_of("said later"))]


# Crashes


def test_no_crash_leaves_a_key_half_changed(tmp_path: Path) -> None:
    disk = house_disk(tmp_path)
    say(make(tmp_path, disk), "said before")
    disk = settled(disk)
    vault = reopen(tmp_path, disk)
    with acting(vault, clock):
        old, new = (logkey.signer(vault, n).verifier for n in range(2))
        moments = moments_of(disk, lambda: logkey.rotate(vault))
    states, seen = 0, set[object]()
    for now, is_done in moments:
        media = [HouseDisk(it, now.history) for it in now.survivors(12, seed=states)]
        for one in [*media, now.fork()]:
            image = frozenset(one.cached.files().items()), frozenset(one.durable.files().items())
            if image in seen:
                continue
            seen.add(image)
            states += 1
            judge(tmp_path, one, old, new, is_done=is_done)
    print(f"change of key: {states} states")
    assert states > 8


def judge(
    base: Path, disk: HouseDisk, old: VerifierKey, new: VerifierKey, *, is_done: bool
) -> None:
    vault = reopen(base, disk)
    with acting(vault, clock):
        keys = logkey.keys(vault)
        assert keys == ((old, new) if is_done or len(keys) == 2 else (old,))
        assert audit(vault).problems == []
        there = [name for name in disk.names(vault.receipts) if name.endswith(".rekey")]
        assert there == ["1.rekey"] * (len(keys) - 1)
        before = disk.cached.files()
    with acting(reopen(base, disk), clock):
        assert disk.cached.files() == before
    again = reopen(base, disk)
    with acting(again, clock):
        logkey.rotate(again)
        assert len(logkey.keys(again)) == len(keys) + 1
        assert audit(again).problems == []


@pytest.mark.parametrize("number", range(1, 9))
def test_the_same_process_goes_on_after_a_failed_operation(tmp_path: Path, number: int) -> None:
    disk = house_disk(tmp_path)
    vault = make(tmp_path, disk)
    with acting(vault, clock):
        disk.fail_at = disk.operations + number
        with contextlib.suppress(StateUnknown):
            logkey.rotate(vault)
    disk.fail_at = None
    forget(vault, *say(vault, "said afterwards"))
    with acting(vault, clock):
        assert audit(vault).problems == []


def test_a_checkpoint_of_an_earlier_size_is_the_one_of_then(tmp_path: Path) -> None:
    log, signer = log_of(tmp_path, 7), signer_of(VAULT, SEED)
    then = log.checkpoint(signer)
    size = log.size
    log.append([Noted("read", "history", (InteractionId(bytes(16)),))] * 9)
    assert log.checkpoint(signer, size=size) == then
    head = Checkpoint.parse(then.partition("\n\n")[0] + "\n")
    assert sign(head.format(), [signer]) == then

"""keys.log: what is appended stays, in order and provable; what a crash or a hand left is noticed.

The blocks that the log reads are made small here, so that lines and blocks meet in every way.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.durable import RealDisk
from keys.entry import Begun, Created, Entry, Noted, SealedEntry, line_of, origin_of
from keys.errors import KeysError, Malformed, Tampered
from keys.log import Log, signer_of
from keys.merkle import HASH_SIZE, leaf_hash, verify_consistency, verify_inclusion
from keys.model import ArtefactId, Commitment, InteractionId, Label, Slot, VaultId
from keys.note import Checkpoint, open_note

VAULT = VaultId(bytes(range(16)))
SIGNER = signer_of(VAULT, bytearray(32))
FIXED_FOLDER = [HealthCheck.function_scoped_fixture]
"""Every example makes its own folder inside the one of the test."""


def interaction(n: int) -> InteractionId:
    return InteractionId(n.to_bytes(16, "big"))


def noted(n: int, many: int = 1) -> Noted:
    return Noted("read", "history", tuple(interaction(n + k) for k in range(many)))


def created(n: int) -> Created:
    return Created(interaction(n), ((Slot(n), Commitment(bytes(32))),))


def make(folder: Path, *entries: Entry) -> Log:
    log = Log(RealDisk(), folder / "log", VAULT)
    log.create()
    if entries:
        log.append(entries)
    return log


def reopen(folder: Path) -> Log:
    log = Log(RealDisk(), folder / "log", VAULT)
    log.open()
    return log


def entries_path(folder: Path) -> Path:
    return folder / "log" / "entries"


def hashes_path(folder: Path) -> Path:
    return folder / "log" / "hashes"


def check(log: Log, expected: list[Entry]) -> None:
    """The log holds exactly these entries both ways, and its hashes are theirs."""
    assert log.size == len(expected)
    assert [entry for _, entry in log.scan()] == expected
    assert [entry for _, entry in log.scan_back()] == expected[::-1]
    assert [index for index, _ in log.scan()] == list(range(len(expected)))
    log.check_hashes()


def check_proofs(log: Log) -> None:
    head = Checkpoint.parse(open_note(log.checkpoint(SIGNER), [SIGNER.verifier]))
    assert (head.origin, head.size, head.root) == (origin_of(VAULT), log.size, log.root())
    for index, entry in log.scan():
        proof = log.prove(index, SIGNER)
        leaf = leaf_hash(line_of(index, entry))
        verify_inclusion(leaf, proof.index, head.size, proof.hashes, head.root)


@settings(suppress_health_check=FIXED_FOLDER, max_examples=60)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), max_size=6),
    st.integers(1, 300),
)
def test_what_is_appended_stays(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], block: int
) -> None:
    """Any batches, with the log opened anew before each, read in blocks of any size."""
    folder = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keys.log._BLOCK", block)
        expected: list[Entry] = [Begun(VAULT)]
        log = make(folder)
        heads = [(log.size, log.root())]
        for batch in batches:
            log = reopen(folder)
            more = [noted(len(expected) + n, many) for n, many in enumerate(batch)]
            assert log.append(more) == len(expected)
            expected += more
            heads.append((log.size, log.root()))
        check(reopen(folder), expected)
        check_proofs(log)
        for size, root in heads:
            verify_consistency(size, root, log.size, log.root(), log.consistency(size))


@settings(suppress_health_check=FIXED_FOLDER, max_examples=60)
@given(st.integers(1, 140))
def test_a_torn_end_is_dropped(tmp_path_factory: pytest.TempPathFactory, lost: int) -> None:
    """A last line cut anywhere goes as a whole; what was acknowledged before it stays."""
    folder = tmp_path_factory.mktemp("log")
    make(folder, noted(1))
    kept = entries_path(folder).read_bytes()
    whole = kept + line_of(2, created(2)) + b"\n"
    entries_path(folder).write_bytes(whole[: max(len(kept), len(whole) - lost)])
    log = reopen(folder)
    check(log, [Begun(VAULT), noted(1)])
    assert entries_path(folder).read_bytes() == kept
    log.append([noted(3)])
    check(reopen(folder), [Begun(VAULT), noted(1), noted(3)])


def test_a_whole_line_without_its_hash_is_kept(tmp_path: Path) -> None:
    make(tmp_path, noted(1))
    with entries_path(tmp_path).open("ab") as file:
        file.write(line_of(2, noted(2)) + b"\n")
    check(reopen(tmp_path), [Begun(VAULT), noted(1), noted(2)])


@pytest.mark.parametrize("damage", ["lost", "empty", "short", "long", "unaligned", "bent"])
def test_hashes_are_made_again(tmp_path: Path, damage: str) -> None:
    log = make(tmp_path, *map(noted, range(1, 6)))
    root, hashes = log.root(), hashes_path(tmp_path)
    content = hashes.read_bytes()
    bent = {
        "empty": b"",
        "short": content[:-HASH_SIZE],
        "long": content + bytes(HASH_SIZE),
        "unaligned": content[:-1],
        "bent": content[:-HASH_SIZE] + bytes(HASH_SIZE),
    }
    hashes.unlink() if damage == "lost" else hashes.write_bytes(bent[damage])
    again = reopen(tmp_path)
    check(again, [Begun(VAULT), *map(noted, range(1, 6))])
    assert again.root() == root
    assert hashes.read_bytes() == content


def test_a_changed_hash_is_noticed_by_the_check(tmp_path: Path) -> None:
    log = make(tmp_path, *map(noted, range(1, 6)))
    content = bytearray(hashes_path(tmp_path).read_bytes())
    content[0] ^= 1
    hashes_path(tmp_path).write_bytes(content)
    with pytest.raises(Tampered):
        log.check_hashes()


@settings(suppress_health_check=FIXED_FOLDER, max_examples=100)
@given(st.data())
def test_a_changed_entry_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """One byte changed anywhere before the last line: refused when read, or by the hashes."""
    folder = tmp_path_factory.mktemp("log")
    make(folder, noted(1), created(2), noted(3))
    content = bytearray(entries_path(folder).read_bytes())
    end = content.rindex(b"\n", 0, -1)
    content[data.draw(st.integers(0, end))] ^= data.draw(st.integers(1, 255))
    entries_path(folder).write_bytes(content)
    with pytest.raises((Malformed, Tampered)):
        reopen(folder).check_hashes()


@pytest.mark.parametrize("how", ["dropped", "swapped", "repeated", "of another vault"])
def test_lines_out_of_place_are_refused(tmp_path: Path, how: str) -> None:
    make(tmp_path, *map(noted, range(1, 5)))
    lines = entries_path(tmp_path).read_bytes().splitlines(keepends=True)
    foreign = line_of(0, Begun(VaultId(bytes(16)))) + b"\n"
    bent = {
        "dropped": lines[:2] + lines[3:],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "repeated": lines[:2] + lines[1:],
        "of another vault": [foreign, *lines[1:]],
    }[how]
    entries_path(tmp_path).write_bytes(b"".join(bent))
    with pytest.raises(KeysError):
        list(reopen(tmp_path).scan())


BAD_LINES = [b"9 read history\n", b"\n", b"\x00" * 40 + b"\n", b"-1 x\n"]


@pytest.mark.parametrize("last", BAD_LINES)
def test_a_bad_line_that_was_acknowledged_is_refused(tmp_path: Path, last: bytes) -> None:
    """The hashes cover it, so its content was durable: no crash changes it."""
    make(tmp_path, noted(1), noted(2))
    lines = entries_path(tmp_path).read_bytes().splitlines(keepends=True)
    entries_path(tmp_path).write_bytes(b"".join(lines[:-1]) + last)
    with pytest.raises(KeysError):
        reopen(tmp_path)


@pytest.mark.parametrize("torn", BAD_LINES)
def test_a_batch_torn_in_the_middle_goes_from_there_on(tmp_path: Path, torn: bytes) -> None:
    """A later block of it may be on the disk without an earlier one; nothing of it was promised."""
    make(tmp_path, noted(1))
    kept = entries_path(tmp_path).read_bytes() + line_of(2, noted(2)) + b"\n"
    entries_path(tmp_path).write_bytes(kept + torn + line_of(4, noted(4)) + b"\n")
    log = reopen(tmp_path)
    assert entries_path(tmp_path).read_bytes() == kept
    check(log, [Begun(VAULT), noted(1), noted(2)])


def test_an_entry_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """One such line would make the whole log unreadable, for ever."""
    log = make(tmp_path, noted(1))
    before = entries_path(tmp_path).read_bytes()
    other = Label(VaultId(bytes(16)), interaction(1), ArtefactId(bytes(16)), "audio", Slot(0))
    bad: list[Entry] = [
        Noted("read", "history", ()),
        Noted("read", "His story", (interaction(1),)),
        Noted("sing", "loud", (interaction(1),)),
        Created(interaction(1), ()),
        Created(interaction(1), ((Slot(-1), Commitment(bytes(32))),)),
        SealedEntry(other, bytes(32)),
        Begun(VAULT),
    ]
    for entry in bad:
        with pytest.raises(Malformed):
            log.append([noted(2), entry])
    assert entries_path(tmp_path).read_bytes() == before
    log.append([noted(2)])
    check(reopen(tmp_path), [Begun(VAULT), noted(1), noted(2)])


def test_two_logs_take_turns(tmp_path: Path) -> None:
    one = make(tmp_path)
    two = reopen(tmp_path)
    expected: list[Entry] = [Begun(VAULT)]
    for n in range(1, 7):
        log = (one, two)[n % 2]
        log.refresh()
        log.append([noted(n)])
        expected.append(noted(n))
    one.refresh()
    check(one, expected)
    two.refresh()
    check(two, expected)
    assert one.root() == two.root()


def test_after_a_failed_append_the_log_is_opened_anew(tmp_path: Path) -> None:
    class Failing(RealDisk):
        fails = False

        def sync(self, path: Path) -> None:
            if self.fails:
                raise KeyboardInterrupt
            super().sync(path)

    disk = Failing()
    log = Log(disk, tmp_path / "log", VAULT)
    log.create()
    disk.fails = True
    with pytest.raises(KeyboardInterrupt):
        log.append([noted(1)])
    disk.fails = False
    log.refresh()
    log.append([noted(2)])
    check(reopen(tmp_path), [Begun(VAULT), noted(1), noted(2)])

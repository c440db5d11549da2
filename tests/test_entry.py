"""keys.entry: every entry comes back from its line, and nothing but its line is read as an entry.

The grammar is that of `keys/SPEC.md` section 5.2; a new kind of entry gets a strategy here.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.entry import (
    NOTED_ACTS,
    Begun,
    ConfirmedEntry,
    Created,
    Entry,
    ErasedEntry,
    Noted,
    RekeyEntry,
    SealedEntry,
    line_of,
    origin_of,
    parse_line,
)
from keys.errors import Malformed
from keys.model import (
    ArtefactId,
    Commitment,
    Epoch,
    InteractionId,
    Label,
    PlanId,
    Slot,
    VaultId,
)

VAULT = VaultId(bytes(range(16)))
ID, HASH = "a0" * 16, "b1" * 32

numbers = st.integers(0, 2**63 - 1)
hashes = st.binary(min_size=32, max_size=32)
interactions = st.binary(min_size=16, max_size=16).map(InteractionId)
kinds = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
labels = st.builds(
    Label,
    st.just(VAULT),
    interactions,
    st.binary(min_size=16, max_size=16).map(ArtefactId),
    kinds,
    numbers.map(Slot),
)
slots = st.tuples(numbers.map(Slot), hashes.map(Commitment))
entries: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Created, interactions, st.lists(slots, min_size=1, max_size=3).map(tuple)),
    st.builds(SealedEntry, labels, hashes),
    st.builds(
        Noted,
        st.sampled_from(NOTED_ACTS),
        kinds,
        st.lists(interactions, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(RekeyEntry, numbers, hashes, hashes, hashes | st.just(b"")),
    st.builds(
        ConfirmedEntry,
        st.binary(min_size=16, max_size=16).map(PlanId),
        numbers.map(Epoch),
        hashes,
    ),
    st.builds(
        ErasedEntry,
        st.binary(min_size=16, max_size=16).map(PlanId),
        numbers.map(Epoch),
        numbers.map(Epoch),
        hashes,
    ),
)


@given(numbers.filter(bool), entries)
def test_an_entry_comes_back_from_its_line(index: int, entry: Entry) -> None:
    assert parse_line(line_of(index, entry), VAULT) == (index, entry)


def test_the_first_entry_comes_back_from_its_line() -> None:
    assert parse_line(line_of(0, Begun(VAULT)), VAULT) == (0, Begun(VAULT))


@given(numbers.filter(bool), entries, st.data())
def test_what_is_read_is_written_the_same(index: int, entry: Entry, data: st.DataObject) -> None:
    """No two lines mean one entry: whatever parses is exactly what `line_of` writes."""
    line = bytearray(line_of(index, entry))
    at = data.draw(st.integers(0, len(line)))
    bent = line[:at] + data.draw(st.binary(max_size=2)) + line[at + data.draw(st.integers(0, 2)) :]
    try:
        found = parse_line(bent, VAULT)
    except Malformed:
        return
    assert line_of(*found) == bent


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything_else_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_line(line, VAULT)


REFUSED = {
    "empty": "",
    "no entry": "1",
    "no words": "1 ",
    "another kind": f"1 forget {ID}",
    "upper-case act": f"1 SEAL {ID}",
    "index with a sign": f"+1 create {ID} 0:{HASH}",
    "negative index": f"-1 create {ID} 0:{HASH}",
    "index with a leading zero": f"01 create {ID} 0:{HASH}",
    "index in other digits": f"\u0661 create {ID} 0:{HASH}",
    "index with an underscore": f"1_0 create {ID} 0:{HASH}",
    "index too large": f"{2**63} create {ID} 0:{HASH}",
    "index of 5000 digits": f"{'9' * 5000} create {ID} 0:{HASH}",
    "create without slots": f"1 create {ID}",
    "create with a space for slots": f"1 create {ID} ",
    "create with a negative slot": f"1 create {ID} -1:{HASH}",
    "create with a slot too large": f"1 create {ID} {2**63}:{HASH}",
    "create with three parts": f"1 create {ID} 0:{HASH}:{HASH}",
    "create with a short commitment": f"1 create {ID} 0:{HASH[:-2]}",
    "create with upper-case hex": f"1 create {ID} 0:{HASH.upper()}",
    "create with a short id": f"1 create {ID[:-2]} 0:{HASH}",
    "create with two spaces": f"1 create  {ID} 0:{HASH}",
    "create with a trailing space": f"1 create {ID} 0:{HASH} ",
    "create with a newline": f"1 create {ID} 0:{HASH}\n",
    "create with a carriage return": f"1 create {ID} 0:{HASH}\r",
    "create with a space in its hex": f"1 create {ID} 0:{HASH[:-3]} {HASH[-3:]}",
    "seal of another kind": f"1 seal {ID} {ID} Audio 0 {HASH}",
    "seal of a kind too long": f"1 seal {ID} {ID} {'a' * 17} 0 {HASH}",
    "seal with a parent that is no id": f"1 seal {ID} {ID} audio 0 {HASH} {HASH}",
    "read of a day that is none": f"1 read history 2026-1-31 {ID}",
    "read of a day alone": "1 read history 2026-01-31",
    "seal with one parent twice": f"1 seal {ID} {ID} audio 0 {HASH} {ID} {ID}",
    "seal with a word too few": f"1 seal {ID} {ID} audio 0",
    "read by nobody": "1 read history",
    "read in no known way": f"1 read His {ID}",
    "erase with one epoch": f"1 erase {ID} 1 {HASH}",
    "erase with three epochs": f"1 erase {ID} 1:2:3 {HASH}",
    "erase with a negative epoch": f"1 erase {ID} -1:2 {HASH}",
    "erase with a fraction": f"1 erase {ID} 1.0:2 {HASH}",
    "confirm with two epochs": f"1 confirm {ID} 1:2 {HASH}",
    "confirm with a negative epoch": f"1 confirm {ID} -1 {HASH}",
    "confirm without a hash": f"1 confirm {ID} 1",
    "confirm with a word too many": f"1 confirm {ID} 1 {HASH} {HASH}",
    "rekey without a generation": f"1 rekey {HASH} {HASH}",
    "rekey with one key": f"1 rekey 1 {HASH}",
    "rekey with four keys": f"1 rekey 1 {HASH} {HASH} {HASH} {HASH}",
    "the first entry again": f"1 anechoic-log/1 {VAULT.hex()}",
    "another vault's first entry": f"0 anechoic-log/1 {ID}",
    "another first entry": f"0 create {ID} 0:{HASH}",
    "another version": f"0 anechoic-log/2 {VAULT.hex()}",
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_line_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        parse_line(line.encode(), VAULT)


@pytest.mark.parametrize(
    "line",
    [
        f"1 create {ID} 0:{HASH} 1:{HASH}",
        f"7 seal {ID} {ID} audio 0 {HASH}",
        f"7 seal {ID} {ID} transcript 0 {HASH} {ID}",
        f"7 read history 2026-01-31 {ID}",
        f"7 seal {ID} {ID} index 0 {HASH} {ID} {'a' * 32}",
        f"8 read history {ID} {ID}",
        f"{2**63 - 1} erase {ID} 1:2 {HASH}",
        f"9 confirm {ID} 3 {HASH}",
        f"10 rekey 2 {HASH} {HASH}",
        f"11 rekey 3 {HASH} {HASH} {HASH}",
    ],
)
def test_line_is_read(line: str) -> None:
    index, entry = parse_line(line.encode(), VAULT)
    assert line_of(index, entry).decode() == line


def test_the_origin_names_the_vault() -> None:
    assert origin_of(VAULT) == "anechoic/000102030405060708090a0b0c0d0e0f"

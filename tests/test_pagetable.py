"""The table of a ring's pages is the mapping that it says, whatever is replaced in it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Malformed
from keys.model import KEY_SIZE
from keys.pagetable import ROW_SIZE, PageRef, PageTable
from keys.secret import Secret, random_secret

NUMBERS = st.integers(0, 2**32 - 1)
REFS = st.tuples(NUMBERS, st.binary(min_size=KEY_SIZE, max_size=KEY_SIZE))
CHANGES = st.dictionaries(st.integers(0, 9) | NUMBERS, st.none() | REFS, max_size=8)


def plain(table: PageTable) -> dict[int, tuple[int, bytes]]:
    return {number: (ref.frame, bytes(ref.key)) for number, ref in table.items()}


@given(st.lists(CHANGES, max_size=6))
def test_it_is_what_was_put_into_it(rounds: list[dict[int, tuple[int, bytes] | None]]) -> None:
    table, model = PageTable(), dict[int, tuple[int, bytes]]()
    for changes in rounds:
        before = bytes(table.rows)
        refs = {n: it and PageRef(it[0], Secret(it[1])) for n, it in changes.items()}
        after = table.replaced(refs)
        assert bytes(table.rows) == before  # the old state may still have to be used
        table = after
        model = {n: it for n, it in (model | changes).items() if it is not None}
        assert plain(table) == model
        assert table.frames == {n: frame for n, (frame, _) in model.items()}
        assert list(table) == sorted(model)
        assert plain(PageTable(Secret(table.rows))) == model


@pytest.mark.parametrize("numbers", [(2, 1), (1, 1), (0, 3, 2)])
def test_rows_rise(numbers: tuple[int, ...]) -> None:
    rows = b"".join(struct.pack(">II", n, n) + bytes(KEY_SIZE) for n in numbers)
    with pytest.raises(Malformed, match="rising"):
        PageTable(Secret(rows))


def test_a_row_that_is_cut_off_is_none() -> None:
    with pytest.raises((Malformed, struct.error)):
        PageTable(Secret(ROW_SIZE + 1))


def test_a_wiped_table_holds_nothing() -> None:
    table = PageTable().replaced({3: PageRef(5, random_secret())})
    rows, key = table.rows, table[3].key
    assert any(key)
    table.wipe()
    assert not any(rows)
    assert not any(key)
    assert len(table) == 0

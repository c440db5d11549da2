"""The search index of a vault, for those who need no words: its rows, newest first.

Promises that no living interaction is passed over, whatever has become of a segment. Reading logs
nothing; whoever shows a row logs the read. Loads the rest when it is asked, not before.
Looking is in `pipeline/indexreading.py`, which segments there are in `pipeline/indexstate.py`,
merging in `pipeline/indexing.py`, erasing in `pipeline/indexrebuild.py`, the bytes in
`pipeline/indexformat.py`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.indexvalues import ALL, Census, Row, Which, us_of
from pipeline.vault import Vault

if TYPE_CHECKING:
    from pipeline.indexreading import Wanted

__all__ = ["ALL", "Census", "Row", "Which", "census", "rows", "some", "us_of"]


def rows(vault: Vault, which: Which = ALL) -> Iterator[Row]:
    """Yields what is known of the living interactions that are meant, newest first.

    What cannot be read is passed over, and added to `vault.unreadable`.
    """
    from pipeline import indexreading

    return indexreading.rows(vault, which)


def some(vault: Vault, is_wanted: "Wanted") -> Iterator[Row]:
    """Yields those that are wanted, asked of many at once, and all that are in no segment.

    Passes over what cannot be read as `rows` does.
    """
    from pipeline import indexreading

    return indexreading.some(vault, is_wanted)


def census(vault: Vault) -> Census:
    """Returns how many interactions live, and whose they are."""
    from pipeline import indexreading

    return indexreading.census(vault)

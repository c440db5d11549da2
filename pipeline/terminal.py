"""What a person or a program sees: tables and colours on a terminal, plain lines in a pipe, JSON.

Results go to standard output, everything else to standard error. With `as_json` standard output
holds JSON only. Nothing here decides anything; it only shows.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDE_ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and whether long content may be folded or cut."""

    title: str
    fold: bool = False
    right: bool = False


class Terminal:
    """The two streams of a command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self.err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

    @property
    def is_rich(self) -> bool:
        """Whether a person is looking at standard output."""
        return self.out.is_terminal and not self.as_json

    def document(self, content: object) -> None:
        """Writes one JSON document."""
        sys.stdout.write(json.dumps(content, indent=2) + "\n")

    def line(self, content: object) -> None:
        """Writes one JSON line, at once."""
        sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()

    def print(self, markup: str = "") -> None:
        """Writes a line of a result; square brackets are style."""
        self.out.print(markup)

    def say(self, markup: str) -> None:
        """Writes a remark to standard error; square brackets are style."""
        self.err.print(markup)

    def problem(self, text: str) -> None:
        """Writes an error or a warning to standard error."""
        self.err.print(f"[bold red]anechoic:[/] {escape(text)}")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Writes a table to a terminal, or lines with tabs into a pipe."""
        if not self.is_rich:
            for row in rows:
                sys.stdout.write("\t".join(row) + "\n")
            return
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for it in columns:
            table.add_column(
                it.title,
                justify="right" if it.right else "left",
                no_wrap=not it.fold,
                min_width=_WIDE_ENOUGH * it.fold,
            )
        for row in rows:
            table.add_row(*map(escape, row))
        self.out.print(table)


def local(time: str) -> str:
    """Returns an RFC 3339 time as the user's clock showed it, to the second."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")

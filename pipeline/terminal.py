"""What a person or a program sees: tables and colours on a terminal, plain lines in a pipe, JSON.

Results go to standard output, everything else to standard error. With `as_json` standard output
holds JSON only. Nothing here decides anything; it only shows. Whatever comes from outside (words,
names of files) goes through `safe`, so that it can neither style nor move a terminal.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:  # it takes a tenth of a second that a pipe need not wait for
    from rich.console import Console

_WIDE_ENOUGH = 20
_SPECIAL = re.compile(r"(\\*)(\[[a-z#/@][^[]*?\])|(\\+)\[|(\\+)\Z")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and whether long content may be folded."""

    title: str
    fold: bool = False
    right: bool = False


class Terminal:
    """The two streams of a command."""

    def __init__(
        self, *, as_json: bool, out: "Console | None" = None, err: "Console | None" = None
    ) -> None:
        self.as_json, self._out, self._err = as_json, out, err

    @property
    def out(self) -> "Console":
        """Standard output as rich writes to it."""
        self._out = self._out or _console(sys.stdout, stderr=False)
        return self._out

    @property
    def err(self) -> "Console":
        """Standard error as rich writes to it."""
        self._err = self._err or _console(sys.stderr, stderr=True)
        return self._err

    @property
    def is_rich(self) -> bool:
        """Whether a person is looking at the results."""
        return not self.as_json and (self.out.is_terminal if self._out else sys.stdout.isatty())

    def on_one_screen(self) -> "Terminal":
        """Returns a terminal that a progress bar on `out` cannot be torn apart on."""
        torn = self.is_rich and self.err.is_terminal
        return Terminal(as_json=self.as_json, out=self.out, err=self.out) if torn else self

    def as_remarks(self) -> "Terminal":
        """Returns a terminal for a person that writes all to standard error."""
        return Terminal(as_json=False, out=self.err, err=self.err)

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

    def exact(self, markup: str) -> None:
        """Writes a line that is not folded, because somebody will copy it: a key, a path."""
        self.out.print(markup, soft_wrap=True)

    def item(self, head: str, body: str) -> None:
        """Writes a line of a result whose body folds under itself and not under its head."""
        _item(self.out, head, body)

    def say(self, markup: str) -> None:
        """Writes a remark to standard error; square brackets are style."""
        self.err.print(markup)

    def exact_remark(self, text: str) -> None:
        """Writes a remark that is not folded, because somebody will copy it: a link."""
        self.err.print(safe(text), soft_wrap=True)

    def say_item(self, head: str, body: str) -> None:
        """Writes a remark whose body folds under itself and not under its head."""
        _item(self.err, head, body)

    def ask(self, markup: str) -> str:
        """Asks on standard error and returns the answer; at the end of the input, nothing."""
        self.err.print(markup, end=" ")
        try:
            return input().strip()
        except EOFError:
            self.err.print()
            return ""

    def problem(self, text: str) -> None:
        """Writes an error or a warning to standard error."""
        self.say_item("[bold red]anechoic:[/]", safe(text))

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
        """Writes a table to a terminal, or lines with tabs into a pipe."""
        if not self.is_rich:
            stream = self._out.file if self._out else sys.stdout
            for row in rows:
                stream.write("\t".join(map(printable, row)) + "\n")
            stream.flush()
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for it in columns:
            table.add_column(
                it.title,
                justify="right" if it.right else "left",
                no_wrap=not it.fold,
                min_width=_WIDE_ENOUGH * it.fold,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*map(safe, row))
        self.out.print(table)


def safe(text: str) -> str:
    """Returns text from outside as markup that shows it as it is, in one line.

    A backslash at its end is right where a tag follows, and shows twice where none does. Rich's own
    `escape` loses one before a bracket that opens no tag, and lets the last of three open one.
    """
    return _SPECIAL.sub(_escaped, printable(text))


def printable(text: str) -> str:
    """Returns the text with whatever could move a terminal, or cannot be written, escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def local(time: str) -> str:
    """Returns an RFC 3339 time as the user's clock showed it, to the minute."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M")


def count(number: int, what: str) -> str:
    """Returns a number of things in words: `1 key`, `2 keys`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _escaped(found: re.Match[str]) -> str:
    before_tag, tag, before_bracket, last = found.groups()
    if tag:
        return f"{before_tag * 2}\\{tag}"
    return f"{before_bracket}\\[" if before_bracket else last * 2


def _console(stream: TextIO, *, stderr: bool) -> "Console":
    from rich.console import Console

    seen = stream.isatty()  # told to rich, which would let FORCE_COLOR put colours into a pipe
    return Console(
        stderr=stderr, highlight=False, emoji=False, soft_wrap=not seen, force_terminal=seen
    )


def _item(console: "Console", head: str, body: str) -> None:
    if not console.is_terminal:
        console.print(f"{head} {body}")
        return
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, body)
    console.print(grid)

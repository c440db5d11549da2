"""The vault behind the page: one request at a time, under its lock, from whichever thread.

Promises that no two requests use the vault at once, that a vault which another process holds is
waited for and told of, and that whoever watches learns within a second that something was heard or
erased, and no more than that; and, where a microphone is open, what is heard at that moment: of
that nothing is kept for who comes later. What it remembers goes with its worker.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from keys.errors import Busy
from keys.model import InteractionId
from pipeline.artefact import TRANSCRIPT
from pipeline.forgetting import Proposal
from pipeline.glimpse import Now, Place
from pipeline.session import acting
from pipeline.vault import Vault
from pipeline.web.acts import Judge

HEARD, ERASED, NOW = "heard", "erased", "now"
_GLANCE_S = 0.1
_LOOKS = 5
"""At so many glances at what is heard the log is looked at once."""
_QUIET_LOOKS = 20
_MOST_WATCHERS = 16
_MOST_PROPOSALS = 8


@dataclass(slots=True, repr=False)
class Memory:
    """What was proposed and not decided yet, without its words; and who judges copies."""

    proposals: OrderedDict[str, Proposal] = field(default_factory=OrderedDict)
    judge: Judge | None = None
    at: tuple[int, int] = (0, 0)
    read_by_calendar: dict[InteractionId, str] = field(default_factory=dict)
    """On which day it was last logged that a calendar program has an entry."""

    def propose(self, it: Proposal) -> None:
        """Remembers a proposal until it is taken, or some others were made since."""
        self.proposals[it.plan.id.hex()] = replace(it, rows=(), keepable=(), records=())
        while len(self.proposals) > _MOST_PROPOSALS:
            self.proposals.popitem(last=False)

    def take(self, plan: str) -> Proposal | None:
        """Returns a proposal once; None where it is not known (any more)."""
        return self.proposals.pop(plan, None)

    def judging(self, vault: Vault) -> Judge:
        """Returns a judge of copies who knows the vault as it is now."""
        at = vault.log.size, vault.ring.epoch
        if self.judge is None or self.at != at:
            self.judge, self.at = Judge(vault), at
        return self.judge


class House:
    """A vault that is opened with the first request."""

    def __init__(
        self,
        open_vault: Callable[[], Vault],
        on_enter: Callable[[], None],
        place: Place | None = None,
    ) -> None:
        self._open = open_vault
        self.place = place
        """What is heard at the moment; None where no microphone is."""
        self._vault: Vault | None = None
        self.on_enter = on_enter
        """Called when a link was used: the next one can be shown."""
        self.memory = Memory()
        self._lock, self._opening = threading.Lock(), threading.Lock()
        self._closed, self._watchers = threading.Event(), 0

    @contextmanager
    def acting(self) -> Iterator[Vault]:
        """Holds the vault for one request; raises `Busy`."""
        with self._lock, acting(vault := self._opened()):
            yield vault

    def _opened(self) -> Vault:
        with self._opening:
            self._vault = self._vault or self._open()
            return self._vault

    @property
    def directory(self) -> Path | None:
        """Where the vault is; None before the first request that needed it."""
        return self._vault.directory if self._vault else None

    def close(self) -> None:
        """Ends what watches: the worker's turn is over."""
        self._closed.set()

    def entries(self) -> Path:
        """Returns where the log grows; raises `Busy` where too many watch it already.

        Whoever holds the vault, and for however long: a page that may not watch shows nothing.
        """
        if self._watchers >= _MOST_WATCHERS:
            raise Busy(f"{self._watchers} pages are open at once already; close one of them")
        return self._opened().directory / "log" / "entries"

    async def changes(self, entries: Path) -> AsyncIterator[tuple[str, str]]:
        """Yields what happens, with its data, until closed; an empty name now and then.

        `heard` and `erased` as the log grows, without data; `now` as what is heard changes.
        """
        self._watchers += 1
        try:
            end, glances, shown = _size(entries), 0, None
            looks = _LOOKS if self.place else 1
            yield "", ""
            while not self._closed.is_set():
                await asyncio.sleep(_GLANCE_S * _LOOKS / looks)
                now, glances = self.place.look() if self.place else None, glances + 1
                if now and now != shown:
                    shown = now
                    yield NOW, _said(now)
                if glances % looks:
                    continue
                news, end = _news(entries, end)
                for it in news or [""] * (glances % (_QUIET_LOOKS * looks) == 0):
                    yield it, ""
        finally:
            self._watchers -= 1


def _said(now: Now) -> str:
    return json.dumps(asdict(now))


def _size(path: Path) -> int:
    return path.stat().st_size


def _news(entries: Path, end: int) -> tuple[list[str], int]:
    """Returns what the log's lines behind `end` tell of, and where the last whole one ends."""
    if _size(entries) <= end:
        return [], end
    with open(entries, "rb") as log:
        log.seek(end)
        lines = log.read().rpartition(b"\n")[0]
    words = [it.split(b" ") for it in lines.splitlines()]
    is_heard = any(it[1:2] == [b"seal"] and it[4:5] == [TRANSCRIPT.encode()] for it in words)
    is_erased = any(it[1:2] == [b"erase"] for it in words)
    return [ERASED] * is_erased + [HEARD] * is_heard, end + len(lines) + bool(lines)

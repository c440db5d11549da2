"""`serve`: what goes on by itself, until Ctrl-C: retention, timers, the index, the doors asked for.

Promises that what has fallen due is erased within a minute, also where nobody runs a command, that
timers ring at their second, also while a worker that is relieved still answers somebody, and that
what is not to be had (a vault which another process holds, one file more) is tried again a second
later. Each duty is called in turn in one worker, which holds keys and is replaced after every
erasure; the process above it never touches speech.
"""

import contextlib
import errno
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from keys.errors import Busy
from pipeline import glimpse, notify, places, supervisor
from pipeline import retention as retaining
from pipeline.artefact import DEFAULT_PROFILE
from pipeline.assistant.bell import Bell
from pipeline.assistant.watch import Watch
from pipeline.beside import Beside, beside
from pipeline.erase import Clock
from pipeline.errors import Refused
from pipeline.glimpse import Place
from pipeline.indexing import tidy
from pipeline.opening import asked_before, the_model, the_vault
from pipeline.session import AskPassphrase, acting, now
from pipeline.skills.again import Asking
from pipeline.terminal import Terminal
from pipeline.turn import RELIEVED, Turn
from pipeline.typed import Typed
from pipeline.vault import Vault
from pipeline.wyoming_address import address_of, announced, warning

if TYPE_CHECKING:
    from pipeline.web.door import Door as WebDoor
    from pipeline.wyoming_door import Door

DONE = 0
EVERY_S = 60.0
_AGAIN_S = 1.0
_NO_ROOM = {errno.EMFILE, errno.ENFILE}
_OF_A_MICROPHONE = ("device", "wake", "pause", "vocabulary")
_OF_HEARING = ("ephemeral", "profile", "model")
_OF_THE_PAGE = {"starlette", "uvicorn", "h11", "anyio"}


class Flag(Protocol):
    """Something that may be set, by whatever has ended what it stands for."""

    def is_set(self) -> bool:
        """Tells whether it is."""


class Opened(Flag, Protocol):
    """A door that is open; set when it failed."""

    def drain(self) -> None:
        """Begin to end: let in nobody more; what is under way goes on."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to be done with the vault every so often, under its lock; returns a remark."""

    every_s: float
    do: Callable[[Vault, Clock], str | None]


def duties_of(vault: Vault, bell: Bell, *, rings: bool = True) -> Sequence[Duty]:
    """Returns what is to be done with a vault; what else `serve` shall do is added here.

    Taking the vault erases what has fallen due; `doubt` tells where that waits for the clock. It
    does not ring where a listener does, which can hear that it shall stop.
    """
    ringing = (_ringing(vault, bell),) if rings else ()
    return (Duty(EVERY_S, retaining.doubt), *ringing, Duty(EVERY_S, _index), _asking())


def _ringing(vault: Vault, bell: Bell) -> Duty:
    """Rings alarms, timers and reminders that are due; the remark is that nobody can hear it."""
    remarks: list[str | None] = []
    watch = Watch(vault, lambda rung: remarks.append(bell.ring(rung.entry.action.what)))

    def ring(_vault: Vault, _clock: Clock) -> str | None:
        remarks.clear()
        watch.run_due()
        return next(filter(None, remarks), None)

    return Duty(_AGAIN_S, ring)


def _index(vault: Vault, clock: Clock) -> None:
    tidy(vault, clock)


def _asking() -> Duty:
    """Asks skills for the answers that receipts wait for."""
    asking = Asking()
    return Duty(EVERY_S, lambda vault, _: asking.attend(vault))


def serve(options: Namespace) -> int:
    """Does what is to be done, until Ctrl-C."""
    _refuse_idle(options)
    it = Terminal(as_json=options.json)
    wyoming = _wyoming(options, it) if options.wyoming else None
    web = _web(options, it) if options.web else None
    ask, directory = asked_before(options), places.vault_directory(options.vault)
    mutes = "; m and Enter mutes" if options.listen and it.err.is_terminal else ""
    it.say(f"at work: what falls due is erased within a minute{mutes}; Ctrl-C ends")
    is_forked = supervisor.CAN_FORK and (wyoming is None or wyoming.shared is not None)
    with contextlib.ExitStack() as around:
        if wyoming and options.announce:
            around.enter_context(announced(wyoming.listening))
        place = glimpse.place() if options.listen else None
        ear = around.enter_context(_listening(options, ask, place)) if options.listen else None
        work = partial(_work, options, ask, wyoming, web, ear, place)
        return supervisor.supervise(work, directory, fork=is_forked)


def _refuse_idle(options: Namespace) -> None:
    """Refuses what would mean nothing, rather than have somebody believe that it does."""
    if idle := _given(options, _OF_A_MICROPHONE) if not options.listen else "":
        raise Refused(f"{idle} is for a microphone: add --listen")
    if options.announce and not options.wyoming:
        raise Refused("--announce tells the network of a Wyoming service: add --wyoming URI")
    if idle := _given(options, _OF_HEARING) if not (options.listen or options.wyoming) else "":
        raise Refused(f"{idle} is for what hears: add --listen, --wyoming URI, or both")


def _given(options: Namespace, names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names if getattr(options, name))


def _listening(
    options: Namespace, ask: AskPassphrase, place: Place | None
) -> contextlib.AbstractContextManager[Beside]:
    from pipeline.microphone import listen

    theirs = Namespace(**{**vars(options), "once": False, "json": True})
    return beside(partial(listen, theirs, ask, place), fork=supervisor.CAN_FORK)


def _wyoming(options: Namespace, it: Terminal) -> "Door":
    from pipeline.wyoming_door import door

    found = door(options.wyoming, the_model(options), options.profile or DEFAULT_PROFILE)
    it.say(f"Wyoming: at {address_of(found.listening)}")
    if problem := warning(found.listening):
        it.problem(problem)
    return found


def _web(options: Namespace, it: Terminal) -> "WebDoor":
    try:
        from pipeline.web.door import door, warning
    except ModuleNotFoundError as error:
        if error.name not in _OF_THE_PAGE:
            raise
        what = "the page needs what is not installed: pip install 'anechoic[web]'"
        raise Refused(what) from None
    found = door(options.web)
    it.exact_remark(f"the page: {found.link} (good for one browser, within ten minutes)")
    if problem := warning(found):
        it.problem(problem)
    return found


def _work(
    options: Namespace,
    ask: AskPassphrase | None,
    wyoming: "Door | None",
    web: "WebDoor | None",
    ear: Beside | None,
    place: Place | None,
    turn: Turn,
) -> int:
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it, ask)
    again = partial(the_vault, options, it, ask)
    bell = Bell()
    with contextlib.ExitStack() as doors:
        opened = _opened(options, again, wyoming, web, it, place, doors)
        turn.ready()
        if turn.is_first:
            notify.ready()
        if place:
            doors.enter_context(Typed(partial(_muting, place, it), turn.began))
        rings = ear is None or options.ephemeral
        ends = partial(_ends, turn, [*opened, *([ear] if ear else [])])
        # From here on, and not from the beginning of its turn: the one before does no more duties
        # once that is over, and strangers decide how long it takes to finish with them.
        attend(vault, duties_of(vault, bell, rings=rings), ends, now, it.problem, turn.stop.wait)
        for door in opened:
            door.drain()
    _ring_out(turn, bell)
    if turn.stop.is_set():
        return DONE
    turn.leave(b"")
    return RELIEVED


def _opened(
    options: Namespace,
    again: Callable[[], Vault],
    wyoming: "Door | None",
    web: "WebDoor | None",
    it: Terminal,
    place: Place | None,
    doors: contextlib.ExitStack,
) -> list[Opened]:
    """Opens the doors; leaving `doors` closes them."""
    opened = list[Opened]()
    if wyoming:
        stored = None if options.ephemeral else again
        opened.append(doors.enter_context(wyoming.opened(stored, it.problem)))
    if web:
        opened.append(doors.enter_context(web.opened(again, it.exact_remark, place)))
    return opened


def _muting(place: Place, it: Terminal, word: str) -> None:
    """Mutes the microphone at `m`, and opens it again at the next."""
    now = place.look()
    if word == "m" and now:
        place.wish(is_muted=now.state != glimpse.MUTED)
        it.say("listening again" if now.state == glimpse.MUTED else "muted; m and Enter lifts it")


def _ring_out(turn: Turn, bell: Bell) -> None:
    """Waits until it does not ring: what rings is not cut off by the next worker."""
    while turn.over.is_set() and bell.is_ringing and not turn.stop.wait(_AGAIN_S):
        pass


def _ends(turn: Turn, failed: Sequence[Flag]) -> bool:
    """Tells whether the worker's time has come."""
    is_over = turn.over.is_set() or turn.stop.is_set()
    return is_over or any(it.is_set() for it in failed)


def attend(
    vault: Vault,
    duties: Sequence[Duty],
    ends: Callable[[], bool],
    clock: Clock,
    say: Callable[[str], None],
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Does each duty whenever its time has come, until it `ends`; says each new remark once."""
    waits_s = [0.0] * len(duties)
    said: list[str | None] = [None] * len(duties)
    while not ends():
        for number, duty in enumerate(duties):
            waits_s[number] -= _AGAIN_S
            with _passing():
                if waits_s[number] <= 0:
                    remark = _done(vault, duty, clock)
                    if remark and remark != said[number]:
                        say(remark)
                    waits_s[number], said[number] = duty.every_s, remark
        pause(_AGAIN_S)


@contextlib.contextmanager
def _passing() -> Iterator[None]:
    """Passes over what is tried again the next second: too many files open is no reason to end."""
    try:
        yield
    except Busy:
        pass
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise


def _done(vault: Vault, duty: Duty, clock: Clock) -> str | None:
    with acting(vault, clock):
        return duty.do(vault, clock)

"""Retention: the settings of a vault, what may be captured, and the erasure of what has fallen due.

Promises that every interaction enters by `create`, `begin` or `finish` here, which fix its limits
and let in only what its profile allows; and that `enforce`, which every act on a vault runs first,
erases all that has fallen due, in one rotation and with one receipt. While nothing is due that
costs the reading of two small files, whatever the size of the vault. Where the settings are missing
or damaged it lets nothing in and nothing fall due, and stops nobody else. Pure policy is in
`limits`.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from keys.model import InteractionId, Slot
from pipeline import agenda as agendas
from pipeline import erase, falling, kept, settingsfile, write
from pipeline.agenda import Agenda
from pipeline.artefact import (
    AUDIO,
    META,
    SETTINGS,
    TRANSCRIPT,
    Meta,
    Transcript,
)
from pipeline.erase import Clock, Erasure
from pipeline.errors import Refused, SettingsLost
from pipeline.limits import Due, falls_due, fixed, next_due, row_of, snapshot
from pipeline.reckoning import Reckoning, seconds_of, time_of
from pipeline.reckoning import begin as first_look
from pipeline.recording import Recording
from pipeline.settings import DAY_S, Limit, Settings, shorter
from pipeline.vault import Vault

_REMEMBER_S = 600
"""The agenda is written again when the reckoned time has gone on by so much."""

NOTHING = (
    "nothing of this profile may be stored: its words are kept for none, or it is a child's and no "
    "consent is recorded; `anechoic profile add NAME --child --consent-by WHO` records a guardian's"
)
"""What to say where nothing is stored."""
Change = Callable[[Settings, str], Settings]
"""Makes new settings of the present ones and the time; raises `Refused`."""


@dataclass(frozen=True, slots=True)
class Until:
    """Until when an interaction is kept (RFC 3339; None: until it is forgotten)."""

    audio: str | None
    words: str | None
    sensitive: bool


@dataclass(frozen=True, slots=True, repr=False)
class State:
    """The settings of a vault, where they lie, and its agenda."""

    settings: Settings
    owner: InteractionId
    slot: Slot
    agenda: Agenda
    written: Agenda | None
    """The agenda as it lies there; None where it is lost."""

    @property
    def now_s(self) -> int:
        """The time reckoned, in seconds since 1970."""
        return self.agenda.reckoning.now_s


def state_of(vault: Vault, clock: Clock) -> State | None:
    """Returns the state of retention now; None where nothing was ever set; `SettingsLost`."""
    it = settingsfile.lying(vault)
    if it is None:
        return None
    known = agendas.load(vault, it.owner, it.slot)
    seen_s = seconds_of(clock())
    reckoning = known.reckoning.step(seen_s) if known else _reckoned_anew(vault, seen_s)
    agenda = Agenda(known.next_s if known else 0, reckoning)
    return State(it.settings, it.owner, it.slot, agenda, known)


def _state_if_readable(vault: Vault, clock: Clock) -> State | None:
    with contextlib.suppress(SettingsLost):
        return state_of(vault, clock)
    return None


def settings_of(vault: Vault, clock: Clock) -> Settings:
    """Returns the settings of a vault; raises `SettingsLost`."""
    state = state_of(vault, clock)
    return state.settings if state else Settings()


def readable(vault: Vault, clock: Clock) -> Settings | None:
    """Returns the settings of a vault; None where they are lost."""
    with contextlib.suppress(SettingsLost):
        return settings_of(vault, clock)
    return None


def change(vault: Vault, make: Change, clock: Clock) -> Settings:
    """Changes the settings, durable on return; raises what `make` raises, and `SettingsLost`.

    1. The new ones are sealed. 2. The agenda says that all must be looked through. 3. The old ones
    are retired. After a crash the newest hold, and `enforce` retires the others.
    """
    state = state_of(vault, clock)
    reckoning = state.agenda.reckoning if state else first_look(seconds_of(clock()))
    new = make(state.settings if state else Settings(), time_of(reckoning.stamp_s))
    _replace(vault, new, reckoning, clock)
    return new


def begin_anew(vault: Vault, clock: Clock) -> None:
    """Puts settings of nothing in the place of those that are lost; raises `Refused` where none is.

    What was captured keeps the limits that it has, and falls due by them again. A copy of the lost
    ones is good for nothing any more, as after any change.
    """
    if not settingsfile.trouble(vault):
        raise Refused("the settings of this vault can be read: leave out --anew and change them")
    lost = settingsfile.living(vault)
    _replace(vault, Settings(), _reckoned_anew(vault, seconds_of(clock())), clock)
    settingsfile.delete(vault, lost)


def _replace(vault: Vault, new: Settings, reckoning: Reckoning, clock: Clock) -> None:
    owner = write.own(vault, SETTINGS, new.encode())
    (artefact,) = vault.artefacts(owner)
    agendas.save(vault, owner, artefact.slot, Agenda(0, reckoning))
    _retire_others(vault, owner, clock)


def _retire_others(vault: Vault, owner: InteractionId, clock: Clock) -> None:
    """Retires all settings but these; goes by the log, as a file may be damaged or a stranger's."""
    others = (it.interaction for it in settingsfile.living(vault))
    erase.retire(vault, [it for it in others if it != owner], clock)


def would_erase(vault: Vault, make: Change, clock: Clock) -> Due:
    """Returns what `change` would have erased at once, and changes nothing; raises as it does.

    Records are counted too, where a keeping that came to no end has left them beside their source.
    """
    state = state_of(vault, clock)
    reckoning = state.agenda.reckoning if state else first_look(seconds_of(clock()))
    new = make(state.settings if state else Settings(), time_of(reckoning.stamp_s))
    found = falling.found(vault, new, reckoning.now_s)
    return replace(found, records=tuple(kept.same(vault, found.whole)))


def believe(vault: Vault, clock: Clock) -> None:
    """Takes the clock for right, though it has leapt ahead."""
    if state := state_of(vault, clock):
        reckoning = state.agenda.reckoning.believing()
        _save(vault, replace(state, agenda=Agenda(0, reckoning)))


def until(vault: Vault, interaction: InteractionId, meta: Meta, clock: Clock) -> Until:
    """Returns until when an interaction with this meta is kept."""
    state = _state_if_readable(vault, clock)
    settings, now_s = (state.settings, state.now_s) if state else (Settings(), seconds_of(clock()))
    row = row_of(interaction, meta, has_audio=True)
    audio_s, words_s = falls_due(row, settings, now_s)
    return Until(_time(audio_s), _time(words_s), meta.sensitive)


def doubt(vault: Vault, clock: Clock) -> str | None:
    """Says why nothing falls due, and what to do: lost settings, or a clock that is doubted."""
    if lost := settingsfile.trouble(vault):
        return lost
    state = state_of(vault, clock)
    if state is None or not state.agenda.reckoning.is_doubted:
        return None
    return (
        f"the clock says {time_of(state.agenda.reckoning.clock_s)}, and was at "
        f"{time_of(state.now_s)} when it was last seen: nothing falls due by such a leap until the "
        "clock has gone on from there for a day; if it is right, `anechoic retention set "
        "--believe-clock`; if not, set it right"
    )


def stores(vault: Vault, clock: Clock, profile: str) -> bool:
    """Tells whether anything of a profile may be stored; `NOTHING` says why not."""
    return settings_of(vault, clock).policy_of(profile).stores


def recheck(vault: Vault, clock: Clock) -> None:
    """Has the next act look through everything: sealed files have come back that were away."""
    if state := _state_if_readable(vault, clock):
        _save(vault, replace(state, agenda=Agenda(0, state.agenda.reckoning)))


# Capture


def create(
    vault: Vault, parts: Sequence[write.Part], clock: Clock, left: str = ""
) -> InteractionId | None:
    """Seals a new interaction as far as its profile allows; None where it allows nothing.

    How it has `left` already, if it has, the log says as for `write.create`.
    """
    admitted = _admitted(vault, parts, clock)
    return write.create(vault, admitted, left) if admitted else None


def begin(vault: Vault, meta: Meta, clock: Clock) -> tuple[Recording, Meta] | None:
    """Begins a recording and returns it with its meta; None where it may not be recorded.

    Should a crash cut it off, nobody knows what was said: it is kept as if it were sensitive.
    """
    state = state_of(vault, clock)
    if state is None:
        return write.begin(vault), meta
    meta = _named(meta, state.settings)
    kept = snapshot(state.settings, meta.profile, None)
    if not kept.has_audio:
        return None
    meta = fixed(meta, kept, state.agenda.reckoning)
    _expect(vault, state, meta)
    return write.begin(vault), meta


def finish(
    vault: Vault, recording: Recording, parts: Sequence[write.Part], clock: Clock
) -> InteractionId | None:
    """Seals a recording as far as its profile allows; None, and it is gone, where nothing is."""
    admitted = _admitted(vault, parts, clock)
    if any(kind == AUDIO for kind, _ in admitted):
        return write.finish(vault, recording, admitted)
    write.cancel(vault, recording)  # the settings have changed while it was spoken
    return write.create(vault, admitted) if admitted else None


def _admitted(vault: Vault, parts: Sequence[write.Part], clock: Clock) -> list[write.Part]:
    """Returns the parts that may be stored, with the limits in the meta; none where none may."""
    state = state_of(vault, clock)
    if state is None:
        return list(parts)
    content = dict(parts)
    meta = _named(Meta.decode(content[META]), state.settings)
    kept = snapshot(state.settings, meta.profile, _words(content.get(TRANSCRIPT)))
    if not kept.stores:
        return []
    meta = fixed(meta, kept, state.agenda.reckoning)
    _expect(vault, state, meta)
    admitted = [(k, meta.encode() if k == META else data) for k, data in parts]
    return [(k, data) for k, data in admitted if k != AUDIO or kept.has_audio]


def _named(meta: Meta, settings: Settings) -> Meta:
    return replace(meta, profile=settings.name_of(meta.profile))


def _words(transcript: bytes | None) -> list[str]:
    return [it.word for it in Transcript.decode(transcript).words] if transcript else []


def _expect(vault: Vault, state: State, meta: Meta) -> None:
    """Lowers the time of the agenda, durably, to when this will fall due: before it is written."""
    row = row_of(InteractionId(b""), meta, has_audio=True)
    next_s = shorter(state.agenda.next_s, next_due([row], state.settings, state.now_s))
    if next_s != state.agenda.next_s:
        _save(vault, replace(state, agenda=Agenda(next_s, state.agenda.reckoning)))


# Enforcement


def enforce(vault: Vault, clock: Clock) -> Erasure | None:
    """Erases what has fallen due and returns that erasure; the caller holds the lock.

    A crash before the keys are gone leaves the agenda as it is, so the next act does it; after that
    the receipt is written as for any erasure.
    """
    owners = vault.owned(SETTINGS)
    state = _state_if_readable(vault, clock) if owners else None
    if state is None:  # where the newest do not open, no others hold or are given up
        return None
    if owners[1:]:
        _retire_others(vault, state.owner, clock)
    if state.agenda.next_s is not None and state.agenda.next_s <= state.now_s:
        return _look_through(vault, state, clock)
    _remember(vault, state)
    return None


def _look_through(vault: Vault, state: State, clock: Clock) -> Erasure | None:
    found = falling.found(vault, state.settings, state.now_s)
    done = erase.erase(vault, falling.plan(vault, found, clock()), clock) if found else None
    # What cannot be read may come back, and so may an old agenda: one is good for a day.
    next_s = shorter(found.next_s, state.now_s + DAY_S)
    _save(vault, replace(state, agenda=Agenda(next_s, state.agenda.reckoning)))
    return done


def _remember(vault: Vault, state: State) -> None:
    """Writes the reckoned time down now and then, and whenever the clock does what it should not.

    Where reckoned time goes slower than the clock, by the clock.
    """
    if state.written is None:
        _save(vault, state)
        return
    was, now = state.written.reckoning, state.agenda.reckoning
    passed_s = max(now.now_s - was.now_s, now.clock_s - was.clock_s)
    is_odd = now.clock_s < was.clock_s or now.doubted_since_s != was.doubted_since_s
    if is_odd or passed_s >= _REMEMBER_S:
        _save(vault, state)


def _time(seconds: Limit) -> str | None:
    return None if seconds is None else time_of(seconds)


def _save(vault: Vault, state: State) -> None:
    agendas.save(vault, state.owner, state.slot, state.agenda)


def _reckoned_anew(vault: Vault, seen_s: int) -> Reckoning:
    """Reckons from what was captured, where the agenda is lost: time is not before that."""
    from pipeline import index

    known = [it.reckoned_s for it in index.rows(vault) if it.reckoned_s is not None]
    return first_look(max(known)).step(seen_s) if known else first_look(seen_s)

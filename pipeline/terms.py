"""The commands about for whom and how long: `retention` and `profile`, and how they look.

As in `pipeline/commands.py`, each opens the vault, calls the act, and shows the result. Names of
profiles go to the screen of who asks and nowhere else.
"""

import sys
from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from keys.model import InteractionId
from pipeline import proofs
from pipeline import retention as retaining
from pipeline.commands import DONE, FAILED
from pipeline.erase import Erasure
from pipeline.errors import NotFound, Refused
from pipeline.forgetting import carry_out, propose
from pipeline.history import Filter, rows
from pipeline.opening import the_vault
from pipeline.profiles import UNBOUND, Newcomer, Wish, add, remove, set_limits, unbind
from pipeline.reckoning import time_of
from pipeline.retention import State, state_of
from pipeline.select import Selection
from pipeline.session import acting, now
from pipeline.settings import Limits, Profile, Settings, format_duration, names_of
from pipeline.terminal import Column, Terminal, count, local, safe
from pipeline.vault import Vault


def retention(options: Namespace) -> int:
    """Shows or sets how long what is captured is kept."""
    it = Terminal(as_json=options.json)
    wish = _wish(options) if options.act == "set" else None
    vault = the_vault(options, it)
    if wish and not _agreed(options, it, vault, wish):
        it.say("nothing was changed")
        return FAILED
    with acting(vault):
        if options.act == "set" and options.anew:
            retaining.begin_anew(vault, now)
        if wish:
            retaining.change(vault, lambda old, at: set_limits(old, wish, at), now)
        if options.act == "set" and options.believe_clock:
            retaining.believe(vault, now)
    with acting(vault):  # what has fallen due by that is erased
        state, doubt = state_of(vault, now), retaining.doubt(vault, now)
    _show(it, state.settings if state else Settings(), state, doubt)
    return DONE


def _agreed(options: Namespace, it: Terminal, vault: Vault, wish: Wish) -> bool:
    """Asks whoever sits there before limits erase something at once; a program has decided."""
    if options.yes or not sys.stdin.isatty():
        return True
    with acting(vault):
        goes = retaining.would_erase(vault, lambda old, at: set_limits(old, wish, at), now)
    if not goes:
        return True
    what = [count(len(goes.whole), "interaction")] * bool(goes.whole)
    what += [f"the audio of {count(len(goes.audio), 'interaction')}"] * bool(goes.audio)
    what += [f"{count(len(goes.records), 'record')} left beside it"] * bool(goes.records)
    it.say(f"these limits erase {' and '.join(what)} at once, with every copy of them anywhere")
    it.say("records that you chose to keep have no limit: they stay until you forget them")
    return it.ask("Erase this for ever? Type [bold]yes[/]:").lower() in {"yes", "y"}


def profile(options: Namespace) -> int:
    """Lists, adds or removes profiles, and unbinds their microphones."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    if options.act == "add":
        devices = (options.device,) if options.device else ()
        newcomer = Newcomer(options.name, options.child, options.consent_by, devices)
        with acting(vault):
            new = retaining.change(vault, lambda old, at: add(old, newcomer, at), now)
            _remark_on_earlier(it, vault, new, options)
    elif options.act == "unbind":
        with acting(vault):
            release = partial(unbind, name=options.name, device=options.device)
            retaining.change(vault, lambda old, _: release(old), now)
        it.say(UNBOUND)
    elif options.act == "remove" and not _remove(options, it, vault):
        return FAILED
    with acting(vault):
        settings = retaining.settings_of(vault, now)
    _profiles(it, settings)
    return DONE


def _remark_on_earlier(it: Terminal, vault: Vault, settings: Settings, options: Namespace) -> None:
    """Says that what a child said before it was one is kept as it was."""
    which = Filter(profile=settings.name_of(options.name))
    if options.child and (number := sum(1 for _ in rows(vault, which))):
        it.say(
            f"{count(number, 'interaction')} of this profile may have been captured under other "
            "limits, and keeps them: `anechoic retention set --profile NAME --audio none "
            "--existing` shortens them, `anechoic forget --profile NAME` erases them"
        )


def _wish(options: Namespace) -> Wish | None:
    """Returns what is to be set; None where it is nothing but another act of this command."""
    words = _own_words(options.sensitive_words) if options.sensitive_words else None
    wish = Wish(
        options.profile,
        options.audio,
        options.words,
        options.sensitive,
        options.inactive,
        words,
        options.consent_by,
        options.existing,
    )
    if options.anew and wish != Wish():
        raise Refused("--anew begins without settings: run it alone, and set limits after it")
    if wish == Wish(options.profile):
        if options.believe_clock or options.anew:
            return None
        raise Refused("name what to set: --audio, --words, --sensitive, …; see --help")
    return wish


def _own_words(path: Path) -> tuple[str, ...]:
    """Reads the user's words, one a line: not from the arguments, which others can see."""
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _remove(options: Namespace, it: Terminal, vault: Vault) -> bool:
    """Removes a profile, and what was captured for it or not; tells whether that was done."""
    with acting(vault):
        settings = retaining.settings_of(vault, now)
        if settings.profile(options.name) is None:
            raise NotFound(f"there is no such profile; there are: {names_of(settings.profiles)}")
        held = [row.interaction for row in rows(vault, Filter(profile=options.name))]
    forgets = _forgets(options, it, held)
    if forgets is None:
        it.say("nothing was changed")
        return False
    with acting(vault):
        if forgets:
            proofs.erasure(it.as_remarks(), _forget(vault, held))
        retaining.change(vault, lambda old, _: remove(old, options.name), now)
    return True


def _forget(vault: Vault, held: Iterable[InteractionId]) -> Erasure:
    """Forgets these as `forget` does, as far as they have not been erased since somebody agreed."""
    living = set(vault.interactions())
    meant = Selection(ids=tuple(it.hex() for it in held if it in living))
    return carry_out(vault, propose(vault, meant, now(), show=False), now)


def _forgets(options: Namespace, it: Terminal, held: list[InteractionId]) -> bool | None:
    """Returns whether what is held is to be forgotten; None where nothing is to be done."""
    if not held or options.keep:
        return False
    what = f"{count(len(held), 'interaction')} of this profile"
    if not sys.stdin.isatty() and not (options.forget and options.yes):
        raise Refused(f"there are {what}: add --keep, or --forget --yes, which erases them")
    if options.forget and options.yes:
        return True
    question = f"There are {what}. Type [bold]forget[/] to erase them for ever, [bold]keep[/]:"
    return {"forget": True, "keep": False}.get(it.ask(question).lower())


# How it looks


def _show(it: Terminal, settings: Settings, state: State | None, doubt: str | None) -> None:
    if it.as_json:
        it.document(_document(settings, state))
        return
    columns = [Column("profile", fold=True), *map(Column, ("audio", "words", "sensitive"))]
    it.table(columns, [_cells(settings, None), *(_cells(settings, p) for p in settings.profiles)])
    for row in settings.shortened:
        who = row.profile or "everybody"
        limits = f"audio {format_duration(row.limits.audio_s)}, words "
        limits += format_duration(row.limits.words_s)
        it.say_item("captured before", f"{local(row.before)}: {limits}, for {safe(who)}")
    if settings.words:
        it.say_item("sensitive too:", safe(", ".join(settings.words)))
    if doubt:
        it.problem(doubt)


def _document(settings: Settings, state: State | None) -> dict[str, object]:
    reckoning = state.agenda.reckoning if state else None
    next_s = state.agenda.next_s if state else None
    return {
        **_limits(settings.limits),
        "sensitive": format_duration(settings.sensitive_s),
        "sensitive_words": list(settings.words),
        "profiles": [_profile_document(settings, each) for each in settings.profiles],
        "existing": [
            {"before": each.before, "profile": each.profile, **_limits(each.limits)}
            for each in settings.shortened
        ],
        "next_due": None if next_s is None else time_of(next_s),
        "clock": {
            "reckoned": time_of(reckoning.now_s) if reckoning else now(),
            "doubted": bool(reckoning and reckoning.is_doubted),
        },
    }


def _limits(limits: Limits) -> dict[str, str]:
    return {"audio": format_duration(limits.audio_s), "words": format_duration(limits.words_s)}


def _profile_document(settings: Settings, profile: Profile) -> dict[str, object]:
    policy, consent = settings.policy_of(profile.name), profile.consent
    return {
        "profile": profile.name,
        "child": profile.is_child,
        "stored": policy.stores,
        **_limits(policy.limits),
        "sensitive": format_duration(policy.sensitive_s),
        "inactive": format_duration(policy.inactive_s),
        "consent": {"by": consent.by, "at": consent.at, **_limits(consent.to)} if consent else None,
        "devices": list(profile.devices),
    }


def _cells(settings: Settings, profile: Profile | None) -> list[str]:
    policy = settings.policy_of(profile.name) if profile else None
    limits, sensitive = settings.limits, settings.sensitive_s
    if profile and policy:
        limits, sensitive = policy.limits, policy.sensitive_s
    figures = map(format_duration, (limits.audio_s, limits.words_s, sensitive))
    stored = policy is None or policy.stores
    name = profile.name if profile else "everybody else"
    return [name, *(figures if stored else ["not stored"] * 3)]


def _profiles(it: Terminal, settings: Settings) -> None:
    if it.as_json:
        it.document([_profile_document(settings, each) for each in settings.profiles])
        return
    titles = ("class", "audio", "words", "sensitive", "inactive", "consent")
    columns = [Column("profile", fold=True), *map(Column, titles), Column("microphone", fold=True)]
    it.table(columns, [_profile_cells(settings, each) for each in settings.profiles])
    if any(not settings.policy_of(each.name).stores for each in settings.profiles):
        it.say(retaining.NOTHING)


def _profile_cells(settings: Settings, profile: Profile) -> list[str]:
    policy, consent = settings.policy_of(profile.name), profile.consent
    name, *limits = _cells(settings, profile)
    agreed = f"{consent.by}, {local(consent.at)}" if consent else "none" * policy.is_child
    inactive = format_duration(policy.inactive_s) if policy.is_child else "-"
    kind = "child" if policy.is_child else "adult"
    return [name, kind, *limits, inactive, agreed or "-", ", ".join(profile.devices)]

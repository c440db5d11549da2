"""The commands of the assistant: `ask`, which reads what is typed, and `agenda`, what is open.

A door: it opens the vault, calls the act and shows the result. What is asked is read from standard
input, never from the command line, which every process of the machine can see.
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from keys.model import InteractionId
from pipeline import disclosures, retention
from pipeline.artefact import META, RECORD, TRANSCRIPT, Meta, Transcript
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.calendar import FIELDS, ics, in_calendar
from pipeline.assistant.derived import MUTE, Derived, Reply
from pipeline.assistant.entries import Entry
from pipeline.assistant.here import now as here_and_now
from pipeline.assistant.respond import Assistant
from pipeline.assistant.values import describe
from pipeline.assistant.voice import say, speaker
from pipeline.errors import Refused
from pipeline.model import Word
from pipeline.opening import the_vault
from pipeline.session import acting, now, now_ms
from pipeline.terminal import Column, Terminal, local, safe
from pipeline.vault import Vault

DONE = 0
_SHORT = 8
_PROMPT = "[bold]say[/]:"


def ask(options: Namespace) -> int:
    """Answers what is typed, a sentence a line, as if it had been spoken."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    assistant = Assistant(vault)
    if options.aloud and speaker() is None:
        it.say("there is nothing to speak with: install espeak-ng or flite")
    for text in _lines(it):
        derived = assistant.hear(text)
        interaction = None if derived.is_private else _seal(vault, options.profile, text, derived)
        reply = assistant.done(derived, interaction)
        _show(it, derived, reply, interaction)
        if options.aloud:
            say(reply.text)
        if reply.effect == MUTE or _is_spent(it, reply):
            break
    return DONE


def agenda(options: Namespace) -> int:
    """Lists what is open, or writes the calendar into a file."""
    it = Terminal(as_json=options.json)
    if bool(options.ics) != options.plain:
        raise Refused(
            "a calendar file is readable by anyone, and forget cannot reach it: give both --ics "
            "FILE and --plain, or neither"
        )
    vault = the_vault(options, it)
    with acting(vault):
        entries = Agenda(vault).entries()
        if options.ics:
            _write_calendar(vault, entries, options.ics)
        else:
            entries = sorted((e for e in entries if e.is_current(here_and_now())), key=_order)
            vault.note_read("agenda", list(dict.fromkeys(it.owner for it in entries)))
    if options.ics:
        it.say("[yellow]readable by anyone; forget cannot reach this file: delete it yourself[/]")
        _show_written(it, options.ics, in_calendar(entries))
    else:
        _show_entries(it, entries)
    return DONE


def _is_spent(it: Terminal, reply: Reply) -> bool:
    """Tells whether this process knows what was forgotten, and shall not go on for long."""
    if reply.receipt is None or not sys.stdin.isatty():
        return False
    it.say("this ends here, so that nothing of it stays in memory; your terminal may still show it")
    return True


def _lines(it: Terminal) -> Iterator[str]:
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin if line.strip())
        return
    while text := it.ask(_PROMPT):
        yield text


def _seal(vault: Vault, profile: str, text: str, derived: Derived) -> InteractionId | None:
    transcript = Transcript(tuple(Word(word, 0, 0, 1.0) for word in text.split()))
    meta = Meta(now_ms(), 0, profile, "typed", 0, "none")
    parts = [(TRANSCRIPT, transcript.encode()), (META, meta.encode()), *derived.parts]
    with acting(vault):
        return retention.create(vault, parts, now)


def _write_calendar(vault: Vault, entries: list[Entry], target: Path) -> None:
    """Writes the calendar in clear: what is in it is on record as disclosed before."""
    if target.resolve().is_relative_to(vault.directory.resolve()):
        raise Refused(f"{target} is inside the vault, where nothing may lie in clear")
    at, shown = now(), in_calendar(entries)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT, 0o600)  # before: a place that cannot be written
    with os.fdopen(fd, "wb") as file:
        for owner in dict.fromkeys(it.owner for it in shown if it.kind != RECORD):
            why = "calendar asked for by the user"
            disclosures.disclose(vault, owner, "plain-export", str(target), FIELDS, why, at)
        for owner in dict.fromkeys(it.owner for it in shown if it.kind == RECORD):
            vault.note("disclose", "plain-export", [owner])  # of each: a second id is a reference
        file.truncate()
        file.write(ics(entries, datetime.now(UTC)))


def _order(it: Entry) -> tuple[str, float]:
    at = it.ahead(here_and_now()) or it.action.moment
    return it.action.what + it.action.list, at.timestamp() if at else 0.0


def _show(it: Terminal, derived: Derived, reply: Reply, interaction: InteractionId | None) -> None:
    if it.as_json:
        it.line(
            {
                "interaction": interaction.hex() if interaction else None,
                "intent": derived.intent.name if derived.intent else None,
                "actions": [describe(action) for action in derived.actions],
                "answer": reply.text,
                "receipt": str(reply.receipt) if reply.receipt else None,
            }
        )
    elif it.is_rich:
        it.print(safe(reply.text) or "[dim]understood nothing that I do; it is stored[/]")
    else:
        it.table([], [(interaction.hex() if interaction else "-", reply.text)])


def _show_written(it: Terminal, target: Path, shown: list[Entry]) -> None:
    if it.as_json:
        it.document({"file": str(target), "entries": [entry.artefact.hex() for entry in shown]})
    else:
        it.exact(safe(str(target)))


def _show_entries(it: Terminal, entries: list[Entry]) -> None:
    if it.as_json:
        it.document([_document(entry) for entry in entries])
        return
    if not entries and it.is_rich:
        it.print("nothing")
        return
    columns = [Column("to keep"), Column("to forget"), Column("next"), Column("what", fold=True)]
    it.table(columns, [_cells(entry) for entry in entries])


def _cells(entry: Entry) -> tuple[str, ...]:
    name = f"{entry.action.what}:{entry.artefact.hex()[:_SHORT]}"
    keep = name if entry.kind != RECORD else "kept"
    at = entry.ahead(here_and_now())
    when = local(at.isoformat()) if at else ""
    return keep, entry.owner.hex()[:_SHORT], when, describe(entry.action)


def _document(entry: Entry) -> dict[str, object]:
    action, ahead = entry.action, entry.ahead(here_and_now())
    return {
        "artefact": entry.artefact.hex(),
        "interaction": entry.owner.hex(),
        "kind": entry.kind,
        "what": action.what,
        "at": action.at or None,
        "until": action.until or None,
        "all_day": action.all_day,
        "repeat": list(action.repeat),
        "next": ahead.isoformat(timespec="seconds") if ahead else None,
        "label": action.label,
        "list": action.list or None,
        "recipient": action.recipient or None,
    }

"""The calendar at an address of its own, for programs that subscribe to it; off until it is wanted.

Promises that who knows the address reads the titles and times of reminders and events, and nothing
else and no more; that each entry is on record as having left before it is first handed out, since
such programs keep copies; and that what was erased is not in it any more. A new address ends the
old one for ever: the secret in it is sealed with the settings, and old settings are destroyed.
"""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from keys.model import InteractionId
from pipeline import disclosures, retention
from pipeline.artefact import RECORD
from pipeline.assistant.agenda import Agenda
from pipeline.assistant.calendar import FIELDS, ics, in_calendar
from pipeline.assistant.entries import Entry
from pipeline.errors import Refused
from pipeline.logged import logged
from pipeline.session import now
from pipeline.vault import Vault
from pipeline.web.acts import note
from pipeline.web.asked import Asked
from pipeline.web.guard import CALENDAR, is_same
from pipeline.web.looking import Answer, Shown, open_lists

_HOW, _TO = "calendar", "whoever has the address of the calendar"
_WHY = "a calendar that the user subscribes to"
_SECRET_BYTES = 24
_WISHES = ("on", "new", "off")
_SUFFIX = ".ics"


def address(vault: Vault, host: str) -> str:
    """Returns the address under this name of the server; empty where there is none."""
    secret = retention.settings_of(vault, now).calendar
    return f"http://{host}{CALENDAR}{secret}{_SUFFIX}" if secret else ""


def agenda(vault: Vault, asked: Asked) -> Answer:
    """Shows what is open, and whether calendar programs may read of it."""
    values = {"lists": open_lists(vault), "address": address(vault, asked.host)}
    return Shown("agenda.html", values)


def subscribe(vault: Vault, asked: Asked) -> Answer:
    """Makes an address, makes a new one instead, or gives it up."""
    wish = asked.one("wish")
    if wish not in _WISHES:
        raise Refused("choose to make an address, a new one, or none; nothing was changed")
    secret = "" if wish == "off" else secrets.token_urlsafe(_SECRET_BYTES)
    retention.change(vault, lambda old, _: replace(old, calendar=secret), now)
    return RedirectResponse(f"/agenda?{wish}", 303)


def feed(vault: Vault, asked: Asked) -> Answer:
    """Sends the calendar to whoever knows its address, and to all others one line."""
    secret = retention.settings_of(vault, now).calendar
    if not secret or not is_same(asked.path["secret"], f"{secret}{_SUFFIX}"):
        return PlainTextResponse("there is no calendar at this address (any more)\n", 404)
    shown = in_calendar(Agenda(vault).entries())
    _disclose(vault, asked, shown)
    return Response(ics(shown, datetime.now(UTC)), media_type="text/calendar")


def _disclose(vault: Vault, asked: Asked, shown: Iterable[Entry]) -> None:
    """Records what has not left by this way so far, and once a day that it was read."""
    kinds = {it.owner: it.kind for it in shown}
    known, today = asked.memory.read_by_calendar, now()[:10]
    fresh = [it for it in kinds if known.get(it) != today]
    for owner in _never_left(vault, [it for it in fresh if it not in known]):
        if kinds[owner] == RECORD:
            vault.note("disclose", _HOW, [owner])
        else:
            disclosures.disclose(vault, owner, _HOW, _TO, FIELDS, _WHY, now())
    note(vault, fresh, _HOW)
    known |= dict.fromkeys(fresh, today)


def _never_left(vault: Vault, owners: list[InteractionId]) -> list[InteractionId]:
    found = logged(vault, owners).owners if owners else {}
    return [it for it in owners if all(left.how != _HOW for _, left in found[it].disclosed)]

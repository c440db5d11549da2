"""The calendar at an address of its own, for programs that subscribe to it; off until it is wanted.

Promises that who knows the address reads the titles and times of reminders and events, and nothing
else and no more; that each entry is on record as having left before it is first handed out, since
such programs keep copies; and that what was erased is not in it any more. A new address ends the
old one for ever: the secret in it is sealed with the settings, and old settings are destroyed.
Who does not know it is answered without the vault, so that a stranger's guesses hold up nobody.
"""

import math
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from keys.errors import Busy
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
from pipeline.web.asked import Asked
from pipeline.web.guard import CALENDAR, is_same
from pipeline.web.house import House
from pipeline.web.looking import Answer, Shown, open_lists

_HOW, _TO = "calendar", "whoever has the address of the calendar"
_WHY = "a calendar that the user subscribes to"
_SECRET_BYTES = 24
_WISHES = ("on", "new", "off")
_SUFFIX = ".ics"
_LOOK_S = 1.0


def address(vault: Vault, host: str) -> str:
    """Returns the address under this name of the server; empty where there is none."""
    settings = retention.readable(vault, now)
    secret = settings.calendar if settings else ""
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


class Feed:
    """Sends the calendar to whoever knows its address, and to all others one line."""

    def __init__(self) -> None:
        self._secret, self._log_size = "", -1
        self._looked_s, self._looking = -math.inf, threading.Lock()

    def __call__(self, house: House, asked: Asked) -> Answer:
        if not (self._is_known(asked) or self._has_changed(house)):
            return _nothing()
        with house.acting() as vault:
            # Measured first: what comes into the log from here on makes somebody look again.
            self._log_size = _log_size(vault.directory)
            self._secret = retention.settings_of(vault, now).calendar
            if not self._is_known(asked):
                return _nothing()
            shown = in_calendar(Agenda(vault).entries())
            _disclose(vault, asked, shown)
            return Response(ics(shown, datetime.now(UTC)), media_type="text/calendar")

    def _is_known(self, asked: Asked) -> bool:
        """Compares with the secret as it was read last."""
        is_right = is_same(asked.path["secret"], f"{self._secret}{_SUFFIX}")
        return is_right and bool(self._secret)

    def _has_changed(self, house: House) -> bool:
        """Tells whether the secret may be another one by now; yes to one request a second at most.

        Raises `Busy` where another request has been told so in this second: what it finds, counts.
        """
        if house.directory and _log_size(house.directory) == self._log_size:
            return False
        with self._looking:
            if time.monotonic() - self._looked_s < _LOOK_S:
                raise Busy("calendars are being asked for too often; try again in a second")
            self._looked_s = time.monotonic()
            return True


def _nothing() -> Response:
    return PlainTextResponse("there is no calendar at this address (any more)\n", 404)


def _log_size(vault: Path) -> int:
    return (vault / "log" / "entries").stat().st_size


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
    vault.note_read(_HOW, fresh)
    known |= dict.fromkeys(fresh, today)


def _never_left(vault: Vault, owners: list[InteractionId]) -> list[InteractionId]:
    found = logged(vault, owners).owners if owners else {}
    return [it for it in owners if all(left.how != _HOW for _, left in found[it].disclosed)]

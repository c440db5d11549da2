"""The pages to look at: timeline, search, one interaction, its sound, and what still lives."""

import contextlib
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

from starlette.responses import JSONResponse, Response

from pipeline import history, index, retention
from pipeline.assistant.values import describe
from pipeline.errors import Refused
from pipeline.index import Which
from pipeline.select import parse_time
from pipeline.session import now
from pipeline.vault import Vault
from pipeline.web import acts
from pipeline.web.asked import Asked
from pipeline.web.drawing import drawing
from pipeline.web.sound import part_of
from pipeline.web.views import days, kept_until

_MOST_IDS = 1000
_MOST_OUTLINES = 20


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """A template and what is in it."""

    template: str
    values: Mapping[str, object]
    status: int = 200


Answer = Shown | Response


class Names:
    """Stands for names of profiles in addresses: whoever reads a browser's history learns none."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, profile: str) -> str:
        """Returns what stands for a name."""
        return hmac.new(self._key, profile.encode(), sha256).hexdigest()[:12]

    def profile(self, stands: str, profiles: tuple[str, ...]) -> str | None:
        """Returns the name that is meant, None for everybody; raises `Refused`."""
        if not stands:
            return None
        found = next((it for it in profiles if self.of(it) == stands), None)
        if found is None:
            raise Refused("nothing is held for that profile any more; choose again")
        return found


def timeline(vault: Vault, asked: Asked, names: Names) -> Answer:
    """Shows a page of interactions."""
    census = index.census(vault)
    profile = names.profile(asked.query.get("profile", ""), census.profiles)
    since, until = asked.query.get("since", ""), asked.query.get("until", "")
    start, end = span(since, until)
    which = Which(_us(start), _us(end), profile, _slot(asked.query.get("older", "")))
    found = acts.timeline(vault, which)
    chosen = {"profile": asked.query.get("profile", ""), "since": since, "until": until}
    values = {
        "days": list(days(found.rows, datetime.now(UTC))),
        "older": found.older,
        "total": census.interactions,
        "profiles": [(names.of(it), it) for it in census.profiles],
        "chosen": chosen,
        "is_filtered": any(chosen.values()),
        "unreadable": len(vault.unreadable),
    }
    return Shown("_rows.html" if asked.is_part else "timeline.html", values)


def newer(vault: Vault, asked: Asked) -> Answer:
    """Shows what was heard since the newest that a page shows."""
    rows = acts.newer(vault, asked.one("seen"))
    total = index.census(vault).interactions
    shown = {"days": list(days(rows, datetime.now(UTC))), "older": None, "total": total}
    return Shown("_newer.html", shown)


def search(vault: Vault, asked: Asked) -> Answer:
    """Shows where words were said; they come in the body, and go into no address."""
    words = asked.one("words")
    rows = acts.found(vault, words) if words else ()
    values = {
        "days": list(days(rows, datetime.now(UTC))),
        "number": len(rows),
    }
    return Shown("_found.html", values)


def one(vault: Vault, asked: Asked) -> Answer:
    """Shows all that is known of one interaction."""
    found = history.detail(vault, vault.resolve(asked.path["id"]))
    kept = retention.until(vault, found.row.interaction, found.row.meta, now)
    reads = Counter(it.how for it in found.reads)
    return Shown(
        "interaction.html",
        {
            "row": found.row,
            "id": found.row.interaction.hex(),
            "has_sound": any(it.kind == "audio" for it in found.row.artefacts),
            "is_timed": any(it.end_ms for it in found.row.words),
            "kept": kept_until(kept),
            "is_sensitive": kept.sensitive,
            "drawing": drawing(found.lineage),
            "reads": reads.most_common(),
            "last_read": found.reads[-1] if found.reads else None,
            "disclosures": found.disclosures,
        },
    )


def sound(vault: Vault, asked: Asked) -> Answer:
    """Sends the sound of an interaction, or the part that was asked for."""
    data = acts.sound_of(vault, asked.path["id"])
    part = part_of(asked.range, len(data))
    if part is None:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers = {"accept-ranges": "bytes"}
    if not part.is_whole:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{part.size}"
    status = 200 if part.is_whole else 206
    return Response(data[part.start : part.end], status, headers, "audio/wav")


def outlines(vault: Vault, asked: Asked) -> Answer:
    """Sends the outlines of some waveforms, by id."""
    ids = asked.one("ids").split()[:_MOST_OUTLINES]
    return JSONResponse({it: acts.outline_of(vault, it) for it in ids})


def living(vault: Vault, asked: Asked) -> Answer:
    """Tells what lives of the interactions that a page shows."""
    return JSONResponse(acts.living(vault, asked.one("ids").split()[:_MOST_IDS]))


def open_lists(vault: Vault) -> dict[str, list[object]]:
    """Returns timers, alarms, reminders, calendar and lists, by their names."""
    entries = acts.open_entries(vault)
    lists = dict[str, list[object]]()
    for it in entries:
        name = f"{it.action.list} list" if it.action.list else f"{it.action.what}s"
        what = describe(it.action).removeprefix(f"{name}: ").removeprefix(f"{it.action.what} ")
        lists.setdefault(name, []).append((it, what))
    return lists


def _slot(text: str) -> int | None:
    if not text:
        return None
    if text.isdecimal() and len(text) < 20:
        return int(text)
    raise Refused("expected the number of a page, and found something else")


def span(since: str, until: str) -> tuple[datetime | None, datetime | None]:
    """Returns from when and until when is meant; the last day is included, however long it is."""
    return (parse_time(since) if since else None), (_through(until) if until else None)


def _through(text: str) -> datetime:
    """Adds the day before the zone, which is another one after a change of the clocks."""
    with contextlib.suppress(ValueError):  # as of what is a time, or neither
        day = date.fromisoformat(text.strip())
        if day == date.max:
            raise Refused("expected a day before the last one that there is: found that one")
        return parse_time((day + timedelta(days=1)).isoformat())
    return parse_time(text)


def _us(at: datetime | None) -> int | None:
    return None if at is None else index.us_of(at)

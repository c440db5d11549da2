"""The pages about forgetting: what to forget, the plan, the receipt, and what became of copies."""

import base64
import binascii
import contextlib
from collections.abc import Sequence
from dataclasses import asdict

from starlette.responses import JSONResponse, RedirectResponse, Response

from keys.errors import Erased
from keys.verify import explain
from pipeline import index, profiles, retention
from pipeline.confirm import RECEIPT
from pipeline.disclosures import Given
from pipeline.errors import NotFound, Refused
from pipeline.forgetting import Proposal, carry_out, propose
from pipeline.history import Filter
from pipeline.keep import Keepable
from pipeline.plan import interactions_of
from pipeline.select import Selection
from pipeline.session import now
from pipeline.vault import Vault
from pipeline.web import acts
from pipeline.web.asked import Asked
from pipeline.web.looking import Answer, Names, Shown, span

_RECEIPTS = 25
_MOST_ROWS = 200
_PLAN_DIGITS = 32
_WAYS = ("chosen", "time", "profile", "words", "all")


def choose(vault: Vault, _: Asked, names: Names) -> Answer:
    """Asks what to forget."""
    census = index.census(vault)
    whose = [(names.of(it), it) for it in census.profiles]
    return Shown("forget.html", {"profiles": whose, "total": census.interactions})


def plan(vault: Vault, asked: Asked, names: Names) -> Answer:
    """Shows what would go; nothing changes."""
    return _planned(vault, asked, names, "")


def _planned(vault: Vault, asked: Asked, names: Names, remark: str) -> Answer:
    only_audio = asked.one("only") == "audio"
    found = propose(vault, _selection(vault, asked, names), now(), only_audio=only_audio)
    asked.memory.propose(found)
    more = {"fields": _chosen(asked), "remark": remark, "removed": asked.one("remove")}
    return Shown("plan.html", _of_plan(found) | more)


def _of_plan(found: Proposal) -> dict[str, object]:
    rows = interactions_of(found.plan.erased)
    owners = {it.artefact: row.interaction for row in rows for it in row.artefacts}
    return {
        "plan": found.plan.id.hex(),
        "rows": found.rows[:_MOST_ROWS],
        "more": len(found.rows[_MOST_ROWS:]),
        "records": found.records,
        "number": len(rows),
        "kinds": found.kinds.most_common(),
        "keys": len(found.plan.slots),
        "keepable": [(_kept_name(it), it, owners[it.artefact.hex()]) for it in found.keepable],
        "disclosed": [(it, Given.parse(it) is not None) for it in found.plan.disclosed],
        "only_audio": found.only_audio,
        "spoken_now": found.remark,
    }


def _kept_name(it: Keepable) -> str:
    """Names it by its whole id: among many, the first digits may be those of two."""
    return f"{it.kind}:{it.artefact.hex()}"


def _chosen(asked: Asked) -> list[tuple[str, str]]:
    """Returns the fields by which a plan can be asked for once more."""
    return [it for it in asked.fields if it[0] not in {"plan", "keep", "only"}]


def forget(vault: Vault, asked: Asked, names: Names) -> Answer:
    """Carries out the plan that was shown; one that is not known any more is shown anew."""
    proposal = asked.memory.take(asked.one("plan"))
    if proposal is None:
        what = "Something has changed since that plan was made. This is the plan as it is now:"
        return _planned(vault, asked, names, what)
    done = carry_out(vault, proposal, now, asked.all("keep"))
    if gone := asked.one("remove"):
        with contextlib.suppress(NotFound):  # somebody has removed it meanwhile
            retention.change(vault, lambda old, _: profiles.remove(old, gone), now)
    return RedirectResponse(f"/receipts/{done.receipt.stem}?new", 303)


def receipts(vault: Vault, asked: Asked) -> Answer:
    """Lists receipts with their verdicts."""
    before = asked.query.get("older", "")
    if before and not (before.isdecimal() and len(before) < 20):
        raise Refused("expected the number of a page, and found something else")
    found, older = acts.receipts(vault, int(before) if before else None, _RECEIPTS)
    return Shown("receipts.html", {"receipts": found, "older": older})


def receipt(vault: Vault, asked: Asked) -> Answer:
    """Shows a receipt, and how it was verified, step by step."""
    found = acts.receipt(vault, _plan(asked))
    lines = explain(found.outcome, "of the vault here")[1:] if found.outcome.verified else []
    told = [(line[2:12].strip(), line[12:]) for line in lines if line.startswith("  ")]
    values = {"it": found, "told": told, "is_new": "new" in asked.query}
    return Shown("receipt.html", values)


def receipt_file(vault: Vault, asked: Asked) -> Answer:
    """Sends a receipt as it lies in the vault."""
    plan = _plan(asked)
    path = vault.receipts / f"{plan}{RECEIPT}"
    if (size := vault.disk.size(path)) is None:
        raise NotFound("there is no receipt of that number in this vault")
    headers = {"content-disposition": f'attachment; filename="{plan}{RECEIPT}"'}
    return Response(bytes(vault.disk.read(path, 0, size)), 200, headers, "application/octet-stream")


def _plan(asked: Asked) -> str:
    plan = asked.path["plan"]
    if len(plan) != _PLAN_DIGITS or not set(plan) <= set("0123456789abcdef"):
        raise NotFound("there is no receipt of that number in this vault")
    return plan


def prove(_: Vault, __: Asked) -> Answer:
    """Asks for an old copy."""
    return Shown("prove.html", {})


def judge(vault: Vault, asked: Asked) -> Answer:
    """Tells what became of sealed files, by their first bytes."""
    judging = asked.memory.judging(vault)
    headers = _headers(asked.all("header"))
    return JSONResponse([asdict(judging.judge(vault, it)) for it in headers])


def _headers(texts: Sequence[str]) -> list[bytes]:
    try:
        return [base64.b64decode(it, validate=True) for it in texts]
    except (binascii.Error, ValueError):
        raise Refused("expected the first bytes of files, and found something else") from None


def _selection(vault: Vault, asked: Asked, names: Names) -> Selection:
    way = asked.one("way")
    if way not in _WAYS:
        raise Refused("choose what to forget: by mark, by time, by profile, by words, or all")
    if way == "all":
        return Selection(everything=True)
    if way == "words":
        return Selection(match=_given(asked.one("words"), "the words to look for"))
    if way == "chosen":
        ids = _given(" ".join(asked.all("id")), "at least one interaction")
        return Selection(ids=_living_ones(vault, tuple(ids[0].split())))
    return Selection(which=_filter(vault, asked, names, way))


def _living_ones(vault: Vault, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Leaves out what has been erased since the page was made; raises `Erased` where all has."""
    living = acts.living(vault, ids)
    if not living:
        raise Erased("nothing of what is meant is left: it has been erased already")
    return tuple(it for it in ids if it in living)


def _filter(vault: Vault, asked: Asked, names: Names, way: str) -> Filter:
    if way == "profile":
        (name,) = _given(asked.one("profile"), "a profile")
        return Filter(profile=names.profile(name, index.census(vault).profiles))
    since, until = asked.one("since"), asked.one("until")
    if not since and not until:
        raise Refused("name a day: from when, until when, or both")
    return Filter(*span(since, until))


def _given(text: str, what: str) -> tuple[str]:
    if not text.strip():
        raise Refused(f"name {what}; nothing was erased")
    return (text,)

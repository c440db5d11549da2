"""How a report looks: in a terminal, as JSON, and as a page to print.

The shape of the JSON is the contract of `report`. The page is one file that asks nobody for
anything, and is made from the same document.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from pipeline.anchoring import AnchorRow
from pipeline.report import Act, Held, Report
from pipeline.settings import Limit, format_duration
from pipeline.terminal import Column, Terminal, count, local, safe

UNKNOWN = "unknown"
"""What is said of limits where the settings are lost."""
REASONS = {
    "audio": "the sound that was heard",
    "transcript": "the words recognised in it",
    "meta": "when it was heard, for whom, from where",
    "intent": "what the words were understood to want",
    "action": "what the assistant does about them: alarms, lists, messages",
    "answer": "what the assistant said",
    "fired": "that an alarm or timer has rung",
    "disclosure": "what left this vault, to whom and why",
    "index": "for searching; dies with any of what it was made from",
    "record": "what you chose to keep when you forgot its source",
    "settings": "profiles, retention, your own sensitive words",
}


def document(found: Report) -> dict[str, Any]:
    """Returns a report as JSON can hold it."""
    return {
        "at": found.at,
        "profile": found.profile,
        "held": [_held_document(it) for it in found.held],
        "categories": [
            {"kind": it.kind, "files": it.files, "bytes": it.size, "why": REASONS.get(it.kind, "")}
            for it in found.categories
        ],
        "reads": [_act_document(it) for it in found.reads],
        "disclosures": [_act_document(it) for it in found.disclosures],
        "erasures": [
            {"plan": it.plan, "at": it.at, "interactions": it.interactions, "kept": it.kept}
            | {"verdict": it.verdict}
            for it in found.erasures
        ],
        "anchors": [_anchor_document(it) for it in found.anchors],
        "observer": observer(found),
    }


def observer(found: Report) -> list[str]:
    """Returns what somebody learns who has the disk and no key."""
    files, size = sum(it.files for it in found.categories), sum(it.size for it in found.categories)
    sizes = f"the kind and the padded size ({size:,} bytes in all)"
    acts = "what left by which way, and when something was erased"
    return [
        f"that there were {count(found.ever, 'interaction')}, and in which order they came",
        f"of {count(files, 'sealed file')} {sizes}, and from the file system when it was written",
        f"from {found.log_entries:,} lines of log on which day what command showed content, {acts}",
        "nothing of what was said, when, by whom, for which profile or from which device",
    ]


def show(it: Terminal, found: Report) -> None:
    """Shows a report."""
    if it.as_json:
        it.document(document(found))
        return
    _held(it, found.held)
    kinds = [Column("what", fold=True), Column("files", right=True), Column("bytes", right=True)]
    rows = [(row.kind, f"{row.files:,}", f"{row.size:,}") for row in found.categories]
    it.table([*kinds, Column("it is", fold=True)], [(*r, REASONS.get(r[0], "")) for r in rows])
    _acts(it, "read by", found.reads, "nobody has been shown any of it")
    _acts(it, "left by", found.disclosures, "nothing has left this vault")
    _erasures(it, found)
    for anchor in found.anchors:
        it.item("anchor ", safe(_anchor(anchor)))
    it.print("who has the disk and no key learns")
    for line in observer(found):
        it.item("     ", line)


def page(found: Report) -> str:
    """Returns a report as a page of HTML that stands alone."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["local"] = local
    source = files("pipeline").joinpath("pages", "report.html").read_text()
    return environment.from_string(source).render(**document(found))


def _held(it: Terminal, held: Sequence[Held]) -> None:
    if not held:
        it.print("nothing is held")
        return
    columns = [
        Column("profile", fold=True),
        Column("held", right=True),
        Column("sensitive", right=True),
    ]
    times = [Column("oldest"), Column("newest"), Column("audio kept"), Column("words kept")]
    it.table([*columns, *times], [_held_cells(row) for row in held])


def _held_cells(row: Held) -> tuple[str, ...]:
    oldest, newest = local(row.oldest.isoformat()), local(row.newest.isoformat())
    limits = row.policy.limits if row.policy else None
    kept = (_limit(limits.audio_s), _limit(limits.words_s)) if limits else (UNKNOWN, UNKNOWN)
    return (row.profile, f"{row.interactions:,}", f"{row.sensitive:,}", oldest, newest, *kept)


def _acts(it: Terminal, what: str, acts: Sequence[Act], none: str) -> None:
    if not acts:
        it.print(none)
        return
    columns = [Column(what), Column("times", right=True), Column("interactions", right=True)]
    rows = [(a.how, f"{a.times:,}", f"{len(a.interactions):,}", a.first, a.last) for a in acts]
    it.table([*columns, Column("first"), Column("last")], rows)


def _erasures(it: Terminal, found: Report) -> None:
    if not found.erasures:
        it.print("nothing has been erased")
        return
    columns = [Column("erased"), Column("interactions", right=True), Column("kept", right=True)]
    rows = [
        (local(g.at) if g.at else "-", str(g.interactions), str(g.kept), g.verdict, g.plan[:8])
        for g in found.erasures
    ]
    it.table([*columns, Column("verdict", fold=True), Column("receipt")], rows)


def _anchor(row: AnchorRow) -> str:
    if row.level is None:
        return f"{row.name}: it is not here, so nothing can be said of its level"
    return f"{row.name}, level {row.level.letter}: {row.level.rests_on}"


def _held_document(it: Held) -> dict[str, Any]:
    policy = it.policy
    return {
        "profile": it.profile,
        "interactions": it.interactions,
        "seconds": round(it.seconds, 2),
        "sensitive": it.sensitive,
        "oldest": _time(it.oldest.isoformat()),
        "newest": _time(it.newest.isoformat()),
        "audio": _limit(policy.limits.audio_s) if policy else UNKNOWN,
        "words": _limit(policy.limits.words_s) if policy else UNKNOWN,
        "sensitive_words": _limit(policy.sensitive_s) if policy else UNKNOWN,
        "is_child": policy.is_child if policy else None,
        "has_consent": policy.has_consent if policy else None,
    }


def _limit(limit: Limit) -> str:
    return format_duration(limit)


def _time(text: str) -> str:
    return text.replace("+00:00", "Z")


def _act_document(it: Act) -> dict[str, Any]:
    by = {"by": it.how, "times": it.times, "interactions": len(it.interactions)}
    return {**by, "first": it.first, "last": it.last}


def _anchor_document(it: AnchorRow) -> dict[str, Any]:
    level = it.level
    return {
        "anchor": it.name,
        "way": it.way,
        "level": level.letter if level else None,
        "rests_on": level.rests_on if level else None,
        "outstanding": it.is_outstanding,
    }

"""How erasing looks: plans, erasures, receipts, audits, and what copies hold.

The shapes of the JSON are the contract of the command line; a change of one is a change of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from keys.copies import ERASED
from keys.outcome import Outcome
from keys.receipt import CONFIRMED, FAILED, PENDING, DeadInteraction
from keys.verify import as_json
from pipeline.artefact import AUDIO, INDEX
from pipeline.audit import Audit
from pipeline.disclosures import Given
from pipeline.erase import Erasure
from pipeline.forgetting import Proposal
from pipeline.keep import Keepable
from pipeline.lineage import is_owned
from pipeline.plan import interactions_of, plan_ids
from pipeline.restore import RESTORED, STATES, Restored
from pipeline.terminal import Column, Terminal, count, local, safe

_SHORT = 8
_MOST_ROWS = 200
"""So many are shown of a plan on a terminal; a pipe gets all."""
_OWNED = {INDEX: "index segment"}
_VERDICT_HEAD = 12
_VERDICT_STYLE = {CONFIRMED: "green", PENDING: "yellow", FAILED: "red"}
_STATE_STYLE = {"live": "yellow", "erased": "green", "unknown": "dim"}


def plan(it: Terminal, found: Proposal) -> None:
    """Shows what will be erased, what can be kept, what is beyond reach, before it happens."""
    todo = found.plan
    shown = _MOST_ROWS if it.err.is_terminal else len(found.rows)
    for row in found.rows[:shown]:
        head = f"  {row.interaction.hex()[:_SHORT]}  {local(row.meta.started_at)} "
        it.say_item(head, safe(row.text))
    if more := found.rows[shown:]:
        it.say(f"  … and {len(more):,} more, older")
    for record in found.records:
        it.say_item(f"  {record.owner.hex()[:_SHORT]}  kept:", safe(record.what))
    for kept in found.keepable:
        it.say_item(f"[cyan]can be kept:[/] {safe(kept.what)},", f"with --keep {kept.name}")
    for gone in todo.disclosed:
        asked = "; it will be asked to erase its copy" if Given.parse(gone) else ""
        it.say_item("[yellow]beyond reach:[/]", safe(gone + asked))
    if found.remark:
        it.say_item("[yellow]not in it:[/]", found.remark)
    it.say_item(
        "[bold]to be erased:[/]",
        ("the audio of " if found.only_audio else "")
        + f"{_owners(todo.erased)}, {count(sum(found.kinds.values()), 'sealed file')} "
        + f"({_kinds(found.kinds)}), {count(len(todo.slots), 'key')}, "
        + "with every copy of them anywhere"
        + ("; the words stay" if found.only_audio else ""),
    )


def _owners(rows: Sequence[DeadInteraction]) -> str:
    """Tells how many interactions there are, and of what else."""
    kinds = Counter(it.kind for row in rows for it in row.artefacts if is_owned(it.kind))
    interactions = len(rows) - kinds.total()
    parts = [count(interactions, "interaction")] if interactions or not kinds else []
    return ", ".join([*parts, *(count(kinds[it], _OWNED.get(it, it)) for it in sorted(kinds))])


def _kinds(kinds: Counter[str]) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())


def dry_run(it: Terminal, found: Proposal) -> None:
    """Shows a plan that is not carried out."""
    if it.as_json:
        it.document(
            {
                "dry_run": True,
                "erased": [row.hex() for row in plan_ids(found.plan)],
                "kept": [],
                "records": [{"record": row.owner.hex(), "what": row.what} for row in found.records],
                "keepable": [_keepable_document(kept) for kept in found.keepable],
                "disclosed": list(found.plan.disclosed),
                "files": sum(found.kinds.values()),
                "kinds": dict(found.kinds),
            }
        )
    else:
        it.say("a dry run: nothing was erased")


def _keepable_document(kept: Keepable) -> dict[str, str]:
    return {
        "name": kept.name,
        "artefact": kept.artefact.hex(),
        "kind": kept.kind,
        "what": kept.what,
    }


def erasure(it: Terminal, done: Erasure) -> None:
    """Shows what was erased, and its receipt."""
    found = done.statement
    if it.as_json:
        it.document(
            {
                "erased": [row.interaction for row in interactions_of(found.erased)],
                "kept": list(found.kept),
                "disclosed": list(found.disclosed),
                "residual": list(found.residual),
                "epoch": {"from": found.epoch_from, "to": found.epoch_to},
                "receipt": str(done.receipt),
                "verdict": found.verdict,
            }
        )
        return
    colour = _VERDICT_STYLE[found.verdict]
    audio = all(file.kind == AUDIO for row in found.erased for file in row.artefacts)
    it.print(
        f"[{colour}]{found.verdict}[/]: erased {'the audio of ' * audio}"
        f"{_owners(found.erased)}, epoch {found.epoch_from} to {found.epoch_to}"
    )
    for kept in found.kept:
        it.item("[cyan]kept    [/]", safe(kept))
    for anchor in found.anchors:
        it.item("anchor  ", f"{anchor.anchor}, level {anchor.level}: {safe(anchor.rests_on)}")
    for row in found.disclosed:
        it.item("left    ", safe(row))
    for row in found.residual:
        it.item("[yellow]residual[/]", safe(row))
    it.exact(f"receipt  {safe(str(done.receipt))}")


def verdicts(
    it: Terminal,
    documents: Sequence[Mapping[str, object]],
    lines: Sequence[str],
    copies: Sequence[tuple[str, str]],
) -> None:
    """Shows what became of receipts, and what copies still hold."""
    if it.as_json:
        it.document({"receipts": list(documents), "copies": _copies(copies)})
        return
    for line in lines:
        _line_of_verdict(it, line)
    states(it, copies)


def states(it: Terminal, copies: Sequence[tuple[str, str]]) -> None:
    """Shows of each sealed file in a copy whether it is live, erased or unknown."""
    for name, state in copies:
        it.exact(f"[{_STATE_STYLE[state]}]{state:8}[/] {safe(name)}")


def audit(
    it: Terminal, found: Audit, copies: Sequence[tuple[str, str]], *, epoch: int, log_key: str
) -> None:
    """Shows the counts of an audit and its problems."""
    counts = {
        "epoch": epoch,
        "entries": found.entries,
        "slots": found.slots,
        "live_slots": found.live_slots,
        "files": found.files,
        "receipts": found.receipts,
        "confirmations": found.confirmations,
    }
    if it.as_json:
        document = {**counts, "log_key": log_key, "problems": found.problems}
        it.document({**document, "copies": _copies(copies)})
        return
    it.table(
        [Column("what"), Column("count", right=True)],
        [(name.replace("_", " "), str(number)) for name, number in counts.items()],
    )
    it.exact(f"log key {log_key}")
    for problem in found.problems:
        it.item("[red]problem:[/]", safe(problem))
    if not found.problems:
        it.print("[green]everything is accounted for[/]")
    states(it, copies)


def receipts(
    it: Terminal, found: Sequence[Outcome], outstanding: Mapping[Path, Sequence[str]]
) -> None:
    """Shows all receipts of a vault, each with its verdict or why it does not verify.

    A pending one names what is `outstanding` for it now: ways to the root, skills.
    """
    if it.as_json:
        it.document([_receipt_document(one, outstanding.get(one.path, ())) for one in found])
        return
    columns = [Column("erased"), Column("interactions", right=True), Column("verdict")]
    rows = [_receipt_cells(one, outstanding.get(one.path, ())) for one in found]
    it.table([*columns, Column("receipt", fold=True)], rows)


def _is_pending(one: Outcome) -> bool:
    return one.verdict == PENDING


def _receipt_document(one: Outcome, outstanding: Sequence[str]) -> dict[str, object]:
    pending = {"outstanding": list(outstanding)} if _is_pending(one) else {}
    return {**as_json(one), **pending}


def restored(it: Terminal, found: Sequence[Restored]) -> None:
    """Shows what became of the sealed files of a copy, and which interactions stay erased."""
    counts = {state: sum(row.state == state for row in found) for state in STATES}
    gone = sorted({row.interaction for row in found if row.state == ERASED})
    if it.as_json:
        back = sorted({row.interaction for row in found if row.state == RESTORED})
        it.document({"files": counts, "restored": back, "erased": gone})
        return
    it.table(
        [Column("files"), Column("count", right=True)], [(s, str(n)) for s, n in counts.items()]
    )
    for interaction in gone:
        it.exact(f"[green]stays erased[/] {interaction}")


def _receipt_cells(one: Outcome, outstanding: Sequence[str]) -> tuple[str, ...]:
    if one.verified is None:
        return ("", "", f"does not verify: {one.problem}", str(one.path))
    it, verdict = one.verified.statement, one.verdict
    if _is_pending(one):
        verdict += f" on {', '.join(outstanding)}" if outstanding else ", and not confirmed"
    elif one.confirmed:
        verdict += f" by log entry {one.confirmed.index}, pending at first"
    return (local(it.erased_at), str(len(it.erased)), verdict, str(one.path))


def _line_of_verdict(it: Terminal, line: str) -> None:
    """The verifier's lines have a head of twelve characters and then a text, or none."""
    head, body = line[:_VERDICT_HEAD], line[_VERDICT_HEAD:]
    if not line.startswith("  ") or head.split() in [["log"], ["log", "key"]]:
        it.exact(safe(line))
    else:
        it.item(safe(head[:-1]), safe(body))


def _copies(copies: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"file": name, "state": state} for name, state in copies]

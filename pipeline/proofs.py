"""How erasing looks: plans, erasures, receipts, audits, and what copies hold.

The shapes of the JSON are the contract of the command line; a change of one is a change of it.
"""

from collections.abc import Mapping, Sequence

from keys.copies import ERASED
from keys.outcome import Outcome
from keys.receipt import CONFIRMED, FAILED, PENDING
from keys.verify import as_json
from pipeline.artefact import AUDIO
from pipeline.audit import Audit
from pipeline.erase import Erasure
from pipeline.history import Row
from pipeline.plan import Plan
from pipeline.restore import RESTORED, STATES, Restored
from pipeline.terminal import Column, Terminal, count, local, safe

_SHORT = 8
_VERDICT_HEAD = 12
_VERDICT_STYLE = {CONFIRMED: "green", PENDING: "yellow", FAILED: "red"}
_STATE_STYLE = {"live": "yellow", "erased": "green", "unknown": "dim"}


def plan(it: Terminal, todo: Plan, found: Sequence[Row], *, only_audio: bool) -> None:
    """Shows what will be erased, what stays beyond reach, before anything happens."""
    for row in found:
        head = f"  {row.interaction.hex()[:_SHORT]}  {local(row.meta.started_at)} "
        it.say_item(head, safe(row.text))
    for gone in todo.disclosed:
        it.say_item("[yellow]beyond reach:[/]", safe(gone))
    files = sum(len(row.artefacts) for row in todo.erased)
    it.say_item(
        "[bold]to be erased:[/]",
        ("the audio of " if only_audio else "")
        + f"{count(len(todo.erased), 'interaction')}, {count(files, 'sealed file')}, "
        + f"{count(len(todo.slots), 'key')}, with every copy of them anywhere"
        + ("; the words stay" if only_audio else ""),
    )


def dry_run(it: Terminal, todo: Plan) -> None:
    """Shows a plan that is not carried out."""
    if it.as_json:
        it.document(
            {
                "dry_run": True,
                "erased": [row.interaction for row in todo.erased],
                "kept": [],
                "disclosed": list(todo.disclosed),
                "files": sum(len(row.artefacts) for row in todo.erased),
            }
        )
    else:
        it.say("a dry run: nothing was erased")


def erasure(it: Terminal, done: Erasure) -> None:
    """Shows what was erased, and its receipt."""
    found = done.statement
    if it.as_json:
        it.document(
            {
                "erased": [row.interaction for row in found.erased],
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
        f"{count(len(found.erased), 'interaction')}, "
        f"epoch {found.epoch_from} to {found.epoch_to}"
    )
    for anchor in found.anchors:
        it.item("anchor  ", f"{anchor.anchor}, level {anchor.level}: {safe(anchor.rests_on)}")
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


def receipts(it: Terminal, found: Sequence[Outcome], outstanding: Sequence[str]) -> None:
    """Shows all receipts of a vault, each with its verdict or why it does not verify.

    A pending one names the ways to the root that are `outstanding` now.
    """
    if it.as_json:
        it.document([_receipt_document(one, outstanding) for one in found])
        return
    columns = [Column("erased"), Column("interactions", right=True), Column("verdict")]
    rows = [_receipt_cells(one, outstanding) for one in found]
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

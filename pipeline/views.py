"""How each result looks: as JSON for a program, as lines or tables for a person.

The shapes of the JSON are the contract of the command line; a change of one is a change of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.tree import Tree

from keys.model import InteractionId
from keys.receipt import CONFIRMED
from pipeline import models as catalogue
from pipeline.audit import Audit
from pipeline.erase import Erasure
from pipeline.history import Detail, Row
from pipeline.machine import BAD, OK, WARN, Finding
from pipeline.model import RATE_HZ
from pipeline.plan import Plan
from pipeline.terminal import Column, Terminal, local
from pipeline.vault import Artefact, Vault

_SHORT = 8
_STYLE = {OK: "green", WARN: "yellow", BAD: "red"}
_STATE_STYLE = {"live": "yellow", "erased": "green", "unknown": "dim"}


def vault_made(it: Terminal, vault: Vault) -> None:
    """Shows a new vault, its anchors and the key that its receipts are checked with."""
    anchors = [(anchor.name, anchor.level()) for anchor in vault.ring.anchors]
    key = vault.signer().verifier.format()
    if it.as_json:
        rows = [{"anchor": n, "level": lv.letter, "rests_on": lv.rests_on} for n, lv in anchors]
        it.document({"vault": str(vault.directory), "anchors": rows, "log_key": key})
        return
    it.print(f"made a vault in {escape(str(vault.directory))}")
    for name, level in anchors:
        it.print(f"anchor  {name}, level {level.letter}: {escape(level.rests_on)}")
    it.print(f"log key {key}")
    it.print("give the log key to whoever shall check your receipts later")


def rows(it: Terminal, found: Sequence[Row]) -> None:
    """Shows interactions as a list."""
    if it.as_json:
        it.document([row_document(row) for row in found])
        return
    columns = [
        Column("interaction"),
        Column("heard"),
        Column("seconds", right=True),
        Column("profile"),
        Column("what was said", fold=True),
    ]
    it.table(columns, [_cells(it, row) for row in found])
    if it.is_rich and not found:
        it.print("nothing")


def row_document(row: Row) -> dict[str, object]:
    """Returns one interaction as the contract has it."""
    return {
        "interaction": row.interaction.hex(),
        "started_at": row.meta.started_at,
        "seconds": row.seconds,
        "profile": row.meta.profile,
        "text": row.text,
        "artefacts": [artefact.kind for artefact in row.artefacts],
    }


def detail(it: Terminal, found: Detail) -> None:
    """Shows one interaction: words with times, lineage, retention, reads, disclosures."""
    if it.as_json:
        it.document(_detail_document(found))
        return
    row, meta = found.row, found.row.meta
    it.print(f"[bold]{escape(row.text)}[/]")
    it.print(
        f"{local(meta.started_at)}, {row.seconds} s, profile {escape(meta.profile)}, "
        f"heard by {escape(meta.recogniser)}"
    )
    it.print(f"from {escape(meta.source)} at {meta.offset_ms / 1000:.2f} s")
    _tree(it, row)
    cells = [
        (f"{w.start_ms / 1000:.2f}", f"{w.end_ms / 1000:.2f}", f"{w.confidence:.2f}", w.word)
        for w in row.words
    ]
    times = [Column("from s", right=True), Column("to s", right=True), Column("sure", right=True)]
    it.table([*times, Column("word")], cells)
    it.print("kept until you forget it")
    it.print("read by " + ", ".join(f"{how} (log entry {n})" for n, how in found.reads))
    for gone in found.disclosures:
        it.print(escape(f"left the vault: {gone.kind} to {gone.to} at {gone.at} ({gone.why})"))


def played(it: Terminal, interaction: InteractionId, samples: int) -> None:
    """Says what was played."""
    if it.as_json:
        it.document({"interaction": interaction.hex(), "seconds": round(samples / RATE_HZ, 2)})


def exported(it: Terminal, row: Row, paths: Sequence[Path], *, plain: bool) -> None:
    """Shows what was written where, and what that means for a later erasure."""
    if it.as_json:
        files = [str(path) for path in paths]
        it.document({"interaction": row.interaction.hex(), "plain": plain, "files": files})
        return
    for path in paths:
        it.print(escape(str(path)))
    if plain:
        it.say(
            "[yellow]readable by anyone; forget cannot reach these files: delete them yourself[/]"
        )
    else:
        it.say("sealed: these copies die with the interaction")


def plan(it: Terminal, todo: Plan, found: Sequence[Row]) -> None:
    """Shows what will be erased, what stays beyond reach, before anything happens."""
    files = sum(len(row.artefacts) for row in todo.erased)
    it.say(
        f"[bold]to be erased:[/] {len(todo.erased)} interaction(s), {files} sealed file(s), "
        f"{len(todo.slots)} key(s), with every copy of them anywhere"
    )
    for row in found:
        it.say(
            f"  {row.interaction.hex()[:_SHORT]}  {local(row.meta.started_at)}  {escape(row.text)}"
        )
    for gone in todo.disclosed:
        it.say(f"[yellow]beyond reach:[/] {escape(gone)}")


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
    colour = "green" if found.verdict == CONFIRMED else "red"
    it.print(
        f"[{colour}]{found.verdict}[/]: erased {len(found.erased)} interaction(s), "
        f"epoch {found.epoch_from} to {found.epoch_to}"
    )
    for anchor in found.anchors:
        it.print(f"anchor {anchor.anchor}, level {anchor.level}: {escape(anchor.rests_on)}")
    for row in found.residual:
        it.print(f"[yellow]residual:[/] {escape(row)}")
    it.print(f"receipt {escape(str(done.receipt))}")


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
        it.print(escape(line))
    states(it, copies)


def states(it: Terminal, copies: Sequence[tuple[str, str]]) -> None:
    """Shows of each sealed file in a copy whether it is live, erased or unknown."""
    for name, state in copies:
        it.print(f"[{_STATE_STYLE[state]}]{state:8}[/] {escape(name)}")


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
    }
    if it.as_json:
        document = {**counts, "log_key": log_key, "problems": found.problems}
        it.document({**document, "copies": _copies(copies)})
        return
    it.table(
        [Column("what"), Column("count", right=True)], [(k, str(v)) for k, v in counts.items()]
    )
    it.print(f"log key {log_key}")
    for problem in found.problems:
        it.print(f"[red]problem:[/] {escape(problem)}")
    if not found.problems:
        it.print("[green]everything is accounted for[/]")
    states(it, copies)


def findings(it: Terminal, found: Sequence[Finding]) -> None:
    """Shows what the doctor found and what to do."""
    if it.as_json:
        keys = ("check", "state", "found", "remedy")
        it.document([{key: getattr(row, key) for key in keys} for row in found])
        return
    for row in found:
        it.print(f"[{_STYLE[row.state]}]{row.state:4}[/] [bold]{row.check}[/]: {escape(row.found)}")
        if row.remedy:
            it.print(f"     do: {escape(row.remedy)}")


def models(it: Terminal, known: Sequence[catalogue.Model], installed: Mapping[str, Path]) -> None:
    """Shows the models that can be had, and where those installed are."""
    if it.as_json:
        it.document(
            [
                {
                    "name": model.name,
                    "language": model.language,
                    "licence": model.licence,
                    "origin": model.origin,
                    "installed": str(installed[model.name]) if model.name in installed else None,
                }
                for model in known
            ]
        )
        return
    columns = [
        Column("model"),
        Column("language"),
        Column("licence"),
        Column("installed", fold=True),
    ]
    it.table(
        columns,
        [(m.name, m.language, m.licence, str(installed.get(m.name, "no"))) for m in known],
    )


def fetching(it: Terminal, name: str | None) -> Path:
    """Fetches a model with a progress bar on a terminal; returns its folder."""
    if not it.err.is_terminal:
        return catalogue.fetch(name, lambda _done, _total: None, it.say)
    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
    with Progress(*columns, console=it.err, transient=True) as bar:
        task = bar.add_task("fetching", total=None)
        return catalogue.fetch(
            name,
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda text: bar.console.print(escape(text)),
        )


def fetched(it: Terminal, folder: Path) -> None:
    """Shows where the model is."""
    if it.as_json:
        it.document({"name": folder.name, "path": str(folder)})
    else:
        it.print(f"model {escape(folder.name)} is in {escape(str(folder))}")


def _cells(it: Terminal, row: Row) -> tuple[str, ...]:
    if it.is_rich:
        start = (row.interaction.hex()[:_SHORT], local(row.meta.started_at))
    else:
        start = (row.interaction.hex(), row.meta.started_at)
    return (*start, f"{row.seconds:.2f}", row.meta.profile, row.text)


def _tree(it: Terminal, row: Row) -> None:
    tree = Tree(f"interaction {row.interaction.hex()}")
    for artefact in row.artefacts:
        tree.add(f"{artefact.kind}, slot {artefact.slot}, {artefact.size} bytes sealed")
    it.out.print(tree)


def _detail_document(found: Detail) -> dict[str, object]:
    meta = found.row.meta
    return {
        **row_document(found.row),
        "source": meta.source,
        "offset_ms": meta.offset_ms,
        "recogniser": meta.recogniser,
        "words": [
            {"word": w.word, "start_ms": w.start_ms, "end_ms": w.end_ms, "confidence": w.confidence}
            for w in found.row.words
        ],
        "artefacts": [_artefact_document(artefact) for artefact in found.row.artefacts],
        "retention": "until forgotten",
        "reads": [{"index": index, "by": how} for index, how in found.reads],
        "disclosures": [
            {"kind": d.kind, "to": d.to, "fields": list(d.fields), "why": d.why, "at": d.at}
            for d in found.disclosures
        ],
    }


def _artefact_document(artefact: Artefact) -> dict[str, object]:
    label = artefact.header.label
    return {
        "artefact": label.artefact.hex(),
        "kind": label.kind,
        "parents": [label.interaction.hex()],
        "slot": label.slot,
        "header": artefact.header.hash.hex(),
        "bytes": artefact.size,
    }


def _copies(copies: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"file": name, "state": state} for name, state in copies]

"""How each result looks: as JSON for a program, as lines or tables for a person.

The shapes of the JSON are the contract of the command line; a change of one is a change of it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keys.model import InteractionId
from pipeline import logkey
from pipeline.anchoring import AnchorRow
from pipeline.artefact import DEFAULT_PROFILE
from pipeline.history import Row
from pipeline.machine import BAD, FIXED, LEFT, OK, WARN, Finding
from pipeline.model import RATE_HZ
from pipeline.query import Query, snippet
from pipeline.terminal import Column, Terminal, count, local, safe
from pipeline.vault import Vault

if TYPE_CHECKING:  # only `model` needs it, and imports it itself
    from pipeline import models as catalogue

_SHORT = 8
_UNREADABLE = 20
"""So many that cannot be read are named."""
_STYLE = {OK: "green", WARN: "yellow", BAD: "red", FIXED: "bold green", LEFT: "yellow"}


def vault_made(it: Terminal, vault: Vault) -> None:
    """Shows a new vault, its anchors and the key that its receipts are checked with."""
    anchors = [(anchor.name, anchor.level()) for anchor in vault.ring.anchors]
    key = logkey.signer(vault).verifier.format()
    if it.as_json:
        rows = [{"anchor": n, "level": lv.letter, "rests_on": lv.rests_on} for n, lv in anchors]
        it.document({"vault": str(vault.directory), "anchors": rows, "log_key": key})
        return
    it.exact(f"made a vault in {safe(str(vault.directory))}")
    for name, level in anchors:
        it.item("anchor ", f"{name}, level {level.letter}: {safe(level.rests_on)}")
    it.exact(f"log key {key}")
    it.print("give the log key to whoever shall check your receipts later")


def anchors(it: Terminal, found: Sequence[AnchorRow]) -> None:
    """Shows the anchors of a vault."""
    if it.as_json:
        it.document([_anchor_document(row) for row in found])
        return
    columns = [Column("anchor", fold=True), Column("way"), Column("level"), Column("state")]
    it.table(columns, [_anchor_cells(row) for row in found])
    for level in dict.fromkeys(row.level for row in found if row.level):
        it.item(f"level {level.letter}", safe(level.rests_on))


def _anchor_document(row: AnchorRow) -> dict[str, object]:
    return {
        "anchor": row.name,
        "spec": row.spec,
        "way": row.way,
        "here": row.level is not None,
        "level": row.level.letter if row.level else None,
        "rests_on": row.level.rests_on if row.level else None,
        "outstanding": row.is_outstanding,
    }


def _anchor_cells(row: AnchorRow) -> tuple[str, ...]:
    state = "here" if row.level else "not here"
    state += f", read-only ({safe(row.problem)})" if row.problem else ""
    if row.is_outstanding:
        state += ", may hold an old share" if row.is_used else ", awaited until it is destroyed"
    return row.spec, row.way, row.level.letter if row.level else "-", state


def log_key(it: Terminal, keys: Sequence[str], handovers: Sequence[Path]) -> None:
    """Shows the keys that sign the log now, and the handovers that lead to them."""
    if it.as_json:
        it.document({"log_keys": list(keys), "handovers": [str(path) for path in handovers]})
        return
    for key in keys:
        it.exact(f"log key  {key}")
    for path in handovers:
        it.exact(f"handover {safe(str(path))}")


def mirrors(it: Terminal, found: Sequence[tuple[Path, bool]]) -> None:
    """Shows the mirrors of a vault."""
    if it.as_json:
        it.document([{"mirror": str(path), "up_to_date": kept} for path, kept in found])
        return
    states = {True: "up to date", False: "not here, so behind"}
    columns = [Column("mirror", fold=True), Column("state")]
    it.table(columns, [(str(path), states[kept]) for path, kept in found])


def rows(it: Terminal, found: Sequence[Row], query: Query | None = None) -> None:
    """Shows interactions as a list; of those that a query found, a person sees the words around."""
    if it.as_json:
        snippets = [{"snippet": _around(row, query)} if query else {} for row in found]
        it.document([row_document(row) | more for row, more in zip(found, snippets, strict=True)])
        return
    if not it.is_rich:
        it.table([], [_line(row) for row in found])
        return
    if not found:
        it.print("nothing")
        return
    # A column that says the same in every row only takes room from the words.
    profiles = any(row.meta.profile != DEFAULT_PROFILE for row in found)
    columns = [Column("interaction"), Column("heard"), Column("seconds", right=True)]
    columns += [Column("profile")] * profiles
    columns += [Column("what was said", fold=True)]
    cells = [_cells(row, profiles=profiles) for row in found]
    if query:
        around = (_around(row, query) for row in found)
        cells = [(*rest, text) for (*rest, _), text in zip(cells, around, strict=True)]
    it.table(columns, cells)


def _around(row: Row, query: Query) -> str:
    return snippet([word.word for word in row.words], query)


def mended(it: Terminal, segments: int) -> None:
    """Remarks on segments of the search index that were damaged, if there were any."""
    if segments:
        it.say(
            f"{count(segments, 'segment')} of the search index could not be read; the transcripts "
            "were searched instead, and have been indexed anew"
        )


def unreadable(it: Terminal, interactions: Collection[InteractionId]) -> None:
    """Remarks on what could not be listed, if there was any."""
    if interactions:
        some = sorted(each.hex()[:_SHORT] for each in interactions)
        more = f" and {len(some) - _UNREADABLE} more" if len(some) > _UNREADABLE else ""
        ids = ", ".join(some[:_UNREADABLE]) + more
        it.say(
            f"{count(len(interactions), 'interaction')} could not be read, because sealed files of "
            f"it are missing or damaged: {ids}; `anechoic audit` tells which, `anechoic restore` "
            "brings them back from a copy, and each can be forgotten by its id"
        )


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
        it.exact(safe(str(path)))
    if plain:
        it.say(
            "[yellow]readable by anyone; forget cannot reach these files: delete them yourself[/]"
        )
    else:
        it.say("sealed: these copies die with the interaction")


def findings(it: Terminal, found: Sequence[Finding]) -> None:
    """Shows what the doctor found and what to do."""
    if it.as_json:
        keys = ("check", "state", "found", "remedy")
        it.document([{key: getattr(row, key) for key in keys} for row in found])
        return
    for row in found:
        it.item(
            f"[{_STYLE[row.state]}]{row.state:4}[/]", f"[bold]{row.check}[/]: {safe(row.found)}"
        )
        if row.remedy:
            it.item("  do", safe(row.remedy))


def models(
    it: Terminal,
    known: Sequence["catalogue.Model"],
    installed: Mapping[str, Path],
    named: str | None,
    chosen: str | None,
) -> None:
    """Shows the models that can be had, where those installed are, and one named otherwise."""
    if it.as_json:
        it.document([_model_document(model, installed.get(model.name)) for model in known])
        return
    columns = [Column("model", fold=True), *map(Column, ("language", "licence", "installed"))]
    it.table(
        columns,
        [(m.name, m.language, m.licence, "yes" if m.name in installed else "no") for m in known],
    )
    for folder in installed.values():
        it.say_item("installed:", safe(str(folder)))
    if named:
        it.say_item("in use, by ANECHOIC_MODEL:", safe(named))
    elif chosen:
        it.say_item("in use, chosen for this vault:", safe(chosen))
    elif not installed:
        it.say("none is installed; to get one: anechoic model fetch")


def fetching(it: Terminal, name: str | None) -> Path:
    """Fetches a model with a progress bar on a terminal; returns its folder."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from pipeline.fetch import fetch

    if not it.err.is_terminal:
        return fetch(name, lambda _done, _total: None, lambda text: it.say(safe(text)))
    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
    with Progress(*columns, console=it.err, transient=True) as bar:
        task = bar.add_task("fetching", total=None)
        return fetch(
            name,
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda text: bar.console.print(safe(text)),
        )


def fetched(it: Terminal, folder: Path) -> None:
    """Shows where the model is."""
    if it.as_json:
        it.document({"name": folder.name, "path": str(folder)})
    else:
        it.exact(f"model {safe(folder.name)} is in {safe(str(folder))}")


def _line(row: Row) -> tuple[str, ...]:
    meta = row.meta
    return row.interaction.hex(), meta.started_at, f"{row.seconds:.2f}", meta.profile, row.text


def _cells(row: Row, *, profiles: bool) -> tuple[str, ...]:
    start = (row.interaction.hex()[:_SHORT], local(row.meta.started_at), f"{row.seconds:.2f}")
    text = row.text or "(cut off; the next `anechoic listen` recognises it)"
    return (*start, row.meta.profile, text) if profiles else (*start, text)


def _model_document(model: "catalogue.Model", installed: Path | None) -> dict[str, object]:
    return {
        "name": model.name,
        "language": model.language,
        "licence": model.licence,
        "origin": model.origin,
        "installed": str(installed) if installed else None,
    }

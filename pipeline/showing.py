"""How one interaction looks: its words with times, its lineage as a tree, who read it, what left.

The shape of the JSON is the contract of `show`; a change of one is a change of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from keys.model import ArtefactId
from pipeline.artefact import Meta
from pipeline.history import Detail, Row
from pipeline.model import Word
from pipeline.retention import Until
from pipeline.terminal import Column, Terminal, count, local, safe
from pipeline.tree import Node
from pipeline.vault import Artefact
from pipeline.views import row_document

if TYPE_CHECKING:
    from rich.tree import Tree


def detail(it: Terminal, found: Detail, kept: Until) -> None:
    """Shows one interaction: words with times, lineage, retention, reads, disclosures."""
    if it.as_json:
        it.document(_document(found, kept))
        return
    row, meta = found.row, found.row.meta
    it.print(f"[bold]{safe(row.text)}[/]")
    it.item("heard ", f"{local(meta.started_at)}, {row.seconds:.2f} s")
    it.item("for   ", f"profile {safe(meta.profile)}")
    it.item("from  ", f"{safe(meta.source)} at {meta.offset_ms / 1000:.2f} s")
    it.item("by    ", safe(meta.recogniser))
    if meta.truncated or meta.lost_ms:
        it.item("but   ", _what_is_missing(meta))
    it.item("kept  ", _kept(kept))
    it.item("read  ", _reads(found))
    for gone in found.disclosures:
        left = f"{gone.kind} to {gone.to}, {local(gone.at)}: {', '.join(gone.fields)} ({gone.why})"
        it.item("[yellow]left  [/]", safe(left))
    _tree(it, found)
    _words(it, row)


def _kept(kept: Until) -> str:
    words = f"until {local(kept.words)}" if kept.words else "until you forget it"
    audio = f"; its audio until {local(kept.audio)}" if kept.audio not in {None, kept.words} else ""
    return words + audio + ("; sensitive" if kept.sensitive else "")


def _reads(found: Detail) -> str:
    times = Counter(read.how for read in found.reads)
    by = ", ".join(f"{how} {count(number, 'time')}" for how, number in times.items())
    last = found.reads[-1]
    return safe(f"by {by}; last on {last.day or 'a day not noted'}, log entry {last.index}")


def _tree(it: Terminal, found: Detail) -> None:
    from rich.tree import Tree

    tree = Tree(f"interaction {found.row.interaction.hex()}")
    _grow(tree, found.lineage, {a.header.label.artefact: a for a in found.row.artefacts})
    it.out.print(tree)


def _grow(tree: "Tree", nodes: Iterable[Node], here: Mapping[ArtefactId, Artefact]) -> None:
    for node in nodes:
        _grow(tree.add(_node(node, here.get(node.label.artefact))), node.made, here)


def _node(node: Node, here: Artefact | None) -> str:
    what = f"{node.label.kind}, slot {node.label.slot}"
    if not node.is_live:
        return f"[dim]{what}, erased[/]"
    if node.is_shared:
        return f"{what}, under a key of its own ({node.label.interaction.hex()[:8]})"
    return f"{what}, {here.size} bytes sealed" if here else f"{what}, [red]its file is missing[/]"


def _words(it: Terminal, row: Row) -> None:
    cells = [
        (f"{w.start_ms / 1000:.2f}", f"{w.end_ms / 1000:.2f}", _confidence(w), w.word)
        for w in row.words
    ]
    times = [Column("from s", right=True), Column("to s", right=True), Column("sure", right=True)]
    it.table([*times, Column("word")], cells)


def _confidence(word: Word) -> str:
    return "-" if word.confidence is None else f"{word.confidence:.2f}"


def _what_is_missing(meta: Meta) -> str:
    cut_off = ["it was cut off while it was spoken"] * meta.truncated
    lost = [f"{meta.lost_ms} ms of sound were lost on the way"] * bool(meta.lost_ms)
    return "; ".join(cut_off + lost)


def _document(found: Detail, kept: Until) -> dict[str, object]:
    meta = found.row.meta
    here = {a.header.label.artefact: a for a in found.row.artefacts}
    return {
        **row_document(found.row),
        "source": meta.source,
        "offset_ms": meta.offset_ms,
        "recogniser": meta.recogniser,
        "lost_ms": meta.lost_ms,
        "truncated": meta.truncated,
        "words": [
            {"word": w.word, "start_ms": w.start_ms, "end_ms": w.end_ms, "confidence": w.confidence}
            for w in found.row.words
        ],
        "artefacts": [_node_document(node, here) for node in _all(found.lineage)],
        "retention": {
            "audio_until": kept.audio,
            "words_until": kept.words,
            "sensitive": kept.sensitive,
        },
        "reads": [{"index": it.index, "by": it.how, "day": it.day} for it in found.reads],
        "disclosures": [
            {"kind": d.kind, "to": d.to, "fields": list(d.fields), "why": d.why, "at": d.at}
            for d in found.disclosures
        ],
    }


def _all(nodes: Iterable[Node]) -> list[Node]:
    return [it for node in nodes for it in (node, *_all(node.made))]


def _node_document(node: Node, here: Mapping[ArtefactId, Artefact]) -> dict[str, object]:
    label = node.label
    file = here.get(label.artefact)
    return {
        "artefact": label.artefact.hex(),
        "kind": label.kind,
        "parents": [it.hex() for it in node.parents] or [label.interaction.hex()],
        "slot": label.slot,
        "header": node.header.hex(),
        "live": node.is_live,
        "bytes": file.size if file else None,
    }

"""The lineage of an interaction as a drawing: where each dot and line is. Pure; a template draws.

One row for each artefact, indented under what it was made from, so that it fits a phone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.tree import Node

ROW, STEP, LEFT, TOP = 56, 30, 14, 26
WIDTH = 340


@dataclass(frozen=True, slots=True)
class Dot:
    """One artefact: where it is drawn, what it is, and what it was made from."""

    x: int
    y: int
    kind: str
    is_live: bool
    is_shared: bool
    parent: str
    artefact: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All dots, the paths of the lines between them, and the height of it all."""

    dots: tuple[Dot, ...]
    lines: tuple[str, ...]
    height: int
    width: int = WIDTH


def drawing(lineage: Iterable[Node]) -> Drawing:
    """Lays out a lineage."""
    dots, lines = list[Dot](), list[str]()
    for node, depth, parent in _walk(lineage, 1, None):
        x, y = LEFT + depth * STEP, TOP + (1 + len(dots)) * ROW
        above = next((it for it in dots if parent and it.artefact == _id(parent)), None)
        dots.append(_dot(node, x, y, parent))
        lines.append(_line(above.x if above else LEFT, above.y if above else TOP, x, y))
    return Drawing(tuple(dots), tuple(lines), TOP + (len(dots) + 1) * ROW - ROW // 2)


def _walk(
    nodes: Iterable[Node], depth: int, parent: Node | None
) -> Iterator[tuple[Node, int, Node | None]]:
    for node in nodes:
        yield node, depth, parent
        yield from _walk(node.made, depth + 1, node)


def _dot(node: Node, x: int, y: int, parent: Node | None) -> Dot:
    made_from = parent.label.kind if parent else ""
    return Dot(x, y, node.label.kind, node.is_live, node.is_shared, made_from, _id(node))


def _id(node: Node) -> str:
    return node.label.artefact.hex()


def _line(x0: int, y0: int, x1: int, y1: int) -> str:
    bend = 10
    return f"M{x0} {y0}V{y1 - bend}Q{x0} {y1} {x0 + bend} {y1}H{x1}"

"""The figures as drawings: the ratios to the peers, and how each cost grows."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.figures import Line
from tests.bench.growing import Growth

_GROWING = (
    ("forget one, new", "forget one"),
    ("SQLCipher DELETE", "SQLCipher DELETE"),
    ("SQLCipher VACUUM", "SQLCipher VACUUM"),
    ("shred -u", "shred -u"),
    ("list fifty", "list the last fifty, from the shell"),
    ("search, sealed", "search, sealed"),
    ("search, cold", "search, cold"),
    ("forget a tenth", "forget a tenth"),
    ("forget a tenth, keys gone", "forget a tenth, until the keys are gone"),
)


def draw(folder: Path, lines: Sequence[Line], growths: Sequence[Growth]) -> list[Path]:
    """Writes the drawings as SVG, the same bytes for the same figures; returns their paths."""
    mpl.rcParams.update({"svg.hashsalt": "anechoic", "font.size": 9, "svg.fonttype": "none"})
    drawn = {"ratios.svg": _ratios(lines), "growth.svg": _growth(growths)}
    for name, figure in drawn.items():
        figure.savefig(folder / name, bbox_inches="tight", metadata={"Date": None})
    return [folder / name for name in drawn]


def _ratios(lines: Sequence[Line]) -> Figure:
    rows = [
        (f"{line.job}\n{peer.how.replace('`', '')}", peer.value / line.ours.value)
        for line in lines
        for peer in line.peers
        if line.ours.value and peer.value
    ][::-1]
    figure = Figure(figsize=(8, 0.42 * len(rows) + 0.6))
    axes = figure.subplots()
    colours = ["#2a7f62" if it >= 1 else "#b5651d" for _, it in rows]
    axes.barh([name for name, _ in rows], [it - 0 for _, it in rows], color=colours, left=0)
    axes.set_xscale("log")
    axes.margins(y=0.01)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times what Anechoic needs (right of 1: Anechoic needs less)")
    return figure


def _growth(growths: Sequence[Growth]) -> Figure:
    known = {it.name: it for it in growths}
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    for name, label in _GROWING:
        if it := known.get(name):
            style = "--" if name.startswith(("SQLCipher", "shred")) else "-"
            axes.plot(list(it.at), list(it.at.values()), style, marker="o", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("interactions in the vault")
    axes.set_ylabel("milliseconds")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure

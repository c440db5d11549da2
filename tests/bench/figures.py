"""What was measured, beside what: one line for each job, its targets, and the table of them all.

A figure without a peer cannot be made: a line is one figure of ours and at least one other's of the
same job in the same run. Less is better in all of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- figures: written by make bench -->\n", "<!-- end of the figures -->"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one program needed for a job; `how` says what was run."""

    how: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a line shall reach: `reached` is at most `limit`, both as the words say."""

    words: str
    reached: float
    limit: float

    @property
    def is_met(self) -> bool:
        """Whether it is reached."""
        return self.reached <= self.limit

    def verdict(self) -> str:
        """Says whether it is met, and what was reached."""
        if self.is_met:
            return f"met: {_number(self.reached)}"
        by = self.reached / self.limit
        return f"**missed** by {_number(by)} times: {_number(self.reached)}"


@dataclass(frozen=True, slots=True)
class Line:
    """One job: ours, the others', and what we wanted."""

    job: str
    ours: Measured
    peers: tuple[Measured, ...]
    targets: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        if not self.peers:
            raise ValueError(f"{self.job}: a figure without its peer says nothing")


def against(words: str, ours: Measured, peer: Measured, limit: float) -> Target:
    """Returns the target that ours is at most `limit` times a peer's."""
    return Target(words, ours.value / peer.value, limit)


def absolute(words: str, ours: Measured, limit: float) -> Target:
    """Returns the target that ours is at most `limit`, in its own unit."""
    return Target(words, ours.value, limit)


def markdown(lines: Iterable[Line]) -> Iterator[str]:
    """Yields the rows of the table, one for each peer."""
    yield "| job | Anechoic | beside it | | times Anechoic's | target |"
    yield "| --- | ---: | --- | ---: | ---: | --- |"
    for line in lines:
        targets = "; ".join(f"{it.words}: {it.verdict()}" for it in line.targets)
        job, ours = line.job, f"{shown(line.ours)} ({line.ours.how})"
        for peer in line.peers:
            times = _number(peer.value / line.ours.value) if line.ours.value else ""
            yield f"| {job} | {ours} | {peer.how} | {shown(peer)} | {times} | {targets} |"
            job = ours = targets = ""


def brief(lines: Iterable[Line]) -> Iterator[str]:
    """Yields the rows of a short table: what has a target, beside the first of its peers."""
    yield "| job | Anechoic | instead | target |"
    yield "| --- | ---: | ---: | --- |"
    for line in lines:
        for goal in line.targets[:1]:
            ours, theirs = f"{shown(line.ours)}", f"{shown(line.peers[0])}, {line.peers[0].how}"
            yield f"| {line.job} | {ours} | {theirs} | {goal.words}: {goal.verdict()} |"


def with_figures(text: str, rows: Iterable[str]) -> str:
    """Returns a document with other rows between its marks."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{END}{after}"


def shown(it: Measured) -> str:
    """Writes a figure with its unit, to three digits."""
    return f"{_number(it.value)} {it.unit}".strip()


def _number(value: float) -> str:
    if value and abs(value) < 0.001:
        return f"{value:.1e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

"""The lines of the table that come from the largest vault that was measured."""

from tests.bench.figures import Line, Measured, Target, absolute, against
from tests.bench.grown import Size
from tests.bench.metering import Cost

HOW = (
    "One run, side by side; less is better. *Times Anechoic's* is what the other needed for each "
    "unit of ours; after a verdict stands ours divided by theirs, or ours alone where the target "
    "is absolute. Interactions of the large vault are made in bulk and have no sealed files but "
    "the newest (`tests/bench/grown.py` says exactly what was done)."
)


def lines(size: Size) -> list[Line]:
    """Returns the lines of one size: forgetting, listing, searching."""
    return [*_forgetting(size), _many(size), _listing(size), *_searching(size)]


def _ms(how: str, it: Cost) -> Measured:
    return Measured(how, it.ms, "ms")


def _kib(how: str, it: Cost) -> Measured:
    return Measured(how, it.written / 1024, "KiB")


def _forgetting(size: Size) -> list[Line]:
    costs, of = size.costs, f"one of {size.number:,}"
    delete, vacuum, shred = (
        costs[it] for it in ("SQLCipher DELETE", "SQLCipher VACUUM", "shred -u")
    )
    both = Cost(
        delete.wall_s + vacuum.wall_s,
        delete.cpu_s + vacuum.cpu_s,
        delete.written + vacuum.written,
    )
    named = {
        "`shred -u` of its files: this copy only": shred,
        "SQLCipher `DELETE`: stays in the file, under the same key": delete,
        "SQLCipher `DELETE` and `VACUUM`: this copy only": both,
    }
    made = list[Line]()
    for name in ("forget one, indexed", "forget one, new"):
        mine, others = _ms(name, costs[name]), [_ms(*it) for it in named.items()]
        goals = tuple(
            Target(f"100 times faster than {it.how.partition(':')[0]}", mine.value / it.value, 0.01)
            for it in others
        )
        which = name.partition(", ")[2]  # so that the drawing has a bar for each
        made.append(Line(f"forget {of}, {which}", mine, tuple(others), goals))
    written = _kib("forget one, indexed", costs["forget one, indexed"])
    peers_kib = tuple(_kib(*it) for it in named.items())
    made.append(Line(f"bytes written to forget {of}", written, peers_kib))
    oldest = _ms("forget the oldest", costs["forget one, the oldest"])
    made.append(
        Line(
            f"forget the oldest of {size.number:,}",
            oldest,
            (_ms("the newest", costs["forget one, new"]),),
        )
    )
    return made


def _many(size: Size) -> Line:
    costs, number = size.costs, size.number // 10
    whole = _ms("with plan, receipt, index and log", costs["forget a tenth"])
    others = (
        _ms("from the yes until their keys are gone", costs["forget a tenth, keys gone"]),
        _ms("of that, the rotation", costs["forget a tenth, its rotation"]),
        _ms("SQLCipher `DELETE` of as many", costs["SQLCipher DELETE of a tenth"]),
    )
    goals = (
        absolute("under 0.5 s", whole, 500),
        Target("their keys gone under 0.5 s", others[0].value, 500),
        Target("the rotation under 0.5 s", others[1].value, 500),
    )
    return Line(f"forget {number:,} random of {size.number:,}", whole, others, goals)


def _listing(size: Size) -> Line:
    mine = _ms("`anechoic history --limit 50`", size.costs["list fifty"])
    peer = _ms("SQLite, plaintext, from Python", size.costs["SQLite, list fifty"])
    goal = absolute("under 0.3 s from the shell", mine, 300)
    return Line(f"open a vault of {size.number:,} and list the last fifty", mine, (peer,), (goal,))


def _searching(size: Size) -> list[Line]:
    costs, of = size.costs, f"search {size.number:,} transcripts"
    warm, cold = (
        _ms("in a running service", costs["search, memory"]),
        _ms("cold", costs["search, cold"]),
    )
    sealed, fts5 = (
        _ms("straight from the sealed index", costs["search, sealed"]),
        _ms("FTS5", costs["FTS5"]),
    )
    within = against("within 3 times warm", warm, fts5, 3)
    fts5_cold = _ms("FTS5, cold", costs["FTS5, cold"])
    reading = _ms("only reading our sealed index, cold", costs["reading the index, cold"])
    return [
        Line(f"{of}, warm", warm, (fts5,), (within,)),
        Line(f"{of}, by a command of its own", sealed, (fts5,)),
        Line(f"{of}, cold", cold, (fts5_cold, reading), (absolute("under 1 s", cold, 1000),)),
    ]

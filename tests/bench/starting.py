"""How long `anechoic --help` takes to start, beside Python that does nothing."""

import sys

from tests.bench.figures import Line, Measured, Target
from tests.bench.metering import ANECHOIC, middle, program

WORDS = "within 150 ms of it"


def lines(*, quick: bool) -> list[Line]:
    """Measures the start, both in turns."""
    program(ANECHOIC, "--help")  # the first time it is compiled
    rounds = 5 if quick else 15
    pairs = [
        (program(ANECHOIC, "--help"), program(sys.executable, "-c", "pass")) for _ in range(rounds)
    ]
    ours, bare = (middle(side) for side in zip(*pairs, strict=True))
    target = Target(WORDS, ours.ms - bare.ms, 150)
    mine, peer = (
        Measured("`anechoic --help`", ours.ms, "ms"),
        Measured("`python -c pass`", bare.ms, "ms"),
    )
    return [Line("start", mine, (peer,), (target,))]

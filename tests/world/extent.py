"""How much of a crash table is walked: a part, the same in each run, or all of it.

There is one table for each protocol. What always runs is counted, and finds what the table's broken
protocols do wrong; `ANECHOIC_EXHAUSTIVE=1` walks every state, in some hours. Nothing else may ask
for that variable.
"""

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

EXHAUSTIVE = os.environ.get("ANECHOIC_EXHAUSTIVE") == "1"


def either(part: T, whole: T) -> T:
    """Returns the part, or the whole when everything shall be walked."""
    return whole if EXHAUSTIVE else part


def some_of(moments: Sequence[T], every: int, last: int = 0) -> list[T]:
    """Returns each `every`-th moment of an act and its `last` ones; or all of them.

    After an operation and before the next the disk is the same: with a step of two each state
    between operations is among them, and some within an operation are not.
    """
    step, end = either(every, 1), len(moments) - last
    return [moment for n, moment in enumerate(moments) if n % step == 0 or n >= end]

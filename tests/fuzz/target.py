"""What a fuzz target is, and the bent inputs that the test suite tries on each.

Only a `KeysError` may come out of a target: anything else, a failed assertion included, is a find.
Nothing of one format belongs here.
"""

import contextlib
import importlib
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from keys.errors import KeysError

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
FOUND = HERE / "found"
_OTHERS = {"__init__", "__main__", "target"}


@dataclass(frozen=True, slots=True)
class Target:
    """A parser with what must hold of it, and the inputs to begin from."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]

    def check(self, data: bytes) -> None:
        """Runs the parser; returns when it took the bytes or refused them as it should."""
        with contextlib.suppress(KeysError):
            self.run(data)


def names() -> list[str]:
    """Returns the names of the targets, which are modules beside this one."""
    return sorted({path.stem for path in HERE.glob("*.py")} - _OTHERS)


def load(name: str) -> Target:
    """Returns the target of this name."""
    found = importlib.import_module(f"tests.fuzz.{name}").TARGET
    assert isinstance(found, Target)
    return found


def seeds(name: str) -> list[bytes]:
    """Returns the inputs of a target to begin from: its own, and what was found before."""
    found = [path.read_bytes() for path in sorted((FOUND / name).glob("*"))]
    return sorted({*load(name).seeds(), *found, b""})


def bent(begin: Sequence[bytes], number: int, seed: int) -> Iterator[bytes]:
    """Yields so many inputs, each a seed with one to four changes; the same for the same `seed`."""
    chance = random.Random(seed)
    for _ in range(number):
        data = bytearray(chance.choice(begin))
        for _ in range(chance.randint(1, 4)):
            _bend(data, begin, chance)
        yield bytes(data)


def _bend(data: bytearray, begin: Sequence[bytes], chance: random.Random) -> None:
    at, other = chance.randrange(len(data) + 1), chance.choice(begin)
    size = chance.choice((1, 2, 4, 8, 16, chance.randrange(len(data) + 1)))
    start = chance.randrange(len(other) + 1)
    match chance.randrange(6):
        case 0:
            data[at : at + 1] = bytes(byte ^ 1 << chance.randrange(8) for byte in data[at : at + 1])
        case 1:
            data[at : at + size] = b""
        case 2:
            data[at : at + size] = chance.randbytes(min(size, 64))
        case 3:
            data[at:at] = data[at : at + size]
        case 4:
            data[at : at + size] = other[start : start + size]
        case 5:
            data[at : at + size] = chance.choice((b"\0", b"\xff", b" ", b"\n", b"9")) * min(size, 8)

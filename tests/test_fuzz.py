"""Every fuzz target on its seeds, on what was found before, and on a few hundred bent inputs.

So the targets stay alive without a fuzzer. `python -m tests.fuzz NAME` runs one under atheris.
"""

from collections.abc import Callable

import pytest

from keys.errors import KeysError, Malformed
from tests.fuzz.target import Target, bent, load, names, seeds

BENT = 300
FINDERS = {"copies"}
"""What looks for something in bytes of any kind, and so refuses none."""


@pytest.mark.parametrize("name", names())
def test_target(name: str) -> None:
    target, begin = load(name), seeds(name)
    assert len(begin) > 2
    for data in [*begin, *bent(begin, BENT, seed=1)]:
        try:
            target.check(data)
        except Exception as found:
            raise AssertionError(f"{name} on {data.hex()[:4000]}") from found


@pytest.mark.parametrize("name", sorted({*names()} - FINDERS))
def test_some_seed_is_taken_and_some_refused(name: str) -> None:
    """A target that refuses everything, or takes everything, would look at nothing."""
    outcomes = {is_taken(load(name), data) for data in [*seeds(name), *bent(seeds(name), 50, 2)]}
    assert outcomes == {True, False}


def is_taken(target: Target, data: bytes) -> bool:
    try:
        target.run(data)
    except KeysError:
        return False
    return True


def raises(error: type[Exception]) -> Callable[[bytes], None]:
    def run(_: bytes) -> None:
        raise error

    return run


def test_only_what_the_package_refuses_may_come_out() -> None:
    """The control: an index out of range is a find, a refusal is none."""
    Target(raises(Malformed), list).check(b"")
    for error in (IndexError, ValueError, AssertionError, RecursionError, MemoryError):
        with pytest.raises(error):
            Target(raises(error), list).check(b"")


def test_bent_inputs_are_many_and_the_same_each_time() -> None:
    begin = seeds("sealed_file")
    one = list(bent(begin, 200, seed=3))
    assert one == list(bent(begin, 200, seed=3)) != list(bent(begin, 200, seed=4))
    assert len({*one} - {*begin}) > 150

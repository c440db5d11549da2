"""What every test gets: an environment without the user's own vault, steady Hypothesis, its place.

Side by side (`make test`), the tests of a file are one process's, so that what they share, a model
or a server, is made once. All files with tests that hear in real time are one process's: they
mostly wait, and two of them at once would disturb each other. So there is a process more than there
are processors, and all else gives way to it. These begin first, then files with a slow test, so
that no process is left alone with one at the end.

No fixture for one kind of test belongs here; it lives beside those tests. A test that needs the
recognition model is marked `model` and fails, rather than skips, where none is installed.
"""

import os
import signal
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent
_NICE = 5

# Whoever starts the tests in the background may have Ctrl-C ignored, which every process inherits.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared processor is not a wrong result, so no deadline; what failed is printed to be repeated.
settings.register_profile("anechoic", deadline=None, print_blob=True)
settings.load_profile("anechoic")


@pytest.fixture(autouse=True)
def _away_from_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach a vault or an anchor of whoever runs it, nor can a process it starts."""
    monkeypatch.setenv("ANECHOIC_VAULT", str(tmp_path / "vault"))
    monkeypatch.setenv("ANECHOIC_ANCHOR_DIR", str(tmp_path / "anchors"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # else one after another, in the order of the files
        items.sort(key=_not_before)


def _not_before(item: pytest.Item) -> tuple[bool, ...]:
    return tuple(item.get_closest_marker(name) is None for name in ("microphone", "slow"))


def pytest_runtest_logstart(nodeid: str) -> None:
    """Lets who hears in real time go first on a processor, for as long as that one has to."""
    if "PYTEST_XDIST_WORKER" in os.environ and _file_of(nodeid) not in _real_time():
        os.nice(max(0, _NICE - os.nice(0)))


@cache
def _real_time() -> set[str]:
    return {it.name for it in TESTS.glob("*.py") if "mark.microphone" in it.read_text()}


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0].rpartition("/")[2]


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    return 1 + (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keeps a file together, and real-time files; xdist's own groups fail with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class OneEar(LoadScopeScheduling):  # type: ignore[misc] # it has no types
        def _split_scope(self, nodeid: str) -> str:
            name = _file_of(nodeid)
            return "real time" if name in _real_time() else name

    config.option.loadscopereorder = False  # ours is by what takes long, not by how many there are
    return OneEar(config, log)

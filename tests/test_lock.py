"""The lock of a vault: whoever waits gets its turn, also where another takes it again and again."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import keys.lock
from keys.errors import Busy
from keys.lock import QUEUE, locked

WAIT_S = 10.0


def who_comes_first(path: Path) -> list[str]:
    """Returns the order in which somebody who waits, and the holder once more, get the lock."""
    order, waiting, tried = list[str](), threading.Event(), keys.lock._try_to_lock

    def wait() -> None:
        with locked(path, WAIT_S):
            order.append("who waited")

    def trying(fd: int) -> bool:
        got = tried(fd)
        if not got:
            waiting.set()
        return got

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as first:
        patch.setattr(keys.lock, "_try_to_lock", trying)
        first.enter_context(locked(path, WAIT_S))
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(WAIT_S)
        first.close()
        with locked(path, WAIT_S):
            order.append("who had it")
        thread.join()
    return order


def test_who_waits_comes_before_who_had_it(tmp_path: Path) -> None:
    assert who_comes_first(tmp_path / "lock") == ["who waited", "who had it"]


def test_without_the_queue_it_would_be_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued = str(tmp_path / ("lock" + QUEUE))

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[int]:
        """Gives each who queues a queue of its own."""
        own = f"{path}.{threading.get_ident()}" if str(path) == queued else str(path)
        with original(Path(own)) as fd:
            yield fd

    original = keys.lock._opened
    monkeypatch.setattr(keys.lock, "_opened", opened)
    monkeypatch.setattr(keys.lock, "_POLL_S", 0.2)
    assert who_comes_first(tmp_path / "lock") == ["who had it", "who waited"]


def test_both_waits_together_end_in_time(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), locked(tmp_path / ("lock" + QUEUE), 0):
        started = time.monotonic()
        with pytest.raises(Busy, match=r"another process has held .*lock for 0 s"):
            contextlib.ExitStack().enter_context(locked(tmp_path / "lock", 0.3))
        assert 0.3 <= time.monotonic() - started < WAIT_S


def test_who_does_not_wait_needs_no_queue(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", 0), pytest.raises(Busy), locked(tmp_path / "lock", 0):
        pass
    assert [it.name for it in tmp_path.iterdir()] == ["lock"]

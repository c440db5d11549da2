"""Ctrl-C that waits for a good moment: raised where an act asks for it, and nowhere in between.

Raised wherever it comes, it can leave a lock of the standard library held for ever, or come while
an object dies, where Python drops it. A second one does not wait.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_deferred() -> Iterator[Callable[[], None]]:
    """Yields what raises `KeyboardInterrupt` if Ctrl-C has come; so does the end of the block.

    Call that at least ten times a second. In a thread, which Ctrl-C never reaches, it does nothing.
    """
    came = False

    def remember(*_: object) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
    check()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Holds Ctrl-C back for the block; a process begun in it has to let it through by itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

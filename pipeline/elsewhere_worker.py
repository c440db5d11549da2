"""What runs inside a Dask worker: it starts the process that hears, and hands sealed bytes through.

Promises that nothing readable, and no key, is ever in the worker itself, so neither in what Dask
keeps, moves, logs or spills. Refuses to start where the worker may write results to disk. These
functions are found by their names on the worker's machine: changing what they take or return needs
the same version of this package at both ends.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any, cast

from pipeline.elsewhere_child import receive, send

_CHILD = (sys.executable, "-P", "-m", "pipeline.elsewhere_child")
_SPILLS = (
    "expected a worker that writes nothing to its disk, found one that may spill results there: "
    "start it with DASK_DISTRIBUTED__WORKER__MEMORY__TARGET=False and "
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL=False, or with --memory-limit 0"
)
_NO_CHILD = "expected a process that hears on the worker, found that it ended while it started"


class _Child:
    """A process that hears, one request at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            _CHILD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.said = receive(self._output)

    def ask(self, message: bytes) -> bytes | None:
        with self._lock:
            try:
                send(cast(IO[bytes], self._process.stdin), message)  # type: ignore[arg-type]
                return receive(self._output)
            except (OSError, ValueError):  # it has ended, or was dismissed
                return None

    def end(self) -> None:
        self._process.kill()  # it holds nothing that is worth an orderly end
        self._process.wait()

    @property
    def _output(self) -> Any:  # noqa: ANN401 - subprocess has another name for it
        return self._process.stdout


_children: dict[str, _Child] = {}


def spills(data: object) -> bool:
    """Tells whether a worker's store of results is more than a dictionary in memory."""
    return type(data) is not dict


def hire(name: str) -> Mapping[str, str]:
    """Starts a process that hears, under this name; returns its public key and its machine.

    Where that may not or cannot be, returns a `problem` instead.
    """
    from distributed import get_worker

    if spills(get_worker().data):
        return {"problem": _SPILLS}
    child = _Child()
    if child.said is None:
        child.end()
        return {"problem": _NO_CHILD}
    _children[name] = child
    said: Mapping[str, str] = json.loads(child.said)
    return said


def ask(name: str, message: bytes) -> bytes | None:
    """Hands a sealed message to a process that hears; returns its sealed answer, None if it ended.

    One that has ended is forgotten.
    """
    child = _children.get(name)
    answer = child.ask(message) if child else None
    if answer is None:
        dismiss(name)
    return answer


def dismiss(name: str) -> None:
    """Ends a process that hears, with all that it heard."""
    if child := _children.pop(name, None):
        child.end()

"""Recognisers on the workers of a Dask cluster: sound goes out sealed, words come back sealed.

Promises the ways of `Recognisers`, with each recogniser a process on a worker's machine; that the
scheduler, and whatever Dask keeps, sees ciphertext only; that an utterance whose worker dies is
heard by another; and that no result stays on the cluster. Refuses with `Refused` a cluster that
does not answer or whose workers may write to disk. Change here who is hired, and when. How it is
sealed is in `elsewhere_sealing`, what runs over there in `elsewhere_worker` and `elsewhere_child`.
"""

import json
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keys.errors import Tampered
from pipeline import elsewhere_worker, models
from pipeline.elsewhere_child import this_machine
from pipeline.elsewhere_sealing import open_answer, seal_to
from pipeline.errors import NoModel, PipelineError, Refused
from pipeline.model import Word
from pipeline.recognise import OnPartial, Stopped
from pipeline.recognisers import Recognisers, Started

HOW = "dask"
"""What the log calls it that sound has left for other machines in this way."""
_ANSWERS_S, _LOOK_S, _PATIENCE_S = 10, 0.25, 30.0
_TRIES = 3


class Lost(PipelineError):
    """The recogniser over there has gone, with its worker or alone: another can be asked."""


class Elsewhere(Recognisers):
    """One recogniser for each thread of each worker there is; a context manager.

    The cluster is asked at once, so that a bad address is found before anything else; hiring
    begins on entering, before a vault is open. Partial words are not given. Raises `Refused`,
    `NoModel`.
    """

    def __init__(self, scheduler: str, model: Path, vocabulary: Sequence[str] = ()) -> None:
        self._cluster = _Cluster(scheduler)
        # A folder that is in no catalogue is taken to be at the same place over there.
        named = {it.path: it.model.name for it in models.installed()}.get(model, str(model))
        self._wanted = json.dumps({"model": named, "vocabulary": list(vocabulary)}).encode()
        self._hiring, self._stopping = threading.Lock(), threading.Event()
        self._hired: list[_Hired] = []
        try:
            super().__init__(model, sum(self._cluster.workers().values()) or 1, vocabulary)
        except BaseException:
            self._cluster.close()
            raise

    def _started(self) -> Iterator[Started]:
        yield from self._threads.map(self._hire, list(self._vacant()))
        if not self._hired:
            raise Refused(
                f"--dask {self._cluster.scheduler}: expected workers there, found none; start some "
                f"(dask worker {self._cluster.scheduler})"
            )
        # One that does not say where it is may be anywhere.
        self.leaves = not all(it.is_here for it in self._hired)

    def _recognise(self, pcm: NDArray[np.int16], on_partial: OnPartial | None) -> tuple[Word, ...]:
        for _ in range(_TRIES):
            hired = self._next()
            try:
                words = hired.recognise(pcm, on_partial)
            except Lost:
                self._hired.remove(hired)
                continue
            except BaseException:
                self._idle.put(hired)
                raise
            self._idle.put(hired)
            return words
        raise PipelineError(
            f"recognition: expected workers that go on, found {_TRIES} that were lost over one "
            "utterance; what was sealed before is kept, run this again for the rest"
        )

    def _next(self) -> "_Hired":
        """Waits for one that is idle; where some were lost, hires whoever has room by now."""
        given_up = time.monotonic() + _PATIENCE_S
        while True:
            with suppress(Empty):
                found = self._idle.get(timeout=_LOOK_S)
                assert isinstance(found, _Hired)  # noqa: S101 - nothing else is put there
                return found
            self._cluster.check(self._stopping)
            if replacement := self._replacement():
                return replacement
            if not self._hired and time.monotonic() > given_up:
                raise PipelineError(
                    f"recognition: expected workers at {self._cluster.scheduler}, found all of "
                    "them gone; what was sealed before is kept, run this again for the rest"
                )

    def _replacement(self) -> "_Hired | None":
        with self._hiring:
            for address in self._vacant():
                with suppress(Lost, Refused, NoModel):  # told of when all are gone
                    hired = self._hire(address)
                    if hired.is_here or self.leaves:
                        self._all.append(hired)
                        return hired
                    self._hired.remove(hired)  # nothing was to leave this machine
                    hired.dismiss()
        return None

    def _vacant(self) -> Iterator[str]:
        taken = Counter(it.address for it in self._hired)
        for address, threads in self._cluster.workers().items():
            yield from [address] * (threads - taken[address])

    def _hire(self, address: str) -> "_Hired":
        hired = _Hired(self._cluster, address, self._wanted, self._stopping)
        self._hired.append(hired)
        return hired

    def _end(self) -> None:
        self._stopping.set()
        super()._end()
        for hired in self._hired:
            hired.dismiss()
        self._cluster.close()


class _Hired:
    """A recogniser in a process on a worker's machine, with the only key to what it is sent."""

    def __init__(
        self, cluster: "_Cluster", address: str, wanted: bytes, stopping: threading.Event
    ) -> None:
        self.address, self._cluster, self._stopping = address, cluster, stopping
        self._name = secrets.token_hex(16)
        said = self._call(elsewhere_worker.hire, self._name)
        self._raise_problem(said)
        self._public = bytes.fromhex(said["public"])
        self.is_here = said["machine"] != "" and said["machine"] == this_machine()
        try:
            self._raise_problem(self._ask(wanted))
        except BaseException:
            self.dismiss()
            raise

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        del on_partial  # its words come as a whole
        rows = self._ask(pcm.tobytes())["words"]
        return tuple(Word(*row) for row in rows)

    def stop(self) -> None:
        """Nothing: all of them are stopped by one event, and dismissed when nobody waits."""

    def dismiss(self) -> None:
        self._cluster.tell(self.address, elsewhere_worker.dismiss, self._name)

    def _ask(self, content: bytes) -> Any:  # noqa: ANN401 - JSON holds anything
        message, key = seal_to(self._public, content)
        with key:
            answer = self._call(elsewhere_worker.ask, self._name, message)
            if answer is None:
                raise Lost("a process that hears has ended over there")
            try:
                return json.loads(open_answer(key, answer))
            except (Tampered, ValueError):
                raise Lost("what came back was not sealed by whom it was sent to") from None

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        return self._cluster.call(self.address, self._stopping, function, *arguments)

    def _raise_problem(self, said: Mapping[str, str]) -> None:
        if "problem" in said:
            kind = NoModel if said.get("kind") == NoModel.__name__ else Refused
            raise kind(f"worker {self.address}: {said['problem']}")


class _Cluster:
    """The only one that talks to Dask; what it is given to carry is sealed already."""

    def __init__(self, scheduler: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise Refused(
                "--dask: expected the package distributed, found none; pip install 'anechoic[dask]'"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we say it ourselves
        self.scheduler = scheduler
        try:
            self._client = Client(
                scheduler, set_as_default=False, timeout=_ANSWERS_S, name="anechoic"
            )
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            raise Refused(
                f"--dask {scheduler}: expected a Dask scheduler, found none that answers "
                f"({type(error).__name__}); check the address, and for tls:// the certificates in "
                "Dask's configuration (distributed.comm.tls)"
            ) from None

    def workers(self) -> dict[str, int]:
        """Returns the address of each worker, with the number of its threads."""
        return dict(sorted(self._client.nthreads().items()))

    def check(self, stopping: threading.Event, address: str = "") -> None:
        """Raises `Stopped`, `PipelineError` where the scheduler has gone, `Lost` for the worker."""
        if stopping.is_set():
            raise Stopped("recognition was stopped")
        if self._client.status != "running":
            raise PipelineError(
                f"recognition: expected the scheduler {self.scheduler} to go on, found it gone; "
                "what was sealed before is kept, run this again for the rest"
            )
        if address and address not in self.workers():
            raise Lost(f"worker {address} has gone")

    def call(
        self,
        address: str,
        stopping: threading.Event,
        function: Callable[..., Any],
        *arguments: object,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Calls a function on one worker and releases the result; raises `Lost`, `Stopped`."""
        future = self._submit(address, function, *arguments)
        try:
            while True:
                with suppress(TimeoutError):
                    return future.result(timeout=_LOOK_S)
                self.check(stopping, address)
        except ImportError:
            raise Refused(
                f"worker {address}: expected this version of anechoic there too, found none or "
                "another; install it on every worker"
            ) from None
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 - cancelled, killed, cut off: it names many
            self.check(stopping)
            raise Lost(f"worker {address} failed ({type(error).__name__})") from None
        finally:
            if not future.done():
                future.cancel()
            future.release()

    def tell(self, address: str, function: Callable[..., Any], *arguments: object) -> None:
        """Calls a function on one worker, if it is there still, and does not wait for long."""
        with suppress(Exception):
            future = self._submit(address, function, *arguments)
            future.result(timeout=_LOOK_S * 8)

    def close(self) -> None:
        """Lets go of the cluster."""
        with suppress(Exception):
            self._client.close(timeout=_ANSWERS_S)

    def _submit(self, address: str, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        return self._client.submit(
            function,
            *arguments,
            key=f"anechoic-{secrets.token_hex(8)}",  # of its own, so that nothing is taken twice
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

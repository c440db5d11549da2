"""The Wyoming service as part of a worker: made before it, opened within it, closed with its turn.

Promises that the socket is bound and the model loaded before any worker, so that what is wrong with
them shows at once and what follows shares them; and that a worker which is relieved finishes what
is under way while its successor answers already. Change here how many are heard at once.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keys.errors import KeysError
from pipeline import retention
from pipeline.completing import complete
from pipeline.errors import SettingsLost
from pipeline.models import name_of
from pipeline.recognise import Loaded, Recogniser, load
from pipeline.session import acting, now
from pipeline.supervisor import CAN_FORK
from pipeline.vault import Vault
from pipeline.wyoming import Service
from pipeline.wyoming_about import About
from pipeline.wyoming_address import bound
from pipeline.wyoming_hearing import Desk

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Door:
    """What all workers share of the service."""

    listening: socket.socket
    model: Path
    shared: Loaded | None
    """The model, loaded, where workers are forked and can share it."""
    profile: str
    at_once: int = min(4, os.cpu_count() or 1)
    """How many can be heard at the same time."""

    @contextlib.contextmanager
    def opened(self, open_vault: Callable[[], Vault] | None, tell: Tell) -> Iterator["Serving"]:
        """Serves for the block; without a vault nothing is stored. Yields what is set on failure.

        Leaving finishes what is under way. Raises then what ended the service before its time.
        """
        first, about = self.shared or load(self.model), About(name_of(self.model), self.profile)
        recognisers = [first, *(first.sibling() for _ in range(self.at_once - 1))]
        vaults = [open_vault() if open_vault else None for _ in recognisers]
        if vaults[0]:
            if remark := _why_nothing(vaults[0], self.profile):
                tell(f"Wyoming: {remark}")
            _complete(vaults[0], first, tell)
        desks = [Desk(*it) for it in zip(recognisers, vaults, strict=True)]
        serving = Serving(Service(self.listening, desks, about, tell))
        serving.start()
        try:
            yield serving
        finally:
            serving.drain()
            serving.join()
        if serving.failure:
            raise serving.failure


def door(uri: str, model: Path, profile: str) -> Door:
    """Returns a door at an address; raises `Refused`, `NoModel`, `OSError`."""
    listening, recogniser = bound(uri), load(model)  # also where it cannot be shared: to be sure
    is_shared = CAN_FORK and recogniser.can_be_forked
    return Door(listening, model, recogniser if is_shared else None, profile)


def _why_nothing(vault: Vault, profile: str) -> str | None:
    """Says why nothing will be stored, if so: that is no reason for the rest to end."""
    try:
        with acting(vault):
            return None if retention.stores(vault, now, profile) else retention.NOTHING
    except SettingsLost as lost:
        return str(lost)


def _complete(vault: Vault, recogniser: Recogniser, tell: Tell) -> None:
    """Recognises what was cut off earlier: without its words nobody could search or forget it."""
    try:
        complete(vault, recogniser)
    except KeysError as error:  # one damaged file is no reason to hear nobody
        tell(f"Wyoming: what was cut off earlier is not recognised: {error}")


class Serving(threading.Thread):
    """A service at work."""

    def __init__(self, service: Service) -> None:
        super().__init__(name="wyoming")
        self._service = service
        self.failure: Exception | None = None

    def is_set(self) -> bool:
        """Tells whether it has failed."""
        return self.failure is not None

    def run(self) -> None:
        try:
            self._service.run()
        except Exception as failure:  # noqa: BLE001 - it is raised again by whoever opened the door
            self.failure = failure

    def drain(self) -> None:
        """Lets in nobody more, and ends when what is under way is finished; returns at once."""
        self._service.drain()

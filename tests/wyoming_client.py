"""The real `wyoming` client, and a service for it to talk to, in this process.

The package is imported here alone, because it imports a module that Python warns of. The service
runs in a thread, at a port of its own, with a parrot for a recogniser and a real vault.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.model import RATE_HZ
from pipeline.vault import Vault
from pipeline.wyoming import Service
from pipeline.wyoming_about import About
from pipeline.wyoming_address import bound
from pipeline.wyoming_connection import Limits
from pipeline.wyoming_frames import PAYLOAD_MAX
from pipeline.wyoming_hearing import Desk
from tests.parrot import Parrot, probability, silence, voice

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its audioop, as long as Python has one
    from wyoming.asr import Transcribe, Transcript
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.client import AsyncTcpClient
    from wyoming.event import Event, async_write_event
    from wyoming.info import Describe, Info
    from wyoming.ping import Ping, Pong

__all__ = [
    "AsyncTcpClient",
    "AudioChunk",
    "AudioStart",
    "AudioStop",
    "Describe",
    "Event",
    "Info",
    "Ping",
    "Pong",
    "Transcribe",
    "Transcript",
    "written",
]
MODEL = "vosk-model-small-en-us-0.15"
APART = """
import json, sys
from dataclasses import replace
from pathlib import Path
from pipeline import wyoming_frames
from tests.household import reopen
from tests.wyoming_client import BRISK, running
wyoming_frames.PAYLOAD_MAX = int(sys.argv[3])
with running([reopen(Path(sys.argv[1]))], replace(BRISK, **json.loads(sys.argv[2]))) as it:
    print(it.address[1], flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parent.parent
PIECE = 320  # bytes, 10 ms: what Home Assistant sends at a time
BRISK = Limits(waiting_s=30.0, idle_s=15.0, ending_s=5.0)


def spoken(*words: int, seconds: float = 0.6, pause_s: float = 0.2) -> bytes:
    """Returns these words of the parrot's phrase as samples, with a pause after each."""
    blocks = [b for it in words for b in (*voice(it, seconds), *silence(pause_s))]
    return b"".join(it.pcm.tobytes() for it in blocks if hasattr(it, "pcm"))


def samples(pcm: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm, np.int16)


@dataclass
class Running:
    """A service, what it has told, and where it is."""

    service: Service
    address: tuple[str, int]
    told: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    failure: Exception | None = None

    @asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncTcpClient]:
        async with AsyncTcpClient(*self.address, connect_timeout=5, read_timeout=20) as client:
            yield client

    def plug(self) -> socket.socket:
        """Returns a connection to send anything over."""
        return socket.create_connection(self.address, timeout=20)


@contextmanager
def running(
    vaults: Sequence[Vault | None],
    limits: Limits = BRISK,
    new_desk: Callable[[Vault | None], Desk] = lambda it: Desk(Parrot(), it, lambda: probability),
    profile: str = "default",
) -> Iterator[Running]:
    """Runs a service with a desk for each vault until the block ends."""
    with bound("tcp://127.0.0.1:0") as listening:
        desks, told = [new_desk(it) for it in vaults], list[str]()
        service = Service(listening, desks, About(MODEL, profile), told.append, limits)
        it = Running(service, listening.getsockname(), told)
        thread = threading.Thread(target=_run, args=(it,))
        thread.start()
        try:
            yield it
        finally:
            service.drain()
            thread.join(30)
        assert not thread.is_alive()


@dataclass
class Apart:
    """A service in a process of its own, whose memory is its own."""

    process: "subprocess.Popen[str]"
    port: int

    def plug(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def most_resident(self) -> int:
        """Returns how much memory it has had at most, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@contextmanager
def running_apart(base: Path, payload_max: int = PAYLOAD_MAX, **limits: float) -> Iterator[Apart]:
    """Runs a service with the vault in `base`; it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", APART, str(base), json.dumps(limits), str(payload_max)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    try:
        yield Apart(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def _run(it: Running) -> None:
    try:
        it.service.run()
    except Exception as error:  # noqa: BLE001 - for the test to look at
        it.failure = error
    it.ended.set()


async def begin(client: AsyncTcpClient, rate_hz: int = RATE_HZ) -> None:
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(rate_hz, 2, 1).event())


async def send(client: AsyncTcpClient, pcm: bytes, pace_s: float = 0.0) -> None:
    for at in range(0, len(pcm), PIECE):
        await client.write_event(AudioChunk(RATE_HZ, 2, 1, pcm[at : at + PIECE]).event())
        await asyncio.sleep(pace_s)


async def stop(client: AsyncTcpClient) -> list[Event]:
    """Ends the sound; returns all events up to the last of the answer, or to the end."""
    await client.write_event(AudioStop().event())
    return await answers(client)


async def answers(client: AsyncTcpClient) -> list[Event]:
    found = []
    while event := await client.read_event():
        found.append(event)
        if event.type == "transcript-stop":
            break
    return found


async def dictate(it: Running, pcm: bytes) -> list[Event]:
    """Says something over a connection of its own; returns the whole answer."""
    async with it.client() as client:
        await begin(client)
        await send(client, pcm)
        return await stop(client)


class _Page:
    """As much of a writer as the package's own writing needs."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, them: Sequence[bytes]) -> None:
        self.data += b"".join(them)

    async def drain(self) -> None:
        pass


def written(event: Event) -> bytes:
    """Returns an event as the package writes it."""
    page = _Page()
    asyncio.run(async_write_event(event, page))  # type: ignore[arg-type]
    return page.data


def text_of(events: Sequence[Event]) -> str | None:
    """Returns the text of the transcript among events, None where there is none."""
    found = [Transcript.from_event(it).text for it in events if Transcript.is_type(it.type)]
    assert len(found) <= 1
    return found[0] if found else None

"""Our Wyoming service beside a bare one, in one run: the same model, sound, client and moment.

Run: `.venv/bin/python -m tests.bench.wyoming [CLIENTS]`. The bare one is what people write: the
package's own server and event handler around Vosk, which keeps nothing. Each is a process of its
own, told of the samples in turn, in real time as Home Assistant sends them: 10 ms at a time, then
0.8 s of silence as its own voice activity detection waits for, or none. The delay counts from
`audio-stop` to the transcript. Then several clients speak at once.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import soundfile as sf

from pipeline import models
from pipeline.model import RATE_HZ
from tests.commandline import Shell
from tests.wyoming_client import AsyncTcpClient, AudioStop, begin, send, text_of

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "samples").glob("[01]*.wav"))
PIECE_S = 0.01
MODEL = models.find(None)

BARE = """
import asyncio, json, sys, warnings
warnings.simplefilter("ignore")
import vosk
from functools import partial
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.server import AsyncEventHandler, AsyncTcpServer
vosk.SetLogLevel(-1)
model = vosk.Model(sys.argv[1])
class Handler(AsyncEventHandler):
    async def handle_event(self, event):
        if AudioStart.is_type(event.type):
            self.kaldi = vosk.KaldiRecognizer(model, 16000)
        elif AudioChunk.is_type(event.type):
            audio = AudioChunk.from_event(event).audio
            await asyncio.to_thread(self.kaldi.AcceptWaveform, audio)
        elif AudioStop.is_type(event.type):
            text = json.loads(await asyncio.to_thread(self.kaldi.FinalResult))["text"]
            await self.write_event(Transcript(text=text).event())
            return False
        return True
async def main():
    server = AsyncTcpServer("127.0.0.1", int(sys.argv[2]))
    await server.start(Handler)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@dataclass
class Service:
    """One of the two, as it runs, and what it answered."""

    name: str
    process: "subprocess.Popen[str]"
    port: int
    texts: dict[str, str | None] = field(default_factory=dict)

    def resident_mb(self) -> float:
        """The memory of its processes that nothing else shares."""
        rows = subprocess.run(
            ["ps", "-o", "pid=", "-g", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        return sum(_own_kb(pid) for pid in rows) / 1024


def _own_kb(pid: str) -> int:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))


def ours(home: Path, *options: str) -> Service:
    shell = Shell(home, {"ANECHOIC_MODEL": str(MODEL)})
    process = shell.start("serve", "--wyoming", "tcp://127.0.0.1:0", *options)
    assert process.stderr
    port = int(process.stderr.readline().rsplit(":", 1)[1])
    return Service(f"anechoic {' '.join(options)}".strip(), process, port)


def bare(port: int = 10_399) -> Service:
    command = [sys.executable, "-c", BARE, str(MODEL), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return Service("bare Vosk", process, port)


async def dictate(it: Service, pcm: bytes, pace_s: float) -> tuple[str | None, float]:
    """Says it, a piece each `pace_s`; returns the text and the delay in seconds."""
    async with AsyncTcpClient("127.0.0.1", it.port, read_timeout=120) as client:
        await begin(client)
        await _in_time(client, pcm, pace_s)
        began_s = time.monotonic()
        await client.write_event(AudioStop().event())
        while event := await client.read_event():
            if event.type == "transcript":
                return text_of([event]), time.monotonic() - began_s
    return None, 0.0


async def _in_time(client: AsyncTcpClient, pcm: bytes, pace_s: float) -> None:
    size, began_s = int(PIECE_S * RATE_HZ) * 2, time.monotonic()
    for number, at in enumerate(range(0, len(pcm), size)):
        await send(client, pcm[at : at + size])
        await asyncio.sleep(max(0.0, began_s + (number + 1) * pace_s - time.monotonic()))


def pcm_of(sample: Path, silence_s: float) -> bytes:
    return bytes(sf.read(sample, dtype="int16")[0].tobytes()) + bytes(int(silence_s * RATE_HZ) * 2)


def one_after_the_other(them: list[Service], silence_s: float) -> None:
    delays: dict[str, list[float]] = {it.name: [] for it in them}
    equal = 0
    for sample in SAMPLES:
        pcm, texts = pcm_of(sample, silence_s), []
        for it in them:
            text, delay_s = asyncio.run(dictate(it, pcm, PIECE_S))
            delays[it.name].append(delay_s * 1000)
            texts.append(text)
        equal += len(set(texts)) == 1
    print(f"one at a time, in real time, {silence_s} s of silence at the end")
    for name, rows in delays.items():
        print(f"  {name:22} {median(rows):4.0f} ms (most {max(rows):.0f})")
    print(f"  text equal             {equal} of {len(SAMPLES)}")


def at_once(them: list[Service], clients: int) -> None:
    print(f"{clients} at once, in real time")
    for it in them:
        found = asyncio.run(_all_at_once(it, clients))
        rows = [delay_s * 1000 for text, delay_s in found if text]
        print(f"  {it.name:22} {len(rows)} answered, {median(rows):4.0f} ms (most {max(rows):.0f})")


async def _all_at_once(it: Service, clients: int) -> list[tuple[str | None, float]]:
    pcms = [pcm_of(SAMPLES[n % len(SAMPLES)], 0.8) for n in range(clients)]
    return await asyncio.gather(*(dictate(it, pcm, PIECE_S) for pcm in pcms))


def main() -> None:
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as sealed, tempfile.TemporaryDirectory() as nowhere:
        them = [ours(Path(sealed)), ours(Path(nowhere), "--ephemeral"), bare()]
        try:
            for it in them:  # the first utterance of each recogniser unfolds its graph
                asyncio.run(_all_at_once(it, clients))
            one_after_the_other(them, 0.8)
            one_after_the_other(them, 0.0)
            at_once(them, clients)
            print("memory, with its share of what is shared")
            for it in them:
                print(f"  {it.name:22} {it.resident_mb():.0f} MB")
        finally:
            for it in them:
                it.process.terminate()
            for it in them:
                it.process.wait(60)


if __name__ == "__main__":
    main()

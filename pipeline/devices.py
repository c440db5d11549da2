"""Microphones by name, and one of them as a source of blocks, through PortAudio.

Promises that the callback only copies into a bounded queue and counts; that a device that went
away, or a callback that failed, is noticed within a second and tried again with back-off; and that
whatever was lost is told with the next block. Refuses with `NoAudioDevice`. Nothing heard is kept
here: a block is gone once it was taken.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pipeline.capture import Back, Block, Event, Gone, LossGauge
from pipeline.errors import NoAudioDevice
from pipeline.model import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_S = 0.032
_QUEUE_S = 20.0  # longer than any wait for the vault's lock
_SILENT_S = 0.8  # without a block for so long, it is gone
_STARTING_S = 3.0  # the first block may take so long
_BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 5.0)
_POLL_S = 0.1
_MUTED = Gone("muted: the microphone is closed")
_FULL_SCALE = 32768


@dataclass(frozen=True, slots=True)
class Device:
    """A microphone as the sound system names it; the level in dB below full scale, if asked."""

    name: str
    channels: int
    rate_hz: int
    is_default: bool
    level_db: float | None = None


def devices(*, listen_s: float = 0.0) -> list[Device]:
    """Returns all microphones; with `listen_s` each is listened to for so long, for its level."""
    sd = _sound_system()
    try:
        rows, default = list(sd.query_devices()), sd.default.device[0]
    except sd.PortAudioError as error:
        raise NoAudioDevice(f"the sound system does not answer ({_why(error)})") from None
    found = []
    for index, row in enumerate(rows):
        if row["max_input_channels"]:
            level = _level_db(row["name"], listen_s) if listen_s else None
            rate_hz = round(row["default_samplerate"])
            is_default = index == default
            found.append(Device(row["name"], row["max_input_channels"], rate_hz, is_default, level))
    return found


def level_db(pcm: "NDArray[np.int16]") -> float:
    """Returns the loudest of these samples in dB, 0 for full scale, -96 for silence."""
    import numpy as np

    loudest = int(np.abs(pcm.astype(np.int32)).max()) if len(pcm) else 0
    return float(20 * np.log10(max(loudest, 0.5) / _FULL_SCALE))


class Microphone:
    """One device, by name or the default, as 16 kHz mono; it is off outside `events`."""

    def __init__(
        self,
        name: str | None = None,
        stop: threading.Event | None = None,
        muted: threading.Event | None = None,
        over: threading.Event | None = None,
    ) -> None:
        """`over` ends it too, but only while the device is away: until then it brings sound."""
        self._wanted = name
        self._stop, self._muted = stop or threading.Event(), muted or threading.Event()
        self._over = over or threading.Event()
        self._name = name or "default microphone"

    @property
    def name(self) -> str:
        """The full name of the device, once it was opened."""
        return self._name

    def events(self, *, waits: bool = False) -> Iterator[Event]:
        """Yields blocks, and `Gone` and `Back`, until told to stop; muted, the device is closed.

        Raises `NoAudioDevice` when it cannot be opened at first, unless it `waits` for it.
        """
        stream, gone = self._first(waits=waits)
        try:
            while not self._stop.is_set():
                if stream:
                    try:
                        yield from stream.blocks(self._is_to_close)
                        if not self._muted.is_set():
                            return
                        gone = _MUTED
                    except NoAudioDevice as error:
                        gone = Gone(str(error))
                    stream.close()
                yield gone
                if (stream := self._opened_again()) is None:
                    return
                yield Back()
        finally:
            if stream:
                stream.close()

    def _is_to_close(self) -> bool:
        return self._stop.is_set() or self._muted.is_set()

    def _first(self, *, waits: bool) -> "tuple[_Stream | None, Gone]":
        if self._muted.is_set():
            return None, _MUTED
        try:
            return self._opened(), _MUTED
        except NoAudioDevice as error:
            if waits:
                return None, Gone(str(error))
            raise

    def _opened(self) -> "_Stream":
        stream = _Stream(self._wanted)
        self._name = stream.name
        return stream

    def _opened_again(self) -> "_Stream | None":
        """Tries until it is there or nobody waits any more; the lists of devices are made anew."""
        attempt = 0
        while self._muted.is_set() and self._waits(_POLL_S):
            pass
        while self._waits(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]):
            attempt += 1
            with contextlib.suppress(NoAudioDevice):
                _restart_sound_system()
                return self._opened()
        return None

    def _waits(self, how_long_s: float) -> bool:
        """Lets time pass; tells whether anybody still waits for the device then."""
        until_s = time.monotonic() + how_long_s
        while not self._stop.is_set() and not self._over.is_set():
            if time.monotonic() >= until_s:
                return True
            time.sleep(min(_POLL_S, how_long_s))
        return False


class _Stream:
    """A stream that runs, from opening to `close`."""

    def __init__(self, wanted: str | None) -> None:
        sd = _sound_system()
        self._queue: SimpleQueue[tuple[float, bytearray, int, bool]] = SimpleQueue()
        self._dropped, self._ended = 0, threading.Event()
        try:
            with _quiet():
                row = _find(sd, wanted)
                self.name = str(row["name"])
                self._rate_hz, self._channels = _format(sd, row)
                self._stream = sd.RawInputStream(
                    device=row["index"],
                    samplerate=self._rate_hz,
                    channels=self._channels,
                    dtype="int16",
                    blocksize=round(self._rate_hz * _BLOCK_S),
                    latency="high",
                    callback=self._copy,
                    finished_callback=self._ended.set,
                )
                self._stream.start()
        except sd.PortAudioError as error:
            name = wanted or "the default microphone"
            raise NoAudioDevice(
                f"{name} could not be opened ({_why(error)}); `anechoic devices` lists what is here"
            ) from None
        self._gauge = LossGauge(self._rate_hz)
        self._convert = _resampler(self._rate_hz, self._channels)

    def _copy(self, data: Any, frames: int, _: Any, status: Any) -> None:  # noqa: ANN401 - of C
        """Runs in PortAudio's own thread: copies, counts, and does nothing else."""
        if self._queue.qsize() * _BLOCK_S >= _QUEUE_S:
            self._dropped += frames
            return
        dropped, self._dropped = self._dropped, 0
        overflowed = bool(status.input_overflow)
        self._queue.put((time.monotonic(), bytearray(data), dropped, overflowed))

    def blocks(self, stops: Callable[[], bool]) -> Iterator[Block]:
        """Yields blocks until it `stops`; raises `NoAudioDevice` when none come any more."""
        patience_s, heard_at_s = _STARTING_S, time.monotonic()
        while not stops():
            try:
                at_s, data, dropped, overflowed = self._queue.get(timeout=_POLL_S)
            except Empty:
                if self._ended.is_set() or time.monotonic() - heard_at_s > patience_s:
                    raise NoAudioDevice(f"{self.name} brings no sound any more") from None
                continue
            patience_s, heard_at_s = _SILENT_S, time.monotonic()
            lost_ms = self._lost_ms(at_s, len(data), dropped, overflowed)
            pcm = self._convert(data)
            data[:] = bytes(len(data))
            yield Block(pcm, lost_ms, at_s)

    def _lost_ms(self, at_s: float, size: int, dropped: int, overflowed: bool) -> int:
        self._gauge.dropped(dropped)
        if overflowed:
            self._gauge.flag()
        lost_ms = self._gauge.arrived(at_s, size // 2 // self._channels)
        return lost_ms + round(dropped * 1000 / self._rate_hz)

    def close(self) -> None:
        """Ends the stream; one of a sound server that is gone may never return from that."""
        with _quiet():
            closing = threading.Thread(target=self._close, daemon=True)
            closing.start()
            closing.join(_SILENT_S)

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # whatever it says, it is not used any more
            self._stream.abort()
            self._stream.close()


def _find(sd: Any, wanted: str | None) -> Any:  # noqa: ANN401 - it has no types
    """Returns the row of the device with this name, else of the only one with it in its name."""
    rows = [row for row in sd.query_devices() if row["max_input_channels"]]
    if not rows:
        raise NoAudioDevice(
            "no microphone was found: plug one in, or start the sound server, then run this again"
        )
    if wanted is None:
        return sd.query_devices(kind="input")
    exact = [row for row in rows if row["name"] == wanted]
    near = exact or [row for row in rows if wanted.lower() in row["name"].lower()]
    if not near or (len(near) > 1 and not exact):
        names = ", ".join(row["name"] for row in near or rows)
        what = "more than one microphone" if near else "no microphone"
        raise NoAudioDevice(f"{what} has {wanted!r} in its name; there are: {names}")
    return near[0]


def _format(sd: Any, row: Any) -> tuple[int, int]:  # noqa: ANN401 - it has no types
    """Returns the rate and channels to open: 16 kHz mono, or what the device has by itself."""
    own = (round(row["default_samplerate"]), row["max_input_channels"])
    for rate_hz, channels in ((RATE_HZ, 1), (own[0], 1), (RATE_HZ, own[1])):
        with contextlib.suppress(sd.PortAudioError):
            sd.check_input_settings(row["index"], channels, "int16", samplerate=rate_hz)
            return rate_hz, channels
    return own


def _resampler(rate_hz: int, channels: int) -> "Callable[[bytearray], NDArray[np.int16]]":
    import numpy as np

    def first(data: bytearray) -> "NDArray[np.int16]":
        return np.frombuffer(data, np.int16)[::channels].copy()  # what it is of will be overwritten

    if rate_hz == RATE_HZ:
        return first
    import soxr

    stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="int16")
    return lambda data: np.asarray(stream.resample_chunk(first(data)))


def _level_db(name: str, listen_s: float) -> float | None:
    """Returns the level of a device, None where it cannot be opened."""
    stop, loudest, until_s = threading.Event(), -96.0, 0.0
    with contextlib.suppress(NoAudioDevice):
        for event in Microphone(name, stop).events():
            until_s = until_s or time.monotonic() + listen_s
            if isinstance(event, Block):
                loudest = max(loudest, level_db(event.pcm))
            if time.monotonic() >= until_s or isinstance(event, Gone):
                stop.set()
        return loudest
    return None


def _sound_system() -> Any:  # noqa: ANN401 - it has no types
    try:
        with _quiet():
            import sounddevice
    except OSError:
        raise NoAudioDevice(
            "the PortAudio library is missing: install libportaudio2 (Debian, Ubuntu), "
            "portaudio (Fedora, Arch), then run this again"
        ) from None
    return sounddevice


def _restart_sound_system() -> None:
    """Has PortAudio look for devices anew: it knows only those that were there at its start."""
    sd = _sound_system()
    with _quiet(), contextlib.suppress(sd.PortAudioError):
        sd._terminate()  # noqa: SLF001 - it offers no public way
        sd._initialize()  # noqa: SLF001


def _why(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


@contextlib.contextmanager
def libraries_silenced() -> Iterator[None]:
    """Keeps what the sound libraries write to descriptor 2 from the screen, whenever they do.

    They do so from threads of their own too, as when the sound server dies. Whatever is written to
    Python's `sys.stderr` comes through meanwhile; only the end of a crash cannot be read then.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    ours = open(  # noqa: SIM115 - closed below, after the descriptor is what it was
        kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    os.dup2(nowhere, 2)
    try:
        with contextlib.redirect_stderr(ours):
            yield
    finally:
        ours.flush()
        os.dup2(kept, 2)
        ours.close()
        os.close(nowhere)


_QUIET = threading.RLock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what ALSA's libraries write to the process's stderr from the user's screen."""
    with _QUIET:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)

"""Frames and sound from strangers: what is one is read, whatever else comes is refused as such.

The valid ones are written by the real client's own writer.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline import wyoming_frames
from pipeline.model import RATE_HZ
from pipeline.wyoming_frames import (
    DATA_MAX,
    LINE_MAX,
    PAYLOAD_MAX,
    BadFrame,
    Frame,
    frame_bytes,
    read_frame,
)
from pipeline.wyoming_sound import Format, Sound
from tests.wyoming_client import (
    AudioChunk,
    AudioStart,
    AudioStop,
    Describe,
    Event,
    Ping,
    Transcribe,
    written,
)

VALID = [
    Describe().event(),
    Transcribe(language="en", context={"a": [1]}).event(),
    AudioStart(16_000, 2, 1).event(),
    AudioChunk(16_000, 2, 1, bytes(range(256))).event(),
    AudioStop(timestamp=7).event(),
    Ping("\u00e9" * 9).event(),
]


def read(data: bytes, step: int = 1 << 30) -> list[Frame]:
    """Returns all frames in what comes `step` bytes at a time, then ends."""

    async def all_of_it() -> list[Frame]:
        reader, found = asyncio.StreamReader(LINE_MAX), []

        async def feed() -> None:
            for at in range(0, len(data), step):
                reader.feed_data(data[at : at + step])
                await asyncio.sleep(0)
            reader.feed_eof()

        feeding = asyncio.create_task(feed())
        try:
            while frame := await read_frame(reader):
                found.append(frame)
        finally:
            await feeding
        return found

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("step", [1, 7, 1 << 30])
def test_what_the_client_writes_is_read(step: int) -> None:
    frames = read(b"".join(map(written, VALID)), step)
    assert [frame.kind for frame in frames] == [event.type for event in VALID]
    for frame, event in zip(frames, VALID, strict=True):
        assert frame.payload == (event.payload or b"")
        kept = {k: v for k, v in event.data.items() if k in {"rate", "width", "channels", "text"}}
        assert frame.data == kept


@given(st.text(max_size=40), st.integers())
def test_what_is_written_here_is_read_here(text: str, number: int) -> None:
    (frame,) = read(frame_bytes("pong", {"text": text, "rate": number}))
    assert (frame.kind, frame.data) == ("pong", {"text": text, "rate": number})


@pytest.mark.parametrize("event", VALID, ids=lambda it: cast("Event", it).type)
def test_what_is_cut_off_anywhere_is_refused(event: Event) -> None:
    whole = written(event)
    for end in range(1, len(whole)):
        with pytest.raises(BadFrame, match="ended within"):
            read(whole[:end])
    assert len(read(whole)) == 1


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


WRONG = {
    "nothing": b"\n",
    "no JSON": b"hello\n",
    "no object": b'["describe"]\n',
    "no type": b"{}\n",
    "type is a number": b'{"type": 1}\n',
    "data is a list": b'{"type": "x", "data": []}\n',
    "no UTF-8": b'{"type": "\xff\xfe"}\n',
    "length is a text": b'{"type": "x", "data_length": "9"}\n',
    "length is a float": b'{"type": "x", "payload_length": 1.0}\n',
    "length is true": b'{"type": "x", "payload_length": true}\nx',
    "length below nothing": b'{"type": "x", "payload_length": -1}\n',
    "length without end": b'{"type": "x", "payload_length": 1e999}\n',
    "length of many digits": b'{"type": "x", "payload_length": ' + b"9" * 9000 + b"}\n",
    "nested": b'{"type": "x", "data": {"a": ' + nested(20_000) + b"}}\n",
    "data no JSON": b'{"type": "x", "data_length": 3}\nabc',
    "data no object": b'{"type": "x", "data_length": 2}\n[]',
    "data no UTF-8": b'{"type": "x", "data_length": 4}\n"\xff\xfe"',
    "data nested": b'{"type": "x", "data_length": 40000}\n' + nested(20_000),
    "header too long": b'{"type": "' + b"x" * LINE_MAX + b'"}\n',
    "header without end": b"x" * (2 * LINE_MAX),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_frame_is_refused_as_such(name: str) -> None:
    with pytest.raises(BadFrame) as refused:
        read(WRONG[name] + written(VALID[0]), 4096)
    assert b"xxx" not in str(refused.value).encode()


@pytest.mark.parametrize(
    ("name", "limit"), [("data_length", DATA_MAX), ("payload_length", PAYLOAD_MAX)]
)
def test_lengths_have_a_limit_that_is_just_allowed(name: str, limit: int) -> None:
    body = b'{"text": "' + b"a" * (limit - 12) + b'"}'
    assert len(body) == limit
    head = {"type": "x", name: limit}
    assert len(read(json.dumps(head).encode() + b"\n" + body)) == 1
    with pytest.raises(BadFrame, match=name):
        read(json.dumps({**head, name: limit + 1}).encode() + b"\n" + body + b" ")


def test_without_its_limits_the_reader_would_take_what_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wyoming_frames, "PAYLOAD_MAX", 1 << 40)
    head = json.dumps({"type": "x", "payload_length": PAYLOAD_MAX + 1}).encode()
    (frame,) = read(head + b"\n" + bytes(PAYLOAD_MAX + 1))
    assert len(frame.payload) > PAYLOAD_MAX


def test_a_frame_shows_nothing_of_what_it_holds() -> None:
    (frame,) = read(written(Event("zanzibar", {"text": "marmalade"}, b"xylophone")))
    assert frame.payload == b"xylophone"
    assert not any(word in repr(frame) for word in ("zanzibar", "marmalade", "xylophone"))


def tone(rate_hz: int, seconds: float = 0.5) -> NDArray[np.float64]:
    return 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)


def as_bytes(wave: NDArray[np.float64], form: Format) -> bytes:
    full = 1 << (8 * form.width - 1)
    rows = np.repeat((wave * (full - 1)).astype(np.int64)[:, None], form.channels, axis=1)
    return b"".join(int(v).to_bytes(form.width, "little", signed=True) for v in rows.ravel())


FORMATS = [
    *(Format(rate_hz, 2, 1) for rate_hz in (4_000, 8_000, 16_000, 22_050, 44_100, 48_000)),
    *(Format(16_000, width, 1) for width in (1, 3, 4)),
    *(Format(16_000, 2, channels) for channels in (2, 3, 8)),
    Format(44_100, 3, 2),
]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_every_format_becomes_ours(form: Format) -> None:
    data, sound = as_bytes(tone(form.rate_hz), form), Sound()
    pcm = np.concatenate([sound.take(form, data), sound.end()]).astype(np.float64)
    wanted = tone(RATE_HZ) * 32767
    assert abs(len(pcm) - len(wanted)) <= RATE_HZ // form.rate_hz + 1
    middle = slice(RATE_HZ // 10, 4 * RATE_HZ // 10)
    off = np.abs(pcm[middle] - wanted[middle]).max()
    assert off < (2 * 256 if form.width == 1 else 40)  # of 8 bits, two steps
    assert form.seconds(len(data)) == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 319, 321])
def test_a_sample_that_is_cut_in_two_is_put_together(step: int) -> None:
    form = Format(16_000, 3, 2)
    data, whole, sound = as_bytes(tone(16_000, 0.02), form), Sound(), Sound()
    pieces = [sound.take(form, data[at : at + step]) for at in range(0, len(data), step)]
    assert np.array_equal(np.concatenate(pieces), whole.take(form, data))


def test_a_stream_may_change_its_format_on_the_way() -> None:
    sound, first, then = Sound(), Format(48_000, 2, 1), Format(8_000, 4, 2)
    pieces = [
        sound.take(first, as_bytes(tone(48_000), first)),
        sound.take(then, as_bytes(tone(8_000), then) + b"\1"),
        sound.end(),
    ]
    assert sum(map(len, pieces)) == pytest.approx(RATE_HZ, abs=10)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"rate": 16_000, "width": 2},
        {"rate": 16_000, "width": 2, "channels": 0},
        {"rate": 16_000, "width": 2, "channels": 9},
        {"rate": 16_000, "width": 5, "channels": 1},
        {"rate": 1, "width": 2, "channels": 1},
        {"rate": 10**9, "width": 2, "channels": 1},
        {"rate": "16000", "width": 2, "channels": 1},
        {"rate": 16_000.0, "width": 2, "channels": 1},
        {"rate": 16_000, "width": True, "channels": 1},
        {"rate": None, "width": 2, "channels": 1},
    ],
    ids=str,
)
def test_a_format_that_is_none_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(BadFrame):
        Format.of(data)


def smallest() -> Iterator[Format]:
    yield from (Format(4_000, 1, 1), Format(4_001, 1, 1))


def test_no_chunk_grows_to_more_than_eight_times_its_size() -> None:
    for form in smallest():
        sound = Sound()
        pcm = np.concatenate([sound.take(form, bytes(100_000)), sound.end()])
        assert pcm.nbytes <= 8 * 100_000

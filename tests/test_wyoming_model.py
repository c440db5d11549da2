"""The Wyoming service with real recognition: the samples, in many formats, several at once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from pipeline import models
from pipeline.model import RATE_HZ
from pipeline.recognise import Loaded, load
from pipeline.vault import Vault
from pipeline.wyoming_hearing import Desk
from tests.household import make, reopen
from tests.test_wyoming import disclosures, rows
from tests.wyoming_client import (
    BRISK,
    AudioChunk,
    AudioStart,
    Event,
    Running,
    dictate,
    running,
    stop,
    text_of,
)

pytestmark = pytest.mark.model
SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("[01]*.wav"))[:6]
PAUSE_S = 0.8  # what Home Assistant waits for before it takes a sentence for finished


@pytest.fixture(scope="module")
def recogniser() -> Loaded:
    return load(models.find(None))


def pcm_of(sample: Path) -> bytes:
    return bytes(sf.read(sample, dtype="int16")[0].tobytes())


def heard_directly(recogniser: Loaded, sample: Path) -> str:
    pcm = np.frombuffer(pcm_of(sample) + bytes(int(PAUSE_S * RATE_HZ) * 2), np.int16)
    return " ".join(word.word for word in recogniser.recognise(pcm))


def desks_with(recogniser: Loaded) -> Callable[[Vault | None], Desk]:
    return lambda vault: Desk(recogniser.sibling(), vault)


async def say(it: Running, sample: Path) -> list[Event]:
    return await dictate(it, pcm_of(sample) + bytes(int(PAUSE_S * RATE_HZ) * 2))


def test_every_sample_is_heard_as_the_recogniser_hears_it_two_at_a_time(
    tmp_path: Path, recogniser: Loaded
) -> None:
    vault = make(tmp_path)

    async def all_of_them(it: Running) -> list[str | None]:
        halves = (SAMPLES[::2], SAMPLES[1::2])
        found = await asyncio.gather(*(one_by_one(it, half) for half in halves))
        return [text for pair in zip_longest(*found) for text in pair][: len(SAMPLES)]

    async def one_by_one(it: Running, samples: list[Path]) -> list[str | None]:
        return [text_of(await say(it, sample)) for sample in samples]

    vaults = [reopen(tmp_path), reopen(tmp_path)]
    with running(vaults, replace(BRISK, waiting_s=60.0), desks_with(recogniser)) as it:
        texts = asyncio.run(all_of_them(it))
        assert it.told == []
    assert texts == [heard_directly(recogniser, sample) for sample in SAMPLES]
    assert sorted(row.text for row in rows(vault)) == sorted(str(text) for text in texts)
    assert len(disclosures(vault)) == len(SAMPLES)


@pytest.mark.parametrize(
    ("rate_hz", "width", "channels"), [(16_000, 2, 2), (48_000, 4, 1), (44_100, 3, 2)]
)
def test_other_formats_say_the_same(
    rate_hz: int, width: int, channels: int, recogniser: Loaded
) -> None:
    import soxr

    wave = sf.read(SAMPLES[0], dtype="float64")[0]
    fine = np.clip(soxr.resample(wave, RATE_HZ, rate_hz), -0.999, 0.999)
    rows_ = np.repeat((fine * (1 << (8 * width - 1))).astype("<i8")[:, None], channels, axis=1)
    data = np.ascontiguousarray(rows_).view(np.uint8).reshape(-1, 8)[:, :width].tobytes()

    async def talk(it: Running) -> list[Event]:
        async with it.client() as client:
            await client.write_event(AudioStart(rate_hz, width, channels).event())
            for at in range(0, len(data), 4096):
                piece = data[at : at + 4096]
                await client.write_event(AudioChunk(rate_hz, width, channels, piece).event())
            return await stop(client)

    with running([None], new_desk=desks_with(recogniser)) as it:
        assert text_of(asyncio.run(talk(it))) == "set a timer for ten minutes"


def test_two_sentences_come_as_two_segments(tmp_path: Path, recogniser: Loaded) -> None:
    vault = make(tmp_path)
    sample = SAMPLES[0].parent / "two-utterances.wav"
    with running([reopen(tmp_path)], new_desk=desks_with(recogniser)) as it:
        events = asyncio.run(say(it, sample))
    chunks = [event.data["text"] for event in events if event.type == "transcript-chunk"]
    assert len(chunks) == 2
    assert text_of(events) == " ".join(chunks)
    assert [row.text for row in rows(vault)] == chunks[::-1]

"""From files to what was said: order, many processes, one dying, Ctrl-C, and who is left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from pipeline import hear as hearing
from pipeline import models
from pipeline import recognisers as recognising
from pipeline.errors import BadAudio, NoModel, PipelineError, Refused
from pipeline.hear import Finished, hear, hear_all, utterances
from pipeline.model import RATE_HZ, Heard, Word
from pipeline.recognise import OnPartial
from pipeline.recognisers import Recognisers
from pipeline.segment import CHUNK_SAMPLES, Endpointing

SAMPLES = Path(__file__).parent.parent / "samples"
TIMER = SAMPLES / "01-timer.wav"
NOTHING_PER_MODEL = Path("fake")


class Fake:
    """Recognises the length of an utterance, and takes the longer the shorter that is."""

    can_be_forked = True

    def __init__(self, folder: Path, _: Sequence[str] = ()) -> None:
        if folder.name == "here only" and multiprocessing.parent_process():
            raise NoModel("it is not here")
        self.folder = folder

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: OnPartial | None = None
    ) -> tuple[Word, ...]:
        if self.folder.name == "dies":
            os._exit(9)
        if self.folder.name == "hangs":
            time.sleep(60)
        if self.folder.name == "deaf":
            return ()
        time.sleep(max(0.0, 0.1 - len(pcm) / RATE_HZ / 50))
        for word in ("half", "whole"):
            if on_partial:
                on_partial(f"{word} of {len(pcm)}")
        return (Word(str(len(pcm)), 0, 1, 1.0),)

    def stop(self) -> None:
        pass


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognising, "load", Fake)


needs_fake = pytest.mark.usefixtures("_fake")


def samples() -> list[Path]:
    return sorted(p for p in SAMPLES.iterdir() if p.suffix in {".wav", ".flac"})


def few() -> list[Path]:
    names = ("two-utterances.wav", "01-timer.wav", "noise.wav", "music.flac")
    return [SAMPLES / name for name in names]


def texts(events: Iterable[tuple[Path, Heard | Finished]]) -> list[tuple[str, str | None]]:
    return [(p.name, e.text if isinstance(e, Heard) else None) for p, e in events]


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(") ", 1)[1][0] != "Z"


def wait_until_gone(pids: Iterable[int], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(map(alive, pids)):
            return True
        time.sleep(0.02)
    return False


def anything(chunks: NDArray[np.int16]) -> list[float]:
    return [float(chunk.any()) for chunk in chunks]


@pytest.mark.parametrize("lengths", [[1], [512], [700, 3, 511, 9000], [16000] * 3])
def test_blocks_of_any_length_make_the_same_utterances(lengths: list[int]) -> None:
    sound = np.arange(4 * RATE_HZ, dtype=np.int32).astype(np.int16)
    sound[: RATE_HZ // 2] = 0
    sound[3 * RATE_HZ :] = 0

    def pieces() -> Iterator[NDArray[np.int16]]:
        at, turn = 0, 0
        while at < len(sound):
            yield sound[at : at + lengths[turn % len(lengths)]]
            at += lengths[turn % len(lengths)]
            turn += 1

    if lengths == [1]:
        sound = sound[: RATE_HZ + 100]
    (found,) = [u for u in utterances(pieces(), anything) if u]
    start = found.start_ms * RATE_HZ // 1000
    assert 0 < start <= RATE_HZ // 2
    inside = sound[start : start + len(found.pcm)]
    assert np.array_equal(found.pcm[: len(inside)], inside)
    assert not found.pcm[len(inside) :].any()  # the padding of the last chunk
    assert start + len(found.pcm) >= np.flatnonzero(sound)[-1]


def test_the_detector_is_asked_once_for_each_chunk() -> None:
    asked: list[tuple[int, ...]] = []

    def probabilities(chunks: NDArray[np.int16]) -> list[float]:
        asked.append(chunks.shape)
        return [0.0] * len(chunks)

    list(utterances([np.zeros(1000, np.int16), np.zeros(1100, np.int16)] * 3, probabilities))
    assert asked == [(number, CHUNK_SAMPLES) for number in (1, 3, 2, 2, 2, 2, 1)]


@needs_fake
@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_files_and_time(jobs: int) -> None:
    with Recognisers(NOTHING_PER_MODEL, jobs) as recognisers:
        events = list(hear_all(few(), recognisers))
    assert [p for p, e in events if isinstance(e, Finished)] == few()
    two = [e for p, e in events if p.stem == "two-utterances" and isinstance(e, Heard)]
    assert len(two) == 2
    assert two[0].start_ms + two[0].duration_ms <= two[1].start_ms
    assert all(e.text == str(len(e.pcm)) for _, e in events if isinstance(e, Heard))


@needs_fake
def test_one_process_and_many_hear_the_same() -> None:
    found = []
    for jobs in (1, 2, 5):
        with Recognisers(NOTHING_PER_MODEL, jobs) as recognisers:
            found.append(texts(hear_all(few(), recognisers)))
    assert found[0] == found[1] == found[2]


@needs_fake
def test_a_spawned_process_that_cannot_load_its_model_is_an_error_and_not_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recognising, "_CAN_FORK", False)
    with (
        Recognisers(Path("here only"), 2) as recognisers,
        pytest.raises(PipelineError, match="ended"),
    ):
        list(hear(TIMER, recognisers))


@needs_fake
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "bad.wav").write_bytes(b"not audio")
    with Recognisers(NOTHING_PER_MODEL, jobs) as recognisers:
        events = list(hear_all([TIMER, tmp_path / "bad.wav", TIMER], recognisers))
        with pytest.raises(BadAudio, match=r"bad\.wav"):
            list(hear(tmp_path / "bad.wav", recognisers))
    ends = [e for _, e in events if isinstance(e, Finished)]
    assert [e.problem is None for e in ends] == [True, False, True]
    assert sum(isinstance(e, Heard) for _, e in events) == 2


@needs_fake
def test_an_utterance_without_words_is_dropped() -> None:
    with Recognisers(Path("deaf")) as recognisers:
        assert list(hear(TIMER, recognisers)) == []


@needs_fake
@pytest.mark.parametrize("jobs", [1, 3])
def test_partials_are_of_the_utterance_that_comes_next(jobs: int) -> None:
    seen: list[str] = []
    shown = 0
    with Recognisers(NOTHING_PER_MODEL, jobs) as recognisers:
        for heard in hear(SAMPLES / "two-utterances.wav", recognisers, seen.append):
            assert {text.split()[-1] for text in seen} <= {heard.text}
            shown += len(seen)
            seen.clear()
    assert shown


@needs_fake
def test_no_more_is_read_ahead_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def count(paths: Iterable[Path]) -> Iterator[Path]:
        nonlocal read
        for path in paths:
            read += 1
            yield path

    monkeypatch.setattr(hearing, "_found", lambda paths, _: ((p, Finished()) for p in paths))
    with Recognisers(NOTHING_PER_MODEL, 2) as recognisers:
        events = hear_all(count([TIMER] * 100), recognisers)
        for taken in range(1, 50):
            next(events)
            assert read <= taken + recognisers.limit + 1


@needs_fake
def test_a_process_that_dies_is_an_error_and_not_a_wait() -> None:
    started = time.monotonic()
    with (
        Recognisers(Path("dies"), 2) as recognisers,
        pytest.raises(PipelineError, match="exit code 9"),
    ):
        list(hear(TIMER, recognisers))
    assert time.monotonic() - started < 5


@needs_fake
def test_a_process_that_is_killed_is_an_error_too() -> None:
    with Recognisers(Path("hangs"), 2) as recognisers:
        pids = [p._process.pid for p in recognisers._all if isinstance(p, recognising._Process)]
        for pid in pids:
            assert pid
            threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(PipelineError, match="exit code -9"):
            list(hear(TIMER, recognisers))


@needs_fake
def test_leaving_in_the_middle_ends_the_processes_at_once() -> None:
    started = time.monotonic()
    with Recognisers(Path("hangs"), 3) as recognisers:
        pids = [
            p._process.pid or 0 for p in recognisers._all if isinstance(p, recognising._Process)
        ]
        recognisers.submit(np.zeros(10, np.int16))
        assert all(map(alive, pids))
    assert wait_until_gone(pids)
    assert time.monotonic() - started < 5


@needs_fake
def test_a_callback_that_fails_is_not_swallowed() -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError

    for jobs in (1, 2):
        with Recognisers(NOTHING_PER_MODEL, jobs) as recognisers:
            future = recognisers.submit(np.zeros(10, np.int16), fail)
            with pytest.raises(ZeroDivisionError):
                future.result(5)


def test_less_than_one_job_is_refused() -> None:
    with pytest.raises(Refused, match="at least 1"):
        Recognisers(NOTHING_PER_MODEL, 0)


def test_a_missing_model_is_refused_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    for jobs in (1, 2):
        with pytest.raises(NoModel), Recognisers(tmp_path, jobs):
            pass
    assert threading.active_count() == before


SCRIPT = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
import test_hear
from pipeline import recognisers as recognising
from pipeline.hear import hear
recognising.load = test_hear.Fake
with recognising.Recognisers(Path("hangs"), 3) as recognisers:
    print(*(p._process.pid for p in recognisers._all), flush=True)
    list(hear(test_hear.TIMER, recognisers))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_process_outlives_its_parent(ending: signal.Signals) -> None:
    here = Path(__file__).parent
    script = SCRIPT.format(root=str(here.parent), tests=str(here))
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        time.sleep(0.2)
        assert len(pids) == 3
        assert all(map(alive, pids))
        if ending == signal.SIGINT:
            os.killpg(process.pid, ending)  # as a terminal does: to everybody
        else:
            process.send_signal(ending)
        process.wait(10)
    # Without a signal of its own, the one that has an utterance notices at the end of that.
    busy = 1 if ending != signal.SIGINT else 0
    until = time.monotonic() + 5
    while sum(map(alive, pids)) > busy and time.monotonic() < until:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(left) <= busy


def test_a_process_lets_go_of_what_it_inherited(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recognising, "load", Fake)
    with open(tmp_path / "lock", "wb"), Recognisers(NOTHING_PER_MODEL, 3) as recognisers:
        for future in [recognisers.submit(np.zeros(10, np.int16)) for _ in range(6)]:
            future.result(5)
        for process in recognisers._all:
            assert isinstance(process, recognising._Process)
            descriptors = [p.readlink() for p in Path(f"/proc/{process._process.pid}/fd").iterdir()]
            assert sum(str(d) != os.devnull for d in descriptors) == 1


@pytest.mark.model
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_samples_are_heard(jobs: int) -> None:
    chosen = samples()[:: 2 // jobs]  # one process hears half of them, two hear all
    with Recognisers(models.find(None), jobs) as recognisers:
        found = texts(hear_all(chosen, recognisers))
    right = 0
    for path in chosen:
        lines = path.with_suffix(".txt").read_text().split("\n")
        expected = [(path.name, line) for line in lines if line]
        right += [f for f in found if f[0] == path.name and f[1] is not None] == expected
        assert sum(f[0] == path.name for f in found) == len(expected) + 1
    print(f"\nsamples heard word for word with {jobs} jobs: {right} of {len(chosen)}")
    assert right >= 0.85 * len(chosen)


@pytest.mark.model
def test_spawned_processes_load_the_model_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognising, "_CAN_FORK", False)
    with Recognisers(models.find(None), 2) as recognisers:
        assert [h.text for h in hear(TIMER, recognisers)] == ["set a timer for ten minutes"]


@pytest.mark.model
def test_nothing_heard_reaches_the_disk_or_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with Recognisers(models.find(None), 2) as recognisers:
        assert [h.text for h in hear(TIMER, recognisers, lambda _: None)]
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_long_utterance_is_heard_in_parts() -> None:
    with sf.SoundFile(TIMER) as file:
        speech = file.read(dtype="int16")
    limits = Endpointing(maximum_ms=4_000, cut_window_ms=1_000)
    sound = np.tile(speech, 4)
    parts = [u for u in utterances([sound], anything, limits) if u]
    assert len(parts) >= 3
    assert all(part.duration_ms <= 4_000 for part in parts)

"""Reading sound: what comes out of good files, and one clear line for each kind of bad one."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from pipeline.errors import BadAudio
from pipeline.model import RATE_HZ
from pipeline.sources import blocks, find_audio


def tone(rate_hz: int, seconds: float = 2.0, hz: float = 440.0) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def read(path: Path) -> NDArray[np.int16]:
    return np.concatenate(list(blocks(path)))


def problem(path: Path) -> str:
    """Return the refusal's line, having made sure that nothing was yielded before it."""
    with pytest.raises(BadAudio) as caught:
        next(blocks(path))
    line = str(caught.value)
    assert "\n" not in line
    assert path.name in line
    assert "expected" in line
    assert "found" in line
    return line


def frequency(pcm: NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.astype(float) * np.hanning(len(pcm))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(pcm)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count(tmp_path: Path, rate_hz: int, channels: int) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, np.tile(tone(rate_hz)[:, None], (1, channels)), rate_hz)
    pcm = read(path)
    assert pcm.dtype == np.int16
    assert abs(len(pcm) - 2 * RATE_HZ) <= 1
    assert frequency(pcm) == pytest.approx(440, abs=1)
    assert int(np.abs(pcm).max()) == pytest.approx(16384, rel=0.02)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff"])
@pytest.mark.parametrize("channels", [1, 2])
def test_sixteen_bits_come_as_they_are(tmp_path: Path, name: str, channels: int) -> None:
    every = np.arange(-32768, 32768).astype(np.int16)
    sf.write(tmp_path / name, np.tile(every[:, None], (1, channels)), RATE_HZ, subtype="PCM_16")
    assert np.array_equal(read(tmp_path / name), every)


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_U8"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_32"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.wav", "ULAW"),
        ("a.flac", "PCM_16"),
        ("a.flac", "PCM_24"),
        ("a.ogg", "VORBIS"),
        ("a.ogg", "OPUS"),
        ("a.aiff", "PCM_16"),
        ("a.rf64", "PCM_16"),
        ("a.caf", "PCM_16"),
    ],
)
def test_any_sample_format(tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / name
    sf.write(path, tone(RATE_HZ), RATE_HZ, subtype=subtype)
    pcm = read(path)
    assert abs(len(pcm) - 2 * RATE_HZ) <= 1
    assert frequency(pcm) == pytest.approx(440, abs=1)


def test_16_khz_mono_16_bit_comes_out_bit_by_bit(tmp_path: Path) -> None:
    pcm = np.random.default_rng(1).integers(-32768, 32768, 40_000).astype(np.int16)
    for name in ("a.wav", "a.flac"):
        sf.write(tmp_path / name, pcm, RATE_HZ)
        assert np.array_equal(read(tmp_path / name), pcm)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone(RATE_HZ)
    sf.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), RATE_HZ)
    assert int(np.abs(read(tmp_path / "a.wav")).max()) == pytest.approx(8192, rel=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate_hz", [16000, 44100])
def test_samples_that_are_no_numbers_are_silence_for_themselves_alone(
    tmp_path: Path, bad: float, rate_hz: int
) -> None:
    sound = tone(rate_hz)
    sound[rate_hz // 2 : rate_hz // 2 + 100] = bad
    sf.write(tmp_path / "a.wav", sound, rate_hz, subtype="FLOAT")
    pcm = read(tmp_path / "a.wav")
    assert frequency(pcm[RATE_HZ:]) == pytest.approx(440, abs=2)
    assert int(np.abs(pcm[8020:8060]).max()) < 16384


def test_too_loud_is_clipped_not_wrapped(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.full(1000, 3.0), RATE_HZ, subtype="FLOAT")
    assert set(read(tmp_path / "a.wav").tolist()) == {32767}


@pytest.mark.parametrize("name", ["a.wav", "a.rf64", "a.aiff", "a.flac", "a.ogg", "a.opus"])
@pytest.mark.parametrize("kept", [0.5, 0.97, 0.999])
def test_a_file_that_is_cut_short_is_refused_as_a_whole(
    tmp_path: Path, name: str, kept: float
) -> None:
    path = tmp_path / name
    noise = np.random.default_rng(1).normal(0, 0.1, 5 * RATE_HZ)
    sf.write(path, noise, RATE_HZ, format="OGG" if name == "a.opus" else None)
    os.truncate(path, int(path.stat().st_size * kept))
    assert "cut short" in problem(path) or name == "a.flac"


def test_damage_in_the_middle_of_a_flac_is_found_before_its_first_block(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    sf.write(path, np.random.default_rng(1).normal(0, 0.1, 5 * RATE_HZ), RATE_HZ)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    problem(path)


@pytest.mark.parametrize("length", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wav_that_a_program_streamed_has_no_length_and_is_read(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "a.wav"
    sf.write(path, tone(RATE_HZ), RATE_HZ)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = length.to_bytes(4, "little")
    path.write_bytes(data)
    assert len(read(path)) == 2 * RATE_HZ


def test_a_file_without_a_byte(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert "empty" in problem(tmp_path / "a.wav")


def test_a_file_without_a_sample(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(0), RATE_HZ)
    assert "no samples" in problem(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "content", [b"hello world" * 50, b"RIFF", b"RIFF\xff\xff\xff\x7fWAVE" + bytes(4000), b"OggS"]
)
def test_not_audio(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    problem(tmp_path / "a.wav")


def test_raw_samples_have_no_header(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    assert "raw" in problem(tmp_path / "a.raw")


def test_too_low_a_rate(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", np.zeros(1000), 100)
    assert "4000" in problem(tmp_path / "a.wav")


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")  # must not wait for a writer
    for path in (tmp_path / "pipe.wav", tmp_path, tmp_path / "none.wav"):
        problem(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_permission_denied(tmp_path: Path) -> None:
    sf.write(tmp_path / "a.wav", tone(RATE_HZ), RATE_HZ)
    (tmp_path / "a.wav").chmod(0)
    assert "permission" in problem(tmp_path / "a.wav")


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\nb\udcff.wav"
    path.write_bytes(b"x")
    with pytest.raises(BadAudio) as caught:
        list(blocks(path))
    assert str(caught.value).isprintable()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with sf.SoundFile(path, "w", 44100, 2) as file:
        for _ in range(300):
            file.write(np.zeros((44100, 2), np.int16))
    for _ in blocks(path):  # imports and tables first
        break
    tracemalloc.start()
    samples = sum(len(block) for block in blocks(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 300 * RATE_HZ
    assert peak < 8 << 20


def test_folders_are_searched_in_order_and_files_are_taken_as_named(tmp_path: Path) -> None:
    for name in ("b.wav", "a.FLAC", "notes.txt", ".hidden.wav", "sub/c.ogg", ".git/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list(find_audio([tmp_path, tmp_path / "notes.txt"]))
    names = ["a.FLAC", "b.wav", "sub/c.ogg", "notes.txt"]
    assert found == [tmp_path / name for name in names]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.wav").touch()
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    (tmp_path / "a/up").symlink_to(tmp_path)
    assert len(list(find_audio([tmp_path]))) == 1


def test_a_folder_without_sound_and_a_path_to_nothing_are_problems(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    first, second = find_audio([tmp_path, tmp_path / "none.wav"])
    assert isinstance(first, BadAudio)
    assert isinstance(second, BadAudio)
    assert "nothing there" in str(second)

"""Ingest by the real command and the real model: hostile files among good ones, Ctrl-C, a terminal.

What is heard is flite's voices in `samples/`; the words are looked at loosely.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline import models, write
from pipeline.artefact import Meta
from pipeline.session import acting, open_vault
from tests.commandline import ROOT, Shell, plain

pytestmark = pytest.mark.model
SAMPLES = ROOT / "samples"
TIMER = SAMPLES / "01-timer.wav"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home, {"ANECHOIC_MODEL": str(models.find(None))})


def _lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def _written(folder: Path, name: str, rate_hz: int, subtype: str, channels: int = 1) -> Path:
    """Writes the timer's sound at another rate, in another format."""
    import soxr

    sound, from_hz = soundfile.read(TIMER, dtype="float32")
    sound = soxr.resample(sound, from_hz, rate_hz)
    if channels > 1:
        sound = np.stack([sound] + [sound * 0.5] * (channels - 1), axis=1)
    soundfile.write(folder / name, sound, rate_hz, subtype=subtype)
    return folder / name


def test_lines_of_a_program(shell: Shell) -> None:
    done = shell("--json", "ingest", TIMER, SAMPLES / "two-utterances.wav", "--profile", "ada")
    assert done.code == 0, done.err
    rows = _lines(done.out)
    assert [list(row) for row in rows] == [["interaction", "source", "seconds", "text"]] * 3
    assert [Path(str(row["source"])).name for row in rows] == [
        "01-timer.wav",
        "two-utterances.wav",
        "two-utterances.wav",
    ]
    assert "timer" in str(rows[0]["text"])
    history = shell.json("history", "--profile", "ada")
    assert [row["interaction"] for row in history] == [row["interaction"] for row in rows][::-1]
    assert [row["text"] for row in history] == [row["text"] for row in rows][::-1]
    plainly = shell("ingest", TIMER)
    assert plainly.code == 0
    assert "\x1b" not in plainly.out + plainly.err
    assert [len(line.split("\t")) for line in plainly.out.splitlines()] == [4]


def test_every_format_is_heard(shell: Shell, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "deeper").mkdir(parents=True)
    _written(tree, "8-bit.wav", 16_000, "PCM_U8")
    _written(tree, "24-bit.wav", 44_100, "PCM_24")
    _written(tree / "deep", "float.wav", 48_000, "FLOAT")
    _written(tree / "deep", "stereo.wav", 22_050, "PCM_16", channels=2)
    _written(tree / "deep", "telephone.wav", 8_000, "PCM_16")
    _written(tree / "deep", "three.wav", 16_000, "PCM_16", channels=3)
    _written(tree / "deep" / "deeper", "vorbis.ogg", 16_000, "VORBIS")
    _written(tree / "deep" / "deeper", "lossless.FLAC", 48_000, "PCM_24")
    (tree / "notes.txt").write_text("not for a recogniser")
    done = shell("--json", "ingest", tree)
    assert done.code == 0, done.err
    rows = _lines(done.out)
    assert len(rows) == 8
    heard = {Path(str(row["source"])).name: str(row["text"]) for row in rows}
    assert [name for name, text in heard.items() if "timer" not in text] == []


def test_bad_files_are_named_and_the_good_ones_go_in(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    shutil.copy(TIMER, folder / "a-good.wav")
    (folder / "b-text.wav").write_text("the quick brown fox is no sound " * 50)
    (folder / "c-cut.wav").write_bytes(TIMER.read_bytes()[:20_000])
    (folder / "d-empty.wav").write_bytes(b"")
    soundfile.write(folder / "e-none.wav", np.zeros(0, np.int16), 16_000)
    (folder / "f-flac.flac").write_bytes((SAMPLES / "music.flac").read_bytes()[:9_000])
    (folder / "g-\x1b[31m\nname.wav").write_bytes(b"RIFF")
    (folder / "h-link.wav").symlink_to(folder / "gone.wav")
    shutil.copy(SAMPLES / "05-message.wav", folder / "i-good.wav")
    os.mkfifo(folder / "j-pipe.wav")
    bad = 8
    if os.getuid():
        shutil.copy(TIMER, folder / "k-secret.wav")
        (folder / "k-secret.wav").chmod(0)
        bad += 1
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    missing = tmp_path / "missing.wav"
    done = shell("--json", "ingest", nothing, folder, missing, SAMPLES / "noise.wav", TIMER)
    assert done.code == 1
    heard = [Path(str(row["source"])).name for row in _lines(done.out)]
    assert heard == ["a-good.wav", "i-good.wav", "01-timer.wav"]
    problems = [line for line in done.err.splitlines() if line.startswith("anechoic: ")]
    assert len(problems) == bad + 2
    for name in ("b-text", "c-cut", "d-empty", "e-none", "f-flac", "g-", "h-link", "j-pipe"):
        (line,) = [line for line in problems if f"mixed/{name}" in line]
        assert "expected" in line
        assert "found" in line
        assert "; " in line  # and what to do
    assert any(str(nothing) in line for line in problems)
    assert any(str(missing) in line for line in problems)
    assert "noise.wav: no speech in it" in done.err
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err
    assert shell.json("audit")["problems"] == []
    assert len(shell.json("history")) == 3


def test_nothing_but_bad_files_is_1_and_holds_nothing(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("x")
    done = shell("ingest", tmp_path / "x.wav")
    assert (done.code, done.out) == (1, "")
    assert shell.json("history") == []


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("wait_s", [0.0, 0.15])
def test_ctrl_c_keeps_what_is_complete(shell: Shell, jobs: str, wait_s: float) -> None:
    process = shell.start("--json", "ingest", SAMPLES, SAMPLES, SAMPLES, "--jobs", jobs)
    assert process.stdout
    first = process.stdout.readline()
    time.sleep(wait_s)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "what was complete is kept" in err
    _assert_nobody_is_left(process.pid)
    printed = [row["interaction"] for row in _lines(first + rest)]
    assert 1 <= len(printed) < 3 * 17
    listed = shell.json("history")
    held = [row["interaction"] for row in listed]
    assert set(printed) <= set(held)
    assert len(held) <= len(printed) + 1  # one may have been sealed and not yet printed
    assert list((shell.vault / "capture").iterdir()) == []
    document = shell.json("audit")
    assert document["problems"] == []
    files = sum(len(row["artefacts"]) for row in listed)
    assert files >= 3 * len(held)
    assert (document["live_slots"], document["files"]) == (2 * len(held), files)


def test_ctrl_c_before_anything_is_heard(shell: Shell) -> None:
    process = shell.start("ingest", SAMPLES)
    time.sleep(0.4)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode in {130, -signal.SIGINT}  # before `main` Python itself ends by it
    _assert_nobody_is_left(process.pid)
    assert "what was complete" in err or process.returncode < 0
    if shell.vault.exists():
        assert shell.json("audit")["problems"] == []


@pytest.mark.parametrize("columns", [60, 80])
def test_the_bar_and_the_lines_do_not_tear_each_other(shell: Shell, columns: int) -> None:
    noise, missing = SAMPLES / "noise.wav", shell.home / "missing.wav"
    words: list[str | Path] = [
        "ingest",
        TIMER,
        noise,
        missing,
        SAMPLES / "12-sister.wav",
        "--jobs",
        "1",
    ]
    code, sent = shell.on_a_terminal(*words, columns=columns)
    assert code == 1
    lines = _screen(sent)
    assert max(map(len, lines)) <= columns
    assert not any("━" in line or "0:00:0" in line for line in lines)  # the bar is gone
    assert "━" in sent  # and was there
    said = " ".join(" ".join(lines).split())
    assert "made a new vault" in said
    assert "no speech in it; nothing was stored" in said
    assert "expected a sound file or a folder" in said
    assert "moving to a new house" in said


def test_partial_words_are_shown_while_it_hears(shell: Shell) -> None:
    _, sent = shell.on_a_terminal("ingest", SAMPLES / "12-sister.wav", "--jobs", "1")
    bars = [line for line in plain(sent).replace("\r", "\n").splitlines() if "━" in line]
    assert any("my sister" in bar for bar in bars)


def test_a_named_pipe_does_not_hang_the_bar(shell: Shell) -> None:
    pipe = shell.home / "pipe.wav"
    os.mkfifo(pipe)
    code, sent = shell.on_a_terminal("ingest", pipe, TIMER, "--jobs", "1")
    assert code == 1
    assert "something that is no file" in " ".join(plain(sent).split())


def _screen(sent: str) -> list[str]:
    """Returns what is left on the screen when the bar has been drawn and drawn over."""
    lines, row = [""], 0
    tokens = plain(sent.replace("\x1b[2K", "\x00").replace("\x1b[1A", "\x01"))
    for sign in tokens:
        if sign == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif sign == "\x01":
            row = max(0, row - 1)
        elif sign in "\x00\r":
            lines[row] = ""
        else:
            lines[row] += sign
    return [line for line in lines if line]


def _assert_nobody_is_left(group: int) -> None:
    for _ in range(50):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"processes of the group {group} are still there")


def test_ctrl_c_that_comes_while_an_object_dies_is_not_lost() -> None:
    """Python cannot raise it there, and would only print it; it ends even what waits for long."""
    script = """
import signal, time
from pipeline import cli
class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
cli._keep_quiet()
try:
    Dying()
    time.sleep(600)
except KeyboardInterrupt:
    print("stopped")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_cut_off_while_it_was_spoken_is_recognised_too(shell: Shell, jobs: str) -> None:
    assert shell("init").code == 0
    vault = open_vault(shell.vault, shell.anchors, bytearray)
    spoken = soundfile.read(SAMPLES / "06-pizza.wav", dtype="int16")[0]
    with acting(vault):
        recording = write.begin(vault)
    recording.start(Meta("2026-02-01T08:00:00.000Z", 0, "default", "desk", 0, "x"), nullcontext)
    recording.add(spoken)
    recording.release()  # as the end of its process does
    done = shell("ingest", TIMER, "--jobs", jobs)
    assert done.code == 0, done.err
    assert "1 utterance cut off earlier" in done.err
    texts = {row["text"] for row in shell.json("history")}
    assert any("pizza" in text for text in texts)
    assert len(texts) == 2

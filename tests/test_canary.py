"""Canary: words and sound of one interaction are in no byte of any file, at any time.

HOME, TMPDIR and every XDG directory lie in a scratch home; after each step all files under it are
searched, and every version of every file that the vault wrote. The commands run as processes of
their own with all of Python's debugging on. The control plants leaks for the same scanner to find.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from keys.model import InteractionId
from pipeline import cli, history, share, write
from pipeline.artefact import AUDIO, META, TRANSCRIPT
from pipeline.errors import Refused
from pipeline.select import Selection, select
from pipeline.session import acting
from pipeline.vault import Vault
from tests.commandline import Shell
from tests.household import clock, flac_of, forget, make, parts_of, reopen, say, sound_of
from tests.world.adversary import RecordingDisk

PHRASE = "zanzibar marmalade xylophone quetzalcoatl"
"""Four words, each of which is nowhere else on a machine."""
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
WINDOW = 16
DEBUGGING = {
    "PYTHONDEVMODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "LOG_LEVEL": "DEBUG",
    "LOGLEVEL": "DEBUG",
    "ANECHOIC_DEBUG": "1",
    "DEBUG": "1",
}


def needles() -> Iterator[bytes]:
    """Yields what must be nowhere: each word in any encoding (in lower case), pieces of sound."""
    for word in PHRASE.split():
        yield from (word.encode(encoding) for encoding in ENCODINGS)
        yield word.encode().hex().encode()
    pcm = sound_of(PHRASE)
    wide = (pcm, pcm.byteswap(), (pcm / 32768).astype(np.float32))
    for samples in wide:
        for at in range(0, len(samples) - WINDOW, 100):
            yield samples[at : at + WINDOW].tobytes()
    flac = flac_of(PHRASE)
    for at in range(100, len(flac) - 2 * WINDOW, 100):
        yield flac[at : at + 2 * WINDOW]


NEEDLES = tuple(needles())


def leaks(data: bytes) -> list[bytes]:
    lower = data.lower()
    return [needle for needle in NEEDLES if needle in data or needle in lower]


def leaking(home: Path) -> list[Path]:
    """Returns the files under `home` that hold, or are named after, what was said."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [path for path in files if leaks(path.read_bytes()) or leaks(str(path).encode())]


def variables(home: Path) -> dict[str, str]:
    names = ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR")
    places = {f"XDG_{name}": home / name.lower() for name in names}
    places |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), home / "tmp")
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    return {"HOME": str(home)} | {name: str(place) for name, place in places.items()}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def steps(home: Path, vault: Vault) -> Iterator[str]:
    """Does to one interaction all that is done without letting it out in clear."""
    other, canary = say(vault, "quite another matter", PHRASE)
    yield "created"
    with acting(vault, clock):
        assert [row.interaction for row in history.search(vault, ["XYLOPHONE"])] == [canary]
        yield "searched"
        assert select(vault, Selection(match=("marmalade", "zanzibar"))) == [canary]
        assert history.detail(vault, canary).row.text == PHRASE
        yield "shown"
        assert np.array_equal(share.audio(vault, canary), sound_of(PHRASE))
        yield "heard"
        share.export_sealed(history.one(vault, canary, "export"), home / "export")
        yield "exported"
        write.add(vault, canary, ("intent", PHRASE.encode()))
        yield "added to"
    forget(vault, canary)
    yield "forgotten"
    with acting(reopen(vault.directory.parent), clock):
        assert list(vault.interactions()) == [other]
    yield "reopened"


def test_no_file_and_no_version_of_one_holds_what_was_said(home: Path) -> None:
    disk = RecordingDisk()
    done = []
    for step in steps(home, make(home, disk)):
        assert leaking(home) == [], step
        assert not any(leaks(data) or leaks(str(path).encode()) for path, data in disk.history), (
            step
        )
        done.append(step)
    assert len(done) == 8
    assert len(disk.history) > 30


LEAKS = {
    "a log": PHRASE.encode(),
    "shouted": b"heard: " + PHRASE.upper().encode(),
    "one word": b"xx MarmaLade xx",
    "wide": PHRASE.encode("utf-16"),
    "wider": PHRASE.split()[3].encode("utf-32"),
    "in hex": PHRASE.split(maxsplit=1)[0].encode().hex().upper().encode(),
    "samples": b"odd" + sound_of(PHRASE)[333:555].tobytes(),
    "floats": (sound_of(PHRASE)[300:600] / 32768).astype(np.float32).tobytes(),
    "flac": b"?" + flac_of(PHRASE)[90:400],
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(home: Path, leak: str) -> None:
    (home / "tmp" / "deep").mkdir()
    (home / "tmp" / "deep" / "core").write_bytes(bytes(1000) + LEAKS[leak] + bytes(1000))
    assert leaking(home) == [home / "tmp" / "deep" / "core"]


def test_a_planted_leak_is_found_in_a_name_and_in_an_old_version(home: Path) -> None:
    (home / "tmp" / f"{PHRASE.split()[1]}.wav").write_bytes(b"")
    assert len(leaking(home)) == 1
    disk = RecordingDisk()
    disk.write(home / "swapped", 0, PHRASE.encode())
    disk.write(home / "swapped", 0, bytes(len(PHRASE)))
    assert any(leaks(data) for _, data in disk.history)


def test_a_plain_export_is_found(home: Path) -> None:
    """The control on the way itself: the one act that does let it out is seen by the scanner."""
    vault = make(home)
    (canary,) = say(vault, PHRASE)
    with acting(vault, clock):
        row = history.one(vault, canary, "export")
        written = share.export_plain(vault, row, home / "out", "2026-03-01T12:00:00Z")
    assert sorted(leaking(home)) == sorted(written)


def shell_of(home: Path) -> Shell:
    return Shell(home).having(**variables(home), **DEBUGGING)


def test_the_commands_leave_nothing_either(home: Path) -> None:
    shell, (canary,) = shell_of(home), say(make(home), PHRASE)
    for words in (
        ("--json", "search", "xylophone"),
        ("export", canary.hex(), "--to", str(home / "export")),
        ("forget", "--match", "zanzibar", "--yes", "--receipt", str(home / "receipt")),
        ("audit", "--copy", str(home / "export")),
    ):
        done = shell(*words)
        assert done.code == 0, done.err
        assert leaking(home) == [], words
        assert not leaks(done.err.encode()) or words[0] == "forget"  # the plan shows what it means
    done = shell("show", canary.hex())
    assert done.code == 4
    assert not leaks((done.err + done.out).encode())


def damaged(home: Path, kind: str, content: bytes | None) -> tuple[Vault, InteractionId]:
    """Seals an interaction whose artefact of a kind has this content, or is damaged on disk."""
    vault = make(home)
    parts = [(k, c if k != kind or content is None else content) for k, c in parts_of(PHRASE)]
    with acting(vault, clock):
        interaction = write.create(vault, parts)
    return vault, interaction


def assert_silent(capsys: pytest.CaptureFixture[str], *words: str) -> None:
    """Runs a command that must fail, or remark on what it passed over; searches all it says."""
    with mock.patch("pipeline.machine.harden"):  # it would last for all later tests
        code = cli.main(words)
    said = capsys.readouterr()
    passed_over = code == 0 and "1 interaction could not be read" in said.err
    assert code in {1, 3, 5} or passed_over, (words, said)
    assert said.err or said.out
    assert not leaks(said.err.encode()), words
    assert not leaks(said.out.encode()), words


WRONG: list[tuple[str, bytes]] = [
    (META, json.dumps(dict.fromkeys(PHRASE.split(), PHRASE)).encode()),
    (META, PHRASE.encode()),
    (TRANSCRIPT, json.dumps([dict.fromkeys(PHRASE.split(), PHRASE)]).encode()),
    (TRANSCRIPT, json.dumps(PHRASE.split()).encode()),
    (TRANSCRIPT, PHRASE.encode("utf-16")),
    (AUDIO, PHRASE.encode()),
]


@pytest.mark.parametrize(("kind", "content"), WRONG, ids=range(len(WRONG)))
def test_content_in_no_form_fails_in_silence(
    home: Path, kind: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sealed as it must be, and not what this version writes: a defect, or another version."""
    _, interaction = damaged(home, kind, content)
    if kind == AUDIO:
        assert_silent(capsys, "export", interaction.hex(), "--to", str(home / "out"), "--plain")
    else:
        assert_silent(capsys, "history")
    assert leaking(home) == []


def test_content_in_no_form_fails_in_silence_with_all_debugging_on(home: Path) -> None:
    damaged(home, *WRONG[0])
    done = shell_of(home)("history")
    assert (done.code, done.out) == (0, "")
    assert "1 interaction could not be read" in done.err
    assert done.err
    assert not leaks((done.err + done.out).encode())
    assert leaking(home) == []


@pytest.mark.parametrize("size", [0, 100, 1000, -1])
def test_a_file_cut_off_fails_in_silence(
    home: Path, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    vault, interaction = damaged(home, TRANSCRIPT, None)
    path = transcript_of(vault, interaction)
    path.write_bytes(path.read_bytes()[:size])
    for words in (("history",), ("show", interaction.hex()), ("forget", "--match", "x", "--yes")):
        assert_silent(capsys, *words)


def test_a_file_changed_fails_in_silence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault, interaction = damaged(home, TRANSCRIPT, None)
    path = transcript_of(vault, interaction)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    for words in (("audit",), ("search", "anything"), ("show", interaction.hex())):
        assert_silent(capsys, *words)


def transcript_of(vault: Vault, interaction: InteractionId) -> Path:
    (path,) = (a.path for a in vault.artefacts(interaction) if a.kind == TRANSCRIPT)
    return path


def test_what_shows_itself_shows_no_words(home: Path) -> None:
    """A repr reaches tracebacks, debuggers and logs that nobody thought of."""
    vault = make(home)
    (canary,) = say(vault, PHRASE)
    selection = Selection(match=tuple(PHRASE.split()))
    with acting(vault, clock):
        row = history.one(vault, canary, "show")
        shown = [row, history.detail(vault, canary), selection, vault.read(canary, TRANSCRIPT)]
        shown += [row.words, *vault.artefacts(canary), *history.rows(vault, history.Filter())]
    for it in shown:
        assert not leaks(f"{it!r} {it!s}".encode())
    with pytest.raises(Refused) as refused:
        select(vault, Selection(match=("zanzibar",), last=True))
    assert not leaks(str(refused.value).encode())

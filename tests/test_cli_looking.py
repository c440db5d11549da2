"""What is held is looked at by commands: lists, search, one interaction, its sound."""

import os
import sys

import pytest

from tests.cli_home import DOCTOR, MOON, RFC_3339, ids, shell
from tests.commandline import ROOT, Shell

__all__ = ["ids", "shell"]

# --- looking


def test_history(shell: Shell, ids: list[str]) -> None:
    rows = shell.json("history")
    assert [row["interaction"] for row in rows] == ids[::-1]
    for row in rows:
        keys = ["interaction", "started_at", "seconds", "profile", "text", "artefacts"]
        assert list(row) == keys
        assert RFC_3339.fullmatch(row["started_at"])
        assert sorted(row["artefacts"]) == ["audio", "meta", "transcript"]
    assert (rows[0]["text"], rows[0]["seconds"], rows[0]["profile"]) == (MOON, 0.5, "default")
    assert [row["text"] for row in shell.json("history", "--limit", "1")] == [MOON]


def test_history_by_time_and_profile(shell: Shell, ids: list[str]) -> None:
    (child,) = shell.say("one more story", profile="child")

    def found(*words: str) -> list[str]:
        return [row["interaction"] for row in shell.json("history", *words)]

    assert found("--since", "2026-02-01T09:00:00Z") == [ids[2], ids[1]]
    assert found("--until", "2026-02-01T10:00:00+01:00") == [child, ids[0]]
    assert found("--profile", "child") == [child]
    assert found("--profile", "nobody") == []
    zone = shell.having(TZ="Asia/Tokyo")  # a time without a zone is the user's own
    assert len(zone("--json", "history", "--since", "2026-02-01T18:00:00").json) == 2


def test_search(shell: Shell, ids: list[str]) -> None:
    assert [row["interaction"] for row in shell.json("search", "Pizza", "large")] == [ids[0]]
    assert [row["interaction"] for row in shell.json("search", "large pizza")] == [ids[0]]
    assert shell.json("search", "pizza", "moon") == []


def test_show(shell: Shell, ids: list[str]) -> None:
    found = shell.json("show", ids[1][:6])
    assert found["interaction"] == ids[1]
    assert found["text"] == DOCTOR
    assert [word["word"] for word in found["words"]] == DOCTOR.split()
    assert list(found["words"][0]) == ["word", "start_ms", "end_ms", "confidence"]
    wanted = ["artefact", "kind", "parents", "slot", "header", "live", "bytes"]
    assert all(list(artefact) == wanted for artefact in found["artefacts"])
    audio, *others = found["artefacts"]
    assert audio["parents"] == [ids[1]]
    assert [it["kind"] for it in others if it["parents"] == [audio["artefact"]]] == [
        "transcript",
        "meta",
    ]
    assert [read["by"] for read in found["reads"]] == ["show"]
    assert found["disclosures"] == []
    assert found["retention"] == {"audio_until": None, "words_until": None, "sensitive": False}


def test_unknown_is_3(shell: Shell, ids: list[str]) -> None:
    unknown = "0" * 32 if "0" * 32 not in ids else "1" * 32
    for words in (["show", unknown], ["play", "xyz"], ["forget", unknown, "--yes"]):
        done = shell("--json", *words)
        assert (done.code, done.out) == (3, "")
        assert "history" in done.err  # what to do next
    assert shell("forget", "--match", "zebra", "--yes").code == 3
    assert shell("verify", shell.home / "no.receipt").code == 3
    assert shell("audit", "--copy", shell.home / "nothing").code == 3


# --- what is in the way


@pytest.mark.parametrize(
    "library",
    [
        "raise OSError('PortAudio library not found')",
        "def play(*_, **__): raise RuntimeError('Error querying device -1')",
    ],
)
def test_no_loudspeaker_is_8(shell: Shell, ids: list[str], library: str) -> None:
    (shell.home / "sounddevice.py").write_text(library)  # found before the real one
    done = shell.having(PYTHONPATH=f"{shell.home}{os.pathsep}{ROOT}")("--json", "play", ids[0])
    assert (done.code, done.out) == (8, "")
    assert "doctor" in done.err


def test_play(shell: Shell, ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[int] = []

    class Sound:
        @staticmethod
        def play(pcm: bytes, rate_hz: int, *, blocking: bool) -> None:
            assert blocking
            played.extend([len(pcm), rate_hz])

    monkeypatch.setitem(sys.modules, "sounddevice", Sound)
    assert shell.json("play", ids[0]) == {"interaction": ids[0], "seconds": 0.5}
    assert played == [8000, 16_000]

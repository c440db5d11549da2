"""The command line as a user meets it, without a model: every exit code, shape and question."""

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.lock import locked
from pipeline import cli, cli_options, commands, machine
from tests.commandline import ESCAPES, ROOT, Shell, plain

PIZZA = "order a large pizza with mushrooms"
DOCTOR = "the doctor said my blood pressure is high"
MOON = "why does the moon follow us"
ID = re.compile(r"[0-9a-f]{32}")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture
def ids(shell: Shell) -> list[str]:
    return shell.say(PIZZA, DOCTOR, MOON)


def _forgotten(shell: Shell, *words: str | Path) -> Path:
    """Forgets and returns the receipt."""
    target = shell.home / "a.receipt"
    document = shell.json("forget", *words, "--yes", "--receipt", target)
    assert document["verdict"] == "confirmed"
    return target


def every_command(
    it: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    yield path
    for action in it._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from every_command(inner, (*path, name))


# --- help and usage


@pytest.mark.parametrize("path", list(every_command(cli_options.parser())), ids=" ".join)
def test_help_of_every_command(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main([*path, "--help"])
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert not err
    assert out.startswith(f"usage: {' '.join(['anechoic', *path])}")
    assert max(map(len, out.splitlines())) <= 80


def test_help_is_a_command_that_makes_nothing(shell: Shell) -> None:
    done = shell("--help")
    assert done.code == 0
    assert "exit codes" in done.out
    assert list(shell.home.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["fly"],
        ["history", "--limit", "0"],
        ["history", "--limit", "-1"],
        ["history", "--since", "yesterday-ish"],
        ["ingest"],
        ["ingest", "--jobs", "0", "x.wav"],
        ["forget", "--al", "--yes"],  # an abbreviation of a dangerous word
        ["verify", "x.receipt", "--log-key", "nonsense"],
        ["init", "--anchor", "moon"],
    ],
    ids=" ".join,
)
def test_usage_is_2(shell: Shell, words: list[str]) -> None:
    done = shell(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err


def test_json_and_vault_may_come_last(shell: Shell, ids: list[str]) -> None:
    elsewhere = shell.vault.rename(shell.home / "elsewhere")
    rows = shell("history", "--vault", elsewhere, "--json").json
    assert [row["interaction"] for row in rows] == ids[::-1]
    assert shell("--vault", elsewhere, "--json", "history").json == rows


# --- making a vault


def test_init_tells_of_the_vault(shell: Shell) -> None:
    document = shell.json("init")
    assert list(document) == ["vault", "anchors", "log_key"]
    assert document["vault"] == str(shell.vault)
    assert [list(row) for row in document["anchors"]] == [["anchor", "level", "rests_on"]]
    again = shell("init")
    assert again.code == 2
    assert "already" in again.err


@pytest.mark.parametrize(
    "words",
    [["history"], ["search", "x"], ["audit"], ["show", "0" * 32], ["forget", "--last", "--yes"]],
    ids=" ".join,
)
def test_other_commands_make_one_and_say_so(shell: Shell, words: list[str]) -> None:
    done = shell("--json", *words)
    assert done.code in {0, 3}
    assert f"made a new vault in {shell.vault}" in done.err
    assert str(shell.anchors) in done.err
    assert "made" not in shell("--json", *words).err


@pytest.mark.parametrize("words", [["doctor"], ["verify", __file__], ["model", "list"]])
def test_some_make_none(shell: Shell, words: list[str]) -> None:
    shell(*words)
    assert list(shell.home.iterdir()) == []


def test_an_anchor_inside_the_vault_is_refused(shell: Shell) -> None:
    inside = shell.having(ANECHOIC_ANCHOR_DIR=str(shell.vault / "anchors"))
    done = inside("init")
    assert done.code == 2
    assert "inside the vault" in done.err
    assert not shell.vault.exists()


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


# --- a pipe gets lines, a terminal gets tables and colours


@pytest.mark.parametrize("forced", [{}, {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}])
def test_no_escape_code_gets_into_a_pipe(
    shell: Shell, ids: list[str], forced: dict[str, str]
) -> None:
    quiet = shell.having(**forced)
    runs = [
        quiet(*words)
        for words in (
            ["history"],
            ["show", ids[0]],
            ["search", "moon"],
            ["audit"],
            ["doctor"],
            ["model", "list"],
            ["forget", ids[0], "--yes"],
            ["show", ids[0]],
        )
    ]
    assert not any("\x1b" in run.out + run.err for run in runs)
    assert runs[0].out.splitlines()[0].split("\t")[0] == ids[2]
    assert RFC_3339.fullmatch(runs[0].out.splitlines()[0].split("\t")[1])
    assert [run.code for run in runs] == [0, 0, 0, 0, runs[4].code, 0, 0, 4]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_tables_on_a_terminal(shell: Shell, ids: list[str], columns: int) -> None:
    (long,) = shell.say("one more story and " * 12)
    tokyo = shell.having(TZ="Asia/Tokyo")
    code, screen = tokyo.on_a_terminal("history", columns=columns)
    assert code == 0
    assert ESCAPES.search(screen)
    lines = plain(screen).splitlines()
    assert lines[0].split()[:2] == ["interaction", "heard"]
    assert max(map(len, lines)) <= columns
    (first,) = [line for line in lines if line.startswith(ids[0][:8])]
    assert first.split()[1:3] == ["2026-02-01", "17:00"]  # local time
    start = lines[0].index("what was said")
    words = " ".join(line[start:] for line in lines[1:]).split()
    assert words == " ".join(["one more story and " * 12, MOON, DOCTOR, PIZZA]).split()
    assert any(line.startswith(long[:8]) for line in lines)
    folded = [line for line in lines[1:] if not ID.match(line[:8] * 4)]
    assert all(not line[:start].strip() for line in folded)


def test_json_on_a_terminal_is_json(shell: Shell, ids: list[str]) -> None:
    code, screen = shell.on_a_terminal("--json", "history")
    assert code == 0
    assert not ESCAPES.search(screen)
    assert [row["interaction"] for row in json.loads(screen)] == ids[::-1]


def test_names_from_outside_cannot_move_the_terminal(shell: Shell) -> None:
    shell.say(MOON, profile="\x1b[2J\x1b[31m\nevil\t[red]")
    for screen in (shell.on_a_terminal("history")[1], shell("history").out):
        assert "\x1b[2J" not in screen
        assert "[red]" in plain(screen)
    assert shell("history").out.count("\t") == 4
    assert len(shell("history").out.splitlines()) == 1


def test_whoever_reads_may_stop_reading(shell: Shell, ids: list[str]) -> None:
    assert ids
    for words in (["history"], ["--json", "history"], ["audit"]):
        process = shell.start(*words)
        assert process.stdout
        process.stdout.close()  # before it has written anything, as `| head -0` does
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (141, "")


# --- forgetting


def test_forget_asks_and_no_means_no(shell: Shell, ids: list[str]) -> None:
    for answer in ("no\n", "\n", "yess\n", "\x04"):
        code, screen = shell.on_a_terminal("forget", ids[1], answers=[("Type yes:", answer)])
        assert code == 1
        text = plain(screen)
        assert ids[1][:8] in text
        assert "1 interaction, 3 sealed files (1 audio, 1 transcript, 1 meta), 2 keys" in " ".join(
            text.split()
        )
        assert "nothing was erased" in text
    assert shell.epoch() == 1
    assert shell.json("show", ids[1])["text"] == DOCTOR


def test_forget_asks_and_yes_means_yes(shell: Shell, ids: list[str]) -> None:
    code, screen = shell.on_a_terminal("forget", ids[1], answers=[("Type yes:", "YES\n")])
    assert code == 0
    text = plain(screen)
    assert text.index(DOCTOR[:20]) < text.index("Type yes:") < text.index("confirmed")
    assert max(map(len, text.split("receipt  ")[0].splitlines())) <= 80
    assert shell.epoch() == 2
    assert shell("show", ids[1]).code == 4
    assert [row["interaction"] for row in shell.json("history")] == [ids[2], ids[0]]


def test_forget_shows_the_plan_before_it_asks_also_with_json(shell: Shell, ids: list[str]) -> None:
    _, screen = shell.on_a_terminal("--json", "forget", ids[1], answers=[("Type yes:", "no\n")])
    assert ids[1][:8] in plain(screen)


def test_forget_document_and_receipt(shell: Shell, ids: list[str]) -> None:
    target = shell.home / "my.receipt"
    done = shell("--json", "forget", ids[1], "--yes", "--receipt", target)
    document = done.json
    names = ["erased", "kept", "disclosed", "residual", "epoch", "receipt", "verdict"]
    assert list(document) == names
    assert document["erased"] == [ids[1]]
    assert document["kept"] == document["disclosed"] == []
    assert document["epoch"] == {"from": 1, "to": 2}
    assert target.read_bytes() == Path(document["receipt"]).read_bytes()
    assert DOCTOR not in done.err  # nobody asked to see it
    assert not any(word in target.read_text() for word in ("doctor", "blood", "pressure"))


def test_dry_run_changes_nothing(shell: Shell, ids: list[str]) -> None:
    document = shell.json("forget", "--all", "--dry-run")
    assert document["dry_run"] is True
    assert sorted(document["erased"]) == sorted(ids)
    assert document["files"] == 9
    assert "nothing was erased" in shell("forget", "--all", "--dry-run").err
    assert shell.epoch() == 1
    assert len(shell.json("history")) == 3
    assert not list((shell.vault / "receipts").iterdir())


def test_forget_without_a_terminal_wants_yes(shell: Shell, ids: list[str]) -> None:
    done = shell("forget", ids[0], stdin="yes\n")
    assert done.code == 2
    assert "--yes" in done.err
    assert shell.epoch() == 1


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (["--last"], {2}),
        (["--all"], {0, 1, 2}),
        (["--match", "blood", "pressure"], {1}),
        (["--match", "Moon Follow"], {2}),
        (["--since", "2026-02-01T09:00:00Z"], {1, 2}),
        (["--until", "2026-02-01T09:00:00Z"], {0}),
        (["--since", "2026-02-01T09:00:00Z", "--until", "2026-02-01T10:00:00Z"], {1}),
        (["--profile", "default"], {0, 1, 2}),
    ],
    ids=str,
)
def test_selectors(shell: Shell, ids: list[str], words: list[str], gone: set[int]) -> None:
    erased = shell.json("forget", *words, "--yes")["erased"]
    assert set(erased) == {ids[n] for n in gone}
    left = {row["interaction"] for row in shell.json("history")}
    assert left == set(ids) - set(erased)
    assert shell.epoch() == 2  # one rotation, however many


def test_several_ids_and_the_start_of_one(shell: Shell, ids: list[str]) -> None:
    document = shell.json("forget", ids[0][:8].upper(), ids[2], ids[0], "--yes")
    assert sorted(document["erased"]) == sorted([ids[0], ids[2]])


@pytest.mark.parametrize(
    "words",
    [[], ["--last", "--all"], ["ID", "--last"], ["--all", "--since", "2026-01-01"]],
    ids=str,
)
def test_conflicting_selectors_are_2(shell: Shell, ids: list[str], words: list[str]) -> None:
    done = shell("forget", *(ids[0] if word == "ID" else word for word in words), "--yes")
    assert done.code == 2
    assert "exactly one way" in done.err
    assert shell.epoch() == 1


def test_erased_is_4(shell: Shell, ids: list[str]) -> None:
    _forgotten(shell, ids[1])
    for command in ("show", "play", "forget"):
        for name in (ids[1], ids[1][:6]):
            done = shell(command, name)
            assert done.code == 4, done.err
            assert "erased" in done.err
    assert shell("export", ids[1], "--to", shell.home / "out").code == 4
    assert shell("forget", ids[0], ids[1], "--yes").code == 4
    assert shell.epoch() == 2  # ids[0] was not erased by half


def test_only_audio(shell: Shell, ids: list[str]) -> None:
    _forgotten(shell, ids[1], "--only", "audio")
    assert shell.json("show", ids[1])["text"] == DOCTOR
    assert shell("play", ids[1]).code == 4
    assert shell("forget", ids[1], "--only", "audio", "--yes").code == 4  # it is gone already
    out = shell.json("export", ids[1], "--to", shell.home / "out", "--plain")["files"]
    assert [Path(file).suffix for file in out] == [".json"]
    _forgotten(shell, ids[1])
    assert shell("show", ids[1]).code == 4
    assert shell.json("audit")["problems"] == []


def test_a_receipt_that_cannot_be_written_is_said_before_anything_is_erased(
    shell: Shell, ids: list[str]
) -> None:
    for target in (shell.home / "no" / "a.receipt", shell.home):
        assert shell("forget", ids[0], "--yes", "--receipt", target).code == 2
    assert shell.epoch() == 1


# --- exporting


def test_sealed_export_dies_with_its_source(shell: Shell, ids: list[str]) -> None:
    to = shell.home / "out"
    document = shell.json("export", ids[1], "--to", to)
    assert list(document) == ["interaction", "plain", "files"]
    assert len(document["files"]) == 3
    assert document["plain"] is False
    receipt = _forgotten(shell, ids[1])
    copies = shell.json("verify", receipt, "--copy", to)["copies"]
    assert {row["state"] for row in copies} == {"erased"}


def test_plain_export_is_a_disclosure(shell: Shell, ids: list[str]) -> None:
    to = shell.home / "out"
    document = shell.json("export", ids[1], "--to", to, "--plain")
    assert sorted(Path(file).suffix for file in document["files"]) == [".json", ".wav"]
    assert DOCTOR in (to / f"{ids[1]}.json").read_text()
    (left,) = shell.json("show", ids[1])["disclosures"]
    assert list(left) == ["kind", "to", "fields", "why", "at"]
    plan = shell("forget", ids[1], "--dry-run").err
    assert "beyond reach" in plan
    done = shell.json("forget", ids[1], "--yes")
    assert len(done["disclosed"]) == 1
    assert len(done["residual"]) >= 1


# --- verifying and auditing


def test_verify(shell: Shell, ids: list[str]) -> None:
    receipt = _forgotten(shell, ids[1])
    key = shell.json("audit")["log_key"]
    for words in ([], ["--log-key", key]):
        done = shell("--json", "verify", receipt, *words)
        assert done.code == 0
        assert list(done.json) == ["receipts", "copies"]
        (verdict,) = done.json["receipts"]
        assert (verdict["verifies"], verdict["verdict"]) == (True, "confirmed")
        assert verdict["log_key"] == key
    altered = shell.home / "altered.receipt"
    altered.write_text(receipt.read_text().replace('"confirmed"', '"failed"', 1))
    done = shell("--json", "verify", receipt, altered)
    assert done.code == 5
    assert [row["verifies"] for row in done.json["receipts"]] == [True, False]
    other = Shell(shell.home / "other")
    other.home.mkdir()
    wrong = other.json("init")["log_key"]
    assert shell("verify", receipt, "--log-key", wrong).code == 5


def test_verify_says_whose_word_the_log_key_is(shell: Shell, ids: list[str]) -> None:
    receipt = _forgotten(shell, ids[1])
    stranger = Shell(shell.home / "stranger")
    stranger.home.mkdir()
    foreign = _forgotten(stranger, stranger.say("something else")[0])
    assert "(of the vault here)" in shell("verify", receipt).out
    assert "(named by the receipt itself" in shell("verify", foreign).out
    key = shell.json("audit")["log_key"]
    assert "(given by you)" in shell("verify", receipt, "--log-key", key).out
    assert shell("verify", foreign, "--log-key", key).code == 5


def test_verify_without_vault_and_without_anchor(shell: Shell, ids: list[str]) -> None:
    receipt = _forgotten(shell, ids[1])
    shutil.rmtree(shell.anchors)
    done = shell("--json", "verify", receipt)
    assert done.code == 0
    assert "does not open" in done.err
    shutil.rmtree(shell.vault)
    assert shell("--json", "verify", receipt).code == 0
    assert not shell.vault.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_verify_and_audit_tell_of_copies(shell: Shell, ids: list[str], packed: bool) -> None:
    copy = shell.home / "copy"
    shutil.copytree(shell.vault, copy)
    stranger = Shell(shell.home / "stranger")
    stranger.home.mkdir()
    stranger.say("something else")
    shutil.copytree(stranger.vault / "sealed", copy / "strange")
    if packed:
        with tarfile.open(shell.home / "copy.tar.gz", "w:gz") as tar:
            tar.add(copy, "copy")
        copy = shell.home / "copy.tar.gz"
    receipt = _forgotten(shell, ids[1])
    for words in (["verify", receipt], ["audit"]):
        copies = shell.json(*words, "--copy", copy)["copies"]
        states = {row["file"]: row["state"] for row in copies}
        for file, state in states.items():
            name = Path(file).name
            known = {ids[0]: "live", ids[1]: "erased", ids[2]: "live"}
            assert state == known.get(name[:32], "unknown"), file
        assert sorted(states.values()) == ["erased"] * 3 + ["live"] * 6 + ["unknown"] * 3
    shutil.rmtree(shell.vault)
    alone = shell.json("verify", receipt, "--copy", copy)["copies"]
    assert sorted(row["state"] for row in alone) == ["erased"] * 3 + ["unknown"] * 9


def test_audit(shell: Shell, ids: list[str]) -> None:
    document = shell.json("audit")
    names = ["epoch", "entries", "slots", "live_slots", "files", "receipts", "confirmations"]
    assert list(document) == [*names, "log_key", "problems", "copies"]
    assert (document["files"], document["live_slots"], document["problems"]) == (9, 6, [])
    (file,) = (shell.vault / "sealed").rglob(f"{ids[0]}.*.audio")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    done = shell("--json", "audit")
    assert done.code == 5
    assert done.json["problems"]
    assert shell("play", ids[0]).code == 5


def test_keys_and_paths_are_not_broken_into_lines(shell: Shell) -> None:
    key = shell.json("init")["log_key"]
    _, screen = shell.on_a_terminal("audit", columns=60)
    assert key in plain(screen)


# --- what is in the way


@pytest.mark.slow
def test_busy_is_6(shell: Shell, ids: list[str]) -> None:
    assert ids
    with locked(shell.vault / "lock"):
        done = shell("history")
    assert (done.code, done.out) == (6, "")
    assert "again" in done.err
    assert shell("history").code == 0


def test_no_anchor_is_7(shell: Shell, ids: list[str]) -> None:
    assert ids
    elsewhere = shell.having(ANECHOIC_ANCHOR_DIR=str(shell.home / "elsewhere"))
    done = elsewhere("history")
    assert done.code == 7
    assert "ANECHOIC_ANCHOR_DIR" in done.err


def test_a_passphrase_in_the_environment(shell: Shell) -> None:
    right, wrong = (shell.having(ANECHOIC_PASSPHRASE=it) for it in ("open sesame", "open barley"))
    assert right("init", "--passphrase").code == 0
    assert right("history").code == 0
    for other in (wrong, shell, shell.having(ANECHOIC_PASSPHRASE="")):
        done = other("history")
        assert done.code == 7
        assert "passphrase" in done.err
        assert "sesame" not in done.err + done.out
    assert shell.having(ANECHOIC_PASSPHRASE="")("init", "--passphrase").code == 2


def test_a_passphrase_at_the_terminal(shell: Shell) -> None:
    asked = [("Passphrase:", "open sesame\n"), ("Again:", "open sesame\n")]
    code, screen = shell.on_a_terminal("init", "--passphrase", answers=asked)
    assert code == 0
    assert "sesame" not in screen  # it is not echoed
    assert shell.on_a_terminal("history", answers=asked[:1])[0] == 0
    assert shell.on_a_terminal("history", answers=[("Passphrase:", "barley\n")])[0] == 7


def test_passphrases_that_differ_make_nothing(shell: Shell) -> None:
    asked = [("Passphrase:", "open sesame\n"), ("Again:", "open barley\n")]
    assert shell.on_a_terminal("init", "--passphrase", answers=asked)[0] == 2
    assert not shell.vault.exists()


def test_no_model_is_8(shell: Shell, tmp_path: Path) -> None:
    for words in (["ingest", tmp_path], ["demo"], ["ingest", "--model", tmp_path, tmp_path]):
        done = shell(*words)
        assert done.code == 8
        assert "anechoic model fetch" in done.err
    assert list(shell.home.iterdir()) == []


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


def test_a_damaged_vault_is_5(shell: Shell, ids: list[str]) -> None:
    assert ids
    (shell.vault / "vault.json").write_text("{}")
    assert shell("history").code == 5


def test_what_the_system_refuses_is_1_and_says_what_to_do(shell: Shell, ids: list[str]) -> None:
    (shell.home / "file").write_text("")
    done = shell("export", ids[0], "--to", shell.home / "file")
    assert done.code == 1
    assert str(shell.home / "file") in done.err
    assert "; " in done.err


# --- a defect tells its place and nothing else


SECRET = "the secret phrase"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        RecursionError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_defect_shows_no_content(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise error from ValueError(SECRET)

    monkeypatch.setattr(machine, "harden", lambda: None)
    monkeypatch.setattr(commands, "history", broken)
    assert cli.main(["history"]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "internal error" in err
    assert type(error).__name__ in err
    assert "broken" in err  # where it happened
    assert "secret" not in err


def test_a_defect_outside_of_the_command_shows_no_content(shell: Shell) -> None:
    (shell.home / "sitecustomize.py").write_text(
        f"""
import threading
class Last:
    def __del__(self):
        raise ValueError({SECRET!r})
def broken():
    raise ValueError({SECRET!r})
import pipeline.commands
def doctor(_):
    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    Last()
    return 0
pipeline.commands.doctor = doctor
"""
    )
    done = shell.having(PYTHONPATH=f"{shell.home}{os.pathsep}{ROOT}")("doctor")
    assert done.code == 0
    assert "internal error" in done.err
    assert "ValueError" in done.err
    assert "secret" not in done.err


def test_words_that_a_stream_cannot_encode_do_not_end_a_command(shell: Shell) -> None:
    shell.say("où est la lune")
    done = shell.having(PYTHONIOENCODING="ascii")("history")
    assert done.code == 0
    assert "o\\xf9 est la lune" in done.out


def test_ctrl_c_at_the_question_erases_nothing(
    shell: Shell, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Keyboard:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            raise KeyboardInterrupt

    for name, value in shell.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(machine, "harden", lambda: None)
    monkeypatch.setattr(sys, "stdin", Keyboard())
    with contextlib.redirect_stderr(io.StringIO()):
        assert cli.main(["forget", ids[0]]) == 130
    assert shell.epoch() == 1

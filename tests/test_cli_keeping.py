"""The commands about anchors and mirrors, as a user meets them."""

import shutil
from pathlib import Path

import pytest

from tests.commandline import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture
def ids(shell: Shell) -> list[str]:
    return shell.say("order a pizza", "what is the time", "how far is the moon")


ROW = ["anchor", "spec", "way", "here", "level", "rests_on", "outstanding"]


def test_anchors_are_listed_added_joined_rotated_and_removed(shell: Shell, tmp_path: Path) -> None:
    stick = f"file:{tmp_path / 'stick'}"
    (row,) = shell.json("anchor", "list")
    assert list(row) == ROW
    assert (row["anchor"], row["spec"], row["here"], row["outstanding"]) == (
        "file",
        "file",
        True,
        False,
    )
    rows = shell.json("anchor", "add", stick)
    assert [row["spec"] for row in rows] == ["file", stick]
    assert len({row["way"] for row in rows}) == 2
    epoch = shell.json("audit")["epoch"]
    shell.json("anchor", "rotate")
    assert shell.json("audit")["epoch"] == epoch + 1
    rows = shell.json("anchor", "remove", rows[1]["anchor"])
    assert [row["spec"] for row in rows] == ["file"]
    rows = shell.json("anchor", "add", stick, "--to", "file")
    assert len({row["way"] for row in rows}) == 1


def test_a_way_that_is_away_is_shown_and_leaves_receipts_pending(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    shell("anchor", "add", f"file:{stick}")
    stick.rename(tmp_path / "pocket")
    done = shell.json("forget", ids[0], "--yes")
    assert done["verdict"] == "pending"
    rows = shell.json("anchor", "list")
    assert [(row["here"], row["outstanding"]) for row in rows] == [(True, False), (False, True)]
    (receipt,) = shell.json("receipts")
    assert receipt["outstanding"] == [rows[1]["way"]]
    (tmp_path / "pocket").rename(stick)
    rows = shell.json("anchor", "list")
    assert not any(row["outstanding"] for row in rows)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["anchor", "add", "moon"], 2),
        (["anchor", "add", "file"], 2),
        (["anchor", "remove", "file"], 2),
        (["anchor", "remove", "moon"], 3),
        (["anchor", "add", "tpm:device:/dev/no-such-chip"], 7),
        (["mirror", "remove", "/no/such/mirror"], 3),
    ],
)
def test_what_cannot_be_is_refused_in_words(shell: Shell, words: list[str], code: int) -> None:
    shell("history")
    done = shell("--json", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("anechoic: ")
    assert "defect" not in done.err


def test_a_mirror_brings_the_ring_back_when_the_disk_died(
    shell: Shell, ids: list[str], tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    assert shell.json("mirror", "list") == []
    assert shell.json("mirror", "add", str(mirror)) == [{"mirror": str(mirror), "up_to_date": True}]
    shutil.copytree(shell.vault, tmp_path / "backup")
    shell("forget", ids[0], "--yes")
    shutil.rmtree(shell.vault)
    shutil.copytree(tmp_path / "backup", shell.vault)
    assert shell("history").code == 7
    for part in ("ring", "log"):
        shutil.rmtree(shell.vault / part)
        shutil.copytree(mirror / part, shell.vault / part)
    left = [row["interaction"] for row in shell.json("history")]
    assert left == [row for row in ids[::-1] if row != ids[0]]
    assert shell.json("mirror", "remove", str(mirror)) == []


def test_the_log_key_changes_and_old_receipts_stay_good(shell: Shell, ids: list[str]) -> None:
    (old,) = shell.json("log-key", "show")["log_keys"]
    first, second = shell.home / "first.receipt", shell.home / "second.receipt"
    shell("forget", ids[0], "--yes", "--receipt", str(first))
    document = shell.json("log-key", "rotate", "--ml-dsa")
    new, post_quantum = document["log_keys"]
    (handover,) = document["handovers"]
    assert new != old
    shell("forget", ids[1], "--yes", "--receipt", str(second))
    shutil.rmtree(shell.vault)
    for receipt, key in ((first, old), (second, new)):
        assert shell("verify", str(receipt), "--log-key", key).code == 0
    assert shell("verify", str(second), "--log-key", new, "--log-key", post_quantum).code == 0
    assert shell("verify", str(first), "--log-key", old, "--log-key", post_quantum).code == 5
    assert handover.endswith(".rekey")


def test_verify_explains_each_step(shell: Shell, ids: list[str]) -> None:
    target = shell.home / "a.receipt"
    shell("forget", ids[0], "--yes", "--receipt", str(target))
    short, long = shell("verify", str(target)).out, shell("verify", str(target), "--explain").out
    for step in ("form", "log key", "checkpoint signature", "inclusion", "live change"):
        assert step in long
    assert len(long) > 2 * len(short)


def test_a_recovery_copy_is_said_written_listed_used_and_sworn_destroyed(
    shell: Shell, ids: list[str]
) -> None:
    copy, word = shell.home / "copy", {"ANECHOIC_RECOVERY_PASSPHRASE": "barley"}
    asked = Shell(shell.home, word)
    assert shell("anchor", "recovery", "--to", str(copy)).code == 2
    assert not copy.exists()
    done = asked("anchor", "recovery", "--to", str(copy), "--passphrase", "--yes")
    assert (done.code, "pending" in done.err) == (0, True)
    shutil.copytree(shell.vault, shell.home / "backup")
    name = shell.json("anchor", "list")[1]["anchor"]
    assert name.startswith("recovery-")
    assert name in shell("doctor").out
    assert shell.json("forget", ids[0], "--yes")["verdict"] == "pending"
    (row,) = shell.json("receipts")
    assert row["outstanding"] == [name]
    assert shell("anchor", "remove", name).code == 2
    shutil.rmtree(shell.anchors)
    shutil.rmtree(shell.vault / "ring")
    shutil.copytree(shell.home / "backup" / "ring", shell.vault / "ring")
    wrong = Shell(shell.home, {"ANECHOIC_RECOVERY_PASSPHRASE": "corn"})
    for each, code in ((shell, 7), (wrong, 7), (asked, 0)):
        assert each("anchor", "recovery", "--from", str(copy)).code == code
    assert [row["interaction"] for row in shell.json("history")] == ids[:0:-1]
    for row in shell.json("anchor", "list")[1:]:
        shell.json("anchor", "remove", row["anchor"], "--destroyed")
    (row,) = shell.json("receipts")
    assert row["verdict"] == "confirmed"
    text = shell("verify", row["receipt"]).out
    assert "by the word of its user alone" in " ".join(text.split())
    assert shell("audit").code == 0

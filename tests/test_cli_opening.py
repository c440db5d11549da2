"""A vault is made and opened by commands: what they say of it, its anchors, its passphrase."""

import pytest

from tests.cli_home import ids, shell
from tests.commandline import Shell

__all__ = ["ids", "shell"]

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


# --- what is in the way


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

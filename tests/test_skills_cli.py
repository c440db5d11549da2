"""The command line about skills: the list, and what `show` and a plan say of a use."""

from pathlib import Path

import pytest

from keys.model import InteractionId
from pipeline.session import open_vault
from pipeline.skills import use
from tests.commandline import Shell
from tests.shop import configure, enable, install, shop

PLUG_IN = """
from pipeline.skills.interface import *

class Local:
    fields = (Field("items", "what", leaves=False),)
    manifest = Manifest("local", "keeps a \\x1b[31mred list", fields, "itself")
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path).having(ANECHOIC_CONFIG_DIR=str(tmp_path / "config"))


def test_none_is_enabled_and_each_says_what_it_would_get(shell: Shell) -> None:
    done = shell("skills")
    assert done.code == 0
    assert "order, not enabled\n" in done.out
    assert "is given items: what is ordered, leaves this machine\n" in done.out
    assert "is given when: until when, if it was said, leaves this machine\n" in done.out
    assert "home-assistant, not enabled" in done.out
    assert "skills.toml" in done.err
    assert not shell.vault.exists()  # a list needs none


def test_the_list_for_a_program(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    enable(monkeypatch, shell.home / "config", "https://shop.example/hook/7f3a", "order")
    rows = {row["skill"]: row for row in shell.json("skills")}
    assert {name for name, row in rows.items() if row["enabled"]} == {"order"}
    order = rows["order"]
    assert (order["built_in"], order["starts"]) == (True, True)
    assert order["to"] == "https://shop.example"  # the rest of the address may be a secret
    assert [field["field"] for field in order["fields"]] == ["items", "when"]
    assert all(field["leaves"] for field in order["fields"])
    assert order["not_prevented"] == [] or "files" in order["not_prevented"][0]


def test_a_plug_in_is_listed_and_cannot_move_the_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, shell.home / "plug-ins", PLUG_IN, local="Local", gone="Gone")
    rows = {row["skill"]: row for row in shell.json("skills")}
    assert rows["local"]["starts"]
    assert not rows["gone"]["starts"]
    path = f"{Path(__file__).parent.parent}:{shell.home / 'plug-ins'}"
    done = shell.having(PYTHONPATH=path)("skills")
    assert "\x1b" not in done.out
    assert "it does not start" in done.out
    assert "stays with itself" in done.out


def test_a_bad_configuration_is_a_matter_of_usage(shell: Shell) -> None:
    (shell.home / "config").mkdir()
    (shell.home / "config" / "skills.toml").write_text("[order]\nenable = true\n")
    done = shell("skills")
    assert (done.code, done.out) == (2, "")
    assert "skills.toml" in done.err
    assert "found 'enable'" in done.err


def test_the_whole_way_of_an_order(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown, planned, erased, refused to answer, asked again, confirmed."""
    (said,) = shell.say("order two pizzas")
    with shop() as it:
        enable(monkeypatch, shell.home / "config", it.url, "order")
        vault = open_vault(shell.vault, shell.anchors, bytearray)
        use.use(vault, InteractionId(bytes.fromhex(said)), "order", {"items": "two pizzas"})
        (reference,) = [row["reference"] for row in it.orders]
        shown = shell("show", said)
        assert "left   skill order to http://localhost" in shown.out
        assert ": items (orders things from a shop)" in shown.out
        planned = shell("forget", "--last", "--dry-run")
        assert f"reference {reference}; it will be asked to erase its copy" in planned.err
        it.manner = "broken"
        forgotten = shell("forget", "--last", "--yes")
        assert forgotten.code == 0
        assert "pending: erased 1 interaction" in forgotten.out
        assert "has not answered" in forgotten.out
        assert f"pending on skill order {reference}" in shell("receipts").out
        assert shell.json("skills", "ask") == {"outstanding": [f"skill order {reference}"]}
        it.manner = "refusing"
        assert shell("skills", "ask").out == "no receipt waits for the answer of a skill\n"
    (receipt,) = shell.json("receipts")
    assert receipt["verdict"] == "confirmed"
    (path,) = (shell.vault / "receipts").glob("*.receipt")
    told = shell("verify", path).out
    assert "verifies, confirmed (pending at first" in told
    assert f"skill order, asked to erase reference {reference}: it refuses to erase" in told
    assert shell("audit").code == 0


def test_other_commands_ask_nobody(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = shell.say("order two pizzas")
    with shop("broken") as it:
        enable(monkeypatch, shell.home / "config", it.url, "order")
        vault = open_vault(shell.vault, shell.anchors, bytearray)
        use.use(vault, InteractionId(bytes.fromhex(said)), "order", {"items": "two pizzas"})
        shell.json("forget", "--last", "--yes")
        asked = len(it.seen)
        for command in ("history", "receipts", "audit", "report"):
            assert shell(command).code == 0
        assert len(it.seen) == asked == 2
        configure(monkeypatch, shell.home / "config", "[order")  # nor does what is misspelt matter
        assert shell("history").code == 0

"""The command `model use`, and hearing with the model that was chosen for a vault."""

import json
from pathlib import Path

import pytest

from pipeline import models
from pipeline.model import plain as as_compared
from tests.commandline import ROOT, Shell
from tests.test_models import FILES, make_model
from tests.test_moonshine import NAME, needs_moonshine

MESSAGE = ROOT / "samples" / "05-message.wav"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home, {"XDG_CACHE_HOME": str(models.cache().parents[1])})


def chosen(shell: Shell) -> object:
    return json.loads((shell.vault / "vault.json").read_text())["model"]


def test_a_model_is_chosen_shown_changed_and_given_up(shell: Shell, tmp_path: Path) -> None:
    ours = make_model(tmp_path / "ours")
    assert shell("model", "use", ours).code == 0
    assert chosen(shell) == str(ours)
    assert str(ours) in shell("model", "list").err
    shell("mirror", "add", tmp_path / "mirror")
    assert chosen(shell) == str(ours)
    done = shell("model", "use")
    assert (done.code, chosen(shell)) == (0, None)
    assert str(ours) not in done.err


def test_what_is_no_model_is_not_chosen(shell: Shell, tmp_path: Path) -> None:
    ours = make_model(tmp_path / "ours")
    shell("model", "use", ours)
    for wrong in ("nonsense", str(tmp_path), MESSAGE):
        assert shell("model", "use", wrong).code == 8
    assert chosen(shell) == str(ours)


def test_a_chosen_model_that_is_gone_is_never_replaced_by_another(
    shell: Shell, tmp_path: Path
) -> None:
    ours = make_model(tmp_path / "ours")
    shell("model", "use", ours)
    (ours / next(iter(FILES))).unlink()
    done = shell("ingest", MESSAGE)
    assert done.code == 8
    assert "anechoic model use" in done.err


def test_a_vault_from_before_there_was_a_choice_has_none(shell: Shell) -> None:
    shell("init")
    path = shell.vault / "vault.json"
    path.write_text(
        json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "model"})
    )
    assert shell("history").code == 0
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": 7}))
    assert shell("history").code == 5


def test_a_recogniser_that_nobody_knows_any_more_is_shown(shell: Shell) -> None:
    (found,) = shell.say("order a pizza")  # says that "none" recognised it
    assert shell.json("show", found)["recogniser"] == "none"
    assert "none" not in {model.name for model in models.MODELS}


@pytest.mark.parametrize(
    ("written", "as_it_is_compared"),
    [("Robert.", "robert"), ("“Friend,”", "friend"), ("o'clock", "o'clock"), ("—", "")],
)
def test_words_are_compared_without_case_and_punctuation(
    written: str, as_it_is_compared: str
) -> None:
    assert as_compared(written) == as_it_is_compared


@needs_moonshine
@pytest.mark.model
def test_a_vault_is_heard_with_its_model_unless_another_is_named(shell: Shell) -> None:
    assert shell("model", "use", NAME).code == 0
    assert "it comes inside" not in shell("model", "fetch", NAME).err
    (row,) = [json.loads(line) for line in shell("--json", "ingest", MESSAGE).out.splitlines()]
    assert row["text"].startswith("Send a message to my friend")
    found = shell.json("show", row["interaction"])
    assert found["recogniser"] == NAME
    assert {word["confidence"] for word in found["words"]} == {None}
    assert [it["interaction"] for it in shell.json("search", "FRIEND", "robert")] == [
        row["interaction"]
    ]
    assert "Send" in shell("show", row["interaction"]).out
    other = shell("--json", "ingest", MESSAGE, "--model", models.find(None)).out
    assert json.loads(other)["text"].startswith("send a message")
    assert len(shell.json("forget", "--match", "friend", "--yes")["erased"]) == 2

"""The demo as a user sees it, and controls: where a claim does not hold it says so and fails.

The real model hears the real samples in a process of its own once; what is the same with four of
them is shown with four, in this process, and what the model heard in these is remembered.
"""

import json
import re
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import cli, demo, machine, models, recognise, recognisers
from pipeline.errors import NotFound
from pipeline.model import Word
from pipeline.session import open_vault
from pipeline.terminal import Terminal
from tests.commandline import ROOT, Shell, plain

pytestmark = pytest.mark.model
FOUR = ("02-alarm", "06-pizza", "08-blood-pressure", "10-moon")
HEARD: dict[bytes, tuple[Word, ...]] = {}


class Remembering:
    """The real recogniser, which is asked once about each sound."""

    def __init__(self, model: Path, vocabulary: Sequence[str]) -> None:
        self._load = partial(recognise.load, model, vocabulary)

    def recognise(
        self, pcm: NDArray[np.int16], on_partial: recognise.OnPartial | None = None
    ) -> tuple[Word, ...]:
        sound = pcm.tobytes()
        if sound not in HEARD:
            HEARD[sound] = self._load().recognise(pcm, on_partial)
        return HEARD[sound]

    def stop(self) -> None:
        pass


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "tmp").mkdir()
    return Shell(home, {"ANECHOIC_MODEL": str(models.find(None)), "TMPDIR": str(tmp_path / "tmp")})


@pytest.fixture
def _four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "four"
    folder.mkdir()
    for name in FOUR:
        shutil.copy(ROOT / "samples" / f"{name}.wav", folder)
    monkeypatch.setattr(demo, "SAMPLES", folder)
    monkeypatch.setattr(demo, "_PAUSE_S", 0)
    monkeypatch.setattr(recognisers, "load", Remembering)
    monkeypatch.setattr(machine, "harden", lambda: None)  # it would last for all later tests
    monkeypatch.setenv("ANECHOIC_MODEL", str(models.find(None)))


with_four = pytest.mark.usefixtures("_four")


def test_on_a_terminal(shell: Shell, tmp_path: Path) -> None:
    code, sent = shell.on_a_terminal("demo")
    assert code == 0
    text = plain(sent)
    heads = re.findall(r"^(\d)\. ", text, re.MULTILINE)
    assert heads == ["1", "2", "3", "4", "5", "6", "7"]
    assert text.count("  yes ") == 11
    assert "  NO " not in text
    said = " ".join(text.split())
    assert "my blood pressure is too high" in said
    assert "17 interactions can be read from it" in said
    assert "it names the 3 files of the backup that are dead" in said
    assert re.search(r"anchor: file, level [A-E] of A \(best\) to E", said)
    assert said.index("How much to believe") < said.index("Your turn:")
    story = text[text.index("\n2. ") :]  # before it the bar is drawn and drawn over
    assert max(map(len, story.splitlines())) <= 80
    assert list(shell.home.iterdir()) == []  # no vault of the user's was made
    assert list((tmp_path / "tmp").iterdir()) == []  # and its own is gone


@with_four
def test_in_a_pipe_it_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert out.count("  yes ") == 11
    assert out.index("1. A household") < out.index("pizza") < out.index("2. A ")


@with_four
def test_as_json_it_ends_with_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--json", "demo"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"claims_broken": [], "steps": 7}
    assert err.count("  yes ") == 11


@with_four
def test_control_where_the_anchor_was_backed_up_too_the_demo_says_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An old copy of the anchor revives the old backup: the demo must see that."""

    class Shutil:
        copy = staticmethod(shutil.copy)

        @staticmethod
        def copytree(source: Path, target: Path) -> None:
            shutil.copytree(source, target)
            shutil.copytree(source.parent / "anchor", target.parent / "old-anchor")

    def by_old_anchor(vault: Path, anchors: Path, ask: Any) -> object:  # noqa: ANN401 - passed on
        return open_vault(vault, anchors.parent / "old-anchor", ask)

    monkeypatch.setattr(demo, "shutil", Shutil)
    monkeypatch.setattr(demo, "open_vault", by_old_anchor)
    assert demo.run(Terminal(as_json=False), models.find(None)) == 1
    out = capsys.readouterr().out
    assert out.count("  NO ") == 1
    assert "  NO  the backup as a whole refuses to open" in out
    assert "1 claim did not hold" in out
    assert "Your turn" not in out


@with_four
def test_control_where_nothing_is_destroyed_the_demo_says_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from keys.ring import Ring

    monkeypatch.setattr(Ring, "destroy", lambda *_: None)
    assert demo.run(Terminal(as_json=False), models.find(None)) == 1
    out = capsys.readouterr().out
    assert re.search(r"^  NO  restore: .* of the forgotten one do not open", out, re.MULTILINE)
    assert "  NO  erased in" in out


def test_without_samples_it_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "SAMPLES", tmp_path / "none")
    with pytest.raises(NotFound, match="checkout"):
        demo.run(Terminal(as_json=False), ROOT)

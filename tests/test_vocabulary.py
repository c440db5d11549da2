"""A limited vocabulary: what is taken of a file, what a model refuses, and what it is good for."""

import json
import time
from pathlib import Path

import pytest

from pipeline import models, vocabulary
from pipeline.assistant.understand import understand
from pipeline.errors import Refused
from pipeline.model import RATE_HZ
from pipeline.recognise import Loaded, load
from tests.commandline import ROOT, Shell
from tests.test_recognise import error_rate, samples, sound, text

SPOKEN = [path for path in samples() if path.with_suffix(".txt").read_text().strip()]
LINES = [line for path in SPOKEN for line in path.with_suffix(".txt").read_text().splitlines()]


def test_a_file_is_read_line_by_line_as_it_is_spoken(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(
        "\ufeff# kitchen\n\nTurn on  the light!\nturn on the light\n “Stop”, please.\n…\n"
    )
    assert vocabulary.vocabulary(str(path)) == ("turn on the light", "stop please")
    assert vocabulary.vocabulary(None) == ()


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n...\n", b"caf\xe9\n"])
def test_a_file_without_sentences_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    with pytest.raises(Refused, match=r"words\.txt"):
        vocabulary.vocabulary(str(path))


def test_the_assistants_sentences_are_most_of_them_understood_and_the_same_each_time() -> None:
    found = vocabulary.vocabulary("assistant")
    assert found == vocabulary.vocabulary("assistant")
    assert len(found) > 1000
    assert "delete what i just said" in found or any("just said" in it for it in found)
    drawn = found[:: len(found) // 200]
    understood = sum(understand(it) is not None for it in drawn)
    print(f"{understood} of {len(drawn)} sentences drawn are understood")
    assert understood > len(drawn) * 0.6
    assert not any("sit timer" in it for it in found)  # what is misheard is none of them


def measured(title: str, recogniser: Loaded) -> tuple[float, float]:
    """Returns the word error rate on the samples, and the share of a core."""
    sounds = [sound(path) for path in SPOKEN]
    started = time.process_time()
    texts = [text(recogniser.recognise(pcm)) for pcm in sounds]
    busy = (time.process_time() - started) * RATE_HZ / sum(map(len, sounds))
    print(f"\n{title}: {busy:.1%} of a core")
    expected = [path.with_suffix(".txt").read_text() for path in SPOKEN]
    return error_rate(title, list(zip(expected, texts, strict=True))), busy


@pytest.mark.model
def test_knowing_the_sentences_costs_less_and_errs_less() -> None:
    model = models.find(None)
    errors, busy = measured("whatever is said", load(model))
    fewer, less = measured("the sentences of the samples", load(model, LINES))
    assert fewer == 0
    assert fewer <= errors
    assert less < busy / 2


@pytest.mark.model
def test_nothing_but_its_words_is_heard() -> None:
    recogniser = load(models.find(None), LINES[:2])
    known = {word for line in LINES[:2] for word in line.split()}
    partials: list[str] = []
    for path in SPOKEN[:6]:
        heard = text(recogniser.recognise(sound(path), partials.append))
        assert set(heard.split()) <= known
    assert set(" ".join(partials).split()) <= known
    unlimited = text(load(models.find(None)).recognise(sound(SPOKEN[5])))
    assert not set(unlimited.split()) <= known


@pytest.mark.model
def test_words_that_the_model_does_not_know_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    lines = ["turn on the xyzzyq", "qwrtz", *(f"zq{n}q" for n in range(20))]
    with pytest.raises(Refused, match=r"found 22 .*: xyzzyq, qwrtz, .*, …; write"):
        load(models.find(None), lines)
    assert capfd.readouterr() == ("", "")


def test_a_model_with_a_fixed_graph_cannot_be_limited(tmp_path: Path) -> None:
    for name in ("HCLG.fst", "HCLr.fst"):
        (tmp_path / name / "graph").mkdir(parents=True)
        (tmp_path / name / "graph" / name).touch()
    assert not models.can_be_limited(tmp_path / "HCLG.fst")
    assert models.can_be_limited(tmp_path / "HCLr.fst")


@pytest.mark.model
def test_files_are_heard_with_it(tmp_path: Path) -> None:
    home, words = tmp_path / "home", tmp_path / "words.txt"
    home.mkdir()
    words.write_text("\n".join(LINES[:2]))
    shell = Shell(home, {"ANECHOIC_MODEL": str(models.find(None))})
    pizza = ROOT / "samples" / "06-pizza.wav"
    done = shell("--json", "ingest", pizza, SPOKEN[0], "--vocabulary", words, "--jobs", "2")
    assert done.code == 0, done.err
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert rows[-1]["text"] == LINES[0]
    assert not any("pizza" in row["text"] for row in rows)
    words.write_text("xyzzyq")
    done = shell("ingest", SPOKEN[0], "--vocabulary", words)
    assert (done.code, "xyzzyq" in done.err) == (2, True)
    assert shell("ingest", SPOKEN[0], "--vocabulary", tmp_path / "none").code == 3

"""The command `search`: words as they are typed, in arguments or, so that no list has them, read.

And several processes at one index: one seals, one indexes, one forgets, one searches.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import indexing
from pipeline.artefact import INDEX
from pipeline.audit import audit
from pipeline.session import acting, open_vault
from tests.commandline import ROOT, Shell, plain
from tests.household import clock, make, reopen, say
from tests.test_index import assert_exact, damage

SAID = ("turn on the light", "the doctor said my blood pressure is high", "pressure in the tyres")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pressure"], [2, 1]),
        (["blood", "pressure"], [1]),
        (["pressure blood"], [1]),
        (['"pressure blood"'], []),
        (['"blood pressure"'], [1]),
        (["press*"], [2, 1]),
        (["THE", '"is high"'], [1]),
        (["press"], []),
        (["pressure", "--limit", "1"], [2]),
    ],
)
def test_words_phrases_beginnings(shell: Shell, words: list[str], found: list[int]) -> None:
    ids = shell.say(*SAID)
    rows = shell.json("search", *words)
    assert [row["interaction"] for row in rows] == [ids[n] for n in found]
    assert all(row["snippet"].strip("… ") in row["text"] for row in rows)


def test_the_words_may_come_by_standard_input(shell: Shell) -> None:
    ids = shell.say(*SAID)
    done = shell("--json", "search", "-", stdin='"blood pressure"\n')
    assert [row["interaction"] for row in done.json] == [ids[1]]
    assert shell("--json", "search", "-", stdin="").json == []


def test_a_person_sees_the_words_around_the_hit(shell: Shell) -> None:
    shell.say(" ".join(f"w{n}" for n in range(40)) + " zanzibar " + "and so on " * 9)
    code, screen = shell.on_a_terminal("search", "zanzibar", columns=200)
    assert code == 0
    assert "… w34 w35 w36 w37 w38 w39 zanzibar and so on and so on …" in plain(screen)


def test_a_damaged_segment_is_remarked_on_once(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "TAIL", 2)
    ids = shell.say(*SAID)
    vault = open_vault(shell.vault, shell.anchors, bytearray)
    indexing.keep_up(vault)
    with acting(vault):
        (owner,) = vault.owned(INDEX)
    damage(vault, owner, whole=False)
    done = shell("--json", "search", "pressure")
    assert [row["interaction"] for row in done.json] == ids[:0:-1]
    assert "1 segment of the search index could not be read" in done.err
    again = shell("--json", "search", "pressure")
    assert (again.json, again.err) == (done.json, "")


CHILD = """
import json, sys
from pathlib import Path
from pipeline import indexing
from pipeline.history import matching
from pipeline.session import acting
from tests.household import clock, forget, reopen, say
from keys.errors import Busy

def patiently(act, *given):
    while True:
        try:
            return act(*given)
        except Busy:  # on a machine with much else to do; nothing was done
            continue

def words(vault):
    with acting(vault, clock):
        return [row.text for row in matching(vault, ["word"])]

indexing.TAIL, indexing.FAN, indexing.MOST = 2, 2, 8
act, base, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
vault = reopen(base)
for n in range(rounds):
    told = []
    if act in {"say", "forget"}:
        (it,) = patiently(say, vault, f"{act} word {n}")
        told = [it.hex()]
    if act == "forget":
        patiently(forget, vault, it)
    if act == "index":
        patiently(indexing.keep_up, vault, clock)
    if act == "search":
        told = patiently(words, vault)
    print(json.dumps(told), flush=True)
"""
ROUNDS = 8


def run(act: str, base: Path) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, act, str(base), str(ROUNDS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_sealing_indexing_forgetting_and_searching_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "TAIL", 2)
    say(make(tmp_path), "a word from the start")
    acts = ("say", "forget", "index", "index", "search")
    with ThreadPoolExecutor(len(acts)) as pool:
        told = list(pool.map(lambda act: run(act, tmp_path), acts))
    assert all("a word from the start" in texts for texts in told[4])
    vault = reopen(tmp_path)
    with acting(vault, clock):
        assert {it.hex() for it in vault.interactions()} >= {it for (it,) in told[0]}
        assert len(list(vault.interactions())) == 1 + ROUNDS
        assert audit(vault).problems == []
    assert_exact(vault)
    indexing.keep_up(vault, clock)
    assert_exact(vault)

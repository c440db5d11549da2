"""Several processes at one vault: nothing is lost, nothing revived, and every wait ends.

Real processes on a real disk. One that cannot get the vault says so after its wait, and exits 6.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keys.durable import RealDisk
from keys.errors import Busy
from keys.model import Epoch, InteractionId
from keys.pages import Intent
from keys.root import FreshRoot, Roots
from pipeline import cli
from pipeline.audit import audit
from pipeline.errors import Refused
from pipeline.session import acting, create_vault, now
from pipeline.vault import Vault
from tests.household import assert_whole, clock, forget, make, reopen, say

ROOT = Path(__file__).parent.parent
ROUNDS = 12
WAIT_S = 60.0

# Each line that a process prints is what it was told: what it sealed, what it saw, what it erased.
CHILD = """
import json, sys
from pathlib import Path
from tests.household import forget, reopen, say, clock
from pipeline.history import Filter, rows
from pipeline.session import acting

act, base, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
vault = reopen(base)
for n in range(rounds):
    if act == "list":
        with acting(vault, clock):
            told = [row.text for row in rows(vault, Filter())]
    else:
        text = f"{act} number {n}"
        (interaction,) = say(vault, text)
        if act == "forget":
            forget(vault, interaction)
        told = [interaction.hex(), text]
    print(json.dumps([act, told]), flush=True)
"""


def run(act: str, base: Path) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, act, str(base), str(ROUNDS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line)[1] for line in done.stdout.splitlines()]


def test_sealing_forgetting_and_listing_at_once(tmp_path: Path) -> None:
    (first,) = say(make(tmp_path), "there from the start")
    acts = ("seal", "seal", "forget", "list")
    started = time.monotonic()
    with ThreadPoolExecutor(len(acts)) as pool:
        told = list(pool.map(lambda act: run(act, tmp_path), acts))
    assert time.monotonic() - started < WAIT_S
    sealed = {InteractionId(bytes.fromhex(i)): text for i, text in told[0] + told[1]}
    vault = reopen(tmp_path)
    with acting(vault, clock):
        assert set(vault.interactions()) == {first, *sealed}
        for interaction, text in sealed.items():
            assert_whole(vault, interaction, text)
        assert_whole(vault, first, "there from the start")
        assert audit(vault).problems == []
    assert len(sealed) == 2 * ROUNDS
    assert len(list(vault.receipts.iterdir())) == len(told[2]) == ROUNDS
    assert all("there from the start" in texts for texts in told[3])


def test_a_process_that_was_passed_by_sees_what_the_other_did(tmp_path: Path) -> None:
    """An object that holds an old epoch of the ring, and an old end of the log, catches up."""
    one = make(tmp_path)
    other = reopen(tmp_path)
    first, second = say(one, "first", "second")
    forget(other, first)
    (third,) = say(one, "third")
    forget(one, second)
    for vault in (one, other):
        with acting(vault, clock):
            assert list(vault.interactions()) == [third]
            assert audit(vault).problems == []


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A vault that another thread holds until the test is over; the lock is by open file."""
    vault, other = make(tmp_path), reopen(tmp_path)
    say(vault, "there from the start")
    holds, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with acting(other, clock):
            holds.set()
            let_go.wait(WAIT_S)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holds.wait(WAIT_S)
    yield tmp_path
    let_go.set()
    thread.join()


def shorten(monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
    monkeypatch.setattr(acting.__wrapped__, "__defaults__", (now, wait_s))  # type: ignore[attr-defined]


def test_who_waits_in_vain_is_told(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch, 0.2)
    started = time.monotonic()
    with pytest.raises(Busy, match="another process"), acting(reopen(held), clock):
        pass
    assert 0.2 <= time.monotonic() - started < 5


@pytest.mark.parametrize("words", [("history",), ("forget", "--last", "--yes"), ("audit",)])
def test_the_command_exits_6(
    held: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shorten(monkeypatch, 0.1)
    monkeypatch.setattr("pipeline.machine.harden", lambda: None)
    monkeypatch.setenv("ANECHOIC_VAULT", str(held / "vault"))
    assert cli.main(words) == 6
    assert "another process" in capsys.readouterr().err


def test_who_is_patient_gets_the_vault(tmp_path: Path) -> None:
    one, other = make(tmp_path), reopen(tmp_path)
    say(one, "there from the start")
    took_s = []

    def wait() -> None:
        started = time.monotonic()
        with acting(other, clock):
            took_s.append(time.monotonic() - started)

    with acting(one, clock):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
    thread.join()
    assert 0.2 < took_s[0] < 5


def test_two_that_make_a_vault_at_once_end_with_one(tmp_path: Path) -> None:
    """Whoever comes second is refused, and clears nothing of the first away."""

    def attempt(_: int) -> str:
        try:
            return make(tmp_path).id.hex()
        except Refused as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    made = [it for it in results if len(it) == 32]
    assert len(made) == 1
    assert all("already" in it for it in results if it not in made)
    vault = reopen(tmp_path)
    assert vault.id.hex() == made[0]
    (only,) = say(vault, "first words")
    assert_whole(vault, only, "first words")


def test_who_looked_before_another_made_the_vault_clears_nothing_away(tmp_path: Path) -> None:
    """The second looks while there is none yet, and comes to the lock when there is one."""

    class Late(RealDisk):
        def names(self, directory: Path) -> list[str]:
            found = super().names(directory)
            if directory == tmp_path / "vault" and not made:
                made.append(make(tmp_path))
                say(made[0], "first words")
            return found

    made: list[Vault] = []
    with pytest.raises(Refused, match="already"):
        create_vault(tmp_path / "vault", tmp_path / "anchors", disk=Late())
    vault = reopen(tmp_path)
    with acting(vault, clock):
        (only,) = vault.interactions()
        assert_whole(vault, only, "first words")


def test_a_rotation_that_another_process_left_half_done_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no intent in the journal, so the state of the first process looks as it was."""
    first = make(tmp_path)
    (one,) = say(first, "first")
    other = reopen(tmp_path)

    def cut_off(self: Roots, fresh: FreshRoot, current: Epoch | None = None) -> None:
        self.write(fresh, current)
        raise KeyboardInterrupt

    monkeypatch.setattr(Roots, "commit", cut_off)
    with pytest.raises(KeyboardInterrupt), acting(other, clock):
        other.ring._rotate(Intent((), b""))
    monkeypatch.undo()
    (two,) = say(first, "second")
    again = reopen(tmp_path)
    with acting(again, clock):
        assert_whole(again, one, "first")
        assert_whole(again, two, "second")

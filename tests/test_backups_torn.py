"""A backup that is made while somebody speaks is good enough: each sealed file in it is whole."""

import contextlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from keys.errors import KeysError
from pipeline.audit import audit
from pipeline.restore import restore
from pipeline.session import acting, open_vault
from tests.backup_home import BLOCKS, ROOT, Home, home
from tests.household import (
    assert_whole,
    clock,
    forget,
    make,
    no_passphrase,
    say,
)

__all__ = ["home"]

VANISHED = {"restic": 3, "borg": 1, "rsync": 24}


# A backup that is made while somebody speaks

WRITER = """
import sys
from pathlib import Path
from pipeline.session import open_vault
from tests.household import forget, no_passphrase, say

vault = open_vault(Path(sys.argv[1]), Path(sys.argv[2]), no_passphrase)
for n in range(100_000):
    (it,) = say(vault, f"said meanwhile, number {n}")
    if n % 2:
        forget(vault, it)
    print(n, flush=True)
"""


@contextlib.contextmanager
def writing(home: Home) -> Iterator[IO[bytes]]:
    """Another process speaks and forgets all the time; it is killed in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home.place), str(home.anchors)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        try:
            yield process.stdout
        finally:
            process.kill()


def test_in_a_copy_made_while_it_is_written_each_sealed_file_is_good(home: Home) -> None:
    ids = home.say("said before", "forgotten before")
    home.forget(ids[1])
    with writing(home) as said:
        for _ in range(4):
            for _ in range(3):
                assert said.readline()
            home.shell(BLOCKS[home.tool, "Every day"], also=VANISHED[home.tool])
            home.days.append({*ids})  # another day
    home.lose_files()
    states, alone = Counter[str](), 0
    for folder in home.taken_out():
        (place,) = (it.parent for it in folder.rglob("vault.json"))
        with acting(home.vault, clock):
            back = list(restore(home.vault, place))
        states.update(row.state for row in back if "/sealed/" in row.name)
        alone += opens_alone(place, home.anchors)
    print(f"{home.tool}: {dict(states)}; {alone} of 4 copies open as a vault of their own")
    assert states.keys() <= {"restored", "present", "erased"}
    assert states["restored"] >= 2 * 3
    with acting(home.vault, clock):
        assert_whole(home.vault, ids[0], home.said[ids[0]])
        assert all("the file is missing" in it for it in audit(home.vault).problems)


def opens_alone(place: Path, anchors: Path) -> bool:
    try:
        with acting(open_vault(place, anchors, no_passphrase), clock):
            return True
    except KeysError:
        return False


@pytest.mark.parametrize("old", ["ring", "log"])
def test_a_torn_copy_is_good_enough(tmp_path: Path, old: str) -> None:
    """Ring or log are of the moment before an erasure, and all else of the one after it."""
    vault, torn = make(tmp_path), tmp_path / "torn"
    texts = ("erased meanwhile", "there before", "said meanwhile")
    ids = say(vault, *texts[:2])
    shutil.copytree(vault.directory / old, tmp_path / "before")
    forget(vault, ids[0])
    ids += say(vault, texts[2])
    shutil.copytree(vault.directory, torn)
    shutil.rmtree(torn / old)
    (tmp_path / "before").rename(torn / old)

    with acting(vault, clock):
        for path in list(vault.paths()):
            path.unlink()
        assert Counter(row.state for row in restore(vault, torn)) == {"restored": 6}
        assert_whole(vault, ids[1], texts[1])
        assert_whole(vault, ids[2], texts[2])
        assert not audit(vault).problems
    assert not is_sound(torn, tmp_path / "anchors")


def is_sound(place: Path, anchors: Path) -> bool:
    """Tells whether a copy opens as a vault, and its audit finds nothing."""
    try:
        with acting(again := open_vault(place, anchors, no_passphrase), clock):
            return not audit(again).problems
    except KeysError:
        return False

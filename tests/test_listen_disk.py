"""Real file systems that fill up, fail or may not be written while somebody speaks.

Capture ends with a reason and a remedy; what was sealed is there once the disk works again.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from keys.errors import StateUnknown
from pipeline import history, models
from pipeline.safekeeping import InVault
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.anchors.images import Image, cut_power, why_not
from tests.commandline import ROOT, Shell
from tests.household import clock
from tests.microphone import virtual_microphone
from tests.parrot import hear, said, silence, voice

SAMPLES = ROOT / "samples"
pytestmark = pytest.mark.anchors


@contextmanager
def in_memory(directory: Path, size: str = "3m") -> Iterator[Path]:
    """Mounts a file system that lies in memory and is full soon."""
    point = directory / "small"
    point.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(point))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)


@contextmanager
def on_ext4(directory: Path) -> Iterator[Path]:
    if reason := why_not("ext4"):
        pytest.skip(reason)
    with Image(directory, "ext4").mounted() as point:
        yield point


def fill(place: Path) -> None:
    """Writes until not one byte more finds room."""
    with open(place / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


def reopened(place: Path, anchors: Path) -> Vault:
    return open_vault(place / "vault", anchors, bytearray)


def seconds(place: Path, anchors: Path) -> list[float]:
    """Returns how long each interaction is, newest first; all of them were cut off."""
    vault = reopened(place, anchors)
    with acting(vault, clock):
        rows = list(history.rows(vault, history.Filter()))
    assert all(row.meta.truncated for row in rows)
    return [row.seconds for row in rows]


Script = Callable[[Callable[[], None]], list[object]]
SCRIPTS: dict[str, tuple[Script, float]] = {
    "in the middle": (lambda act: [*voice(0, 2), act, *voice(0, 3), *silence(1)], 2.0),
    "at its end": (lambda act: [*voice(0, 2.5), act, *silence(1)], 2.4),
    "before it": (lambda act: [*silence(2), act, *silence(2), *voice(0, 3), *silence(1)], 0.0),
}


@pytest.mark.parametrize("place", [in_memory, on_ext4])
@pytest.mark.parametrize("when", SCRIPTS)
def test_a_full_disk_ends_it_with_a_remedy_and_keeps_what_was_sealed(
    tmp_path: Path, place: Callable[[Path], AbstractContextManager[Path]], when: str
) -> None:
    script, sealed_s = SCRIPTS[when]
    anchors = tmp_path / "anchors"
    with place(tmp_path) as disk:
        create_vault(disk / "vault", anchors)
        with pytest.raises(StateUnknown, match=r"No space left.*expected room.*make some"):
            hear(InVault(reopened(disk, anchors)), *script(lambda: fill(disk)))
        (disk / "filler").unlink()
        found = seconds(disk, anchors)
        assert len(found) == bool(sealed_s)
        assert all(sealed_s - 0.9 <= it <= sealed_s + 0.3 for it in found)
        assert len(said(hear(InVault(reopened(disk, anchors)), *voice(1, 1), *silence(1)))) == 1


def test_without_the_disk_filling_up_nothing_ends_it(tmp_path: Path) -> None:
    with in_memory(tmp_path) as disk:
        create_vault(disk / "vault", tmp_path / "anchors")
        script, _ = SCRIPTS["in the middle"]
        keeper = InVault(reopened(disk, tmp_path / "anchors"))
        assert len(said(hear(keeper, *script(lambda: None)))) == 1


def test_a_disk_that_fails_ends_it_and_keeps_what_was_synced(tmp_path: Path) -> None:
    if reason := why_not("ext4"):
        pytest.skip(reason)
    anchors, image = tmp_path / "anchors", Image(tmp_path, "ext4")
    script, sealed_s = SCRIPTS["in the middle"]
    with image.mounted() as disk:
        create_vault(disk / "vault", anchors)
        with pytest.raises(StateUnknown, match=r"(expected a disk that|Read-only).*, then run"):
            hear(InVault(reopened(disk, anchors)), *script(lambda: cut_power(disk)))
    with image.mounted() as disk:
        (found,) = seconds(disk, anchors)
        assert sealed_s - 1.0 <= found <= sealed_s


def test_a_vault_that_may_not_be_written_is_told_of_before_anybody_speaks(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with in_memory(tmp_path) as disk:
        shell = Shell(home, {"ANECHOIC_VAULT": str(disk / "vault")})
        assert shell("init").code == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        done = shell("history")
        assert done.code == 1
        assert "Read-only file system; name a place that can be written" in done.err


@pytest.mark.microphone
@pytest.mark.model
@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_whoever_listens_is_told_and_the_microphone_is_off(
    tmp_path: Path, *, on_a_terminal: bool
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with in_memory(tmp_path, "6m") as disk, virtual_microphone(tmp_path / "sound") as microphone:
        variables = {"ANECHOIC_MODEL": str(models.find(None)), "ANECHOIC_VAULT": f"{disk}/vault"}
        shell = Shell(home, {**microphone.variables, **variables})
        shell("init")

        def speak() -> None:
            time.sleep(5)
            sound = microphone.playing(SAMPLES / "12-sister.wav")
            time.sleep(2.5)
            fill(disk)
            sound.wait()

        speaker = threading.Thread(target=speak)
        speaker.start()
        if on_a_terminal:
            code, told = shell.on_a_terminal("listen")
        else:
            done = shell("listen")
            code, told = done.code, done.err
        speaker.join()
        assert code == 1
        assert "No space left on device; expected room" in " ".join(told.split())
        assert "Traceback" not in told
        (disk / "filler").unlink()
        (row,) = shell.json("history")
        assert row["seconds"] > 0.7

"""How anchors are named on the command line, and what a vault with several of them does."""

from pathlib import Path

import pytest

from keys.anchor import Level
from keys.durable import RealDisk
from keys.errors import AnchorFailure
from keys.model import Epoch, VaultId
from keys.secret import Secret
from pipeline.anchors import format_spec, level_of, parse_spec, ways_of
from pipeline.errors import Refused
from pipeline.session import acting, create_vault, open_vault
from tests.household import assert_whole, clock, no_passphrase, say


@pytest.mark.parametrize(
    ("spec", "ways"),
    [
        ("file", (("file",),)),
        ("file+tpm", (("file", "tpm"),)),
        ("file | keyring", (("file",), ("keyring",))),
        ("file+tpm|file:/media/usb", (("file", "tpm"), ("file:/media/usb",))),
    ],
)
def test_a_specification_is_read_and_written(spec: str, ways: tuple[tuple[str, ...], ...]) -> None:
    assert parse_spec(spec) == ways
    assert parse_spec(format_spec(ways)) == ways


@pytest.mark.parametrize("spec", ["", "usb", "file+", "|file", "file:", "keyring:x", "file|file"])
def test_what_names_no_anchor_is_refused(spec: str) -> None:
    with pytest.raises(Refused, match="--anchor"):
        parse_spec(spec)


def test_a_folder_is_kept_by_its_whole_path() -> None:
    assert format_spec(parse_spec("file:usb")) == f"file:{Path('usb').absolute()}"


def test_two_files_have_two_names_and_no_path_in_them(tmp_path: Path) -> None:
    ways = ways_of(f"file|file:{tmp_path}", RealDisk(), tmp_path / "a", VaultId(bytes(16)))
    names = [anchor.name for way in ways for anchor in way]
    assert names[0] == "file"
    assert names[1].startswith("file-")
    assert tmp_path.name not in names[1]


class Rated:
    def __init__(self, letter: str) -> None:
        self.name, self._letter = letter, letter

    def level(self) -> Level:
        return Level(self._letter, "a test")

    def shares(self) -> dict[Epoch, Secret]:
        return {}

    def write(self, epoch: Epoch, share: Secret) -> None:
        raise NotImplementedError

    def wipe(self, keep: Epoch) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError


def test_the_level_is_the_best_of_the_worst_way() -> None:
    assert level_of([(Rated("A"), Rated("E"))]).letter == "A"
    assert level_of([(Rated("A"),), (Rated("D"), Rated("E"))]).letter == "D"


def test_a_vault_opens_with_either_of_two_anchors(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    vault = create_vault(tmp_path / "vault", here, f"file|file:{there}")
    (only,) = say(vault, "heard with two anchors")
    (here / f"{vault.id.hex()}.share").unlink()
    again = open_vault(tmp_path / "vault", here, no_passphrase)
    with acting(again, clock):
        assert_whole(again, only, "heard with two anchors")
    (there / f"{vault.id.hex()}.share").unlink()
    last = open_vault(tmp_path / "vault", here, no_passphrase)
    with pytest.raises(AnchorFailure), acting(last, clock):
        pass


def test_a_vault_that_needs_both_does_not_open_with_one(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    vault = create_vault(tmp_path / "vault", here, f"file+file:{there}")
    say(vault, "heard with two anchors")
    (there / f"{vault.id.hex()}.share").unlink()
    again = open_vault(tmp_path / "vault", here, no_passphrase)
    with pytest.raises(AnchorFailure), acting(again, clock):
        pass


@pytest.mark.parametrize(
    "spec", ["file:{}/vault/a", "file|file:{}/anchors", "file+file:{}/b/../anchors"]
)
def test_a_new_vault_has_its_anchors_apart(tmp_path: Path, spec: str) -> None:
    """In the vault every copy would carry the share; in one folder nothing could be erased."""
    with pytest.raises(Refused, match="anchor"):
        create_vault(tmp_path / "vault", tmp_path / "anchors", spec.format(tmp_path))
    assert not (tmp_path / "vault" / "vault.json").exists()


def test_a_file_anchor_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    vault = create_vault(tmp_path / "vault", here, f"file|file:{there}")
    (only,) = say(vault, "heard with two anchors")
    share = there / f"{vault.id.hex()}.share"
    share.unlink()
    share.mkdir()
    again = open_vault(tmp_path / "vault", here, no_passphrase)
    with acting(again, clock):
        assert_whole(again, only, "heard with two anchors")

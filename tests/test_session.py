"""Making and opening vaults: passphrases, old copies, missing anchors, things in the way."""

import json
import shutil
from pathlib import Path

import pytest

from keys.errors import AnchorFailure, Malformed, StateUnknown, Tampered
from pipeline import passphrase
from pipeline.audit import audit
from pipeline.errors import Refused
from pipeline.session import acting, create_vault, exists, open_vault
from pipeline.vault import Vault
from tests.household import (
    assert_whole,
    clock,
    forget,
    house_disk,
    make,
    no_passphrase,
    reopen,
    say,
)

WORDS = "the safe is behind the painting"


def assert_refused(base: Path, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as raised, acting(reopen(base), clock):
        pass
    assert not any(word in str(raised.value) for word in ("safe", "behind", "painting"))


def opened(base: Path, passphrase: bytes) -> Vault:
    return open_vault(base / "vault", base / "anchors", lambda: bytearray(passphrase))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with little memory: what is tested is who opens, not for how long."""
    monkeypatch.setattr(passphrase, "_MEMORY_KIB", 64)


def test_a_vault_is_private_to_its_user(tmp_path: Path) -> None:
    say(make(tmp_path), WORDS)
    for path in (tmp_path / "vault").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.usefixtures("quick")
def test_the_passphrase_opens_and_no_other_does(tmp_path: Path) -> None:
    (only,) = say(make(tmp_path, passphrase=bytearray(b"right")), WORDS)
    with acting(vault := opened(tmp_path, b"right"), clock):
        assert_whole(vault, only, WORDS)
        assert audit(vault).problems == []
    with (
        pytest.raises(AnchorFailure, match="passphrase is wrong"),
        acting(opened(tmp_path, b"wrong"), clock),
    ):
        pass
    with pytest.raises(AnchorFailure, match="none was given"):
        opened(tmp_path, b"")


@pytest.mark.usefixtures("quick")
def test_a_passphrase_taken_off_the_label_does_not_open(tmp_path: Path) -> None:
    """`vault.json` lies in clear: whoever changes it gets nothing."""
    say(make(tmp_path, passphrase=bytearray(b"right")), WORDS)
    relabel(tmp_path, passphrase_salt=None)
    assert_refused(tmp_path, AnchorFailure, "passphrase")


@pytest.mark.usefixtures("quick")
def test_forgetting_under_a_passphrase(tmp_path: Path) -> None:
    vault = make(tmp_path, passphrase=bytearray(b"right"))
    only, other = say(vault, WORDS, "another")
    forget(vault, only)
    with acting(again := opened(tmp_path, b"right"), clock):
        assert list(again.interactions()) == [other]


def test_no_passphrase_is_asked_for_where_there_is_none(tmp_path: Path) -> None:
    make(tmp_path)

    def ask() -> bytearray:
        raise AssertionError

    open_vault(tmp_path / "vault", tmp_path / "anchors", ask)


def test_an_old_copy_of_a_vault_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    vault = make(tmp_path)
    only, _ = say(vault, WORDS, "another")
    shutil.copytree(vault.directory, tmp_path / "old" / "vault")
    forget(vault, only)
    shutil.copytree(tmp_path / "anchors", tmp_path / "old" / "anchors")
    assert_refused(tmp_path / "old", AnchorFailure, "dead for ever; put the current one back")


def test_without_its_anchor_a_vault_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    say(make(tmp_path), WORDS)
    shutil.rmtree(tmp_path / "anchors")
    assert_refused(tmp_path, AnchorFailure, "ANECHOIC_ANCHOR_DIR")
    assert not (tmp_path / "anchors").exists()


def test_the_anchor_of_another_vault_refuses(tmp_path: Path) -> None:
    say(make(tmp_path), WORDS)
    other = make(tmp_path / "elsewhere")
    (mine,) = (tmp_path / "anchors").iterdir()
    (theirs,) = (tmp_path / "elsewhere" / "anchors").iterdir()
    shutil.copy(theirs, mine)
    assert other.id.hex() in theirs.name
    assert_refused(tmp_path, AnchorFailure, "another vault")


def test_an_anchor_wiped_to_zeros_refuses(tmp_path: Path) -> None:
    say(make(tmp_path), WORDS)
    (mine,) = (tmp_path / "anchors").iterdir()
    mine.write_bytes(bytes(mine.stat().st_size))
    assert_refused(tmp_path, AnchorFailure, "anchor")


def test_a_second_vault_in_the_same_place_is_refused(tmp_path: Path) -> None:
    (only,) = say(make(tmp_path), WORDS)
    with pytest.raises(Refused, match="already"):
        make(tmp_path)
    with acting(vault := reopen(tmp_path), clock):
        assert_whole(vault, only, WORDS)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(Refused, match=r"holiday\.jpg"):
        make(tmp_path)
    assert [path.name for path in (tmp_path / "vault").iterdir()] == ["holiday.jpg"]
    assert not (tmp_path / "anchors").exists()


def test_an_anchor_of_an_unknown_kind_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"--anchor.*paper"):
        create_vault(tmp_path / "vault", tmp_path / "anchors", "paper")
    assert not (tmp_path / "vault").exists()


def test_no_vault_is_not_an_empty_one(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    with pytest.raises(Refused, match="anechoic init"):
        reopen(tmp_path)


@pytest.mark.parametrize("number", range(3, 31, 4))
def test_a_creation_that_failed_is_cleared_away_by_the_next(tmp_path: Path, number: int) -> None:
    disk = house_disk(tmp_path)
    disk.fail_at = number
    with pytest.raises(StateUnknown):
        make(tmp_path, disk)
    assert not exists(tmp_path / "vault", disk)
    vault = make(tmp_path, disk)
    (only,) = say(vault, WORDS)
    with acting(again := reopen(tmp_path, disk), clock):
        assert_whole(again, only, WORDS)
        assert audit(again).problems == []


def relabel(base: Path, **changes: object) -> None:
    path = base / "vault" / "vault.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "anechoic-vault/9"},
        {"anchor": "paper"},
        {"vault": "abc"},
        {"vault": 7},
        {"passphrase_salt": "zz"},
        {"passphrase_salt": 7},
        {"more": 1},
    ],
)
def test_a_label_that_is_damaged_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    make(tmp_path)
    relabel(tmp_path, **changes)
    with pytest.raises(Malformed):
        reopen(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 1}'])
def test_a_label_that_is_no_label_is_refused(tmp_path: Path, content: bytes) -> None:
    make(tmp_path)
    (tmp_path / "vault" / "vault.json").write_bytes(content)
    with pytest.raises(Malformed):
        reopen(tmp_path)


def test_the_label_of_another_vault_refuses(tmp_path: Path) -> None:
    say(make(tmp_path), WORDS)
    make(tmp_path / "elsewhere")
    other = json.loads((tmp_path / "elsewhere" / "vault" / "vault.json").read_text())
    relabel(tmp_path, vault=other["vault"])
    shutil.copytree(tmp_path / "elsewhere" / "anchors", tmp_path / "anchors", dirs_exist_ok=True)
    with pytest.raises((AnchorFailure, Tampered)), acting(reopen(tmp_path), clock):
        pass


def test_a_relative_directory_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vault = create_vault(Path("deep/vault"), Path("deep/anchors"))
    (only,) = say(vault, WORDS)
    again = open_vault(tmp_path / "deep/vault", tmp_path / "deep/anchors", no_passphrase)
    with acting(again, clock):
        assert_whole(again, only, WORDS)


def test_an_act_that_fails_lets_the_vault_go(tmp_path: Path) -> None:
    vault = make(tmp_path)
    with pytest.raises(ZeroDivisionError), acting(vault, clock):
        _ = 1 / 0
    with acting(reopen(tmp_path), clock):
        pass

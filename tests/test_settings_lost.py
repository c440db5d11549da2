"""Settings that are missing or damaged: nothing comes in, nothing falls due, all else goes on.

The controls: with the settings as they were, the same time erases, and the same words come in; and
an act that takes what does not open for no settings lets in what a child said.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from keys.sealed import HEADER_SIZE
from pipeline import agenda, retention, settingsfile, write, wyoming_door
from pipeline.artefact import SETTINGS
from pipeline.audit import audit
from pipeline.errors import Refused, SettingsLost
from pipeline.restore import restore
from pipeline.session import acting
from pipeline.settings import DAY_S, Settings
from pipeline.vault import Artefact
from tests.commandline import Shell
from tests.household import forget
from tests.retention_home import CHILD, LIGHT, Home, home

__all__ = ["home"]

Damage = Callable[[Path, bytes], object]
DAMAGES: dict[str, Damage] = {
    "missing": lambda path, _: path.unlink(),
    "empty": lambda path, _: path.write_bytes(b""),
    "cut in the header": lambda path, data: path.write_bytes(data[: HEADER_SIZE // 2]),
    "cut after the header": lambda path, data: path.write_bytes(data[:HEADER_SIZE]),
    "cut": lambda path, data: path.write_bytes(data[:-1]),
    "longer": lambda path, data: path.write_bytes(data + b"\0"),
    "flipped": lambda path, data: path.write_bytes(flipped(data, len(data) - 1)),
    "zeros": lambda path, data: path.write_bytes(bytes(len(data))),
    "another's name": lambda path, _: path.rename(path.with_name("00" * 16 + path.name[32:])),
}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def sealed(home: Home) -> Artefact:
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    return artefact


def problems(home: Home) -> list[str]:
    with acting(home.vault, home.time):
        return audit(home.vault).problems


@pytest.mark.parametrize("how", DAMAGES)
def test_nothing_comes_in_or_falls_due_and_the_good_file_heals(home: Home, how: str) -> None:
    home.child()
    home.wish(words="1d")
    old, other = home.must_say(LIGHT), home.must_say(LIGHT)
    path, data = sealed(home).path, sealed(home).path.read_bytes()
    DAMAGES[how](path, data)
    assert home.after(5 * DAY_S).keys() == {old, other}
    for profile in ("default", CHILD):
        with pytest.raises(SettingsLost, match=r"restore COPY.*retention set --anew"):
            home.say(LIGHT, profile)
    forget(home.vault, other)
    assert home.living().keys() == {old}
    assert any("the settings of this vault are" in it for it in problems(home))
    for stray in path.parent.glob("*.settings"):
        stray.unlink()
    path.write_bytes(data)
    assert home.after() == {}  # what fell due meanwhile is erased at the next act
    assert home.say(LIGHT)
    assert problems(home) == []


def test_no_byte_of_a_header_that_is_another_stops_anything(home: Home) -> None:
    """Whatever it then says of owner, slot and kind: also that of somebody else's living slot."""
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    path, data = sealed(home).path, sealed(home).path.read_bytes()
    home.time.s += 2 * DAY_S
    for at in range(HEADER_SIZE):
        path.write_bytes(flipped(data, at))
        assert home.after().keys() == {it}, at
        with pytest.raises(SettingsLost):
            home.say(LIGHT)
    path.write_bytes(data)
    assert home.after() == {}


def test_settings_of_another_form_are_not_guessed_at(home: Home) -> None:
    """As of a later version: that they open does not mean that anybody knows what they say."""
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    with acting(home.vault, home.time):
        write.own(home.vault, SETTINGS, b'{"limits": {"words_s": 1}}')
    assert home.after(2 * DAY_S).keys() == {it}
    with pytest.raises(SettingsLost):
        home.say(LIGHT)


def test_taking_what_does_not_open_for_none_lets_a_child_in(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what a careless reader of settings would do is seen by the tests above."""
    home.child(consent=None)
    assert home.say(LIGHT, CHILD) is None
    path, data = sealed(home).path, sealed(home).path.read_bytes()
    path.write_bytes(flipped(data, len(data) - 1))
    (home.vault.directory / agenda.FILE).unlink()
    monkeypatch.setattr(settingsfile, "lying", lambda _: None)
    assert home.say(LIGHT, CHILD)


@pytest.mark.parametrize("how", DAMAGES)
def test_settings_are_begun_anew_where_no_copy_has_them(
    home: Home, tmp_path: Path, how: str
) -> None:
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    artefact = sealed(home)
    copy, data = tmp_path / "copy" / artefact.path.name, artefact.path.read_bytes()
    copy.parent.mkdir()
    copy.write_bytes(data)
    DAMAGES[how](artefact.path, data)
    with acting(home.vault, home.time):
        retention.begin_anew(home.vault, home.time)
    assert home.say(LIGHT)
    assert not home.vault.ring.is_live(artefact.slot)
    for stray in artefact.path.parent.glob(f"{'00' * 16}*"):
        stray.unlink()  # the audit named it
    assert problems(home) == []
    with acting(home.vault, home.time):
        assert [row.state for row in restore(home.vault, copy.parent)] == ["erased"]
    assert it in home.living()
    assert it not in home.after(DAY_S)  # by the limits that were sealed with it


def test_settings_that_can_be_read_are_not_begun_anew(home: Home) -> None:
    for wish in (None, "1d"):
        if wish:
            home.wish(words=wish)
        with acting(home.vault, home.time), pytest.raises(Refused, match="can be read"):
            retention.begin_anew(home.vault, home.time)
    with acting(home.vault, home.time):
        assert retention.settings_of(home.vault, home.time) != Settings()


def test_beginning_anew_that_is_cut_off_is_completed(home: Home) -> None:
    home.wish(words="1d")
    artefact = sealed(home)
    artefact.path.write_bytes(flipped(artefact.path.read_bytes(), artefact.size - 1))
    with pytest.MonkeyPatch.context() as patch, acting(home.vault, home.time):
        patch.setattr(retention, "_retire_others", lambda *_: None)
        patch.setattr(settingsfile, "delete", lambda *_: None)
        retention.begin_anew(home.vault, home.time)
    assert home.say(LIGHT)
    assert not home.vault.ring.is_live(artefact.slot)
    assert problems(home) == []


def test_a_service_says_why_it_stores_nothing_and_does_not_end(home: Home) -> None:
    home.wish(words="1d")
    assert wyoming_door._why_nothing(home.vault, "default") is None
    sealed(home).path.unlink()
    assert "missing" in str(wyoming_door._why_nothing(home.vault, "default"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "home").mkdir()
    return Shell(tmp_path / "home")


def test_every_other_command_goes_on(shell: Shell) -> None:
    shell.say("why does the moon follow us")
    shell.json("retention", "set", "--words", "30d")
    (it,) = (row["interaction"] for row in shell.json("history"))
    (path,) = shell.vault.glob("sealed/own/*.settings")
    copy, data = shell.home / "copy", path.read_bytes()
    copy.mkdir()
    (copy / path.name).write_bytes(data)
    path.write_bytes(flipped(data, len(data) - 1))
    assert shell.json("search", "moon")[0]["interaction"] == it
    assert shell.json("show", it)["interaction"] == it
    assert shell.json("report")["held"][0]["words"] == "unknown"
    assert shell.json("forget", it, "--yes", "--dry-run")
    named = {"audit": 5, "doctor": 1, "retention show": 5, "profile list": 5, "ask": 5}
    for command, code in named.items():
        done = shell(*command.split(), stdin="set a timer for one minute\n")
        assert done.code == code, command
        assert "the settings of this vault" in " ".join((done.out + done.err).split()), command
    assert shell("verify", str(shell.json("forget", it, "--yes")["receipt"])).code == 0
    assert shell("restore", str(copy)).code == 0
    assert shell("audit").code == 0
    assert shell.json("retention", "show")["words"] == "30d"


def test_they_are_begun_anew_from_the_command_line(shell: Shell) -> None:
    shell.json("retention", "set", "--words", "30d")
    assert shell("retention", "set", "--anew").code == 2
    (path,) = shell.vault.glob("sealed/own/*.settings")
    path.unlink()
    assert shell("retention", "set", "--words", "1d").code == 5
    assert shell("retention", "set", "--words", "1d", "--anew").code == 2
    assert shell.json("retention", "set", "--anew")["words"] == "forever"
    assert shell.json("retention", "set", "--words", "1d")["words"] == "1d"
    assert shell("audit").code == 0

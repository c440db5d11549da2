"""Of a child, and of names: what may be captured, and what is in no version of any file.

By looking at every version of every file that was ever written.
"""

from pathlib import Path

import pytest

from keys.errors import Malformed
from keys.sealed import HEADER_SIZE, parse_header
from pipeline import agenda, retention
from pipeline.artefact import ANSWER, AUDIO, META, SETTINGS, TRANSCRIPT, Meta
from pipeline.audit import audit
from pipeline.model import RATE_HZ
from pipeline.profiles import Newcomer, add, remove
from pipeline.safekeeping import InMemory, InVault
from pipeline.session import acting
from pipeline.settings import HOUR_S, Settings
from tests.household import (
    house_disk,
    make,
    parts_of,
    sealed_of,
    thief_of,
)
from tests.retention_home import (
    CHILD,
    LIGHT,
    START,
    Home,
    Time,
    home,
    meta_of,
    sound,
    spoken,
)
from tests.world.adversary import RecordingDisk

__all__ = ["home"]


def test_a_child_without_consent_leaves_nothing_at_all(home: Home) -> None:
    home.child(consent=None)
    entries, slots = home.vault.log.size, home.vault.ring.slot_count
    assert home.say(LIGHT, CHILD) is None
    keeper = InVault(home.vault, home.time)
    keeper.begin(meta_of(home, CHILD))
    keeper.add(sound())
    assert keeper.finish(parts_of(LIGHT, home.time(), CHILD)) is None
    assert (home.vault.log.size, home.vault.ring.slot_count) == (entries, slots)
    assert home.say(LIGHT, "somebody"), "others are stored"


def test_a_child_is_one_however_its_name_is_written(home: Home) -> None:
    home.child()
    it = home.must_say(LIGHT, CHILD.upper())
    assert home.living()[it] == {TRANSCRIPT, META}
    with acting(home.vault, home.time):
        assert Meta.decode(home.vault.read(it, META)).profile == CHILD


def test_what_was_ephemeral_of_a_child_without_consent_cannot_be_kept(home: Home) -> None:
    home.child(consent=None)
    memory = InMemory()
    memory.finish(parts_of(LIGHT, home.time(), CHILD))
    assert memory.keep(home.vault) is None
    assert not home.living()


def is_segment(kind: str) -> bool:
    return kind.startswith("part-")


def kinds_written(disk: RecordingDisk) -> set[str]:
    """The kinds of all sealed files and segments in all versions of all files."""
    found = set()
    for _, data in disk.history:
        try:
            found.add(parse_header(data[:HEADER_SIZE]).label.kind)
        except Malformed:
            continue
    return found


@pytest.mark.parametrize(("profile", "sounds"), [(CHILD, False), ("ada", True)])
def test_the_sound_of_a_child_is_never_written_not_even_sealed(
    tmp_path: Path, *, profile: str, sounds: bool
) -> None:
    """Looks at every version of every file; the control is an adult, of whom it finds sound."""
    disk = RecordingDisk()
    home = Home(make(tmp_path, disk), Time())
    home.child()
    it = spoken(home, profile)
    assert it
    assert home.living()[it] == {TRANSCRIPT, META} | ({AUDIO} if sounds else set())
    sizes = [len(data) for path, data in disk.history if "capture" in path.parts]
    kinds = kinds_written(disk)
    ours = {TRANSCRIPT, META, SETTINGS, agenda.FILE}
    assert kinds >= ours
    assert (AUDIO in kinds, any(map(is_segment, kinds))) == (sounds, sounds)
    assert {kind for kind in kinds if kind != AUDIO and not is_segment(kind)} == ours
    assert (max(sizes) > RATE_HZ) == sounds, "nor in any other form: nothing is long enough"


def test_consent_that_is_withdrawn_while_a_child_speaks_holds(home: Home) -> None:
    keeper = InVault(home.vault, home.time)
    keeper.begin(meta_of(home, CHILD))  # an adult's, so far
    keeper.add(sound())
    home.child(consent=None)
    assert keeper.finish(parts_of(LIGHT, home.time(), CHILD)) is None
    with acting(home.vault, home.time):
        assert not home.living()
        assert home.vault.disk.names(home.vault.capture) == []


def test_parts_of_one_kind_are_all_let_in(home: Home) -> None:
    home.wish(words="1d")
    with acting(home.vault, home.time):
        parts = [*parts_of(LIGHT, home.time()), (ANSWER, b"one"), (ANSWER, b"two")]
        it = retention.create(home.vault, parts, home.time)
    assert it
    kinds = [artefact.kind for artefact in home.vault.artefacts(it)]
    assert sorted(kinds) == sorted([AUDIO, TRANSCRIPT, META, ANSWER, ANSWER])


def test_audio_that_may_be_no_longer_kept_when_it_was_spoken_is_gone(home: Home) -> None:
    keeper = InVault(home.vault, home.time)
    keeper.begin(meta_of(home, "ada"))
    keeper.add(sound())
    home.wish(profile="ada", audio="none")
    it = keeper.finish(parts_of(LIGHT, home.time(), "ada"))
    assert it
    assert home.after() == {it: {TRANSCRIPT, META}}
    assert audit(home.vault).problems == []


def test_nobodys_name_and_no_word_of_the_users_is_in_any_version_of_any_file(
    tmp_path: Path,
) -> None:
    disk = RecordingDisk()
    home = Home(make(tmp_path, disk), Time())
    home.child()
    home.wish(own_words=("xylophone",), sensitive="1h")
    home.say("xylophone", CHILD)
    home.after(HOUR_S)
    home.change(lambda old, _: remove(old, CHILD))
    needles = [word.encode() for word in (CHILD, "xylophone", "Ada")]
    for path, data in disk.history:
        assert not any(needle in data or needle in str(path).encode() for needle in needles)
    assert CHILD.encode() in Settings.encode(add(Settings(), Newcomer(CHILD), START)), "control"


def test_a_name_that_was_removed_opens_for_nobody(tmp_path: Path) -> None:
    """Settings that were replaced are as dead as what was erased; those of now are the control."""
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time())
    home.child()
    (before,) = home.vault.owned(SETTINGS)
    files = sealed_of(home.vault, before)
    home.change(lambda old, _: remove(old, CHILD))
    (after,) = home.vault.owned(SETTINGS)
    now = sealed_of(home.vault, after)
    thief = thief_of(disk, tmp_path / "anchors")
    assert thief.opened(files) == set()
    assert thief.opened(now) == now.keys()

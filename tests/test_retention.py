"""Retention on vaults: what may be captured, and what is erased when its time has come.

The clock is moved by hand. What is erased is checked as for any erasure: gone, with a receipt that
verifies; and of a child's sound, by looking at every version of every file that was ever written.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from keys.errors import Erased, KeysError, Malformed, Tampered
from keys.model import InteractionId
from keys.receipt import CONFIRMED, verify
from keys.sealed import HEADER_SIZE, parse_header
from keys.secret import Secret
from pipeline import agenda, erase, index, retention, write
from pipeline.artefact import ANSWER, AUDIO, INDEX, META, SETTINGS, TRANSCRIPT, Meta
from pipeline.audit import audit
from pipeline.indexing import keep_up
from pipeline.model import RATE_HZ
from pipeline.profiles import Newcomer, Wish, add, remove, set_limits
from pipeline.reckoning import LEAP_S, seconds_of, time_of
from pipeline.restore import restore
from pipeline.safekeeping import InMemory, InVault
from pipeline.session import acting
from pipeline.settings import DAY_S, HOUR_S, MINUTE_S, Settings
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    forget,
    house_disk,
    make,
    parts_of,
    reopen,
    sealed_of,
    settled,
    thief_of,
    words_of,
)
from tests.test_write_crash import Crashes, moments_of
from tests.world.adversary import RecordingDisk
from tests.world.disk import SimulatedDisk
from tests.world.extent import some_of

START = "2026-03-01T09:00:00Z"
LIGHT, ILL = "turn on the light", "my blood pressure is too high"
CHILD = "rumpelstiltskin"
PIPELINE = Path(__file__).parent.parent / "pipeline"


class Time:
    """A clock that is moved by hand."""

    def __init__(self, at: str = START) -> None:
        self.s = seconds_of(at)

    def __call__(self) -> str:
        return time_of(self.s)

    def passes(self, seconds: int) -> None:
        """Moves it on, by less than a leap."""
        assert seconds <= LEAP_S
        self.s += seconds


@dataclass
class Home:
    """A vault with its clock."""

    vault: Vault
    time: Time

    def wish(self, **limits: object) -> None:
        wish = Wish(**limits)  # type: ignore[arg-type]  # each test names what it sets
        self.change(lambda old, at: set_limits(old, wish, at))

    def child(self, consent: str | None = "Ada") -> None:
        newcomer = Newcomer(CHILD, is_child=True, consent_by=consent)
        self.change(lambda old, at: add(old, newcomer, at))

    def change(self, make: retention.Change) -> None:
        with acting(self.vault, self.time):
            retention.change(self.vault, make, self.time)

    def say(self, text: str, profile: str = "default") -> InteractionId | None:
        with acting(self.vault, self.time):
            parts = parts_of(text, self.time(), profile)
            return retention.create(self.vault, parts, self.time)

    def must_say(self, text: str, profile: str = "default") -> InteractionId:
        interaction = self.say(text, profile)
        assert interaction
        return interaction

    def after(self, seconds: int = 0, step_s: int = 8 * HOUR_S) -> dict[InteractionId, set[str]]:
        """Lets time pass in steps; returns what lives then, and of which kinds."""
        until_s = self.time.s + seconds
        while True:
            self.time.s = min(until_s, self.time.s + step_s)
            with acting(self.vault, self.time):
                pass
            if self.time.s == until_s:
                return self.living()

    def living(self) -> dict[InteractionId, set[str]]:
        vault = self.vault
        return {
            it: {a.kind for a in vault.artefacts(it) if vault.is_live(a)}
            for it in vault.interactions()
        }

    def receipts(self) -> list[Path]:
        return sorted(self.vault.receipts.glob("*.receipt"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(make(tmp_path), Time())


# What falls due


def test_audio_then_words_go_at_their_time_and_not_before(home: Home) -> None:
    home.wish(audio="1h", words="1d")
    it = home.must_say(LIGHT)
    assert home.after(HOUR_S - 1) == {it: {AUDIO, TRANSCRIPT, META}}
    assert home.after(1) == {it: {TRANSCRIPT, META}}
    assert home.after(23 * HOUR_S - 1) == {it: {TRANSCRIPT, META}}
    assert home.after(1) == {}
    for path in home.receipts():
        assert verify(path.read_bytes()).statement.verdict == CONFIRMED
    assert len(home.receipts()) == 2
    assert audit(home.vault).problems == []


def test_all_that_is_due_goes_in_one_rotation_with_one_receipt(home: Home) -> None:
    home.wish(words="1h")
    whole = [home.must_say(f"{LIGHT} {n}") for n in range(3)]
    home.wish(audio="1h", words="forever")
    part = home.must_say(LIGHT)
    epoch = home.vault.ring.epoch
    assert home.after(HOUR_S) == {part: {TRANSCRIPT, META}}
    assert home.vault.ring.epoch == epoch + 1
    (receipt,) = home.receipts()
    gone = Counter(len(row.artefacts) for row in verify(receipt.read_bytes()).statement.erased)
    assert gone == {3: len(whole), 1: 1}


def test_without_settings_nothing_ever_goes(home: Home) -> None:
    it = home.must_say(ILL)
    assert home.after(5 * DAY_S) == {it: {AUDIO, TRANSCRIPT, META}}
    assert not agenda.exists(home.vault)


def test_limits_are_fixed_when_it_is_captured(home: Home) -> None:
    home.wish(words="1h")
    first = home.must_say(LIGHT)
    home.wish(words="forever")
    second = home.must_say(LIGHT)
    home.wish(words="30m")
    assert home.living().keys() == {first, second}
    assert home.after(HOUR_S).keys() == {second}, "neither longer by the second, nor by the third"
    assert home.after(5 * DAY_S).keys() == {second}


def test_existing_shortens_what_is_held_at_once(home: Home) -> None:
    first = home.must_say(LIGHT)
    home.time.passes(2 * HOUR_S)
    home.wish(audio="1h", existing=True)
    assert home.after() == {first: {TRANSCRIPT, META}}
    home.wish(words="none", existing=True)
    assert home.after() == {}


def test_a_sensitive_word_shortens(home: Home) -> None:
    home.wish(words="5d", sensitive="1h", own_words=("zanzibar",))
    plain, ill, own = map(home.must_say, (LIGHT, ILL, "a trip to Zanzibar"))
    assert home.after(HOUR_S).keys() == {plain}
    assert {ill, own}.isdisjoint(home.living())


def test_a_child_of_whom_nothing_is_heard_loses_everything(home: Home) -> None:
    home.child()
    home.wish(profile=CHILD, words="1y", inactive="3d", consent_by="Ada")
    adult, first = home.must_say(LIGHT), home.must_say(LIGHT, CHILD)
    home.after(2 * DAY_S)
    second = home.must_say(LIGHT, CHILD)
    assert home.after(3 * DAY_S - 1).keys() == {adult, first, second}
    assert home.after(1).keys() == {adult}
    assert len(home.receipts()) == 1


# Children


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


def meta_of(home: Home, profile: str) -> Meta:
    return Meta(home.time(), 0, profile, "a microphone", 0, "none")


def sound(seconds: float = 1.0) -> "np.ndarray[tuple[int], np.dtype[np.int16]]":
    return np.random.default_rng(7).integers(-9000, 9000, round(seconds * RATE_HZ), np.int16)


def spoken(home: Home, profile: str) -> InteractionId | None:
    """Somebody speaks for three seconds and is recognised, as `listen` has it."""
    keeper = InVault(home.vault, home.time)
    keeper.begin(meta_of(home, profile))
    for _ in range(30):
        keeper.add(sound(0.1))
    return keeper.finish(parts_of(LIGHT, home.time(), profile))


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


def test_what_falls_due_leaves_the_index_with_the_others_in_it(home: Home) -> None:
    home.wish(words="1h")
    gone = [home.must_say(f"{LIGHT} {n}") for n in range(40)]
    home.wish(words="forever")
    stay = {home.must_say(f"{LIGHT} {n}") for n in range(40)}
    keep_up(home.vault, home.time)
    (before,) = home.vault.owned(INDEX)
    assert home.after(HOUR_S).keys() == stay
    assert before not in home.vault.owned(INDEX)
    assert {row.interaction for row in index.rows(home.vault)} == stay
    assert not stay & set(gone)
    assert audit(home.vault).problems == []


# Late and left behind


def left_behind(home: Home, profile: str = "default") -> InteractionId:
    """A recording whose process ended while somebody spoke; settled, not recognised."""
    with acting(home.vault, home.time):
        begun = retention.begin(home.vault, meta_of(home, profile), home.time)
    assert begun
    recording, meta = begun
    recording.start(meta, lambda: acting(home.vault, home.time, wait_s=0))
    recording.add(sound())
    recording.release()
    with acting(home.vault, home.time):
        (it,) = home.vault.interactions()
    return it


def test_what_a_crash_has_left_behind_falls_due_as_anything(home: Home) -> None:
    home.wish(words="1h")
    it = left_behind(home)
    assert home.after(HOUR_S - 1) == {it: {AUDIO, META}}
    assert home.after(1) == {}


def test_a_recovered_recording_without_a_date_of_processing_falls_due(home: Home) -> None:
    """Its meta has limits and no time of processing: they count from the end of the speech."""
    home.wish(words="1h")
    meta = replace(meta_of(home, "default"), truncated=True, words_limit_s=HOUR_S)
    with acting(home.vault, home.time):
        write.create(home.vault, [(META, meta.encode())])
        retention.recheck(home.vault, home.time)
    assert len(home.after(HOUR_S - 1)) == 1
    assert home.after(1) == {}


def test_a_transcript_that_comes_after_the_limit_is_not_written(home: Home) -> None:
    home.wish(words="1h")
    it = left_behind(home)
    home.time.passes(HOUR_S)
    with acting(home.vault, home.time), pytest.raises(Erased):
        write.add(home.vault, it, (TRANSCRIPT, words_of(LIGHT).encode()))
    assert home.living() == {}
    assert len(home.receipts()) == 1


def test_what_was_cut_off_is_kept_as_if_it_were_sensitive(home: Home) -> None:
    """Nobody knows what it says; and once it is known, limits are not made longer."""
    home.wish(words="5d", sensitive="1h")
    it = left_behind(home)
    with acting(home.vault, home.time):
        write.add(home.vault, it, (TRANSCRIPT, words_of(LIGHT).encode()))
    assert home.after(HOUR_S - 1) == {it: {AUDIO, META, TRANSCRIPT}}
    assert home.after(1) == {}


def test_where_nothing_sensitive_is_stored_no_sound_is_until_it_is_recognised(home: Home) -> None:
    home.wish(sensitive="none")
    with acting(home.vault, home.time):
        assert retention.begin(home.vault, meta_of(home, "ada"), home.time) is None
    assert home.say(ILL) is None
    assert home.say(LIGHT)


# Clocks


def test_a_clock_that_is_set_back_does_not_extend_retention_without_end(home: Home) -> None:
    home.wish(words="1d")
    home.must_say(LIGHT)
    for _ in range(4):  # every twelve hours somebody sets it back by twelve
        home.after(12 * HOUR_S, step_s=HOUR_S)
        home.time.s -= 12 * HOUR_S
    assert home.after() == {}


def test_a_clock_that_is_set_back_revives_nothing_and_erases_nothing_early(home: Home) -> None:
    home.wish(words="1d")
    home.after(12 * HOUR_S)
    home.time.s -= 365 * DAY_S
    it = home.must_say(LIGHT)
    assert home.after(DAY_S - MINUTE_S).keys() == {it}
    assert home.after(DAY_S + HOUR_S) == {}, "at half the pace"


def test_a_clock_that_leaps_ahead_erases_nothing_for_a_day(home: Home) -> None:
    home.wish(words="5d")
    it = home.must_say(LIGHT)
    home.time.s += 365 * DAY_S
    assert home.after().keys() == {it}
    with acting(home.vault, home.time):
        assert "leap" in str(retention.doubt(home.vault, home.time))
    assert home.after(DAY_S - MINUTE_S).keys() == {it}
    assert home.after(MINUTE_S) == {}, "then it is believed"
    with acting(home.vault, home.time):
        assert retention.doubt(home.vault, home.time) is None


def test_a_leap_that_is_put_right_erases_nothing(home: Home) -> None:
    home.wish(words="5d")
    it = home.must_say(LIGHT)
    home.time.s += 365 * DAY_S
    during = home.must_say("said meanwhile")
    assert home.after(HOUR_S).keys() == {it, during}
    home.time.s -= 365 * DAY_S
    assert home.after(5 * DAY_S - HOUR_S - 1).keys() == {it, during}
    assert home.after(2) == {}


def test_the_control_a_leap_that_the_user_believes_erases_at_once(home: Home) -> None:
    home.wish(words="5d")
    home.must_say(LIGHT)
    home.time.s += LEAP_S + DAY_S
    with acting(home.vault, home.time):
        retention.believe(home.vault, home.time)
    assert home.after() == {}


# The agenda


def test_while_nothing_is_due_looking_does_not_depend_on_how_much_there_is(tmp_path: Path) -> None:
    reads = []
    for number in (2, 40):
        disk = house_disk(tmp_path / str(number))
        home = Home(make(tmp_path / str(number), disk), Time())
        home.wish(words="5d")
        for n in range(number):
            home.say(f"{LIGHT} {n}")
        home.time.passes(HOUR_S)
        reads.append(opened(disk, home))
    assert reads[0] == reads[1] <= 8


def opened(disk: SimulatedDisk, home: Home) -> int:
    """Counts how often files under `sealed/` are read by an act that does nothing."""
    count, read = 0, disk.read

    def counting(path: Path, offset: int = 0, size: int | None = None) -> Secret:
        nonlocal count
        count += "sealed" in path.parts
        return read(path, offset, size)

    with pytest.MonkeyPatch.context() as patch, acting(home.vault, home.time):
        patch.setattr(disk, "read", counting)
        retention.enforce(home.vault, home.time)
    return count


@pytest.mark.parametrize("damage", [b"", b"torn", bytes(4096), None])
def test_an_agenda_that_is_lost_or_torn_is_made_anew(home: Home, damage: bytes | None) -> None:
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    home.after(20 * HOUR_S)
    path = home.vault.directory / agenda.FILE
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    home.time.s -= 10 * HOUR_S
    assert home.after().keys() == {it}
    assert home.after(9 * DAY_S) == {}


def test_an_agenda_of_other_settings_is_none(home: Home) -> None:
    home.wish(words="5d")
    path = home.vault.directory / agenda.FILE
    old = path.read_bytes()
    home.wish(words="1h")
    home.must_say(LIGHT)
    path.write_bytes(old)
    assert home.after(HOUR_S) == {}


@pytest.mark.parametrize("age_s", [0, 3 * DAY_S])
def test_an_old_agenda_that_is_put_back_is_good_for_a_day(home: Home, age_s: int) -> None:
    """One of the same settings, from when nothing was there: it said that nothing falls due."""
    home.wish(words="2h")
    home.after()
    path = home.vault.directory / agenda.FILE
    old = path.read_bytes()
    home.after(age_s)
    it = home.must_say(LIGHT)
    path.write_bytes(old)
    assert home.after(3 * HOUR_S).keys() == ({it} if age_s == 0 else set())
    assert home.after(DAY_S) == {}


def test_what_is_restored_from_a_copy_falls_due(home: Home, tmp_path: Path) -> None:
    home.wish(words="1d")
    it = home.must_say(LIGHT)
    away = tmp_path / "away"
    (home.vault.directory / "sealed" / it.hex()[:3]).rename(away)
    with acting(home.vault, home.time):
        retention.recheck(home.vault, home.time)
    assert home.after(HOUR_S) == {it: set()}
    with acting(home.vault, home.time):
        assert len(list(restore(home.vault, away))) == 3
        retention.recheck(home.vault, home.time)
    assert home.after(23 * HOUR_S) == {}


def test_settings_that_are_missing_let_nothing_in_and_stop_no_other_command(home: Home) -> None:
    home.child()
    it = home.must_say(LIGHT)
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    data = artefact.path.read_bytes()
    artefact.path.unlink()
    with pytest.raises(Tampered, match="restore COPY"):
        home.say(LIGHT, CHILD)
    assert home.after().keys() == {it}
    artefact.path.write_bytes(data)
    assert home.say(LIGHT, CHILD)


def test_settings_and_agenda_that_are_missing_are_missed_by_the_log(home: Home) -> None:
    """As after a disk was lost, with ring and log from a mirror and older files from a copy."""
    home.child(consent=None)
    home.must_say(LIGHT)
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    artefact.path.unlink()
    (home.vault.directory / agenda.FILE).unlink()
    home.vault = reopen(home.vault.directory.parent)
    for _ in range(2):
        with pytest.raises(Tampered, match="restore COPY"):
            home.say(LIGHT, CHILD)


def test_older_settings_are_not_given_up_for_newer_that_do_not_open(home: Home) -> None:
    home.wish(words="1d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erase, "retire", lambda *_: None)
        home.wish(words="2d")
    older, newer = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(newer)
    data = artefact.path.read_bytes()
    artefact.path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Tampered):
        home.after()
    assert home.vault.owned(SETTINGS) == [older, newer]
    artefact.path.write_bytes(data)
    home.after()
    assert home.vault.owned(SETTINGS) == [newer]


def test_a_child_forgotten_by_hand_is_forgotten(home: Home) -> None:
    home.child()
    it = home.must_say(LIGHT, CHILD)
    forget(home.vault, it)
    assert home.after(DAY_S) == {}


# Crashes


@dataclass
class Due:
    """A house in which one interaction, and the audio of another, fall due at noon."""

    base: Path
    home: Home
    gone: InteractionId
    silent: InteractionId
    whole: InteractionId

    def judge(self, vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        del is_done  # each settling enforces what the one before did not come to
        living = Home(vault, Time()).living()
        assert living == {
            self.silent: {TRANSCRIPT, META},
            self.whole: {AUDIO, TRANSCRIPT, META},
        }
        assert audit(vault).problems == []
        assert disk.names(vault.capture) == []
        names = [name for name in disk.names(vault.receipts) if name.endswith(".receipt")]
        erased = [verify(bytes(disk.read(vault.receipts / name))).statement for name in names]
        assert Counter(len(row.artefacts) for it in erased for row in it.erased) == {3: 1, 1: 1}
        assert len(vault.owned(SETTINGS)) == 1


@pytest.fixture
def falling(tmp_path: Path) -> Due:
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time())
    home.wish(words="3h")
    gone = home.must_say(LIGHT)
    home.wish(audio="3h", words="forever")
    silent = home.must_say(LIGHT)
    home.wish(audio="forever")
    whole = home.must_say(LIGHT)
    disk = settled(disk)
    home.vault = reopen(tmp_path, disk)
    with acting(home.vault, home.time):
        pass
    home.time.s += 3 * HOUR_S  # noon, which is what the tests of crashes have
    return Due(tmp_path, home, gone, silent, whole)


def test_no_crash_while_it_is_erased_leaves_anything_half(falling: Due) -> None:
    disk = falling.home.vault.disk._disk
    act = lambda: retention.enforce(falling.home.vault, falling.home.time)  # noqa: E731
    crashes = Crashes(falling.base, falling.judge, most=6)
    crashes.check(moments_of(disk, act))  # type: ignore[arg-type]
    print(f"enforce: {crashes.states} states")
    assert crashes.states > 40


@pytest.mark.slow
def test_no_crash_of_settling_what_falls_due_leaves_anything_half(falling: Due) -> None:
    disk = falling.home.vault.disk._disk
    act = lambda: retention.enforce(falling.home.vault, falling.home.time)  # noqa: E731
    crashes = Crashes(falling.base, falling.judge, most=2)
    crashes.check(some_of(moments_of(disk, act), 15), deep=1)  # type: ignore[arg-type]
    print(f"enforce, settle stopped too: {crashes.states} states")
    assert crashes.states > 100


def test_no_crash_while_settings_change_leaves_none_or_two(tmp_path: Path) -> None:
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time("2026-03-01T12:00:00Z"))
    home.wish(words="1d")
    disk = settled(disk)
    vault = home.vault = reopen(tmp_path, disk)
    with acting(vault, home.time):
        pass
    wish = Wish(words="5d")

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        del disk
        assert len(vault.owned(SETTINGS)) == 1
        words_s = retention.settings_of(vault, home.time).limits.words_s
        assert words_s == 5 * DAY_S if is_done else words_s in {DAY_S, 5 * DAY_S}
        assert audit(vault).problems == []

    crashes = Crashes(tmp_path, judge, most=6)
    crashes.check(
        moments_of(
            disk,
            lambda: retention.change(vault, lambda old, at: set_limits(old, wish, at), home.time),
        )
    )
    print(f"change: {crashes.states} states")
    assert crashes.states > 40


def outliving(tmp_path: Path) -> Iterator[InteractionId]:
    """Yields what outlives its hour, whenever the power goes while it is captured."""
    disk = house_disk(tmp_path)
    home = Home(make(tmp_path, disk), Time("2026-03-01T12:00:00Z"))
    home.wish(words="1h")
    with acting(home.vault, home.time):
        pass
    disk = settled(disk)
    vault = home.vault = reopen(tmp_path, disk)
    disks: list[HouseDisk] = []

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        there = set(vault.interactions())
        assert len(there) == 1 if is_done else len(there) <= 1
        disks.append(disk.fork())

    with acting(vault, home.time):
        parts = parts_of(LIGHT, home.time())
        act = lambda: retention.create(vault, parts, home.time)  # noqa: E731
        moments = moments_of(disk, act)
    crashes = Crashes(tmp_path, judge, most=4)
    crashes.check(moments)
    assert crashes.states > 30
    for each in disks:
        later = reopen(tmp_path, each)
        with acting(later, Time("2026-03-01T13:00:00Z")):
            yield from later.interactions()


def test_no_crash_while_it_is_captured_lets_anything_outlive_its_limit(tmp_path: Path) -> None:
    assert not list(outliving(tmp_path))


def test_the_control_an_agenda_that_is_lowered_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_expect", lambda *_: None)
    assert list(outliving(tmp_path))


# One place


def calls(path: Path) -> Iterator[str]:
    """Yields `module.function` of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield f"{ast.unparse(node.func.value)}.{node.func.attr}"


WRITES = {"write.create", "write.begin", "write.finish"}


def test_no_interaction_enters_but_through_retention() -> None:
    """The control is `retention.py` itself, in which the same look finds all three."""
    assert set(calls(PIPELINE / "retention.py")) >= WRITES
    for path in PIPELINE.rglob("*.py"):
        if path.name != "retention.py":
            assert not WRITES & set(calls(path)), f"{path.name} lets in what no profile allowed"


def test_no_lock_is_taken_for_an_act_but_where_retention_is_enforced() -> None:
    """So no command can forget it: whoever wants to act on a vault must take its lock.

    What makes a vault, and what opens one that has lost its anchors, is no act on one yet; mending
    the files beside it opens none.
    """
    takers = {path.name for path in PIPELINE.rglob("*.py") if takes_lock(path)}
    assert takers - {"recovery.py", "mending.py"} == {"session.py"}
    (acts,) = (
        node
        for node in ast.walk(ast.parse((PIPELINE / "session.py").read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "acting"
    )
    assert "retention.enforce(vault, clock)" in ast.unparse(acts)


def takes_lock(path: Path) -> bool:
    lines = path.read_text().splitlines()
    return any("locked(" in line and '"lock"' in line for line in lines)


def test_what_stops_retention_is_told_and_not_passed_over(home: Home) -> None:
    """Settings that are damaged: every act says so, rather than go on as if there were none."""
    home.wish(words="1h")
    (owner,) = home.vault.owned(SETTINGS)
    (artefact,) = home.vault.artefacts(owner)
    data = bytearray(artefact.path.read_bytes())
    data[-1] ^= 1
    artefact.path.write_bytes(data)
    with pytest.raises(KeysError), acting(home.vault, home.time):
        pass

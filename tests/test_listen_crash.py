"""A recording stopped at each disk operation, and settled by whoever comes next.

What was sealed by the last cut is there, as the start of what was spoken and marked as cut off, or
the interaction is whole; never half of it, never twice, and nothing lies about in `capture/`. What
was cancelled or forgotten does not come back.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keys.errors import Erased, NoSuchSlot, StateUnknown
from keys.model import InteractionId, Slot
from pipeline import write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, Transcript, decode_audio, encode_audio
from pipeline.erase import erase
from pipeline.model import RATE_HZ
from pipeline.plan import make_plan
from pipeline.recording import SEGMENT_S, Recording
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    house_disk,
    make,
    reopen,
    say,
    settled,
    strangers,
    words_of,
)
from tests.test_write_crash import BEFORE, Crashes, House, Judge, Moment, judge_house, moments_of
from tests.world.extent import either, some_of

SPOKEN = np.random.default_rng(7).integers(-9000, 9000, int(2.2 * RATE_HZ), dtype=np.int16)
BLOCK = RATE_HZ // 5
META_NOW = Meta("2026-02-01T08:00:00.000Z", 0, "default", "a microphone", 0, "none")
WORDS = words_of("what the microphone heard")


@dataclass
class Told:
    """What had been sealed for good when a moment came."""

    samples: int = 0


def begun(vault: Vault) -> Recording:
    with acting(vault, clock):
        recording = write.begin(vault)
    recording.start(META_NOW, lambda: acting(vault, clock, wait_s=0))
    return recording


def speak(recording: Recording, told: Told | None = None) -> None:
    uncut = 0
    for at in range(0, len(SPOKEN), BLOCK):
        recording.add(SPOKEN[at : at + BLOCK])
        uncut += BLOCK
        if uncut >= SEGMENT_S * RATE_HZ and told:
            told.samples, uncut = at + BLOCK, 0


def parts() -> list[write.Part]:
    meta = Meta(**{**META_NOW_ROW, "duration_ms": len(SPOKEN) * 1000 // RATE_HZ})
    return [(AUDIO, encode_audio(SPOKEN)), (TRANSCRIPT, WORDS.encode()), (META, meta.encode())]


META_NOW_ROW = {name: getattr(META_NOW, name) for name in Meta.__dataclass_fields__}


def to_the_end(vault: Vault, recording: Recording, told: Told | None = None) -> InteractionId:
    speak(recording, told)
    with acting(vault, clock):
        return write.finish(vault, recording, parts())


def recorded(vault: Vault) -> InteractionId:
    return to_the_end(vault, begun(vault))


def cancelled(vault: Vault) -> None:
    recording = begun(vault)
    speak(recording)
    with acting(vault, clock):
        write.cancel(vault, recording)
    with acting(vault, clock):
        pass


@pytest.fixture
def house(tmp_path: Path) -> House:
    disk = house_disk(tmp_path)
    ids = say(make(tmp_path, disk), *BEFORE)
    disk = settled(disk)
    vault = reopen(tmp_path, disk)
    with acting(vault, clock):
        return House(tmp_path, vault, disk, dict(zip(ids, BEFORE, strict=True)))


def live_slots(vault: Vault) -> int:
    return sum(vault.ring.is_live(Slot(n)) for n in range(vault.ring.slot_count))


def heard(vault: Vault, interaction: InteractionId) -> tuple[Meta, NDArray[np.int16]]:
    return (
        Meta.decode(vault.read(interaction, META)),
        decode_audio(vault.read(interaction, AUDIO)),
    )


def judge_recording(house: House, least: int, *, may_be_whole: bool = True) -> Judge:
    """At least `least` samples are there if anything is, and something is if `least` are."""

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_house(vault, disk, house.whole)
        there = set(vault.interactions())
        fresh = there - house.whole.keys()
        assert len(there) == len(house.whole) + len(fresh)
        assert len(fresh) <= 1
        assert fresh or not (least or is_done)
        assert live_slots(vault) == 2 * len(there)
        for interaction in fresh:
            meta, pcm = heard(vault, interaction)
            kinds = {artefact.kind for artefact in vault.artefacts(interaction)}
            if meta.truncated:
                assert not is_done
                assert kinds == {AUDIO, META}
                assert least <= len(pcm) <= len(SPOKEN) + 3  # zeros that are padding
                assert np.array_equal(pcm[: len(SPOKEN)], SPOKEN[: len(pcm)])
                assert meta.duration_ms == len(pcm) * 1000 // RATE_HZ
            else:
                assert may_be_whole
                assert np.array_equal(pcm, SPOKEN)
                assert Transcript.decode(vault.read(interaction, TRANSCRIPT)) == WORDS

    return judge


def moments_with_least(house: House) -> list[tuple[Moment, int]]:
    told, found = Told(), []

    def watch(disk: object, *_: object) -> None:
        assert isinstance(disk, HouseDisk)
        found.append(((disk.fork(), False), told.samples))

    house.disk.watch = watch
    to_the_end(house.vault, begun(house.vault), told)
    house.disk.watch = None
    return [*found, ((house.disk, True), len(SPOKEN))]


def test_no_crash_loses_more_than_the_segment_under_way(house: House) -> None:
    states, durable = 0, set()
    for moment, least in some_of(moments_with_least(house), 5):
        crashes = Crashes(house.base, judge_recording(house, least), most=6)
        crashes.check([moment])
        states += crashes.states
        durable.add(least)
    print(f"recording: {states} states")
    assert states > 60
    assert len(durable) > 2, "nothing was ever cut"


@pytest.mark.slow
def test_no_crash_of_settling_loses_a_recording(house: House) -> None:
    """Settling is stopped too, after which somebody settles again."""
    states = 0
    for moment, least in some_of(moments_with_least(house), 7):
        crashes = Crashes(house.base, judge_recording(house, least), most=2)
        crashes.check([moment], deep=1)
        states += crashes.states
    print(f"recording, settle stopped too: {states} states")
    assert states > 300


def test_what_was_cancelled_leaves_nothing_and_the_log_says_so(house: House) -> None:
    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        judge_recording(house, 0, may_be_whole=False)(vault, disk, is_done=False)
        if is_done:
            assert set(vault.interactions()) == house.whole.keys()

    moments = moments_of(house.disk, lambda: cancelled(house.vault))
    Crashes(house.base, judge, most=either(4, 6)).check(some_of(moments, 5, last=20))
    lines = bytes(house.disk.read(house.vault.directory / "log" / "entries")).decode()
    assert lines.count(" discard unfinished ") == 1


def test_nothing_spoken_is_readable_while_it_is_recorded(house: House) -> None:
    recorded(house.vault)
    pieces = [SPOKEN[at : at + 16].tobytes() for at in range(0, len(SPOKEN) - 16, 400)]
    for path, data in house.disk.history:
        assert not any(piece in data for piece in pieces), path


def test_others_leave_a_recording_alone_while_its_process_lives(house: House) -> None:
    recording = begun(house.vault)
    speak(recording)
    other = reopen(house.base, house.disk)
    with acting(other, clock):
        assert other.is_under_way(recording.interaction)
        assert recording.interaction in set(other.interactions())
    with acting(house.vault, clock):
        interaction = write.finish(house.vault, recording, parts())
    with acting(other, clock):
        judge_recording(house, len(SPOKEN))(other, house.disk, is_done=True)
        assert not other.is_under_way(interaction)


def forgotten_by_another(house: House, recording: Recording) -> None:
    other = reopen(house.base, house.disk)
    with acting(other, clock):
        plan = make_plan(other, [recording.interaction], NOON)
        assert [Slot(slot) for slot in plan.slots] == list(recording.slots)
        done = erase(other, plan, clock)
    assert done.statement.verdict == "confirmed"
    assert [row.interaction for row in done.statement.erased] == [recording.interaction.hex()]


def assert_nothing_of_it(house: House, recording: Recording) -> None:
    with acting(house.vault, clock):
        judge_house(house.vault, house.disk, house.whole)
        assert set(house.vault.interactions()) == house.whole.keys()
        assert not house.vault.artefacts(recording.interaction)


def test_what_is_forgotten_while_it_is_spoken_ends_within_a_segment(house: House) -> None:
    recording = begun(house.vault)
    recording.add(SPOKEN[:BLOCK])
    forgotten_by_another(house, recording)
    with pytest.raises(Erased):
        speak(recording)
    recording.release()
    assert_nothing_of_it(house, recording)


def test_what_is_forgotten_while_it_is_recognised_is_not_written(house: House) -> None:
    recording = begun(house.vault)
    speak(recording)
    forgotten_by_another(house, recording)
    with acting(house.vault, clock), pytest.raises(Erased):
        write.finish(house.vault, recording, parts())
    recording.release()
    assert_nothing_of_it(house, recording)


def test_a_failing_disk_ends_it_and_keeps_what_was_sealed(house: House) -> None:
    """A full disk, a read-only one, a failing sync: they all raise the same."""
    for number in range(1, 24, 3):
        disk = house.disk.fork()
        vault = reopen(house.base, disk)
        recording = begun(vault)
        told = Told()
        disk.fail_at = disk.operations + number
        with pytest.raises(StateUnknown):
            to_the_end(vault, recording, told)
        recording.release()
        with acting(vault, clock):
            judge_recording(house, told.samples)(vault, disk, is_done=False)


def test_a_recording_that_was_left_behind_can_be_forgotten(house: House) -> None:
    recording = begun(house.vault)
    speak(recording)
    recording.release()
    vault = reopen(house.base, house.disk)
    with acting(vault, clock):
        interaction = recording.interaction
        assert heard(vault, interaction)[0].truncated
        erase(vault, make_plan(vault, [interaction], NOON), clock)
    with acting(vault, clock):
        judge_house(vault, house.disk, house.whole)
        assert strangers(vault, house.disk.cached.files()) == set()
        with pytest.raises((Erased, NoSuchSlot)):
            vault.ring.key(recording.slots[0])

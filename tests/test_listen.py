"""Listening without a clock, a microphone or a model: a script speaks, and the vault is looked at.

A voice is a loud block, silence a quiet one; the recogniser knows one word for each loudness.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from keys.durable import RealDisk
from keys.errors import Busy, Erased, StateUnknown
from keys.lock import locked
from keys.model import InteractionId
from pipeline import history, write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Meta, decode_audio
from pipeline.audit import audit
from pipeline.capture import Back, Block, Event, Gone
from pipeline.completing import complete
from pipeline.errors import NotFound
from pipeline.heard import Asleep, Dropped, Heard, Partial, Said, Sound, Woken
from pipeline.listen import LIVE, Request, listen
from pipeline.model import RATE_HZ, Word
from pipeline.recognise import OnPartial
from pipeline.safekeeping import InMemory, InVault, Keeper
from pipeline.segment import CHUNK_SAMPLES, Endpointing
from pipeline.select import Selection, select
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import clock, forget, make, reopen, say
from tests.test_canary import ENCODINGS, PHRASE, WINDOW, leaking, variables
from tests.world.adversary import RecordingDisk

LOUD = 1000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = PHRASE.split()


def voice(word: int, seconds: float) -> list[Event]:
    """Returns blocks of a voice that says one word of the phrase, over and over."""
    chance = np.random.default_rng(word)
    count = round(seconds * RATE_HZ / CHUNK_SAMPLES)
    rows = [chance.integers(-50, 50, CHUNK_SAMPLES, dtype=np.int16) for _ in range(count)]
    return [Block((row + LOUD * (word + 1)).astype(np.int16)) for row in rows]


def silence(seconds: float) -> list[Event]:
    count = round(seconds * RATE_HZ / CHUNK_SAMPLES)
    return [Block(np.zeros(CHUNK_SAMPLES, np.int16)) for _ in range(count)]


def probability(chunk: NDArray[np.int16]) -> float:
    return float(abs(int(np.median(chunk))) >= LOUD // 2)


@dataclass
class Script:
    """A source that brings these events; what stands between them is called in passing."""

    script: Sequence[object]
    name: str = "a script"

    def events(self) -> Iterator[Event]:
        for it in self.script:
            if callable(it):
                it()
            else:
                assert isinstance(it, Block | Gone | Back)
                yield it


class Parrot:
    """Hears the word that the loudness stands for; above those of the phrase, nothing at all."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.samples = 0
        self.words: list[Word] = []

    def take(self, pcm: NDArray[np.int16]) -> None:
        for at in range(0, len(pcm), CHUNK_SAMPLES):
            number = round(float(np.median(pcm[at : at + CHUNK_SAMPLES])) / LOUD) - 1
            start_ms = self.samples * 1000 // RATE_HZ
            self.samples += CHUNK_SAMPLES
            if 0 <= number < len(WORDS) and WORDS[number] not in self.so_far().split()[-1:]:
                self.words.append(Word(WORDS[number], start_ms, start_ms + 32, 1.0))

    def so_far(self) -> str:
        return " ".join(word.word for word in self.words)

    def finish(self) -> tuple[Word, ...]:
        words = tuple(self.words)
        self.abandon()
        return words

    def abandon(self) -> None:
        self.words, self.samples = [], 0

    def recognise(
        self,
        pcm: NDArray[np.int16],
        on_partial: OnPartial | None = None,  # noqa: ARG002 - as the protocol has it
    ) -> tuple[Word, ...]:
        self.abandon()
        self.take(pcm)
        return self.finish()


def hear(
    keeper: Keeper, *script: object, once: bool = False, endpointing: Endpointing = LIVE
) -> list[Heard]:
    flat = [it for each in script for it in (each if isinstance(each, list) else [each])]
    request = Request("default", "a parrot", once=once, endpointing=endpointing)
    found = listen(Script(flat), keeper, Parrot(), probability, request, lambda: NOON)
    return [event for event in found if isinstance(event, Partial | Said | Dropped | Gone | Back)]


def said(events: list[Heard]) -> list[Said]:
    return [event for event in events if isinstance(event, Said)]


@dataclass
class Home:
    """A vault, and what holds for it once all is over."""

    base: Path
    vault: Vault
    known: list[InteractionId] = field(default_factory=list)

    def assert_sound(self) -> None:
        with acting(self.vault, clock):
            assert audit(self.vault).problems == []
            assert self.vault.disk.names(self.vault.capture) == []

    def row(self, it: Said) -> history.Row:
        assert it.interaction is not None
        with acting(self.vault, clock):
            return history.one(self.vault, it.interaction, "show")

    def heard(self, it: Said) -> NDArray[np.int16]:
        assert it.interaction is not None
        with acting(self.vault, clock):
            return decode_audio(self.vault.read(it.interaction, AUDIO))

    @property
    def interactions(self) -> list[InteractionId]:
        with acting(self.vault, clock):
            return list(self.vault.interactions())

    @property
    def log(self) -> str:
        return (self.vault.directory / "log" / "entries").read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Home(tmp_path, make(tmp_path))


def test_an_utterance_becomes_an_interaction_with_its_pre_roll(home: Home) -> None:
    script = [silence(1), voice(0, 1.5), voice(1, 0.5), silence(1)]
    events = hear(InVault(home.vault), *script)
    (it,) = said(events)
    assert it.text == f"{WORDS[0]} {WORDS[1]}"
    row = home.row(it)
    assert row.text == it.text
    assert (row.meta.source, row.meta.recogniser, row.meta.lost_ms) == ("a script", "a parrot", 0)
    assert not row.meta.truncated
    assert row.meta.started_at == "2026-03-01T11:59:59.648Z"  # ten chunks before, and its first
    pcm = home.heard(it)
    assert (
        len(pcm) == round(it.seconds * RATE_HZ, -1) or abs(len(pcm) / RATE_HZ - it.seconds) < 0.01
    )
    spoken = np.concatenate([b.pcm for b in [*script[1], *script[2]] if isinstance(b, Block)])
    before = LIVE.pre_roll_ms // 32 + 1
    start = before * CHUNK_SAMPLES
    assert not pcm[:start].any()
    assert np.array_equal(pcm[start : start + len(spoken)], spoken)
    home.assert_sound()


def test_words_are_shown_while_they_are_spoken(home: Home) -> None:
    events = hear(InVault(home.vault), voice(0, 1), voice(1, 1), silence(1))
    partials = [event.text for event in events if isinstance(event, Partial)]
    assert partials == [WORDS[0], f"{WORDS[0]} {WORDS[1]}"]
    assert isinstance(events[-1], Said)


def test_it_is_sealed_half_a_second_after_the_end_of_speech(home: Home) -> None:
    heard: list[int] = []
    quiet = silence(2)
    script = [[it, lambda: heard.append(1)] for it in quiet]
    request = Request("default", "a parrot")
    flat = [*voice(0, 1), *(x for pair in script for x in pair)]
    for event in listen(Script(flat), InVault(home.vault), Parrot(), probability, request):
        if isinstance(event, Said):
            break
    assert len(heard) * 32 <= 500


def test_one_utterance_after_the_other(home: Home) -> None:
    events = hear(
        InVault(home.vault), *(part for n in range(4) for part in (voice(n, 0.6), silence(0.6)))
    )
    assert [it.text for it in said(events)] == WORDS
    assert len(home.interactions) == 4
    home.assert_sound()


def test_once_ends_after_one(home: Home) -> None:
    script = [voice(0, 0.6), silence(0.6), voice(1, 0.6), silence(0.6)]
    assert [it.text for it in said(hear(InVault(home.vault), *script, once=True))] == WORDS[:1]
    home.assert_sound()


def test_a_door_that_slams_never_touches_the_vault(home: Home) -> None:
    disk = RecordingDisk()
    vault = reopen(home.base, disk)
    assert said(hear(InVault(vault), silence(1), voice(0, 0.128), silence(1))) == []
    assert disk.history == []


def test_sound_without_words_leaves_nothing_and_the_log_says_discard(home: Home) -> None:
    events = hear(InVault(home.vault), silence(1), voice(9, 1.5), silence(1))
    assert [type(event) for event in events] == [Dropped]
    assert home.interactions == []
    home.assert_sound()
    assert home.log.count(" discard unfinished ") == 1


def test_what_is_said_when_it_ends_is_completed(home: Home) -> None:
    (it,) = said(hear(InVault(home.vault), silence(1), voice(2, 1)))
    assert home.row(it).text == WORDS[2]
    assert not home.row(it).meta.truncated
    home.assert_sound()


def test_a_long_speech_is_cut_and_no_sample_is_lost_or_doubled(home: Home) -> None:
    short = Endpointing(hang_over_ms=416, maximum_ms=3200, cut_window_ms=640)
    spoken = [*voice(0, 2), *voice(1, 2), *voice(2, 3), *voice(3, 1)]
    events = hear(InVault(home.vault), spoken, silence(1), endpointing=short)
    parts = [home.heard(it) for it in said(events)]
    assert len(parts) == 3
    whole = np.concatenate([event.pcm for event in spoken if isinstance(event, Block)])
    assert np.array_equal(np.concatenate(parts)[: len(whole)], whole)
    home.assert_sound()


def test_loss_during_an_utterance_is_in_its_meta_and_in_no_other(home: Home) -> None:
    lossy = [Block(voice(0, 0.032)[0].pcm, lost_ms=120)]  # type: ignore[union-attr]
    events = hear(
        InVault(home.vault),
        [Block(np.zeros(CHUNK_SAMPLES, np.int16), lost_ms=999)],
        *(voice(0, 0.6), lossy, voice(0, 0.3), silence(1)),
        *(voice(1, 0.6), silence(1)),
    )
    assert [home.row(it).meta.lost_ms for it in said(events)] == [120, 0]


def test_a_microphone_that_goes_away_cuts_off_and_comes_back(home: Home) -> None:
    events = hear(
        InVault(home.vault),
        *(voice(0, 1), Gone("unplugged"), Back(), silence(0.3), voice(1, 1), silence(1)),
    )
    kinds = [type(event) for event in events if not isinstance(event, Partial)]
    assert kinds == [Said, Gone, Back, Said]
    assert [it.truncated for it in said(events)] == [True, False]
    assert [home.row(it).meta.truncated for it in said(events)] == [True, False]
    home.assert_sound()


def test_blocks_of_any_length_are_the_same_sound(home: Home) -> None:
    whole = [*silence(1), *voice(1, 1), *silence(1)]
    pcm = np.concatenate([event.pcm for event in whole if isinstance(event, Block)])
    odd = [Block(pcm[at : at + 777]) for at in range(0, len(pcm), 777)]
    first, second = said(hear(InVault(home.vault), whole)), said(hear(InVault(home.vault), odd))
    assert np.array_equal(home.heard(first[0]), home.heard(second[0]))


def test_other_commands_pass_over_what_is_being_spoken(home: Home) -> None:
    before = say(home.vault, "there before")
    seen: list[object] = []

    def look() -> None:
        other = reopen(home.base)
        with acting(other, clock):
            seen.append(audit(other).problems)
            seen.append([row.interaction for row in history.history(other, history.Filter(), None)])
            (under_way,) = set(other.interactions()) - set(before)
            with pytest.raises(NotFound, match="being spoken"):
                history.one(other, under_way, "show")
            assert select(other, Selection(last=True)) == [under_way]
            assert history.some(other, [under_way], "plan") == []

    (it,) = said(hear(InVault(home.vault), voice(0, 1), look, voice(0, 1), silence(1)))
    assert seen == [[], before]
    assert home.row(it).text == WORDS[0]
    home.assert_sound()


@pytest.mark.parametrize("blocks", [0, 60])
def test_what_another_forgets_while_it_is_spoken_is_not_written(home: Home, blocks: int) -> None:
    def forget_it() -> None:
        other = reopen(home.base)
        with acting(other, clock):
            meant = select(other, Selection(last=True))
        assert forget(other, *meant).statement.verdict == "confirmed"

    more = voice(0, 2)[:blocks]
    events = hear(InVault(home.vault), voice(0, 1), forget_it, more, silence(1), voice(1, 1))
    assert [type(it) for it in events if not isinstance(it, Partial)] == [Dropped, Said]
    assert any(isinstance(it, Dropped) and "forgotten" in it.why for it in events)
    assert [it.text for it in said(events)] == [WORDS[1]]
    assert len(home.interactions) == 1
    home.assert_sound()


def woken_by(level: int) -> Callable[[NDArray[np.int16]], bool]:
    return lambda chunk: round(float(np.median(chunk)) / LOUD) == level


def hear_woken(keeper: Keeper, *script: list[Event]) -> list[Heard]:
    request = Request("default", "a parrot", wake=woken_by(7))
    source = Script([it for each in script for it in each])
    found = listen(source, keeper, Parrot(), probability, request, lambda: NOON)
    return [event for event in found if not isinstance(event, Sound | Partial)]


def test_before_the_wake_word_nothing_is_heard_and_after_it_one_utterance(home: Home) -> None:
    wake = voice(6, 0.1)
    events = hear_woken(
        InVault(home.vault),
        *(voice(0, 1), silence(0.6), wake, silence(0.1), voice(1, 1), silence(0.6)),
        *(voice(2, 1), silence(0.6), wake, silence(0.3), voice(3, 1), silence(1)),
    )
    kinds = [type(event) for event in events]
    assert kinds == [Asleep, *[Woken, Said, Asleep] * 2]
    assert [it.text for it in said(events)] == [WORDS[1], WORDS[3]]
    pcm = home.heard(said(events)[0])
    assert not (np.abs(pcm - LOUD) < 100).any(), "what was said before the wake word is in it"
    home.assert_sound()


def test_somebody_may_pause_after_the_wake_word(home: Home) -> None:
    """Its own end is speech, too short or without words, and is not taken for the utterance."""
    for rest in (0.064, 0.6):
        script = [voice(6, 0.1), voice(9, rest), silence(2), voice(1, 1), silence(1)]
        events = hear_woken(InVault(home.vault), *script)
        assert [it.text for it in said(events)] == [WORDS[1]]


def test_who_says_nothing_after_the_wake_word_is_not_waited_for(home: Home) -> None:
    events = hear_woken(InVault(home.vault), voice(6, 0.1), silence(7), voice(1, 1), silence(1))
    kinds = [type(event) for event in events if not isinstance(event, Dropped)]
    assert kinds == [Asleep, Woken, Asleep]
    assert said(events) == []
    assert home.interactions == []


def test_keys_that_another_destroys_leave_the_memory_of_who_listens(home: Home) -> None:
    (it,) = said(hear(InVault(home.vault), voice(0, 1), silence(1)))
    assert it.interaction is not None
    created = home.vault.created(it.interaction)
    assert created is not None
    held = home.vault.ring._open_state.fresh
    slots = {slot for slot, _ in created.slots}
    forget(reopen(home.base), it.interaction)
    assert slots <= held.keys(), "the control: an erasure elsewhere does not reach this memory"
    hear(InVault(home.vault), silence(1.5))
    assert not held, "what is dropped wipes itself"


def test_a_vault_that_is_busy_costs_no_sound(home: Home) -> None:
    """From before the utterance to after its first second; it is taken up late, and whole."""
    holding = locked(home.vault.directory / "lock")
    spoken = voice(0, 3)
    script = [
        holding.__enter__,
        spoken[:50],
        lambda: holding.__exit__(None, None, None),
        spoken[50:],
        silence(1),
    ]
    (it,) = said(hear(InVault(home.vault), *script))
    pcm = np.concatenate([event.pcm for event in spoken if isinstance(event, Block)])
    assert np.array_equal(home.heard(it)[: len(pcm)], pcm)
    home.assert_sound()


def test_a_vault_that_stays_busy_ends_it_and_what_was_sealed_stays(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.safekeeping.WAIT_S", 0.02)
    holding = locked(home.vault.directory / "lock")
    with pytest.raises(Busy):
        hear(InVault(home.vault), voice(0, 1.5), holding.__enter__, silence(1))
    holding.__exit__(None, None, None)
    with acting(home.vault, clock):
        (row,) = history.rows(home.vault, history.Filter())
    assert row.meta.truncated
    assert row.seconds > 0.8
    home.assert_sound()


class FullDisk(RealDisk):
    """A disk that is full from some moment on."""

    is_full = False

    def write(self, path: Path, offset: int, data: bytes | bytearray | memoryview) -> None:
        if self.is_full:
            raise StateUnknown(f"could not write {path}: No space left on device")
        super().write(path, offset, data)


def test_a_full_disk_ends_it_with_a_reason_and_what_was_sealed_stays(home: Home) -> None:
    disk = FullDisk()
    vault = reopen(home.base, disk)
    with pytest.raises(StateUnknown, match="No space left"):
        hear(InVault(vault), voice(0, 2), lambda: setattr(disk, "is_full", True), voice(0, 2))
    with acting(home.vault, clock):
        (row,) = history.rows(home.vault, history.Filter())
    assert row.meta.truncated
    assert 1.8 <= row.seconds <= 2.1
    home.assert_sound()


def test_what_was_cut_off_gets_its_transcript_from_the_next_who_listens(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )
    say(home.vault, "something else")
    found = complete(home.vault, Parrot())
    with acting(home.vault, clock):
        rows = {row.interaction: row for row in history.rows(home.vault, history.Filter())}
    assert [rows[it].text for it in found] == [WORDS[3]]
    assert rows[found[0]].meta.truncated
    assert complete(home.vault, Parrot()) == []
    home.assert_sound()


def test_a_transcript_for_what_is_forgotten_meanwhile_is_not_written(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )

    class Slow(Parrot):
        def finish(self) -> tuple[Word, ...]:
            other = reopen(home.base)
            with acting(other, clock):
                meant = list(other.interactions())
            forget(other, *meant)
            return super().finish()

    assert complete(home.vault, Slow()) == []
    assert home.interactions == []
    home.assert_sound()


def test_what_two_processes_recognise_at_once_gets_one_transcript(home: Home) -> None:
    disk = FullDisk()
    with pytest.raises(StateUnknown):
        hear(
            InVault(reopen(home.base, disk)),
            *(voice(3, 2), lambda: setattr(disk, "is_full", True), voice(3, 2)),
        )

    class Slow(Parrot):
        def finish(self) -> tuple[Word, ...]:
            assert len(complete(reopen(home.base), Parrot())) == 1
            return super().finish()

    assert complete(home.vault, Slow()) == []
    with acting(home.vault, clock):
        (it,) = home.vault.interactions()
        kinds = [file.kind for file in home.vault.artefacts(it)]
    assert sorted(kinds) == [AUDIO, META, TRANSCRIPT]


def spoken_pieces(word: int, seconds: float) -> list[bytes]:
    pcm = np.concatenate([b.pcm for b in voice(word, seconds) if isinstance(b, Block)])
    wide = (pcm, (pcm / 32768).astype(np.float32))
    return [it[at : at + WINDOW].tobytes() for it in wide for at in range(0, len(pcm) - 99, 500)]


def needles(word: int, seconds: float) -> list[bytes]:
    return [WORDS[word].encode(encoding) for encoding in ENCODINGS] + spoken_pieces(word, seconds)


def holding(home: Path, wanted: list[bytes]) -> list[Path]:
    files = (path for path in home.rglob("*") if path.is_file())
    return [p for p in files if any(needle in p.read_bytes() for needle in wanted)]


def test_canary_nothing_spoken_is_in_any_file_at_any_time(home: Home) -> None:
    wanted, disk = needles(2, 2), RecordingDisk()
    during: list[list[Path]] = []

    def look() -> None:
        during.append([*holding(home.base, wanted), *leaking(home.base)])

    vault = reopen(home.base, disk)
    spoken = voice(2, 2)
    (it,) = said(hear(InVault(vault), spoken[:40], look, spoken[40:], look, silence(1), look))
    assert it.interaction is not None
    forget(home.vault, it.interaction)
    look()
    assert during == [[]] * 4
    assert len(disk.history) > 20
    assert not any(needle in data for _, data in disk.history for needle in wanted)


def test_canary_the_same_search_finds_what_lies_in_clear(home: Home) -> None:
    wanted = needles(2, 2)
    pcm = np.concatenate([b.pcm for b in voice(2, 2) if isinstance(b, Block)])
    (home.base / "leak").write_bytes(b"odd" + pcm.tobytes())
    (home.base / "words").write_bytes(WORDS[2].encode("utf-32-le"))
    assert sorted(holding(home.base, wanted)) == [home.base / "leak", home.base / "words"]


def test_ephemeral_stores_nothing_unless_it_is_kept(home: Home) -> None:
    files = {path: path.read_bytes() for path in home.base.rglob("*") if path.is_file()}
    keeper = InMemory()
    kept: list[InteractionId | None] = []
    script = [voice(0, 1), silence(1), voice(1, 1), silence(1)]

    def nothing_yet() -> None:
        assert {p: p.read_bytes() for p in home.base.rglob("*") if p.is_file()} == files

    events = hear(
        keeper, *script, nothing_yet, lambda: kept.append(keeper.keep(home.vault)), voice(2, 1)
    )
    assert [it.interaction for it in said(events)] == [None] * 3
    assert home.interactions == kept
    with acting(home.vault, clock):
        (row,) = history.rows(home.vault, history.Filter())
    assert row.text == WORDS[1]
    assert keeper.keep(home.vault) is None, "what was not kept is gone at the end"
    home.assert_sound()


def test_ephemeral_holds_the_last_one_sealed_only() -> None:
    keeper = InMemory()
    parts = [(TRANSCRIPT, PHRASE.encode()), (META, b"{}")]
    keeper.finish(parts)
    held = repr(vars(keeper)).encode() + b"".join(data for _, data in keeper._sealed)
    assert not any(word.encode() in held for word in WORDS)
    key = keeper._key
    assert key is not None
    keeper.finish([(TRANSCRIPT, b"other")])
    assert not any(key), "the key of the one before was not wiped"


def test_what_shows_itself_shows_no_words(home: Home) -> None:
    events = hear(InVault(home.vault), voice(0, 1), silence(1))
    shown = "".join(map(repr, events))
    assert not any(word in shown for word in WORDS)


def test_a_hold_of_a_dead_process_is_cleared_away(home: Home) -> None:
    """A lock file that a killed process left, with its recording or without."""
    home.vault.capture.mkdir(exist_ok=True)
    (home.vault.capture / ("a" * 32 + ".lock")).write_bytes(b"")
    home.assert_sound()
    assert list(home.vault.capture.iterdir()) == []


def test_meta_of_before_is_still_read() -> None:
    old = Meta("2026-02-01T08:00:00.000Z", 5, "default", "x.wav", 0, "none").encode()
    assert Meta.decode(old.replace(b', "lost_ms": 0, "truncated": false', b"")).lost_ms == 0


def test_nobody_can_finish_twice(home: Home) -> None:
    with acting(home.vault, clock):
        recording = write.begin(home.vault)
    forgotten = recording.interaction
    with acting(home.vault, clock):
        write.cancel(home.vault, recording)
    with acting(home.vault, clock), pytest.raises(Erased):
        write.finish(home.vault, recording, [(AUDIO, b"x")])
    assert forgotten not in home.interactions

"""A household's week: thousands of interactions made from text, and whatever happens to them.

People speak, forget in every way there is, keep an alarm now and then; limits fall due, processes
are killed at random operations, backups are made and brought back. A model of ten lines says what
must live. `Recorder` keeps what a thief of every version of every file would have.
"""

import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keys.durable import Buffer
from keys.errors import Erased
from keys.model import InteractionId, Slot
from keys.sealed import HEADER_SIZE, parse_header
from pipeline import forgetting, history, indexing, retention, write
from pipeline.artefact import ACTION, AUDIO, INTENT, META, RECORD, TRANSCRIPT, Meta
from pipeline.assistant.values import ALARM, Action
from pipeline.errors import NotFound
from pipeline.restore import restore
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.settings import DAY_S, Limits, Settings
from tests.household import Thief, flac_of, make, reopen, words_of
from tests.world.adversary import RecordingDisk, opens, shares_in

SPOKEN = ["turn on the light", "play music", "weather tomorrow", "wake me", "add milk", "call"]
CANARY = "zebracanary"
"""Part of one word of everything that is said."""
PROFILES = ("ada", "bob", "guest")


class Killed(BaseException):
    """The process dies here; no code of the product catches it."""


class Recorder(RecordingDisk):
    """Keeps each version of each file that no later one begins with; dies when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: dict[Path, bytes] = {}
        self.leaks: list[Path] = []
        self.operations, self.dies_at = 0, -1

    def write(self, path: Path, offset: int, data: Buffer) -> None:
        self._step()
        if CANARY.encode() in bytes(data):
            self.leaks.append(path)
        if path.parent.name in {"log", "live"}:  # in clear and long: what is written is looked at
            self._disk.write(path, offset, data)
        else:
            super().write(path, offset, data)

    def delete(self, path: Path) -> None:
        self._step()
        super().delete(path)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        self._disk.rename(source, target)
        self.latest[target] = self.latest.pop(source, b"")

    def sync(self, path: Path) -> None:
        """Leaves it to the system: only processes die here, the machine goes on."""

    def sync_dir(self, directory: Path) -> None:
        """Leaves it to the system, as `sync`."""

    def _step(self) -> None:
        self.operations += 1
        if self.operations == self.dies_at:
            raise Killed

    def _keep(self, path: Path) -> None:
        data = bytes(self._disk.read(path))
        old = self.latest.get(path)
        if old is not None and not data.startswith(old):
            self.history.append((path, old))
        self.latest[path] = data

    def everything(self, *, outside: Path) -> list[bytes]:
        """Returns every version of every file that was not in a directory."""
        rows = [*self.history, *self.latest.items()]
        return [data for path, data in rows if outside not in path.parents]


@dataclass
class Said:
    """What the model knows of one interaction."""

    text: str
    at: datetime
    profile: str
    has_audio: bool = True
    alarm: str = ""


@dataclass
class Week:
    """A vault and the model of it; `run` lets days pass."""

    base: Path
    chance: random.Random
    disk: Recorder = field(default_factory=Recorder)
    living: dict[InteractionId, Said] = field(default_factory=dict)
    dead: set[InteractionId] = field(default_factory=set)
    records: set[str] = field(default_factory=set)
    sealed: dict[str, bytes] = field(default_factory=dict)
    now: datetime = datetime(2026, 3, 1, 6, tzinfo=UTC)
    counts: dict[str, int] = field(default_factory=dict)
    backups: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vault = make(self.base, self.disk)
        limits = Limits(audio_s=3 * DAY_S, words_s=6 * DAY_S)
        with acting(self.vault, self.clock):
            retention.change(self.vault, lambda _, __: Settings(limits=limits), self.clock)

    def clock(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def run(self, days: int, a_day: int) -> None:
        for _ in range(days):
            for _ in range(a_day):
                self.now += timedelta(seconds=86_400 // (a_day + 1))
                self._count(self._hear)
                if self.chance.random() < 0.12:
                    self._count(self.chance.choice(ACTS))
            self._count(Week._backup)
            self.check()

    def _count(self, act: "Callable[[Week], None] | Callable[[], None]") -> None:
        name = act.__name__.strip("_")
        self.counts[name] = self.counts.get(name, 0) + 1
        self._expire()
        act() if getattr(act, "__self__", None) else act(self)  # type: ignore[call-arg]

    # --- what happens

    def _hear(self) -> None:
        said = self._something()
        interaction = self._create(said)
        if interaction:
            self.living[interaction] = said
            self._note(interaction)

    def _something(self) -> Said:
        number = len(self.living) + len(self.dead)
        words = self.chance.choices(SPOKEN, k=self.chance.randint(1, 3))
        return Said(" ".join([*words, f"{CANARY}{number}"]), self.now, self.chance.choice(PROFILES))

    def _create(self, said: Said) -> InteractionId | None:
        at = said.at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        meta = Meta(at, 50, said.profile, f"/home/{CANARY}.wav", 0, "none")
        sound, words = flac_of("one for all"), words_of(said.text).encode()
        parts = [(AUDIO, sound), (TRANSCRIPT, words), (META, meta.encode())]
        with acting(self.vault, self.clock):
            found = retention.create(self.vault, parts, self.clock)
            if found and self.chance.random() < 0.2:
                said.alarm = f"{CANARY} {len(self.living)}"
                action = Action(ALARM, at="2026-03-09T07:00:00+00:00", label=said.alarm)
                write.add(self.vault, found, (INTENT, said.text.encode()))
                write.add(self.vault, found, (ACTION, action.encode()))
        return found

    def _index(self) -> None:
        indexing.keep_up(self.vault, self.clock)

    def _search(self) -> None:
        if not self.living:
            return
        wanted = self.chance.choice([*self.living])
        word = self.living[wanted].text.rsplit(" ", 1)[1]
        with acting(self.vault, self.clock):
            found = history.search(self.vault, [word])
        assert [row.interaction for row in found] == [wanted]

    def _forget(self) -> None:
        selection, meant = self._selection()
        if meant:
            only_audio = self.chance.random() < 0.2
            self._erase(selection, only_audio=only_audio)
            self._gone(meant, only_audio=only_audio)

    def _selection(self) -> tuple[Selection, set[InteractionId]]:
        if not self.living:
            return Selection(last=True), set()
        ids = [*self.living]
        way = self.chance.choice(["ids", "last", "match", "since", "profile"])
        if way == "ids":
            meant = self.chance.sample(ids, min(len(ids), self.chance.randint(1, 9)))
            return Selection(ids=tuple(it.hex() for it in meant)), set(meant)
        if way == "match":
            one = self.chance.choice(ids)
            return Selection(match=(self.living[one].text.rsplit(" ", 1)[1],)), {one}
        if way == "last":
            return Selection(last=True), {ids[-1]}
        since = self.now - timedelta(hours=self.chance.random())
        profile = self.chance.choice(PROFILES) if way == "profile" else None
        which = history.Filter(since=since, profile=profile)
        heard = {i for i, it in self.living.items() if it.at >= since}
        return Selection(which=which), {
            i for i in heard if profile in {None, self.living[i].profile}
        }

    def _erase(
        self, selection: Selection, *, only_audio: bool = False, keeps: bool = False
    ) -> None:
        try:
            with acting(self.vault, self.clock):
                found = forgetting.propose(
                    self.vault, selection, self.clock(), only_audio=only_audio, show=False
                )
                names = [it.name for it in found.keepable] if keeps else []
                forgetting.carry_out(self.vault, found, self.clock, names)
        except Erased:
            assert only_audio  # it had gone before

    def _keep_alarm(self) -> None:
        with_alarm = [i for i, it in self.living.items() if it.alarm]
        if with_alarm:
            one = self.chance.choice(with_alarm)
            self._erase(Selection(ids=(one.hex(),)), keeps=True)
            self.records.add(self.living[one].alarm)
            self._gone({one})

    def _die_while_forgetting(self) -> None:
        selection, meant = self._selection()
        if not meant:
            return
        self.disk.dies_at = self.disk.operations + self.chance.randint(1, 40)
        try:
            self._erase(selection)
        except Killed:
            self.counts["killed"] = self.counts.get("killed", 0) + 1
        self._begin_again()
        self._gone(meant - self._alive())

    def _die_while_hearing(self) -> None:
        said, before = self._something(), self._alive()
        self.disk.dies_at = self.disk.operations + self.chance.randint(1, 25)
        try:
            self._create(said)
        except Killed:
            self.counts["killed"] = self.counts.get("killed", 0) + 1
            said.alarm = ""
        self._begin_again()
        fresh = self._alive() - before
        assert len(fresh) <= 1
        self.living |= dict.fromkeys(fresh, said)
        for interaction in fresh:
            self._note(interaction)

    def _begin_again(self) -> None:
        self.disk.dies_at = -1
        self.vault = reopen(self.base, self.disk)

    def _backup(self) -> None:
        target = self.base / "backups" / str(len(self.backups))
        shutil.copytree(self.vault.sealed, target, copy_function=os.link)
        self.backups.append(target)

    def _lose_and_restore(self) -> None:
        if not self.backups:
            return
        copy = self.chance.choice(self.backups)
        with acting(self.vault, self.clock):
            for path in self.chance.sample(sorted(copy.rglob("*.*")), 3):
                here = self.vault.sealed / path.relative_to(copy)
                if here.exists() and not here.name.endswith((".settings", ".index")):
                    here.unlink()
            states = [row.state for row in restore(self.vault, copy)]
            assert set(states) <= {"restored", "present", "erased"}
            retention.recheck(self.vault, self.clock)

    def _expire(self) -> None:
        """Takes out of the model what falls due by now; the next act on the vault erases it."""
        minute = self.now.replace(second=0)  # things fall due at full minutes
        for it in self.living.values():
            it.has_audio = it.has_audio and minute - it.at < timedelta(days=3)
        self._gone({i for i, it in self.living.items() if minute - it.at >= timedelta(days=6)})

    # --- what must hold

    def _gone(self, meant: set[InteractionId], *, only_audio: bool = False) -> None:
        for interaction in meant & self.living.keys():
            if only_audio:
                self.living[interaction].has_audio = False
            else:
                del self.living[interaction]
                self.dead.add(interaction)

    def _alive(self) -> set[InteractionId]:
        with acting(self.vault, self.clock):
            return set(self.vault.interactions())

    def _note(self, interaction: InteractionId) -> None:
        for artefact in self.vault.artefacts(interaction):
            self.sealed[artefact.path.name] = artefact.path.read_bytes()

    def check(self) -> None:
        """Asserts that the vault is what the model says."""
        assert self._alive() == self.living.keys()
        with acting(self.vault, self.clock):
            for interaction, said in self.living.items():
                words = self.vault.read(interaction, TRANSCRIPT)
                assert bytes(words) == words_of(said.text).encode()
                assert said.has_audio == self._has_audio(interaction)
            labels = {
                Action.decode(self.vault.read(it, RECORD)).label for it in self.vault.owned(RECORD)
            }
            assert labels == self.records

    def _has_audio(self, interaction: InteractionId) -> bool:
        try:
            return bool(self.vault.read(interaction, AUDIO))
        except (Erased, NotFound):
            return False

    def thief(self) -> Thief:
        """Returns who has every version of every file, and the share of today."""
        anchors = self.base / "anchors"
        share = (anchors / f"{self.vault.id.hex()}.share").read_bytes()
        return Thief(self.disk.everything(outside=anchors), shares_in(share))

    def revived(self) -> set[str]:
        """Returns the dead files that a thief opens with any key he finds for their slot."""
        keys = self.thief().keys
        return {
            name
            for name, data in self.sealed.items()
            if self._is_dead(name) and self.thief_opens(data, keys)
        }

    def _is_dead(self, name: str) -> bool:
        interaction = InteractionId(bytes.fromhex(name[:32]))
        said = self.living.get(interaction)
        return said is None or (name.endswith(AUDIO) and not said.has_audio)

    @staticmethod
    def thief_opens(data: bytes, keys: Mapping[Slot, set[bytes]]) -> bool:
        slot = parse_header(data[:HEADER_SIZE]).label.slot
        return any(opens(key, data) for key in keys.get(slot, ()))


ACTS = (
    Week._forget,
    Week._forget,
    Week._forget,
    Week._keep_alarm,
    Week._die_while_forgetting,
    Week._die_while_hearing,
    Week._index,
    Week._search,
    Week._lose_and_restore,
)

"""Recovery copies, what they open and what waits for them; a lost stick is sworn destroyed."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keys.attested import Trust
from keys.entry import AnchorEntry
from keys.errors import AnchorFailure, Malformed, StateUnknown, Tampered
from keys.model import Epoch, InteractionId, Slot, VaultId
from keys.outcome import Outcome, verify_files
from keys.receipt import CONFIRMED, PENDING
from keys.recovery import RecoveryHead, parse_head
from keys.ring import Ring
from keys.root import Recovering
from keys.secret import Secret, random_secret
from keys.verify import explain
from pipeline import anchoring, recovery
from pipeline.audit import audit
from pipeline.doctor import findings
from pipeline.erase import Erasure
from pipeline.errors import Refused
from pipeline.session import acting, create_vault
from pipeline.vault import Vault
from tests.household import (
    HouseDisk,
    assert_whole,
    clock,
    forget,
    house_disk,
    make,
    real_files,
    reopen,
    say,
    sealed_of,
    settled,
)
from tests.test_write_crash import moments_of
from tests.world.adversary import Adversary, shares_in

WORD = bytearray(b"correct horse")


def asked() -> bytearray:
    return bytearray(WORD)


def nobody() -> bytearray:
    raise AssertionError("nobody is asked for a passphrase here")


def outcome(done: Erasure) -> Outcome:
    (one,) = verify_files([done.receipt], Trust())
    return one


@dataclass(slots=True)
class Home:
    """A vault with a recovery copy of it and a backup from then."""

    base: Path
    name: str = ""
    ids: list[InteractionId] = field(default_factory=list)
    sealed: dict[str, bytes] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.base / "recovery"

    def vault(self) -> Vault:
        return reopen(self.base)

    def write(self, ask: recovery.AskPassphrase | None = None) -> None:
        vault = self.vault()
        with acting(vault, clock):
            self.name = recovery.write_copy(vault, self.file, ask)

    def lose_the_anchor(self) -> None:
        shutil.rmtree(self.base / "anchors")

    def put_back(self, *parts: str) -> None:
        for part in parts:
            shutil.rmtree(self.base / "vault" / part)
            if (self.base / "backup" / part).exists():
                shutil.copytree(self.base / "backup" / part, self.base / "vault" / part)

    def use(self, ask: recovery.AskPassphrase = nobody, spec: str = "file") -> None:
        recovery.use_copy(self.vault(), self.file, ask, spec)

    def opened_by(self, roots: list[bytes]) -> bool:
        """Tells whether the first interaction opens by these roots and the anchors as they are."""
        files = [
            *real_files(self.base / "vault").values(),
            *real_files(self.base / "backup").values(),
        ]
        anchors = real_files(self.base / "anchors").values()
        shares = {share for data in anchors for share in shares_in(data)}
        return bool(Adversary(files, {"file": shares}, roots=roots).opened(self.sealed))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    vault = make(tmp_path)
    it = Home(tmp_path, ids=say(vault, "first", "second"))
    it.sealed = sealed_of(vault, it.ids[0])
    it.write()
    shutil.copytree(vault.directory, tmp_path / "backup")
    return it


def root_in(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [bytes(parse_head(data).open(data, None))]


def test_what_was_live_waits_for_the_copy_and_it_opens_that(home: Home) -> None:
    done = forget(home.vault(), home.ids[0])
    assert done.statement.verdict == PENDING
    assert any(
        f"the recovery copy {home.name} was not said" in row for row in done.statement.residual
    )
    assert home.opened_by(root_in(home.file)), "pending is no word too many"
    assert not home.opened_by([]), "the control: without the copy it is dead"
    (late,) = say(home.vault(), "said after the next rotation")
    assert forget(home.vault(), late).statement.verdict == CONFIRMED


def test_it_is_listed_until_it_is_said_to_be_destroyed(home: Home) -> None:
    def states() -> list[str]:
        found = findings(home.base / "vault", home.base / "anchors")
        return [f"{it.found} {it.state}" for it in found if it.check == "recovery copies"]

    with acting(vault := home.vault(), clock):
        (_, row) = anchoring.anchors(vault)
        assert (row.name, row.is_outstanding, row.is_used) == (home.name, True, False)
        with pytest.raises(Refused, match="--destroyed"):
            anchoring.remove(vault, home.name)
    assert home.name in states()[0]
    done = forget(vault, home.ids[0])
    with acting(vault, clock):
        recovery.swear(vault, home.name)
        (_,) = anchoring.anchors(vault)
    with acting(vault, clock):
        assert audit(vault).problems == []
        told = [it for _, it in vault.log.scan() if isinstance(it, AnchorEntry)]
    assert told == [AnchorEntry(how, home.name) for how in ("copied", "destroyed")]
    assert states() == ["none that is awaited ok"]
    one = outcome(done)
    assert one.verdict == CONFIRMED
    text = "\n".join(explain(one, ""))
    assert f"{home.name} is destroyed, by the word of its user alone" in text


def test_what_is_erased_after_the_word_says_that_it_rests_on_it(home: Home) -> None:
    with acting(vault := home.vault(), clock):
        recovery.swear(vault, home.name)
    done = forget(vault, home.ids[0])
    assert done.statement.verdict == CONFIRMED
    assert [row for row in done.statement.residual if "by the word of its user alone" in row]
    (late,) = say(vault, "later")
    assert not [row for row in forget(vault, late).statement.residual if home.name in row]


def test_a_vault_whose_anchor_is_lost_opens_again(home: Home) -> None:
    home.lose_the_anchor()
    with pytest.raises(AnchorFailure), acting(home.vault(), clock):
        pass
    home.use()
    with acting(vault := home.vault(), clock):
        assert_whole(vault, home.ids[0], "first")
        assert audit(vault).problems == []
        assert vault.ring.outstanding == {home.name, f"lost-file-{home.name}"}
    done = forget(vault, home.ids[0])
    assert done.statement.verdict == PENDING
    with acting(vault, clock):
        for name in sorted(vault.ring.outstanding):
            recovery.swear(vault, name)
    with acting(vault, clock):
        assert outcome(done).verdict == CONFIRMED
        assert_whole(vault, home.ids[1], "second")


def test_with_the_ring_of_its_time_and_the_log_of_today_what_was_erased_stays_dead(
    home: Home,
) -> None:
    done = forget(home.vault(), home.ids[0])
    (late,) = say(home.vault(), "said since")
    home.lose_the_anchor()
    with pytest.raises(AnchorFailure, match="backup of that time"):
        home.use()
    home.put_back("ring")
    home.use()
    with acting(vault := home.vault(), clock):
        assert list(vault.interactions()) == [home.ids[1]]
        assert_whole(vault, home.ids[1], "second")
        assert not any(vault.ring.is_live(Slot(it)) for it in done.statement.slots)
        lost = audit(vault).problems
    assert lost, "the keys of what was said since are in no backup, and the audit says so"
    assert all(late.hex() in row or "live roots" in row for row in lost), lost
    (new,) = say(vault, "and it goes on")
    with acting(vault, clock):
        assert_whole(vault, new, "and it goes on")


def test_control_with_the_log_of_that_time_it_comes_back(home: Home) -> None:
    """That is what a recovery copy does, and what every receipt says of it."""
    assert forget(home.vault(), home.ids[0]).statement.verdict == PENDING
    home.lose_the_anchor()
    home.put_back("ring", "log", "receipts", "live", "sealed")
    home.use()
    with acting(vault := home.vault(), clock):
        assert_whole(vault, home.ids[0], "first")


def test_without_the_receipt_it_cannot_be_told_what_was_erased(home: Home) -> None:
    forget(home.vault(), home.ids[0]).receipt.unlink()
    home.lose_the_anchor()
    home.put_back("ring")
    with pytest.raises(Tampered, match="would come back"):
        home.use()


def test_another_anchor_can_be_named_and_the_old_place_stays_apart(home: Home) -> None:
    home.lose_the_anchor()
    home.use(spec=f"file:{home.base}/new")
    with acting(vault := home.vault(), clock):
        assert_whole(vault, home.ids[1], "second")
        assert vault.ring.outstanding == {home.name, "file"}
        with pytest.raises(Refused, match="another one in its place"):
            anchoring.add(vault, "file")


def test_it_is_refused_where_it_is_not_needed_or_does_not_fit(home: Home, tmp_path: Path) -> None:
    before = real_files(tmp_path / "vault")
    with pytest.raises(Refused, match="no recovery copy is needed"):
        home.use()
    for target, why in ((home.file, "is there already"), (tmp_path / "vault" / "it", "inside")):
        with acting(vault := home.vault(), clock), pytest.raises(Refused, match=why):
            recovery.write_copy(vault, target, None)
    other = make(tmp_path / "other")
    with pytest.raises(AnchorFailure, match="not of this one"):
        recovery.use_copy(other, home.file, nobody, "file")
    assert real_files(tmp_path / "vault") == before


def test_a_passphrase_is_needed_where_there_is_one(tmp_path: Path) -> None:
    home = Home(tmp_path, ids=say(make(tmp_path), "first"))
    home.write(asked)
    data = home.file.read_bytes()
    assert parse_head(data).has_passphrase
    home.lose_the_anchor()
    with pytest.raises(AnchorFailure, match="passphrase is wrong"):
        home.use(lambda: bytearray(b"something else"))
    home.use(asked)
    with acting(vault := home.vault(), clock):
        assert_whole(vault, home.ids[0], "first")


def test_every_byte_of_the_file_counts() -> None:
    root = random_secret()
    head = RecoveryHead.draw(VaultId(bytes(range(16))), Epoch(7), has_passphrase=False)
    data = head.seal(root, None)
    assert parse_head(data) == head
    assert head.open(data, None) == root
    for at in range(len(data)):
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises((Malformed, AnchorFailure)):
            parse_head(bent).open(bent, None)
    for bad in (b"", data[:-1], data + b"\0"):
        with pytest.raises(Malformed):
            parse_head(bad)
    with pytest.raises(AnchorFailure, match="no passphrase"):
        head.open(data, Secret(32))
    assert root.hex() not in repr(head)


# A stick that is lost


def test_a_lost_stick_is_sworn_destroyed(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    vault = create_vault(tmp_path / "vault", tmp_path / "anchors", f"file|file:{stick}")
    first, second = say(vault, "first", "second")
    (name,) = {it.name for it in vault.ring.anchors} - {"file"}
    with acting(vault, clock), pytest.raises(Refused, match="is here"):
        recovery.swear(vault, name)
    stick.rename(tmp_path / "lost")
    done = forget(vault, first)
    assert done.statement.verdict == PENDING
    with acting(vault, clock):
        recovery.swear(vault, name)
    with acting(vault := reopen(tmp_path), clock):
        assert vault.anchor == "file"
        assert not vault.ring.outstanding
        assert audit(vault).problems == []
        with pytest.raises(Refused, match="another one in its place"):
            anchoring.add(vault, f"file:{stick}")
    one = outcome(done)
    assert one.verdict == CONFIRMED
    assert one.confirmed
    found = [row.found for row in one.confirmed.statement.checks]
    assert f"{name} is destroyed, by the word of its user alone" in found
    then = forget(vault, second)
    assert then.statement.verdict == CONFIRMED
    assert [row for row in then.statement.residual if "by the word of its user" in row]


# Crashes


class Simulated:
    """The same on a simulated disk, on which every operation can be the last."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.disk = house_disk(base)
        self.first, self.second = say(make(base, self.disk), "first", "second")
        self.disk = settled(self.disk)

    def vault(self, disk: HouseDisk) -> Vault:
        return reopen(self.base, disk)

    def write(self, disk: HouseDisk) -> None:
        with acting(vault := self.vault(disk), clock):
            recovery.write_copy(vault, self.base / "recovery", None)

    def use(self, disk: HouseDisk) -> None:
        recovery.use_copy(self.vault(disk), self.base / "recovery", nobody, "file")


def judged(
    it: Simulated,
    start: HouseDisk,
    act: Callable[[HouseDisk], None],
    judge: Callable[[HouseDisk], None],
) -> int:
    """Stops an act at each moment, and judges each medium that may be left; returns how many."""
    seen = set[object]()
    for number, (disk, _) in enumerate(moments_of(start, lambda: act(start))):
        for medium in [*disk.survivors(8, seed=number), disk.cached]:
            image = frozenset(medium.files().items()), frozenset(medium.raw(it.base / "anchors"))
            if image not in seen:
                seen.add(image)
                judge(HouseDisk(medium, disk.history))
    return len(seen)


def test_no_crash_leaves_a_copy_that_is_not_awaited(tmp_path: Path) -> None:
    it, there = Simulated(tmp_path), 0

    def judge(disk: HouseDisk) -> None:
        nonlocal there
        with acting(vault := it.vault(disk), clock):
            assert_whole(vault, it.first, "first")
            assert audit(vault).problems == []
            is_there = bool(disk.size(it.base / "recovery"))
            assert vault.ring.outstanding or not is_there
            there += is_there

    states = judged(it, it.disk, it.write, judge)
    print(f"writing a recovery copy: {states} states, {there} with the file")
    assert 0 < there < states


def test_control_a_ring_that_is_not_told_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ring, "leave", lambda *_: None)
    with pytest.raises(AssertionError):
        test_no_crash_leaves_a_copy_that_is_not_awaited(tmp_path)


def opening_again(it: Simulated) -> int:
    """Uses a copy after an erasure, with the ring from before and no anchor; stops everywhere."""
    disk = it.disk
    it.write(disk)
    disk = settled(disk)
    ring = {path: data for path, data in disk.cached.files().items() if path.parent.name == "ring"}
    with acting(vault := it.vault(disk), clock):
        pass
    forget(vault, it.first)
    for path in list(disk.cached.files()):
        if path.parent.name in {"ring", "anchors"}:
            disk.delete(path)
    for path, data in ring.items():
        disk.write(path, 0, data)
    finished = 0

    def judge(now: HouseDisk) -> None:
        nonlocal finished
        try:
            with acting(it.vault(now), clock):
                finished += 1
        except AnchorFailure:
            it.use(now)
        with acting(vault := it.vault(now), clock):
            assert list(vault.interactions()) == [it.second]
            assert_whole(vault, it.second, "second")
            assert len(vault.ring.outstanding) == 2
            assert audit(vault).problems == []

    states = judged(it, settled(disk), it.use, judge)
    print(f"using a recovery copy: {states} states, {finished} of them finished by the next act")
    assert 0 < finished < states
    return states


def test_no_crash_of_the_use_loses_or_revives(tmp_path: Path) -> None:
    assert opening_again(Simulated(tmp_path)) > 30


def test_control_a_use_that_does_not_ask_the_log_revives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_erased", lambda _: iter(()))
    with pytest.raises(AssertionError):
        opening_again(Simulated(tmp_path))


def test_control_the_first_root_of_the_anchors_is_made_for_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Recovering, "fresh", lambda it, epoch, **_: it.fresh_for(epoch, it.present())
    )
    with pytest.raises((AssertionError, AnchorFailure, StateUnknown)):
        opening_again(Simulated(tmp_path))

"""No crash leaves a receipt unconfirmed, confirmed twice, or confirmed while something opens."""

from pathlib import Path

import pytest

from keys import confirmation
from keys.entry import ConfirmedEntry
from keys.errors import StateUnknown
from keys.log import Log
from keys.model import Slot
from keys.receipt import PENDING, verify
from pipeline import confirm, logkey
from pipeline.audit import audit
from pipeline.erase import Erasure, erase
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, open_vault
from pipeline.vault import Vault
from tests.confirmations import files, stick, vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    house_disk,
    no_passphrase,
    say,
    settled,
)
from tests.test_write_crash import moments_of
from tests.world.adversary import Adversary, shares_in
from tests.world.disk import Medium, Name

__all__ = ["stick", "vault"]


class Simulated:
    """The same on a simulated disk: an erasure while the stick was away, and the stick back."""

    def __init__(self, base: Path) -> None:
        self.base, self.stick, disk = base, base / "stick", house_disk(base)
        made = create_vault(base / "vault", base / "here", f"file|file:{self.stick}", disk=disk)
        self.dead, self.other = say(made, "said before", "said as well")
        disk = settled(disk)
        share = self.stick / f"{made.id.hex()}.share"
        file = disk.cached.names[share]
        away = disk.cached.after([Name(share, None)])
        disk = HouseDisk(away, disk.history)
        vault = self.vault(disk)
        with acting(vault, clock):
            plan = make_plan(vault, [self.dead], NOON)
            results = list[Erasure]()
            self.erasing = moments_of(disk, lambda: results.append(erase(vault, plan, clock)))
            (self.done,) = results
        assert self.done.statement.verdict == PENDING
        self.anchors = {anchor.name for anchor in vault.ring.anchors}
        self.come_back = Name(share, file)
        self.disk = self.with_stick(settled(disk).cached, disk)

    def with_stick(self, medium: Medium, disk: HouseDisk) -> HouseDisk:
        return HouseDisk(medium.after([self.come_back]), disk.history)

    def vault(self, disk: HouseDisk) -> Vault:
        return open_vault(self.base / "vault", self.base / "here", no_passphrase, disk)

    def thief(self, disk: HouseDisk) -> Adversary:
        places = (self.stick, self.base / "here")
        shares = {s for it in places for raw in disk.durable.raw(it) for s in shares_in(raw)}
        versions = [data for path, data in disk.history if self.base / "vault" in path.parents]
        return Adversary(versions, dict.fromkeys(self.anchors, shares))

    def sealed(self, disk: HouseDisk) -> dict[str, bytes]:
        dead = self.dead.hex()
        return {path.name: data for path, data in disk.history if path.name.startswith(dead)}

    def judge(self, disk: HouseDisk) -> None:
        """After one more act there is one whole confirmation, of one entry, and nothing else."""
        vault, (receipt, note) = self.vault(disk), files(self.done)
        with acting(vault, clock):
            assert audit(vault).problems == []
            assert audit(vault).confirmations == 1
            assert disk.names(vault.receipts) == [note.name, receipt.name]
            entries = [it for _, it in vault.log.scan() if isinstance(it, ConfirmedEntry)]
            assert len(entries) == 1
            it = confirmation.verify(bytes(disk.read(note)), logkey.signer(vault).verifier)
            confirmation.match(it, verify(bytes(disk.read(receipt))))
        before = disk.cached.files()
        with acting(self.vault(disk), clock):
            assert disk.cached.files() == before


@pytest.fixture
def simulated(tmp_path: Path) -> Simulated:
    return Simulated(tmp_path)


def confirming(it: Simulated) -> list[tuple[HouseDisk, bool]]:
    def act() -> None:
        with acting(it.vault(it.disk), clock):
            pass

    return moments_of(it.disk, act)


def test_no_crash_leaves_a_receipt_unconfirmed_or_confirmed_twice(simulated: Simulated) -> None:
    states, seen = 0, set[tuple[object, ...]]()
    for disk, _ in confirming(simulated):
        media = [HouseDisk(it, disk.history) for it in disk.survivors(8, seed=states)]
        for one in [*media, disk.fork()]:
            image = _image(one.durable), _image(one.cached)
            if image not in seen:
                seen.add(image)
                states += 1
                simulated.judge(one)
    print(f"confirm: {states} states")
    assert states > 40


def test_no_crash_of_a_pending_erasure_leaves_it_unconfirmed_later(simulated: Simulated) -> None:
    """The erasure is stopped while the stick is away; then the stick comes back."""
    states, erased, seen = 0, 0, set[object]()
    for disk, is_done in simulated.erasing:
        for medium in [*disk.survivors(4, seed=states), disk.cached]:
            one = simulated.with_stick(medium, disk)
            if (image := _image(one.cached)) in seen:
                continue
            seen.add(image)
            states += 1
            vault = simulated.vault(one)
            with acting(vault, clock):
                is_erased = not any(
                    map(vault.ring.is_live, map(Slot, simulated.done.statement.slots))
                )
                assert is_erased or not is_done
                found = audit(vault)
                assert (found.problems, found.receipts) == ([], int(is_erased))
                receipts = [name for name in one.names(vault.receipts) if name.endswith("receipt")]
                pending = [
                    it
                    for name in receipts
                    if (it := verify(bytes(one.read(vault.receipts / name))).statement).verdict
                    == PENDING
                ]
                assert found.confirmations == len(pending)
                erased += len(pending)
    print(f"a pending erasure, confirmed later: {states} states, {erased} of them pending at first")
    assert states > 40
    assert 0 < erased < states


def test_at_no_moment_is_confirmed_what_opens(simulated: Simulated) -> None:
    """For whoever has every version of every file, and both anchors as they are at that moment."""
    opened = {False: 0, True: 0}
    for disk, _ in confirming(simulated):
        is_confirmed = files(simulated.done)[1] in disk.cached.names
        opened[is_confirmed] += bool(simulated.thief(disk).opened(simulated.sealed(disk)))
    assert opened[True] == 0
    assert opened[False] > 0, "the control: before the stick has rotated it opens all"


@pytest.mark.parametrize("number", range(1, 40, 3))
def test_the_same_process_goes_on_after_a_failed_operation(
    simulated: Simulated, number: int
) -> None:
    vault = simulated.vault(simulated.disk)
    simulated.disk.fail_at = simulated.disk.operations + number
    try:
        with acting(vault, clock):
            pass
    except StateUnknown:
        with acting(vault, clock):
            pass
    simulated.judge(simulated.disk)


def test_an_entry_that_is_not_found_again_shows_as_two(
    simulated: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with a log that never knows what it has, a crash makes a second entry."""
    monkeypatch.setattr(Log, "has", lambda *_: False)
    moments = [disk.fork() for disk, _ in confirming(simulated)]
    with pytest.raises(AssertionError):
        list(map(simulated.judge, moments))


def _image(medium: Medium) -> object:
    return frozenset(medium.files().items()), medium.directories


def test_the_mark_is_what_makes_it_happen(simulated: Simulated) -> None:
    """The control: without the mark nothing is confirmed, and the audit says so."""
    mark = files(simulated.done)[0].with_suffix(confirm.MARK)
    simulated.disk.delete(mark)
    vault = simulated.vault(simulated.disk)
    with acting(vault, clock):
        assert [row for row in audit(vault).problems if "not confirmed" in row]

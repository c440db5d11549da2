"""A use of a skill in a vault: on record before it happens, once at most, and erased with the rest.

The shop is a real HTTP server; after the erasure it is asked to erase what it was given, and the
receipt waits for its answer.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.attested import Trust
from keys.entry import Noted
from keys.errors import Erased
from keys.model import InteractionId
from keys.outcome import verify_files
from keys.receipt import CONFIRMED, PENDING, Statement, parse_receipt
from pipeline import confirm, disclosures, history
from pipeline.audit import audit
from pipeline.disclosures import Given
from pipeline.erase import Erasure, erase
from pipeline.errors import NotFound, Refused
from pipeline.forgetting import carry_out, propose
from pipeline.plan import make_plan
from pipeline.select import Selection
from pipeline.session import acting
from pipeline.skills import asking, use
from pipeline.skills.again import Asking, ask_again, give_up
from pipeline.skills.asking import ask_to_erase
from pipeline.skills.interface import Result
from pipeline.vault import Vault
from tests.household import (
    NOON,
    HouseDisk,
    clock,
    forget,
    house_disk,
    make,
    real_files,
    reopen,
    say,
    settled,
)
from tests.shop import Shop, configure, enable, shop
from tests.test_write_crash import moments_of

ITEMS = "marmalade for the doctor"
SAID = f"order {ITEMS}"


@pytest.fixture
def the_shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    with shop() as it:
        enable(monkeypatch, tmp_path / "config", it.url, "order", "message", "home-assistant")
        yield it


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return make(tmp_path)


@pytest.fixture
def ordered(vault: Vault, the_shop: Shop) -> InteractionId:
    assert the_shop.manner == "well"
    (interaction,) = say(vault, SAID)
    assert use.use(vault, interaction, "order", {"items": ITEMS}) == Result(
        {"text": "it is on its way"}
    )
    return interaction


def reference_of(it: Shop) -> str:
    (row,) = it.orders
    return str(row["reference"])


def forget_asking(vault: Vault, *interactions: InteractionId, only_audio: bool = False) -> Erasure:
    """Forgets as the command does: skills are asked."""
    ids = tuple(it.hex() for it in interactions)
    with acting(vault, clock):
        found = propose(vault, Selection(ids), NOON, only_audio=only_audio)
        return carry_out(vault, found, clock)


def problems(vault: Vault) -> list[str]:
    with acting(vault, clock):
        return audit(vault).problems


def noted(vault: Vault, act: str) -> list[Noted]:
    return [it for _, it in vault.log.scan() if isinstance(it, Noted) and it.act == act]


def verdict(done: Erasure) -> str:
    (one,) = verify_files([done.receipt], Trust())
    assert one.verified, one.problem
    return one.verdict


# Using


def test_a_use_is_in_the_log_before_it_happens(vault: Vault, the_shop: Shop) -> None:
    (interaction,) = say(vault, SAID)
    then: list[bytes] = []
    the_shop.at_once = lambda: then.append((vault.directory / "log" / "entries").read_bytes())
    use.use(vault, interaction, "order", {"items": ITEMS, "text": SAID})
    line = f"disclose order {interaction.hex()} {reference_of(the_shop)}\n"
    assert line in then[0].decode()
    with acting(vault, clock):
        (gone,) = history.detail(vault, interaction).disclosures
    assert (gone.kind, gone.fields) == ("skill order", ("items",))
    assert the_shop.url.startswith(gone.to)
    assert "7f3a" not in gone.to  # the path of a webhook is a secret
    assert problems(vault) == []


def test_nothing_is_on_record_of_what_is_refused(
    vault: Vault, the_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (interaction,) = say(vault, SAID)
    before = vault.log.size
    with pytest.raises(Refused, match="needs items"):
        use.use(vault, interaction, "order", {"text": SAID})
    configure(monkeypatch, tmp_path / "config", "")
    with pytest.raises(Refused, match="not enabled"):
        use.use(vault, interaction, "order", {"items": ITEMS})
    assert vault.log.size == before
    assert not the_shop.seen


def test_what_is_erased_is_given_to_nobody(vault: Vault, the_shop: Shop) -> None:
    (interaction,) = say(vault, SAID)
    ready = use.prepare("order", {"items": ITEMS})
    forget(vault, interaction)
    with acting(vault, clock), pytest.raises(Erased):
        use.record(vault, interaction, ready, NOON)
    assert not the_shop.seen
    assert noted(vault, "disclose") == []


def test_two_uses_have_two_references(vault: Vault, the_shop: Shop) -> None:
    (interaction,) = say(vault, SAID)
    for _ in range(2):
        use.use(vault, interaction, "order", {"items": ITEMS})
    assert len({row["reference"] for row in the_shop.orders}) == 2
    done = forget_asking(vault, interaction)
    assert sorted(the_shop.erasures) == sorted(row["reference"] for row in the_shop.orders)
    assert len(done.statement.disclosed) == 2


def test_at_every_crash_it_is_on_record_or_nothing_was_sent(tmp_path: Path, the_shop: Shop) -> None:
    """And after the crash nothing is sent again: it was sent once, or not at all."""
    disk = house_disk(tmp_path)
    (interaction,) = say(make(tmp_path, disk), SAID)
    ready, start = use.prepare("order", {"items": ITEMS}), settled(disk)
    vault = reopen(tmp_path, start)

    def act() -> None:
        with acting(vault, clock):
            reference = use.record(vault, interaction, ready, NOON)
        use.carry_out(ready, reference)

    states = recorded = 0
    for crashed, was_sent in crashes_of(start, act):
        after = reopen(tmp_path, crashed)
        with acting(after, clock):
            known = [it.interactions[1].hex() for it in noted(after, "disclose")]
            assert audit(after).problems == []
        assert known == [reference_of(the_shop)] or not (known or was_sent)
        states, recorded = states + 1, recorded + bool(known)
    assert 0 < recorded < states
    assert len(the_shop.seen) == 1


def crashes_of(disk: HouseDisk, act: Callable[[], None]) -> Iterator[tuple[HouseDisk, bool]]:
    """Yields the disk as a crash leaves it at each moment of an act, and whether it was done."""
    seen = set[object]()
    for moment, is_done in moments_of(disk, act):
        for medium in [*moment.survivors(4, seed=len(seen)), moment.cached]:
            files = frozenset(medium.files().items())
            if files not in seen:
                seen.add(files)
                yield HouseDisk(medium, moment.history), is_done


def test_no_word_of_it_is_anywhere(
    vault: Vault, ordered: InteractionId, tmp_path: Path, the_shop: Shop
) -> None:
    the_shop.manner = "refusing"
    forget_asking(vault, ordered)
    files = real_files(tmp_path)
    assert any(reference_of(the_shop).encode() in data for data in files.values())  # the control
    for word in (ITEMS, "marmalade", "on its way"):
        assert not [path for path, data in files.items() if word.encode() in data]


# Erasing


def test_a_shop_that_erases(vault: Vault, ordered: InteractionId, the_shop: Shop) -> None:
    done = forget_asking(vault, ordered)
    assert the_shop.seen[1:] == [{"act": "erase", "reference": reference_of(the_shop)}]
    (row,) = done.statement.disclosed
    assert row.endswith(f"reference {reference_of(the_shop)}: it says that it erased its copy")
    assert any("word alone" in it for it in done.statement.residual)
    assert verdict(done) == CONFIRMED == done.statement.verdict
    (answer,) = noted(vault, "answer")
    assert (answer.how, answer.interactions[0].hex()) == ("erased", reference_of(the_shop))
    assert problems(vault) == []


def test_it_is_asked_when_the_keys_are_gone(
    vault: Vault, ordered: InteractionId, the_shop: Shop, tmp_path: Path
) -> None:
    epochs = []
    before = vault.ring.epoch
    the_shop.at_once = lambda: epochs.append(_epoch_on_disk(tmp_path))
    forget_asking(vault, ordered)
    assert epochs == [before + 1]


def _epoch_on_disk(base: Path) -> int:
    return max(int(path.name.split("-")[1]) for path in (base / "vault" / "ring").glob("state-*"))


def test_a_shop_that_refuses(vault: Vault, ordered: InteractionId, the_shop: Shop) -> None:
    """The vault's own erasure is complete: confirmed, with the copy that stays as residual."""
    the_shop.manner = "refusing"
    done = forget_asking(vault, ordered)
    assert done.statement.verdict == CONFIRMED
    assert "refuses to erase" in done.statement.disclosed[0]
    assert any(reference_of(the_shop) in it and "outside" in it for it in done.statement.residual)
    assert problems(vault) == []


@pytest.mark.parametrize("manner", ["silent", "broken", "hotel", "mistaken", "hanging_up"])
def test_a_shop_that_does_not_answer_makes_it_pending(
    vault: Vault,
    ordered: InteractionId,
    the_shop: Shop,
    manner: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "SOON_S", 1.0)
    the_shop.manner = manner
    start = time.monotonic()
    done = forget_asking(vault, ordered)
    assert time.monotonic() - start < 5
    assert done.statement.verdict == PENDING
    assert "has not answered" in done.statement.disclosed[0]
    assert noted(vault, "answer") == []
    assert problems(vault) == []
    with acting(vault, clock):  # whatever happens meanwhile, nothing is confirmed, or asked
        assert confirm.still_waits_for(vault, done.statement) == [
            f"skill order {reference_of(the_shop)}"
        ]
    assert (verdict(done), len(the_shop.erasures)) == (PENDING, 1)


@pytest.mark.parametrize(("manner", "said"), [("well", "erased its"), ("refusing", "refuses to")])
def test_an_answer_that_comes_later_confirms_it(
    vault: Vault,
    ordered: InteractionId,
    the_shop: Shop,
    manner: str,
    said: str,
    tmp_path: Path,
) -> None:
    the_shop.manner = "broken"
    done = forget_asking(vault, ordered)
    assert ask_again(vault) == [f"skill order {reference_of(the_shop)}"]
    assert (verdict(done), len(the_shop.erasures)) == (PENDING, 2)
    the_shop.manner = manner
    assert ask_again(reopen(tmp_path)) == []
    assert verdict(done) == CONFIRMED
    (one,) = verify_files([done.receipt], Trust())
    assert one.confirmed
    (check,) = [it for it in one.confirmed.statement.checks if "order" in it.check]
    assert reference_of(the_shop) in check.check
    assert said in check.found
    assert problems(vault) == []
    assert ask_again(vault) == []
    assert len(the_shop.erasures) == 3  # nobody is asked who has answered


def test_an_act_that_asks_nobody_leaves_it_pending(
    vault: Vault, ordered: InteractionId, the_shop: Shop
) -> None:
    """As retention does, in whichever command."""
    done = forget(vault, ordered)
    assert done.statement.verdict == PENDING
    assert not the_shop.erasures
    assert ask_again(vault) == []
    assert verdict(done) == CONFIRMED


def test_one_of_two_that_answers_is_not_enough(
    vault: Vault,
    ordered: InteractionId,
    the_shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with shop("broken") as other:
        enable_two(monkeypatch, tmp_path, the_shop, other)
        use.use(vault, ordered, "message", {"recipient": "anna", "text": "hello"})
        done = forget_asking(vault, ordered)
        assert done.statement.verdict == PENDING
        assert [it.skill for it in waiting(vault)] == ["message"]
        assert len(noted(vault, "answer")) == 1
        other.manner = "well"
        assert ask_again(vault) == []
    assert verdict(done) == CONFIRMED
    assert len(the_shop.erasures) == 1


def enable_two(monkeypatch: pytest.MonkeyPatch, base: Path, first: Shop, second: Shop) -> None:
    rows = [
        f'[{name}]\nenabled = true\nurl = "{it.url}"\n'
        for name, it in (("order", first), ("message", second))
    ]
    configure(monkeypatch, base / "config", "".join(rows))


def waiting(vault: Vault) -> list[Given]:
    with acting(vault, clock):
        return confirm.awaited(vault)


def test_home_assistant_cannot_be_asked_and_is_not_waited_for(vault: Vault, the_shop: Shop) -> None:
    (interaction,) = say(vault, SAID)
    the_shop.manner = "home"
    assert isinstance(use.use(vault, interaction, "home-assistant", {"text": SAID}), Result)
    done = forget_asking(vault, interaction)
    assert done.statement.verdict == CONFIRMED
    assert "no way to be asked" in done.statement.disclosed[0]
    assert any("outside this vault's reach" in it for it in done.statement.residual)


def test_only_the_audio_is_no_matter_of_theirs(
    vault: Vault, ordered: InteractionId, the_shop: Shop
) -> None:
    done = forget_asking(vault, ordered, only_audio=True)
    assert (done.statement.verdict, done.statement.disclosed) == (CONFIRMED, ())
    assert not the_shop.erasures
    assert forget_asking(vault, ordered).statement.disclosed
    assert the_shop.erasures == [reference_of(the_shop)]


def test_a_skill_that_is_not_enabled_any_more_is_waited_for(
    vault: Vault,
    ordered: InteractionId,
    the_shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    configure(monkeypatch, tmp_path / "config", "")
    done = forget_asking(vault, ordered)
    assert ask_again(vault)
    assert verdict(done) == PENDING
    assert not the_shop.erasures
    enable(monkeypatch, tmp_path / "config", the_shop.url, "order")
    assert ask_again(vault) == []
    assert verdict(done) == CONFIRMED


def test_serve_asks_without_holding_the_vault(
    vault: Vault, ordered: InteractionId, the_shop: Shop
) -> None:
    done, asking = forget(vault, ordered), Asking()
    held: list[str] = []

    def at_once() -> None:
        with acting(reopen(vault.directory.parent), clock):  # which nobody else holds
            held.append("free")

    the_shop.at_once = at_once
    for _ in range(200):
        with acting(vault, clock):
            asking.attend(vault)
            if not confirm.awaited(vault):
                break
        time.sleep(0.02)
    with acting(vault, clock):
        asking.attend(vault)
    assert verdict(done) == CONFIRMED
    assert (held, len(the_shop.erasures)) == (["free"], 1)


def test_one_that_is_gone_for_good_can_be_given_up(
    vault: Vault, ordered: InteractionId, the_shop: Shop
) -> None:
    done = forget(vault, ordered)
    with pytest.raises(NotFound, match="no receipt waits"):
        give_up(vault, "00" * 16)
    assert verdict(done) == PENDING
    assert give_up(vault, reference_of(the_shop)) == []
    (one,) = verify_files([done.receipt], Trust())
    assert one.confirmed
    assert "given up" in one.confirmed.statement.checks[-1].found
    assert problems(vault) == []


def test_a_confirmation_needs_the_answer_in_the_log(vault: Vault, ordered: InteractionId) -> None:
    """The control: a mark that names nobody any more is not enough."""
    done = forget(vault, ordered)
    mark = done.receipt.with_suffix(".pending")
    mark.write_text(mark.read_text().splitlines()[0] + "\n")
    with acting(vault, clock):
        pass
    assert verdict(done) == PENDING
    assert mark.exists()


def test_a_plain_export_is_waited_for_by_nobody(vault: Vault) -> None:
    (interaction,) = say(vault, SAID)
    with acting(vault, clock):
        disclosures.disclose(vault, interaction, "plain-export", "/mnt", ("text",), "asked", NOON)
    assert forget_asking(vault, interaction).statement.verdict == CONFIRMED


# Crashes between the erasure and the answers, which are given by hand: no process is started


@pytest.fixture
def given(tmp_path: Path) -> tuple[HouseDisk, InteractionId, dict[str, str]]:
    """A disk with an interaction of which a skill was given something, and what it answers."""
    disk = house_disk(tmp_path)
    vault = make(tmp_path, disk)
    (interaction,) = say(vault, SAID)
    with acting(vault, clock):
        it = disclosures.give(vault, interaction, "order", "a shop", ("items",), "test", NOON)
    return disk, interaction, {it.hex(): "refused"}


def test_at_every_crash_of_an_erasure_it_comes_to_a_true_end(
    tmp_path: Path,
    given: tuple[HouseDisk, InteractionId, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk, interaction, answers = given
    start = settled(disk)
    vault = reopen(tmp_path, start)
    monkeypatch.setattr(asking, "ask", lambda *_: answers)

    def act() -> None:
        with acting(vault, clock):
            erase(vault, make_plan(vault, [interaction], NOON), clock, ask_to_erase)

    ends = [ended(tmp_path, it, answers) for it, _ in crashes_of(start, act)]
    assert {verdict for it in ends for verdict in it} == {PENDING, CONFIRMED}
    assert [] in ends  # before the first step is durable, nothing has happened


def test_at_every_crash_of_a_later_answer_it_comes_to_a_true_end(
    tmp_path: Path, given: tuple[HouseDisk, InteractionId, dict[str, str]]
) -> None:
    disk, interaction, answers = given
    forget(reopen(tmp_path, disk), interaction)
    start = settled(disk)
    vault = reopen(tmp_path, start)

    def act() -> None:
        with acting(vault, clock):
            confirm.answered(vault, answers)
        with acting(vault, clock):
            pass

    ends = [ended(tmp_path, it, answers) for it, _ in crashes_of(start, act)]
    assert len(ends) > 10
    assert all(it == [PENDING] for it in ends)


def ended(base: Path, disk: HouseDisk, answers: dict[str, str]) -> list[str]:
    """Answers what is waited for after a crash; returns the verdicts that there were at first."""
    vault = reopen(base, disk)
    with acting(vault, clock):
        assert audit(vault).problems == []
        found = statements(vault)
        pending = {it.plan for it in found if it.verdict == PENDING}
        # Confirmed at once is only what was answered before; later it is asked for again.
        assert noted(vault, "answer") or len(pending) == len(found)
        confirm.answered(
            vault, {it.reference: answers[it.reference] for it in confirm.awaited(vault)}
        )
    with acting(vault, clock):
        assert confirm.awaited(vault) == []
        assert audit(vault).problems == []
        assert {f"{it}.confirmed" for it in pending} <= set(disk.names(vault.receipts))
    return [it.verdict for it in found]


def statements(vault: Vault) -> list[Statement]:
    names = [it for it in vault.disk.names(vault.receipts) if it.endswith(".receipt")]
    return [parse_receipt(bytes(vault.disk.read(vault.receipts / it))).statement for it in names]

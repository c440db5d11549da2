"""Indexing, merging, rebuilding stopped at each disk operation; and what erasing leaves of words.

However it was stopped, each interaction is found as if it had not been, an erased one never is, and
the vault is accounted for. The adversary has every version of every file and all secrets left.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from keys.errors import KeysError, Malformed
from keys.model import InteractionId
from keys.sealed import MAGIC, Opener
from pipeline import history, index, indexing, indexrebuild
from pipeline.artefact import INDEX, TRANSCRIPT
from pipeline.audit import audit
from pipeline.erase import erase
from pipeline.indexformat import Segment, Text
from pipeline.indexformat import parse as parse_segment
from pipeline.indexmerge import merged
from pipeline.indexstate import completed, open_index
from pipeline.indexvalues import Place
from pipeline.plan import make_plan
from pipeline.query import parse
from pipeline.search import Finding
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, HouseDisk, clock, forget, house_disk, make, reopen, say, settled
from tests.test_write_crash import Crashes, House, Judge, Moment, judge_house, moments_of
from tests.world.adversary import Adversary, shares_in

SAID = ("turn on the light", "the light of zanzibar", "where is the moon", "the xylophone light")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TAIL": 2, "FAN": 2, "MOST": 8}.items():
        monkeypatch.setattr(indexing, name, value)


def tidied(base: Path, *batches: Sequence[str]) -> House:
    """Returns a vault at rest in which each batch was indexed once it was said."""
    disk, whole = house_disk(base), dict[InteractionId, str]()
    vault = make(base, disk)
    for texts in batches:
        whole |= dict(zip(say(vault, *texts), texts, strict=True))
        indexing.keep_up(vault, clock)
    disk = settled(disk)
    vault = reopen(base, disk)
    with acting(vault, clock):
        return House(base, vault, disk, whole)


def judge_found(house: House, gone: Collection[InteractionId] = ()) -> Judge:
    """Asserts that what must be found is, once, in its order; `gone` only while it may live."""

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        there = list(vault.interactions())
        missing = house.whole.keys() - set(there)
        assert missing <= set(gone)
        assert not is_done or missing == set(gone)
        judge_house(vault, disk, {it: house.whole[it] for it in there})
        assert [row.interaction for row in index.rows(vault)] == there
        for word in ("light", "zanzibar", "xylophone", "moon"):
            found = [row.interaction for row in history.matching(vault, [word])]
            assert found == [it for it in there if word in house.whole[it].split()]
        finding = Finding(vault, parse("light"))
        list(finding)
        assert not finding.damaged
        assert audit(vault).problems == []

    return judge


def transcripts(vault: Vault, *interactions: InteractionId) -> set[bytes]:
    found = (it for each in interactions for it in vault.artefacts(each))
    return {it.header.label.artefact for it in found if it.kind == TRANSCRIPT}


def check(house: House, moments: list[Moment], judge: Judge, most: int = 12) -> int:
    crashes = Crashes(house.base, judge, most=most)
    crashes.check(moments)
    print(f"{crashes.states} states of {len(moments)} moments")
    return crashes.states


def test_no_crash_of_indexing_loses_anything(tmp_path: Path) -> None:
    house = tidied(tmp_path)
    house.whole = dict(zip(say(house.vault, *SAID[:2]), SAID[:2], strict=True))
    moments = moments_of(house.disk, lambda: indexing.keep_up(house.vault, clock))
    assert check(house, moments, judge_found(house)) > 20


def test_no_crash_of_merging_loses_anything(tmp_path: Path) -> None:
    house = tidied(tmp_path, SAID[:2])
    house.whole |= dict(zip(say(house.vault, *SAID[2:]), SAID[2:], strict=True))
    moments = moments_of(house.disk, lambda: indexing.keep_up(house.vault, clock))
    with acting(house.vault, clock):
        assert [it.head.members for it in open_index(house.vault).segments] == [4]
    assert check(house, moments, judge_found(house)) > 40


def test_no_crash_of_erasing_loses_or_leaves_anything(tmp_path: Path) -> None:
    house = tidied(tmp_path, SAID[:2], SAID[2:])
    dying = [it for it, text in house.whole.items() if "zanzibar" in text]
    with acting(house.vault, clock):
        plan = make_plan(house.vault, dying, NOON)
    moments = moments_of(house.disk, lambda: erase(house.vault, plan, clock))
    with acting(house.vault, clock):
        assert [it.head.members for it in open_index(house.vault).segments] == [3]
    assert check(house, moments, judge_found(house, dying), most=6) > 40


THREE = (SAID, ("a light in zanzibar", "the moon"), ("zanzibar light", "xylophone"))


def erased_from_three(base: Path) -> tuple[House, list[InteractionId], list[Moment]]:
    """Returns moments of erasing from three segments at once, of which two are written at once."""
    house = tidied(base, *THREE)
    dying = [it for it, text in house.whole.items() if "zanzibar" in text]
    with acting(house.vault, clock):
        assert [it.head.members for it in open_index(house.vault).segments] == [4, 2, 2]
        plan = make_plan(house.vault, dying, NOON)
    return house, dying, moments_of(house.disk, lambda: erase(house.vault, plan, clock))


def test_no_crash_of_erasing_from_several_segments_loses_or_leaves_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "FAN", 9)
    house, dying, moments = erased_from_three(tmp_path)
    with acting(house.vault, clock):
        assert [it.head.members for it in open_index(house.vault).segments] == [3, 1, 1]
    assert check(house, moments, judge_found(house, dying), most=3) > 60


def test_the_control_a_segment_that_does_not_name_those_of_old_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the newest if the last never came, and what others held would be found no more."""
    monkeypatch.setattr(indexing, "FAN", 9)

    def forgetful(it: Segment, covered: int, _: Iterable[Place], left: Iterable[Place]) -> Segment:
        return completed(it, covered, (), left)

    monkeypatch.setattr("pipeline.indexrebuild.completed", forgetful)
    house, dying, moments = erased_from_three(tmp_path)
    with pytest.raises(AssertionError):
        check(house, moments, judge_found(house, dying), most=6)


def test_the_control_survivors_that_do_not_name_the_dying_are_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an erasure that never began: whom it meant still lives, and would be found no more."""
    house = tidied(tmp_path, SAID)
    dying = [it for it, text in house.whole.items() if "zanzibar" in text]
    with acting(house.vault, clock):
        plan = make_plan(house.vault, dying, NOON)
    monkeypatch.setattr(indexrebuild, "_places", lambda *_: set())
    moments = moments_of(house.disk, lambda: erase(house.vault, plan, clock))
    with pytest.raises(AssertionError):
        check(house, moments, judge_found(house, dying), most=1)


def test_no_crash_of_replacing_what_is_missing_leaves_a_key_unaccounted_for(tmp_path: Path) -> None:
    """Nothing on the disk tells any more that it was retired: its file was gone before."""
    house = tidied(tmp_path, SAID)
    with acting(house.vault, clock):
        (owner,) = house.vault.owned(INDEX)
        (file,) = house.vault.artefacts(owner)
        house.disk.delete(file.path)
        house.disk.sync_dir(file.path.parent)
    moments = moments_of(house.disk, lambda: indexing.keep_up(house.vault, clock))

    def judge(vault: Vault, disk: HouseDisk, *, is_done: bool) -> None:
        assert disk.names(vault.capture) == []
        told = audit(vault).problems  # that the file is missing, or is none, until it is retired
        assert [it for it in told if file.path.name not in it] == []
        assert list(vault.interactions()) == [row.interaction for row in index.rows(vault)]
        assert not (is_done and vault.ring.is_live(file.slot))

    assert check(house, moments, judge, most=4) > 40


@dataclasses.dataclass
class Few:
    """A vault of three small segments that were written together, and who is in the newest."""

    house: House
    dying: list[InteractionId]


def written_together(base: Path) -> Few:
    house = tidied(base, *THREE)
    forget(house.vault, *(it for it, text in house.whole.items() if "zanzibar" in text))
    disk = settled(house.disk)
    vault = reopen(base, disk)
    with acting(vault, clock):
        left = {it: text for it, text in house.whole.items() if "zanzibar" not in text}
        assert [it.head.members for it in open_index(vault).segments] == [3, 1, 1]
    return Few(House(base, vault, disk, left), list(left)[-1:])


def moments_of_erasing(few: Few) -> list[Moment]:
    vault = few.house.vault
    with acting(vault, clock):
        plan = make_plan(vault, few.dying, NOON)
    return moments_of(few.house.disk, lambda: erase(vault, plan, clock))


def test_where_the_newest_segment_dies_whole_the_others_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was written with others does not name them, and would be the newest then."""
    monkeypatch.setattr(indexing, "FAN", 9)
    few = written_together(tmp_path)
    assert check(few.house, moments_of_erasing(few), judge_found(few.house, few.dying), 1) > 40


def test_the_control_nothing_written_where_nobody_survives_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "FAN", 9)
    few = written_together(tmp_path)
    monkeypatch.setattr(indexrebuild, "_leaves_older_word", lambda *_: False)
    moments = moments_of_erasing(few)
    with pytest.raises(AssertionError):
        check(few.house, moments[-1:], judge_found(few.house, few.dying), 1)


def test_who_was_to_be_erased_and_was_not_is_found_once_the_newest_segment_dies_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The anchor was not there, say: nothing but the survivors' segment tells who is left out."""
    monkeypatch.setattr(indexing, "FAN", 9)
    house = tidied(tmp_path, SAID[:2], SAID[2:])
    first, second, *_ = house.whole
    with acting(house.vault, clock):
        owner = house.vault.owned(INDEX)[0]
        indexrebuild.rebuild(house.vault, [owner], transcripts(house.vault, second))
    indexing.keep_up(house.vault, clock)  # the segment that still had both is retired
    forget(house.vault, first)
    with acting(house.vault, clock):
        judge_found(house, [first])(house.vault, house.disk, is_done=True)


def test_what_a_crash_kept_twice_is_retired_later(tmp_path: Path) -> None:
    """The survivors' segment was written, and then the erasure never began."""
    house = tidied(tmp_path, SAID)
    with acting(house.vault, clock):
        (owner,) = house.vault.owned(INDEX)
        dying = transcripts(house.vault, next(iter(house.whole)))
        indexrebuild.rebuild(house.vault, [owner], dying)
        assert len(house.vault.owned(INDEX)) == 2
        assert open_index(house.vault).replaced == [owner]
        judge_found(house)(house.vault, house.disk, is_done=True)
    say(house.vault, "more", "and more")
    indexing.keep_up(house.vault, clock)
    with acting(house.vault, clock):
        assert len(house.vault.owned(INDEX)) == 1
        assert open_index(house.vault).unindexed == []


def thief(disk: HouseDisk, anchors: Path) -> Adversary:
    shares = {share for raw in disk.durable.raw(anchors) for share in shares_in(raw)}
    return Adversary(disk.versions(outside=anchors), {"file": shares})


def indexed_words(disk: HouseDisk, anchors: Path) -> bytes:
    """Returns all that the adversary reads in any version of any segment ever written."""
    adversary, found = thief(disk, anchors), b""
    for data in disk.versions(outside=anchors):
        if data.startswith(MAGIC) and b"index\0" in data[:104]:
            found += b"".join(_contents(adversary, data))
    return found


def _contents(adversary: Adversary, data: bytes) -> Iterator[bytes]:
    for key in {key for keys in adversary.keys.values() for key in keys}:
        try:
            yield bytes(Opener(bytearray(key), lambda at, n: data[at : at + n], len(data)).read())
        except KeysError:
            continue


def test_no_version_of_any_segment_gives_the_erased_words_away(tmp_path: Path) -> None:
    house = tidied(tmp_path, SAID[:2], SAID[2:], ["zanzibar again", "moon and zanzibar"])
    anchors = tmp_path / "anchors"
    assert b"zanzibar" in indexed_words(house.disk, anchors)  # the control: it can be read before
    forget(house.vault, *(it for it, text in house.whole.items() if "zanzibar" in text))
    left = indexed_words(house.disk, anchors)
    assert b"zanzibar" not in left
    assert all(word in left for word in (b"xylophone", b"light", b"moon"))
    assert not any(b"zanzibar" in data for _, data in house.disk.history)


def test_the_control_a_rebuilding_that_keeps_the_terms_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sloppy(segments: Sequence[Segment], without: Collection[bytes] = ()) -> Segment:
        """Cuts the members out, and leaves the list of terms as it was."""
        right, (old,) = merged(segments, without), segments
        words, all_words = right.text.terms(), old.text.terms()
        numbers = np.array([all_words.index(words[n]) for n in right.text.numbers.tolist()], "<u2")
        text = Text(right.text.lengths, numbers, old.text.dictionary, old.text.start)
        return dataclasses.replace(right, text=text)

    house = tidied(tmp_path, SAID)
    monkeypatch.setattr(indexrebuild, "merged", sloppy)
    forget(house.vault, *(it for it, text in house.whole.items() if "zanzibar" in text))
    assert b"zanzibar" in indexed_words(house.disk, tmp_path / "anchors")


def test_a_form_that_keeps_the_terms_of_others_does_not_even_parse(tmp_path: Path) -> None:
    """So a segment that says a word nobody said is called damaged, whoever made it."""
    house = tidied(tmp_path, SAID)
    with acting(house.vault, clock):
        (segment,) = open_index(house.vault).segments
        whole = segment.whole()
    blob = bytes(whole.text.dictionary)[whole.text.start :] + b"zzz\n"
    text = dataclasses.replace(whole.text, dictionary=blob, start=0)
    with pytest.raises(Malformed):
        parse_segment(dataclasses.replace(whole, text=text).encode())

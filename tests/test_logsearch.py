"""Lines found by their bytes are those that reading every line finds."""

import random
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys import logsearch
from keys.durable import RealDisk
from keys.entry import Noted, SealedEntry
from keys.errors import Tampered
from keys.model import ArtefactId, InteractionId
from pipeline import logged, write
from pipeline.artefact import INDEX, RECORD, TRANSCRIPT
from pipeline.plan import make_plan
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, clock, forget, make, say
from tests.test_index import FAST
from tests.world.disk import Medium, SimulatedDisk

HERE = Path("/log")
LINES = st.lists(st.text("ab0 ", min_size=1, max_size=9), max_size=30)


@given(LINES, st.lists(st.text("ab0", min_size=1, max_size=3), max_size=3), st.integers(1, 40))
def test_every_line_with_any_of_it_once_newest_first(
    lines: list[str], wanted: list[str], block: int
) -> None:
    disk = SimulatedDisk(Medium(frozenset({HERE, *HERE.parents})))
    data = "".join(f"{line}\n" for line in lines).encode()
    disk.write(HERE / "entries", 0, data + b"after the end ab0\n")
    with mock.patch.object(logsearch, "_BLOCK", block):
        needles = [each.encode() for each in wanted]
        found = list(logsearch.lines_with(disk, HERE / "entries", len(data), needles))
    naive = [line.encode() for line in lines if any(each in line for each in wanted)]
    assert found == naive[::-1]


def test_a_log_tells_what_it_has_of_an_id(tmp_path: Path) -> None:
    vault = make(tmp_path)
    ids = say(vault, "one", "two", "three")
    with acting(vault, clock):
        vault.note("disclose", "plain-export", [ids[1], ids[2]])
        naive = [(n, entry) for n, entry in vault.log.scan_back() if ids[1].hex() in entry.format()]
        assert list(vault.log.mentions([ids[1]])) == naive
        assert len(naive) == 5
        assert isinstance(naive[0][1], Noted)
        transcript = next(e for _, e in naive if isinstance(e, SealedEntry)).label.artefact
        assert len(list(vault.log.mentions([transcript]))) >= 1


def test_a_line_that_the_log_does_not_have_is_refused(tmp_path: Path) -> None:
    """The bytes of a line are held against its Merkle leaf."""
    vault = make(tmp_path)
    ids = say(vault, "one", "two")
    path = vault.directory / "log" / "entries"
    with acting(vault, clock):
        line = next(it for it in path.read_bytes().splitlines() if ids[0].hex().encode() in it)
        swapped = line.replace(ids[0].hex().encode(), ids[1].hex().encode())
        path.write_bytes(path.read_bytes().replace(line, swapped))
        with pytest.raises(Tampered):
            list(vault.log.mentions([ids[1]]))


def test_the_real_disk_too(tmp_path: Path) -> None:
    (tmp_path / "entries").write_bytes(b"one a\ntwo b\nthree a\n")
    found = logsearch.lines_with(RealDisk(), tmp_path / "entries", 20, [b"a"])
    assert list(found) == [b"three a", b"one a"]


@settings(max_examples=15, phases=FAST, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 999))
def test_few_are_found_as_many_are(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """By their ids, and by reading every line: slots, files, what left, and all made from them."""
    chance, vault = random.Random(seed), make(tmp_path_factory.mktemp("house"))
    ids, actions = say(vault, *(f"text {n}" for n in range(6))), list[ArtefactId]()
    with acting(vault, clock):
        for _ in range(8):
            one, other = chance.sample(ids, 2)
            match chance.randrange(4):
                case 0:
                    actions.append(write.add(vault, one, ("action", b"alarm")))
                case 1:
                    parents = [transcript_of(vault, it) for it in (one, other)]
                    write.own(vault, INDEX, b"made", parents)
                case 2:
                    vault.note("disclose", "plain-export", [one, other])
                case 3 if actions:
                    write.own(vault, RECORD, b"kept", [chance.choice(actions)])
    if chance.random() < 0.5:
        forget(vault, ids.pop(chance.randrange(6)))
    with acting(vault, clock):
        for wanted in ([ids[0]], [ids[-1]], chance.sample(ids, 3)):
            few = logged.logged(vault, wanted)
            with mock.patch.object(logged, "FEW", 0):
                many = logged.logged(vault, wanted)
                with mock.patch.object(logged, "_of_many", lambda it, _: it.log.scan_back()):
                    assert logged.logged(vault, wanted) == many
            assert few.owners == many.owners
            related = [it for it in many.derived if it.id in {of.id for of in few.derived}]
            assert few.derived == related
            slots = [make_plan(vault, wanted, NOON).slots]
            with mock.patch.object(logged, "FEW", 0):
                assert [make_plan(vault, wanted, NOON).slots] == slots


def transcript_of(vault: Vault, interaction: InteractionId) -> ArtefactId:
    found = (it.header.label for it in vault.artefacts(interaction))
    return next(label.artefact for label in found if label.kind == TRANSCRIPT)

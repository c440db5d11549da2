"""Nothing spoken lies in a file, shows itself, or with `--ephemeral` is kept; with controls."""

from pathlib import Path

import numpy as np

from keys.model import InteractionId
from pipeline import history
from pipeline.artefact import META, TRANSCRIPT
from pipeline.capture import Block
from pipeline.safekeeping import InMemory, InVault
from pipeline.session import acting
from tests.household import clock, forget, reopen
from tests.parrot import WORDS, Home, hear, home, said, silence, voice
from tests.test_canary import ENCODINGS, PHRASE, WINDOW, leaking
from tests.world.adversary import RecordingDisk

__all__ = ["home"]


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

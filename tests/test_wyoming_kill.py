"""A Wyoming service that is killed while somebody speaks: what was heard by then is kept.

A second at most is lost, nothing half-made is left, and nothing was let out.
"""

import time
from pathlib import Path

import pytest

from pipeline.artefact import AUDIO, decode_audio
from pipeline.audit import audit
from pipeline.model import RATE_HZ
from pipeline.session import acting
from tests.household import clock, make
from tests.lateness import lateness_s
from tests.test_canary import leaking
from tests.test_wyoming import disclosures, rows
from tests.wyoming_client import PIECE, AudioChunk, AudioStart, running_apart, spoken, written

SPOKEN_S = 2.4
_PATIENCE_S = 60.0


def until_no_more_is_sealed(folder: Path) -> None:
    """Waits until a service has taken what was sent to it, however busy the machine is."""
    before, until_s = -1, time.monotonic() + _PATIENCE_S
    while (now := sum(it.stat().st_size for it in folder.glob("*/*"))) != before or not now:
        assert time.monotonic() < until_s, "nothing was sealed, or without end"
        before = now
        lateness_s()


@pytest.mark.parametrize("more_s", [0.0, 0.37])
def test_killed_while_somebody_speaks(tmp_path: Path, more_s: float) -> None:
    vault, pcm = make(tmp_path), spoken(0, 1, 2, 3, seconds=1.0, pause_s=0.05)
    before_s = SPOKEN_S + more_s
    with running_apart(tmp_path) as it, it.plug() as plug:
        plug.sendall(written(AudioStart(RATE_HZ, 2, 1).event()))
        chunks = [
            written(AudioChunk(RATE_HZ, 2, 1, pcm[at : at + PIECE]).event())
            for at in range(0, int(before_s * RATE_HZ) * 2, PIECE)
        ]
        began_s = time.monotonic()
        for number, chunk in enumerate(chunks):
            plug.sendall(chunk)
            time.sleep(max(0.0, began_s + number * 0.01 - time.monotonic()))
        until_no_more_is_sealed(vault.capture)
        it.process.kill()
        it.process.wait()
    (row,) = rows(vault)
    assert row.meta.truncated
    assert row.text == ""
    assert disclosures(vault) == []
    with acting(vault, clock):
        kept = decode_audio(vault.read(row.interaction, AUDIO)).astype("<i2").tobytes()
        audit(vault)
    assert pcm.startswith(kept)
    assert before_s - 1.0 <= len(kept) / 2 / RATE_HZ <= before_s
    assert leaking(tmp_path) == []

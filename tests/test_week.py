"""Guarantees G1, G2, G3 and G6 over a household's week with everything that happens in one.

Hundreds of interactions, or with ANECHOIC_EXHAUSTIVE thousands, with random forgets, keeps,
crashes, limits and restores: survivors are intact, nothing erased is revived, and no word is in any
version of any file.
"""

import os
import random
from pathlib import Path

import pytest

from pipeline import session
from pipeline.audit import audit
from pipeline.session import acting
from tests.test_crash_controls import NoRotation
from tests.week import CANARY, Week
from tests.world.extent import either

A_DAY = int(os.environ.get("ANECHOIC_WEEK", either(25, 400)))
"""Interactions a day; ten days pass. Each costs a look at all before."""


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_revived_in_a_week(tmp_path: Path) -> None:
    week = Week(tmp_path, random.Random(7))
    week.run(days=10, a_day=A_DAY)
    with acting(week.vault, week.clock):
        assert audit(week.vault).problems == []
    dead = {name for name in week.sealed if week._is_dead(name)}
    assert week.disk.leaks == []
    assert not any(CANARY.encode() in data for data in week.disk.everything(outside=Path("/none")))
    assert week.revived() == set()
    told = ", ".join(f"{number} {what}" for what, number in sorted(week.counts.items()))
    print(f"{told}; {len(week.living)} live, {len(dead)} dead files, 0 revived")
    assert len(week.living) > A_DAY
    assert len(dead) > 5 * A_DAY
    assert week.counts["killed"] > 2


def test_without_rotation_a_day_revives_what_was_erased(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: files deleted, receipts written, and the thief opens them all."""
    monkeypatch.setattr(session, "Roots", NoRotation)
    week = Week(tmp_path, random.Random(1))
    week.run(days=1, a_day=60)
    dead = {name for name in week.sealed if week._is_dead(name)}
    assert dead
    assert week.revived() == dead

"""Forgetting one of some hundred interactions beside restic's `forget --prune` of its files."""

from pathlib import Path

from pipeline import write
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.session import acting, create_vault, now
from tests.bench import peers
from tests.bench.figures import Line, Measured, against
from tests.bench.forget import parts
from tests.bench.metering import cost


def lines(base: Path, *, quick: bool) -> list[Line]:
    """Backs the sealed files up, forgets one interaction, and prunes the backup of its files."""
    number = 50 if quick else 300
    base.mkdir()
    vault, content = create_vault(base / "vault", base / "anchors"), parts(3)
    with acting(vault):
        ids = [write.create(vault, content) for _ in range(number)]
        backup = peers.Backup(base / "restic", vault.sealed)
        one = ids[number // 2]
        ours = cost(lambda: erase(vault, make_plan(vault, [one], now()), now))
    backup.without(())  # its files are gone: the erasure has deleted them
    theirs = cost(backup.forget)
    mine = Measured("forget, every copy in every backup included", ours.ms, "ms")
    peer = Measured(f"restic `forget --prune`, {number} interactions", theirs.ms, "ms")
    target = against("at least 100 times faster", mine, peer, 1 / 100)
    return [Line("forget one that is in a backup", mine, (peer,), (target,))]

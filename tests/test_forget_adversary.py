"""Guarantee G1 on whole vaults: everything ever written and all secrets left open nothing erased.

The adversary has each version of each file but the anchor's, copies of the vault from every step,
and the anchor as it is afterwards. Two controls revive: rotation switched off, and an old version
of the anchor's file in his hands, which is the limit that THREATS.md states.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keys.errors import AnchorFailure, Erased
from keys.model import InteractionId
from pipeline import session, share, write
from pipeline.artefact import AUDIO, TRANSCRIPT
from pipeline.history import one
from pipeline.session import acting
from pipeline.vault import Vault
from tests.household import NOON, Thief, assert_whole, clock, forget, make, reopen, say, sealed_of
from tests.test_crash_controls import NoRotation
from tests.world.adversary import RecordingDisk, shares_in, versions_in

TEXTS = ("kept from the start", "erased first", "erased in part", "erased last", "kept at the end")


@dataclass
class Story:
    """A vault through its life: recorded, copied at every step, with all that was sealed."""

    base: Path
    disk: RecordingDisk = field(default_factory=RecordingDisk)
    sealed: dict[str, bytes] = field(default_factory=dict)
    ids: list[InteractionId] = field(default_factory=list)
    backups: int = 0

    def live(self) -> None:
        self.vault = make(self.base, self.disk)
        self.ids = say(self.vault, *TEXTS[:4])
        self._note()
        with acting(self.vault, clock):
            row = one(self.vault, self.ids[1], "export")
            share.export_sealed(row, self.base / "export")
            write.add(self.vault, self.ids[1], ("intent", b"derived from what was said"))
        self._note()
        forget(self.vault, self.ids[1])
        self._note()
        forget(self.vault, self.ids[2], only_audio=True)
        self._note()
        self.ids += say(self.vault, TEXTS[4])
        self._note()
        forget(self.vault, self.ids[3])
        self._note()

    def _note(self) -> None:
        for interaction in self.ids:
            self.sealed |= sealed_of(self.vault, interaction)
        self.backups += 1
        shutil.copytree(self.vault.directory, self.base / "backups" / str(self.backups))

    @property
    def anchor(self) -> Path:
        return self.base / "anchors" / f"{self.vault.id.hex()}.share"

    @property
    def old_shares(self) -> set[bytes]:
        """What every version ever written of the anchor's file held."""
        return {
            s for path, data in self.disk.history if path == self.anchor for s in shares_in(data)
        }

    def thief(self, shares: set[bytes] | None = None) -> Thief:
        kept = [data for part in ("backups", "export") for data in versions_in(self.base / part)]
        versions = kept + self.disk.versions(outside=self.anchor.parent)
        return Thief(versions, shares_in(self.anchor.read_bytes()) if shares is None else shares)

    @property
    def dead(self) -> set[str]:
        erased = self._of(self.ids[1]) | self._of(self.ids[3])
        return erased | {name for name in self._of(self.ids[2]) if name.endswith(AUDIO)}

    def _of(self, interaction: InteractionId) -> set[str]:
        return {name for name in self.sealed if name.startswith(interaction.hex())}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    story = Story(tmp_path)
    story.live()
    return story


def test_nothing_erased_opens_and_everything_else_does(story: Story) -> None:
    assert len(story.dead) == 3 + 1 + 1 + 3
    assert story.thief().opened(story.sealed) == story.sealed.keys() - story.dead


def test_an_old_version_of_the_anchor_file_revives(story: Story) -> None:
    """The control, and the limit: with old backups of the anchor all of it opens again."""
    assert story.thief(story.old_shares).opened(story.sealed) == story.sealed.keys()


def test_without_any_anchor_nothing_opens_at_all(story: Story) -> None:
    assert not story.thief(set()).opened(story.sealed)


@pytest.fixture
def no_rotation(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(session, "Roots", NoRotation)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("no_rotation")
def test_without_rotation_everything_erased_is_revived(story: Story) -> None:
    """The negative control of this file: files deleted, receipts issued, and all of it opens."""
    assert story.thief().opened(story.sealed) == story.sealed.keys()


def test_every_backup_of_the_vault_refuses_beside_the_anchor_of_today(story: Story) -> None:
    for number in range(1, story.backups):
        base = story.base / f"again-{number}"
        shutil.copytree(story.base / "backups" / str(number), base / "vault")
        shutil.copytree(story.base / "anchors", base / "anchors")
        vault = reopen(base)
        if (base / "vault" / "ring" / f"state-{story.vault.ring.epoch:020}").exists():
            continue
        with pytest.raises(AnchorFailure, match="dead for ever"), acting(vault, clock):
            pass


def test_old_files_beside_the_ring_of_today_open_only_what_lives(story: Story) -> None:
    vault = story.vault
    with acting(vault, clock):
        for path in sorted((story.base / "backups" / "2" / "sealed").rglob("*.*")):
            shutil.copy(path, vault.sealed / path.parent.name / path.name)
        assert_whole(vault, story.ids[0], TEXTS[0])
        for interaction in (story.ids[1], story.ids[3]):
            assert _all_refuse(vault, interaction)
        assert vault.read(story.ids[2], TRANSCRIPT)
        with pytest.raises(Erased):
            vault.read(story.ids[2], AUDIO)


def _all_refuse(vault: Vault, interaction: InteractionId) -> bool:
    artefacts = vault.artefacts(interaction)
    for artefact in artefacts:
        with pytest.raises(Erased):
            vault.open(artefact)
    return bool(artefacts)


def test_the_words_of_who_forgot_are_in_no_version_of_any_file(story: Story) -> None:
    assert NOON in (story.vault.receipts / next(iter(story.vault.receipts.iterdir()))).read_text()
    for _, data in story.disk.history:
        assert not any(text.encode() in data for text in TEXTS)

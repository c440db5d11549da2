"""The keyring anchor on a real gnome-keyring: lifecycle, refusals, power cuts, and old backups.

Each test has a session of its own. That an old copy of the key store's files and the login password
revive is asserted: it is what level D means. That the barrier is needed is shown by cutting the
power of the file system below the key store, with the barrier and, as the control, without.
"""

import base64
import gc
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from keyring import set_password
from keyring.backend import KeyringBackend

from keys.anchor import keyring as module
from keys.anchor.file import FileAnchor
from keys.anchor.keyring import SERVICE, KeyringAnchor
from keys.durable import RealDisk
from keys.errors import AnchorFailure, Erased, StateUnknown
from keys.model import Epoch, VaultId
from keys.ring import Ring
from keys.root import Roots
from keys.secret import random_secret
from tests.anchors import images
from tests.anchors.images import Image, cut_power
from tests.anchors.key_store import PASSWORD, PrivateSession, why_not
from tests.world.adversary import Adversary, versions_in

VAULT = VaultId(b"k" * 16)
with_store = [
    pytest.mark.anchors,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[PrivateSession]:
    home = tmp_path / "home"
    home.mkdir()
    with PrivateSession(home) as session:
        yield session


def ring_in(directory: Path) -> Ring:
    return Ring(RealDisk(), directory, Roots(VAULT, [[KeyringAnchor(VAULT)]]))


def stored() -> list[str]:
    """Returns every secret that the key store holds, whoever put it there."""
    import secretstorage

    with closing(secretstorage.dbus_init()) as bus:
        items = secretstorage.get_default_collection(bus).get_all_items()
        return [item.get_secret().decode() for item in items]


@pytest.mark.usefixtures("session")
class TestLifecycle:
    pytestmark = with_store

    def test_a_ring_lives_and_forgets(self, tmp_path: Path) -> None:
        ring = ring_in(tmp_path / "ring")
        ring.create()
        slots = ring.allocate(4)
        key = bytes(ring.key(slots[0]))
        for slot in slots[1:3]:
            ring.destroy([slot], b"")
        again = ring_in(tmp_path / "ring")
        again.open()
        assert bytes(again.key(slots[0])) == key
        assert [again.is_live(slot) for slot in slots] == [True, False, False, True]

    def test_the_key_store_has_no_old_share_after_an_erasure(self, tmp_path: Path) -> None:
        ring = ring_in(tmp_path / "ring")
        ring.create()
        slots = ring.allocate(2)
        key, old = bytes(ring.key(slots[0])), stored()
        assert len(old) == 1
        versions = list(versions_in(tmp_path / "ring"))
        revived = Adversary(versions, {"keyring": {share_of(text) for text in old}}).keys
        assert key in revived[slots[0]], "the control: before the erasure it opens"

        ring.destroy([slots[0]], b"")
        now = stored()
        assert len(now) == 1
        assert not set(now) & set(old)
        versions += versions_in(tmp_path / "ring")
        found = Adversary(versions, {"keyring": {share_of(text) for text in now}}).keys
        assert key not in found.get(slots[0], set())
        assert slots[1] in found

    def test_two_vaults_do_not_meet(self) -> None:
        one, other = KeyringAnchor(VAULT), KeyringAnchor(VaultId(b"o" * 16))
        shares = random_secret(), random_secret()
        one.write(Epoch(1), shares[0])
        other.write(Epoch(1), shares[1])
        assert (one.shares(), other.shares()) == ({1: shares[0]}, {1: shares[1]})

    def test_both_shares_are_there_during_a_rotation_and_recovery_takes_either(self) -> None:
        for keep in (1, 2):
            anchor = KeyringAnchor(VaultId(bytes([keep]) * 16))
            shares = {Epoch(n): random_secret() for n in (1, 2)}
            for epoch, share in shares.items():
                anchor.write(epoch, share)
            assert anchor.shares() == shares
            with pytest.raises(AnchorFailure, match="recovery must run first"):
                anchor.write(Epoch(3), random_secret())
            anchor.wipe(Epoch(keep))
            assert anchor.shares() == {keep: shares[Epoch(keep)]}

    def test_the_level_is_d(self) -> None:
        level = KeyringAnchor(VAULT).level()
        assert level.letter == "D"
        assert "login password" in level.rests_on


class TestOldBackups:
    pytestmark = with_store

    def test_documented_failure_old_files_and_the_login_password_revive(
        self, session: PrivateSession, tmp_path: Path
    ) -> None:
        """What level D means, and why an anchor of level C is the better default."""
        ring = ring_in(tmp_path / "ring")
        ring.create()
        slot = ring.allocate(1)[0]
        key = bytes(ring.key(slot))
        shutil.copytree(tmp_path / "ring", tmp_path / "old ring")
        shutil.copytree(session.files, tmp_path / "old files")
        ring.destroy([slot], b"")
        with pytest.raises(AnchorFailure, match="old copy"):
            ring_in(tmp_path / "old ring").open()

        session.lock()
        shutil.rmtree(session.files)
        shutil.copytree(tmp_path / "old files", session.files)
        session.unlock(PASSWORD)
        revived = ring_in(tmp_path / "old ring")
        revived.open()
        assert bytes(revived.key(slot)) == key

    def test_with_a_file_anchor_beside_it_they_do_not(
        self, session: PrivateSession, tmp_path: Path
    ) -> None:
        def ring_at(directory: Path) -> Ring:
            file = FileAnchor(RealDisk(), tmp_path / "anchors" / "share", VAULT)
            return Ring(RealDisk(), directory, Roots(VAULT, [[KeyringAnchor(VAULT), file]]))

        ring = ring_at(tmp_path / "ring")
        ring.create()
        slot = ring.allocate(1)[0]
        shutil.copytree(tmp_path / "ring", tmp_path / "old ring")
        shutil.copytree(session.files, tmp_path / "old files")
        ring.destroy([slot], b"")
        with pytest.raises(Erased):
            ring.key(slot)
        session.lock()
        shutil.rmtree(session.files)
        shutil.copytree(tmp_path / "old files", session.files)
        session.unlock(PASSWORD)
        with pytest.raises(AnchorFailure, match="old copy"):
            ring_at(tmp_path / "old ring").open()


class TestPowerCut:
    pytestmark = with_store

    def test_a_wiped_share_does_not_come_back(self, tmp_path: Path) -> None:
        assert epochs_after_a_cut(tmp_path, None) == {2}

    def test_control_without_the_barrier_it_does(self, tmp_path: Path) -> None:
        assert 1 in epochs_after_a_cut(tmp_path, [])


def epochs_after_a_cut(base: Path, sync_paths: list[Path] | None) -> set[int]:
    """Rotates from epoch 1 to 2, cuts the power at once, and returns what is there afterwards."""
    if reason := images.why_not("ext4"):
        pytest.skip(reason)
    (base / "home").mkdir()
    image = Image(base, "ext4")
    seldom = ",commit=300"  # the journal must not be written by the clock
    with image.mounted(seldom) as point, PrivateSession(base / "home", data=point / "data"):
        KeyringAnchor(VAULT).write(Epoch(1), random_secret())
        anchor = KeyringAnchor(VAULT, sync_paths)
        anchor.write(Epoch(2), random_secret())
        anchor.wipe(Epoch(2))
        cut_power(point)
    with image.mounted() as point, PrivateSession(base / "home", data=point / "data"):
        return set(KeyringAnchor(VAULT).shares())


@pytest.fixture
def _sockets_let_go() -> Iterator[None]:
    """`keyring` leaves its connection to a locked key store for the collector, which warns."""
    yield
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.mark.usefixtures("_sockets_let_go")
class TestRefusals:
    pytestmark = with_store

    def test_a_locked_key_store_says_to_unlock_it(self, session: PrivateSession) -> None:
        anchor = KeyringAnchor(VAULT)
        anchor.write(Epoch(1), random_secret())
        session.lock()
        session.unlock("another password")
        for act in (anchor.shares, lambda: anchor.write(Epoch(2), random_secret())):
            with pytest.raises(AnchorFailure, match="unlock it"):
                act()

    def test_a_key_store_that_has_gone(self, session: PrivateSession) -> None:
        anchor = KeyringAnchor(VAULT)
        session.lock()
        with pytest.raises(AnchorFailure, match="desktop session"):
            anchor.shares()

    @pytest.mark.usefixtures("session")
    def test_a_wipe_that_would_keep_nothing_deletes_nothing(self) -> None:
        anchor, share = KeyringAnchor(VAULT), random_secret()
        anchor.write(Epoch(1), share)
        with pytest.raises(AnchorFailure, match="nothing deleted"):
            anchor.wipe(Epoch(2))
        assert anchor.shares() == {Epoch(1): share}

    @pytest.mark.usefixtures("session")
    @pytest.mark.parametrize("text", ["", "x", "anechoic-share/1 1 AAAA", "anechoic-share/1 x"])
    def test_an_entry_that_is_no_share(self, text: str) -> None:
        set_password(SERVICE, f"{VAULT.hex()} a", text)
        with pytest.raises(AnchorFailure, match="no share of ours"):
            KeyringAnchor(VAULT).shares()


class Shelf(KeyringBackend):
    """A key store in memory that can be told to misbehave."""

    priority = -1  # never to be found by itself

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.acts: list[str] = []
        self.keeps_what_it_deletes = self.loses_what_it_is_given = False

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.acts.append("set")
        if not self.loses_what_it_is_given:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self.acts.append("delete")
        if not self.keeps_what_it_deletes:
            del self.entries[service, username]


class TestOrder:
    """What happens in which order, and what is looked at again; on a key store in memory."""

    def test_the_barrier_stands_between_each_act_and_its_return(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        shelf = Shelf()
        monkeypatch.setattr(module, "_sync_filesystem", lambda _: shelf.acts.append("barrier"))
        anchor = KeyringAnchor(VAULT, [tmp_path], shelf)
        anchor.write(Epoch(1), random_secret())
        anchor.write(Epoch(2), random_secret())
        anchor.wipe(Epoch(2))
        anchor.wipe(Epoch(2))
        anchor.settle()
        assert shelf.acts == ["set", "barrier"] * 2 + ["delete", "barrier", "barrier"]

    def test_what_was_stored_and_deleted_is_looked_at_again(self, tmp_path: Path) -> None:
        shelf = Shelf()
        anchor = KeyringAnchor(VAULT, [tmp_path], shelf)
        shelf.loses_what_it_is_given = True
        with pytest.raises(AnchorFailure, match="did not give back"):
            anchor.write(Epoch(1), random_secret())
        shelf.loses_what_it_is_given, shelf.keeps_what_it_deletes = False, True
        for epoch in (1, 2):
            anchor.write(Epoch(epoch), random_secret())
        with pytest.raises(StateUnknown, match="still gives"):
            anchor.wipe(Epoch(2))

    def test_a_barrier_that_fails_leaves_the_state_unknown(self, tmp_path: Path) -> None:
        anchor = KeyringAnchor(VAULT, [tmp_path / "none"], Shelf())
        with pytest.raises(StateUnknown, match="could not sync"):
            anchor.write(Epoch(1), random_secret())

    def test_a_key_store_that_nobody_looked_at_is_e(self) -> None:
        assert KeyringAnchor(VAULT, [], Shelf()).level().letter == "E"

    def test_no_key_store_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import keyring
        from keyring.backends.fail import Keyring

        monkeypatch.setattr(keyring, "get_keyring", Keyring)
        for act in (KeyringAnchor(VAULT).shares, KeyringAnchor(VAULT).level):
            with pytest.raises(AnchorFailure, match="no key store was found"):
                act()

    def test_no_message_holds_the_share(self) -> None:
        share = random_secret()
        with pytest.raises(AnchorFailure) as caught:
            module._decode(module._encode(Epoch(1), share) + " ", "user")
        assert base64.b64encode(share).decode() not in str(caught.value)


def share_of(text: str) -> bytes:
    return base64.b64decode(text.split(" ")[2])

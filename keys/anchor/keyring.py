"""The keyring anchor: two entries in the key store of the user's own session (SPEC section 3.3).

Promises that a share is stored, read back and past the durability barrier before the old one is
deleted, and that the deletion is past the barrier before an erasure is acknowledged. Refuses a
missing, locked or failing key store. Not promised: `keyring` speaks `str` only, which Python cannot
wipe, so a share that came through here stays in the memory of this process until it ends; it is
turned into a `Secret` at once and not kept. The key store encrypts its file under the login
password and replaces it as a whole, so an old copy of that file is worth an old share (level D).
"""

import base64
import binascii
import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keys.anchor import Level
from keys.errors import AnchorFailure, StateUnknown
from keys.model import KEY_SIZE, Epoch, VaultId
from keys.secret import Secret

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "anechoic"
_PLACES = ("a", "b")
_MARK = "anechoic-share/1"
# What they keep is sealed under the login: the rest of what `keyring` may find was not looked at.
_LOGIN_SEALED = ("SecretService", "libsecret", "kwallet", "macOS", "Windows")


class KeyringAnchor:
    """Keeps the share in two entries of the session's key store, of which one is in use.

    `sync_paths` are the directories where the key store writes, for the barrier; `backend` is the
    one to use, else the first that `keyring` finds.
    """

    name = "keyring"

    def __init__(
        self,
        vault: VaultId,
        sync_paths: Sequence[Path] | None = None,
        backend: "KeyringBackend | None" = None,
    ) -> None:
        self._vault = vault
        self._sync_paths, self._given = sync_paths, backend

    def shares(self) -> dict[Epoch, Secret]:
        """Returns the shares found; raises `AnchorFailure` for no key store and a locked one."""
        return {epoch: share for epoch, share in map(self._read, _PLACES) if epoch is not None}

    def write(self, epoch: Epoch, share: Secret) -> None:
        """Stores the share in the free entry, reads it back, and waits for the barrier."""
        taken = [self._read(place)[0] for place in _PLACES]
        if None not in taken:
            raise AnchorFailure(f"both entries hold a share ({taken}); recovery must run first")
        place = _PLACES[taken.index(None)]
        with self._store("store the share") as store:
            store.set_password(SERVICE, self._user(place), _encode(epoch, share))
        if self._read(place) != (epoch, share):
            raise AnchorFailure("the key store did not give back the share that it had taken")
        self._barrier()

    def wipe(self, keep: Epoch) -> None:
        """Deletes every entry but that of `keep`, looks that it is gone, and waits again."""
        found = {place: self._read(place)[0] for place in _PLACES}
        if keep not in found.values():
            raise AnchorFailure(f"the key store holds no share for epoch {keep}; nothing deleted")
        stale = [place for place, epoch in found.items() if epoch not in {None, keep}]
        for place in stale:
            with self._store("delete the old share") as store:
                store.delete_password(SERVICE, self._user(place))
            if self._read(place)[0] is not None:
                raise StateUnknown("the key store still gives the share that it had deleted")
        if stale:
            self._barrier()

    def settle(self) -> None:
        """Waits for the barrier: a killed process may have changed the key store just before."""
        self._barrier()

    def level(self) -> Level:
        """Returns D, or E for a key store that nobody has looked at."""
        with self._store("be found") as store:
            module = type(store).__module__
        if module.startswith("keyring.backends.") and module.rpartition(".")[2] in _LOGIN_SEALED:
            return Level(
                "D",
                f"an entry of the session's key store ({module.rpartition('.')[2]}): an old backup "
                "of the home directory, or old content in its disk's free space, together with the "
                "login password revives",
            )
        return Level("E", f"an entry of {module}, of which it is not known how it keeps secrets")

    def _user(self, place: str) -> str:
        return f"{self._vault.hex()} {place}"

    def _read(self, place: str) -> tuple[Epoch | None, Secret]:
        with self._store("give the share") as store:
            text = store.get_password(SERVICE, self._user(place))
        return (None, Secret()) if text is None else _decode(text, self._user(place))

    @contextlib.contextmanager
    def _store(self, act: str) -> Iterator["KeyringBackend"]:
        try:
            yield self._given or _found()
        except AnchorFailure:
            raise
        except Exception as error:  # each key store has errors of its own
            raise AnchorFailure(
                f"the key store did not {act} ({type(error).__name__}: {error}); unlock it, or run "
                "this in the desktop session that the vault was made in"
            ) from error

    def _barrier(self) -> None:
        paths = default_sync_paths() if self._sync_paths is None else self._sync_paths
        try:
            for path in paths:
                _sync_filesystem(path)
        except OSError as error:
            raise StateUnknown(
                f"could not sync {error.filename or 'the key store'}: {error.strerror}; run the "
                "command again, and it will recover what holds"
            ) from error


def default_sync_paths() -> list[Path]:
    """Returns where GNOME's and KDE's key stores write, the home directory when neither is there.

    GNOME's renames a new file over the old without syncing the directory: without the barrier a
    power cut brings the old file back, and with it the old share.
    """
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    known = [Path(home) / "keyrings", Path(home) / "kwalletd"]
    return [path for path in known if path.is_dir()] or [Path.home()]


def _found() -> "KeyringBackend":
    try:
        import keyring
        from keyring.backends import chainer, fail, null
    except ImportError:
        raise AnchorFailure("the keyring anchor needs the extra anechoic[keyring]") from None
    store = keyring.get_keyring()
    if isinstance(store, chainer.ChainerBackend):
        store = store.backends[0]  # a chain might write to one and read from another
    if isinstance(store, fail.Keyring | null.Keyring):
        raise AnchorFailure(
            "no key store was found; run this in a desktop session (GNOME Keyring, KWallet), or "
            "choose another anchor"
        )
    return store


def _encode(epoch: Epoch, share: Secret) -> str:
    return f"{_MARK} {epoch} {base64.b64encode(share).decode('ascii')}"


def _decode(text: str, user: str) -> tuple[Epoch, Secret]:
    parts = text.split(" ")
    with contextlib.suppress(ValueError, binascii.Error):
        mark, number, encoded = parts
        epoch, share = Epoch(int(number)), Secret(base64.b64decode(encoded, validate=True))
        if mark == _MARK and len(share) == KEY_SIZE and _encode(epoch, share) == text:
            return epoch, share
    raise AnchorFailure(f"the entry {user!r} of {SERVICE!r} in the key store is no share of ours")


def _sync_filesystem(path: Path) -> None:
    if not sys.platform.startswith("linux"):
        _sync_everything()
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # os.sync() reports no error; syncfs does, since Linux 5.8.
        if ctypes.CDLL(None, use_errno=True).syncfs(fd):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(fd)


def _sync_everything() -> None:
    sync: Callable[[], None] | None = getattr(os, "sync", None)  # Windows has none
    if sync is not None:
        sync()

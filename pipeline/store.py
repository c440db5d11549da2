"""Copies of sealed files in other places: any that fsspec reaches by a URL, SFTP and S3 among them.

Promises that nothing but sealed files goes there, never a key, the ring or the log; that a store is
asked to delete what is dead; and that no erasure rests on its answer: what happens here happens
after one, or never. Refuses URLs with a password in them, which lists of processes show. Change
here what goes to a store and what is asked of it; `find_sealed` is how commands read from one.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keys import copies
from keys.copies import Found
from keys.errors import Malformed
from keys.sealed import HEADER_SIZE, MAGIC, Header, parse_header
from pipeline.audit import ledger_of
from pipeline.errors import PipelineError, Refused
from pipeline.session import acting
from pipeline.vault import Artefact, Vault

COPIED, PRESENT, DELETED, KEPT = "copied", "present", "deleted", "kept"
STATES = (COPIED, PRESENT, DELETED, KEPT)
_CHECKED: Mapping[str, object] = {"known_hosts": ()}
"""asyncssh's own default: the user's known_hosts. Without it sshfs believes any server."""
_OPTIONS = {"sftp": _CHECKED, "ssh": _CHECKED}
_PACKED = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz")


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of one sealed file in a store: of `STATES`; `kept` is dead and still there."""

    name: str
    state: str


def place(text: str) -> Path | str:
    """Returns what a user named as a copy: a URL as it is, all else as a path."""
    return text if "://" in text else Path(text)


def find_sealed(where: Path | str) -> Iterator[Found]:
    """Yields every sealed file of a folder or tar file, or of a store; raises what either does.

    In a store each must be a file of its own: one that may hold others is named as unreadable.
    """
    if isinstance(where, Path):
        yield from copies.find_sealed(where)
        return
    store = Store(where)
    for path in store.paths():
        first = store.read(path, HEADER_SIZE)
        if first.startswith(MAGIC):
            yield Found(store.name(path), _header(first), partial(store.read, path))
        elif path.endswith(_PACKED):
            yield Found(store.name(path), None)


def sync(vault: Vault, url: str) -> Iterator[Synced]:
    """Copies what lives and is not there, and asks for what is dead to be deleted.

    The vault is held only while it is asked what lives. A file of a store is dead where the log of
    this vault has it and its key is gone; what this vault does not know is left alone. One that was
    cut off on its way has another size, and goes again. Raises `Refused`, `PipelineError`.
    """
    store = Store(url)
    with acting(vault):
        living = {f"{it.path.parent.name}/{it.path.name}": it for it in _living(vault)}
        dead = {
            header
            for header, it in ledger_of(vault).files.items()
            if not vault.ring.is_live(it.slot)
        }
    there = store.sizes()
    for path in sorted(there.keys() - set(map(store.below, living))):
        header = _header(store.read(path, HEADER_SIZE))
        if header and header.hash in dead:
            yield Synced(store.name(path), DELETED if store.delete(path) else KEPT)
    for name, artefact in living.items():
        path = store.below(name)
        if there.get(path) == artefact.size:
            yield Synced(store.name(path), PRESENT)
            continue
        with suppress(FileNotFoundError):  # erased meanwhile
            store.write(path, bytes(vault.disk.read(artefact.path)))
            yield Synced(store.name(path), COPIED)


class Store:
    """A place that fsspec reaches, and nothing of it that is not asked for."""

    def __init__(self, url: str) -> None:
        self.url = url
        if urlsplit(url).password is not None:
            raise Refused(
                "a store's URL: expected none with a password, which lists of processes show; put "
                "it where fsspec or the protocol's own configuration has it (or use a key)"
            )
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise Refused(
                f"{url}: expected the package fsspec, found none; pip install 'anechoic[stores]'"
            ) from None
        self._fs, root = self._try(
            partial(url_to_fs, url, **_OPTIONS.get(urlsplit(url).scheme, {}))
        )
        self._root = str(root).rstrip("/")

    def paths(self) -> list[str]:
        """Returns the path of every file there; raises `FileNotFoundError`."""
        if not self._try(partial(self._fs.exists, self._root)):
            raise FileNotFoundError(errno.ENOENT, "nothing is there", self.url)
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Returns every file there with its size; none where there is no such folder yet."""
        self._fs.invalidate_cache()
        with suppress(FileNotFoundError):
            found = self._try(partial(self._fs.find, self._root, detail=True))
            return {path: int(row["size"]) for path, row in found.items()}
        return {}

    def read(self, path: str, size: int | None = None) -> bytes:
        """Returns the first bytes of a file, or all."""
        return bytes(self._try(partial(self._read, path, -1 if size is None else size)))

    def write(self, path: str, data: bytes) -> None:
        """Puts a file there."""
        self._try(partial(self._fs.makedirs, path.rpartition("/")[0], exist_ok=True))
        self._try(partial(self._fs.pipe_file, path, data))

    def delete(self, path: str) -> bool:
        """Asks for a file to be deleted; tells whether the store says that it was."""
        try:
            self._try(partial(self._fs.rm_file, path))
        except (PipelineError, OSError):
            return False
        return not self._try(partial(self._fs.exists, path))

    def below(self, path: str) -> str:
        """Returns the path there of one below the root."""
        return f"{self._root}/{path}"

    def name(self, path: str) -> str:
        """Returns how to tell a user of a file there."""
        return f"{self.url.rstrip('/')}{path.removeprefix(self._root)}"

    def _read(self, path: str, size: int) -> bytes:
        with self._fs.open(path, "rb") as file:  # not every protocol has another way to a part
            return bytes(file.read(size))

    def _try(self, act: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever fsspec returns
        try:
            return act()
        except FileNotFoundError:
            raise
        except Exception as error:  # noqa: BLE001 - each protocol raises its own
            raise PipelineError(
                f"{self.url}: expected a store that can be reached and does as it is asked, found "
                f"{type(error).__name__}; nothing in the vault depends on it, try again later"
            ) from None


def _living(vault: Vault) -> Iterator[Artefact]:
    for path in vault.paths():
        with suppress(Malformed, OSError):
            artefact = vault.artefact(path)
            if vault.is_live(artefact):
                yield artefact


def _header(first: bytes) -> Header | None:
    with suppress(Malformed):
        return parse_header(first)
    return None

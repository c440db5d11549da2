"""The settings as they lie in a vault: which artefact holds, and what it means that none opens.

Promises that only the newest of those here are ever read, that they are read whole or not at all,
and that settings which are missing or damaged are told apart from none: `SettingsLost` says which,
and what to do. What goes on without them is for `pipeline/retention.py` to say. Older ones are here
from the crash of a change to the next act only; should the newer be lost in between, they hold.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from keys.entry import SealedEntry, parse_line
from keys.errors import Erased, Malformed, NoSuchSlot, Tampered
from keys.logsearch import lines_with
from keys.model import InteractionId, Label, Slot
from pipeline import agenda
from pipeline.artefact import SETTINGS
from pipeline.errors import SettingsLost
from pipeline.settings import Settings
from pipeline.vault import Vault, file_name

_UNTIL_THEN = (
    "so nobody knows what may be kept: until they are back nothing is captured, and nothing falls "
    "due; bring their sealed file back from a copy, `anechoic restore COPY`, or, where there is "
    "none, set them anew: `anechoic retention set --anew`"
)


@dataclass(frozen=True, slots=True, repr=False)
class Lying:
    """The settings of a vault, and the artefact that they are sealed in."""

    settings: Settings
    owner: InteractionId
    slot: Slot


def lying(vault: Vault) -> Lying | None:
    """Returns the newest settings; None where none were ever set; raises `SettingsLost`."""
    if owners := vault.owned(SETTINGS):
        return _opened(vault, owners[-1])
    if agenda.exists(vault) or _were_set(vault):
        raise SettingsLost(f"the settings of this vault are missing, {_UNTIL_THEN}")
    return None


def trouble(vault: Vault) -> str | None:
    """Says what is wrong with the settings and what to do; None where nothing is."""
    try:
        lying(vault)
    except SettingsLost as lost:
        return str(lost)
    return None


def living(vault: Vault) -> list[Label]:
    """Returns the labels of all settings whose key lives, as the log has them, newest first."""
    return [it for it in _logged(vault) if vault.ring.is_live(it.slot)]


def delete(vault: Vault, lost: Iterable[Label]) -> None:
    """Deletes what is left of settings whose key is gone, by name: what is in it tells nothing."""
    for it in lost:
        path = vault.place(it) / file_name(it)
        if not vault.ring.is_live(it.slot) and vault.disk.size(path) is not None:
            vault.disk.delete(path)
            vault.disk.sync_dir(path.parent)


def _opened(vault: Vault, owner: InteractionId) -> Lying:
    """Opens settings, of which a damaged header may say anything: also whose they are."""
    try:
        for it in vault.artefacts(owner):
            if it.kind == SETTINGS:
                return Lying(Settings.decode(vault.open(it).read()), owner, it.slot)
    except (Erased, Malformed, NoSuchSlot, Tampered, OSError):
        pass
    raise SettingsLost(f"the settings of this vault are damaged, {_UNTIL_THEN}")


def _were_set(vault: Vault) -> bool:
    """Tells whether the log has settings whose key lives: then their file and agenda are lost."""
    if any(vault.ring.is_live(it.slot) for it in _logged(vault, vault.without_settings)):
        return True
    vault.without_settings = vault.log.size
    return False


def _logged(vault: Vault, oldest: int = 0) -> Iterator[Label]:
    entries, mark = vault.directory / "log" / "entries", f" {SETTINGS} ".encode()
    end = vault.disk.size(entries) or 0
    for line in lines_with(vault.disk, entries, end, [mark], oldest):
        _, entry = parse_line(line, vault.id)
        if isinstance(entry, SealedEntry):
            yield entry.label

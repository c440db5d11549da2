"""How a command finds its vault and model, and opens the vault, with a passphrase where needed.

Nothing is asked for where no one could answer: then the error says how to give it.
"""

import os
import sys
from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path

from keys.durable import RealDisk
from keys.errors import AnchorFailure, KeysError
from pipeline import models, places
from pipeline.errors import Refused
from pipeline.identity import read_identity, write_identity
from pipeline.session import AskPassphrase, acting, create_vault, exists, open_vault
from pipeline.terminal import Terminal, safe
from pipeline.vault import Vault


def apart(options: Namespace) -> tuple[Path, Path]:
    """Returns where the vault and its anchor belong; raises `Refused` for one inside the other."""
    directory, anchors = places.vault_directory(options.vault), places.anchor_directory()
    if anchors.resolve().is_relative_to(directory.resolve()):
        raise Refused(
            f"the anchor directory {anchors} is inside the vault {directory}, so every copy of the "
            "vault would carry the means to revive what was erased: set ANECHOIC_ANCHOR_DIR to a "
            "place outside it"
        )
    return directory, anchors


def the_vault(options: Namespace, it: Terminal, ask: AskPassphrase | None = None) -> Vault:
    """Opens the vault of these options, or makes it where there is none yet.

    A passphrase is asked for unless it was `asked_before`.
    """
    directory, anchors = apart(options)
    if exists(directory):
        return open_vault(directory, anchors, ask or _ask_passphrase)
    vault = create_vault(directory, anchors)
    it.say(safe(f"made a new vault in {directory}, its anchor in {anchors}"))
    return vault


def asked_before(options: Namespace) -> AskPassphrase:
    """Asks for the vault's passphrase, if it has one, and returns what gives it again and again.

    Processes that open the vault later are forked from one that was asked, or are sent it.
    """
    directory = places.vault_directory(options.vault)
    is_needed = exists(directory) and read_identity(directory, RealDisk()).passphrase_salt
    return partial(bytearray, _ask_passphrase() if is_needed else b"")


def the_model(options: Namespace) -> Path:
    """Returns the folder of the model to hear with, named or the vault's, without opening it."""
    return models.find(options.model, chosen=the_vaults_model(options))


def the_vaults_model(options: Namespace) -> str | None:
    """Returns the model chosen for the vault of these options, None where none is."""
    directory = places.vault_directory(options.vault)
    return read_identity(directory, RealDisk()).model if exists(directory) else None


def choose_model(vault: Vault, named: str | None) -> None:
    """Records which model a vault is heard with, None for whatever is installed; `NoModel`."""
    if named:
        folder = models.find(named)
        named = named if named == models.name_of(folder) else str(folder.absolute())
    with acting(vault):
        identity = read_identity(vault.directory, vault.disk)
        write_identity(vault.directory, replace(identity, model=named), vault.disk)


def the_vault_if_any(options: Namespace, it: Terminal) -> Vault | None:
    """Returns the vault if there is one that opens: a verdict does not depend on it."""
    directory = places.vault_directory(options.vault)
    if not exists(directory):
        return None
    try:
        vault = open_vault(directory, places.anchor_directory(), _ask_passphrase)
        with acting(vault):
            return vault
    except KeysError as error:
        it.say(safe(f"the vault here does not open, so only the receipts are asked ({error})"))
        return None


def _ask_passphrase(whose: str = "this vault", variable: str = "ANECHOIC_PASSPHRASE") -> bytearray:
    given = os.environ.get(variable)
    if given is None and not sys.stdin.isatty():
        raise AnchorFailure(f"{whose} has a passphrase: set {variable}, or run this in a terminal")
    prompt = "Passphrase: "
    return bytearray((given if given is not None else _typed(prompt)).encode())


def new_passphrase() -> bytearray:
    """Asks for the passphrase of a vault to be, twice where somebody types it; raises `Refused`."""
    return _new("this vault", "ANECHOIC_PASSPHRASE")


def recovery_passphrase(*, is_new: bool = False) -> bytearray:
    """Asks for the passphrase of a recovery copy, twice where it is new; raises `Refused`."""
    of = "the recovery copy", "ANECHOIC_RECOVERY_PASSPHRASE"
    return _new(*of) if is_new else _ask_passphrase(*of)


def _new(whose: str, variable: str) -> bytearray:
    first = _ask_passphrase(whose, variable)
    if not first:
        raise Refused("the passphrase is empty; nothing was made")
    if variable not in os.environ and _typed("Again: ").encode() != first:
        raise Refused("the two passphrases differ; nothing was made")
    return first


def _typed(prompt: str) -> str:
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""

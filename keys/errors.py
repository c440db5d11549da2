"""Everything `keys` can refuse, named by what the caller should do about it.

A message says what was expected, what was found and what to do next. It never holds key material
or content; change a class here only together with the exit codes of the command line.
"""


class KeysError(Exception):
    """The base of every refusal of this package."""


class Malformed(KeysError):
    """The bytes are not exactly the canonical form: reject them."""


class Tampered(KeysError):
    """A tag, commitment, proof or signature does not hold: stop and alarm."""


class Erased(KeysError):
    """The key was here and has been destroyed: the expected end of an erasure."""


class NoSuchSlot(KeysError):
    """The slot number was never given out: a mistake of the caller, or a foreign file."""


class StateUnknown(KeysError):
    """A write or sync failed part-way: restart, so that recovery decides what holds."""


class Busy(KeysError):
    """Another process holds the lock: try again."""


class AnchorFailure(KeysError):
    """An anchor or the passphrase is missing, wrong, or belongs to another vault."""

"""The values that the whole package speaks in: ids, slots, epochs, labels of sealed files.

Values only, parsed once at the border and trusted inside. A change here is a change of
`keys/SPEC.md` section 1 and of every format that holds these values.
"""

import re
from dataclasses import dataclass
from typing import NewType

from keys.errors import Malformed

VaultId = NewType("VaultId", bytes)
"""16 random bytes naming one vault."""
InteractionId = NewType("InteractionId", bytes)
"""16 random bytes naming one interaction."""
ArtefactId = NewType("ArtefactId", bytes)
"""16 random bytes naming one sealed thing."""
PlanId = NewType("PlanId", bytes)
"""16 random bytes naming one act of erasure."""
Slot = NewType("Slot", int)
"""A place in the ring: counted from 0, given out once, never used again."""
Epoch = NewType("Epoch", int)
"""The number of a ring state: 1 at creation, higher at every rotation (SPEC section 1)."""
Commitment = NewType("Commitment", bytes)
"""32 public bytes that fix a slot's key and say nothing about it."""

ID_SIZE = 16
KEY_SIZE = 32
KIND = re.compile(r"[a-z][a-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class Label:
    """Names what a sealed file is: everything here is bound into its key (SPEC section 4.1)."""

    vault: VaultId
    interaction: InteractionId
    artefact: ArtefactId
    kind: str
    slot: Slot

    def __post_init__(self) -> None:
        if not KIND.fullmatch(self.kind):
            raise Malformed(f"a kind is 1 to 16 of a-z, 0-9, '-': found {self.kind[:32]!r}")
        if any(len(part) != ID_SIZE for part in (self.vault, self.interaction, self.artefact)):
            raise Malformed(f"an id is {ID_SIZE} bytes")
        if not 0 <= self.slot < 2**63:
            raise Malformed(f"a slot is a number from 0 to 2^63-1: found {self.slot}")

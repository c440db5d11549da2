"""What becomes of receipts, with the confirmations and handovers given or lying beside them.

Between the verifying of one file (`receipt.py`, `confirmation.py`, `handover.py`) and the words of
`verify.py`: it promises an outcome for every receipt, and for every other file that is refused, and
that only what verifies counts for what is said of copies. It reads the files named and those beside
them, and writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys import confirmation, handover
from keys.attested import Trail, Trust
from keys.confirmation import Confirmed, is_confirmation
from keys.copies import ERASED, UNKNOWN, Found
from keys.cosignature import ML_DSA_44, CosignerKey
from keys.errors import KeysError, Tampered
from keys.handover import Handover, is_handover, route
from keys.model import Label
from keys.note import VerifierKey, parse_vkey
from keys.receipt import CONFIRMED, Statement, Verified, verify
from keys.stamp import Authority

CONFIRMATION_SUFFIX, HANDOVER_SUFFIX = ".confirmed", ".rekey"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: verified, or the reason why not; and by which steps."""

    path: Path
    verified: Verified | None
    problem: str = ""
    trail: Trail = field(default_factory=Trail)
    confirmed: Confirmed | None = None
    handover: Handover | None = None
    """What it is, where it is no receipt but a change of a log's key that verifies."""

    @property
    def holds(self) -> bool:
        """Tells whether the file verifies."""
        return self.verified is not None or self.handover is not None

    @property
    def verdict(self) -> str:
        """What the receipt says of its erasure, with what a confirmation says of it since."""
        stated = self.verified.statement.verdict if self.verified else ""
        return CONFIRMED if self.confirmed else stated


def trust_in(
    log_keys: Iterable[str], witnesses: Iterable[str], authorities: Iterable[Path] = ()
) -> Trust:
    """Returns the trust in keys as they are written, each of its type, and in certificates.

    Raises `Malformed`, OSError.
    """
    first, second = list[VerifierKey](), list[CosignerKey]()
    for text in log_keys:
        if parse_vkey(text)[2][0] == ML_DSA_44:
            second.append(CosignerKey.parse(text))
        else:
            first.append(VerifierKey.parse(text))
    cosigners = tuple(map(CosignerKey.parse, witnesses))
    stampers = tuple(Authority.parse(path.read_bytes()) for path in authorities)
    return Trust(tuple(first), (), (), tuple(second), cosigners, stampers)


def verify_files(paths: Sequence[Path], trust: Trust) -> list[Outcome]:
    """Verifies receipts, with the confirmations and handovers given or lying beside them.

    Each receipt has an outcome, and so has each handover in `paths`, each confirmation that is
    refused or of none of them, and each handover that is refused: a refusal is an outcome with its
    reason, never an exception. Raises OSError.
    """
    files = {path: path.read_bytes() for path in dict.fromkeys([*paths, *_beside(paths)])}
    trust, changes = _with_handovers(files, trust)
    rest = {path: data for path, data in files.items() if not is_handover(data)}
    receipts = {path: data for path, data in rest.items() if not is_confirmation(data)}
    outcomes = [_receipt(path, data, trust) for path, data in receipts.items()]
    for path in rest.keys() - receipts.keys():
        outcomes = _confirm(outcomes, path, rest[path], trust)
    return outcomes + [it for it in changes if it.path in paths or not it.holds]


def _with_handovers(files: Mapping[Path, bytes], trust: Trust) -> tuple[Trust, list[Outcome]]:
    """Returns the trust with the handovers that verify, and what became of each."""
    found, outcomes = dict.fromkeys(trust.handovers), list[Outcome]()
    for path in (path for path, data in files.items() if is_handover(data)):
        try:
            it = handover.verify(files[path])
            handover.refuse_forks(more := found | {it: None})
            found = more
            outcomes.append(Outcome(path, None, handover=it))
        except KeysError as error:
            outcomes.append(Outcome(path, None, str(error)))
    trust = replace(trust, handovers=tuple(found))
    return trust, [_trusted(it, trust) for it in outcomes]


def _trusted(outcome: Outcome, trust: Trust) -> Outcome:
    """Refuses a handover that no key leads to of those that were given for its log."""
    it = outcome.handover
    expected = trust.expected(it.old.name) if it else ()
    if not it or not expected or {it.old, it.new} & {*expected}:
        return outcome
    if any(
        route(trust.handovers, one, it.old) or route(trust.handovers, it.new, one)
        for one in expected
    ):
        return outcome
    return Outcome(outcome.path, None, "it is between two keys of which none leads to one given")


def verify_file(path: Path, trusted: VerifierKey | None = None) -> Outcome:
    """Verifies one receipt, with the confirmation that lies beside it."""
    return verify_files([path], Trust.of(trusted))[0]


def _beside(paths: Iterable[Path]) -> list[Path]:
    beside = [path.with_suffix(CONFIRMATION_SUFFIX) for path in paths if path.suffix]
    for folder in dict.fromkeys(path.parent for path in paths if path.suffix == ".receipt"):
        beside += sorted(folder.glob(f"*{HANDOVER_SUFFIX}"))
    return [path for path in beside if path.is_file()]


def _receipt(path: Path, data: bytes, trust: Trust) -> Outcome:
    trail = Trail()
    try:
        return Outcome(path, verify(data, trust, trail), trail=trail)
    except KeysError as error:
        return Outcome(path, None, str(error), trail)


def _confirm(outcomes: list[Outcome], path: Path, data: bytes, trust: Trust) -> list[Outcome]:
    """Adds what a confirmation says to the receipt that it is of, or its refusal as one more."""
    trail = Trail("confirmation")
    try:
        it = confirmation.verify(data, trust, trail)
        for place, one in enumerate(outcomes):
            if one.verified and one.verified.statement.plan == it.statement.plan:
                confirmation.match(it, one.verified, trust.handovers, trail)
                whole = Trail(steps=one.trail.steps + trail.steps)
                outcomes[place] = replace(one, confirmed=it, trail=whole)
                return outcomes
        raise Tampered("it confirms no receipt that was given and verifies")
    except KeysError as error:
        return [*outcomes, Outcome(path, None, str(error), trail)]


def states(found: Iterable[Found], outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Tells of each sealed file found whether these receipts call it erased, or it is unknown.

    Only a confirmed receipt counts, and only for files whose header says what the receipt says.
    """
    counted = [it.verified for it in outcomes if it.verified and it.verdict == CONFIRMED]
    dead = {row for it in counted for row in _dead(it.statement)}
    return [
        (
            it.name,
            ERASED if it.header and _row(it.header.label, it.header.hash) in dead else UNKNOWN,
        )
        for it in found
    ]


def _dead(statement: Statement) -> Iterable[tuple[object, ...]]:
    for row in statement.erased:
        for it in row.artefacts:
            ids = statement.vault, row.interaction, it.artefact
            yield *ids, it.kind, it.slot, it.header


def _row(label: Label, header: bytes) -> tuple[object, ...]:
    ids = label.vault.hex(), label.interaction.hex(), label.artefact.hex()
    return *ids, label.kind, label.slot, header.hex()

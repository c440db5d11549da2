"""The stand-alone verifier: `python -m keys.verify RECEIPT… [--log-key VKEY]… [--copy PATH]…`.

Needs no vault, no anchor and no network, and never touches the state of whoever signed. To trust a
verdict, read this file, then `receipt.verify` with the steps in `attested.py`, and what these call:
`merkle.verify_inclusion`, `live.verify_change` and `note.open_note`. With `--explain` every step
says what it compared and what that proves, as it is done, and a refusal says where it stopped. A
confirmation (`confirmation.py`) and a change of the log's key (`handover.py`) are given as further
files, or lie beside the receipt.
Exit codes: 0 verifies, 2 usage, 3 no such file, 5 does not verify or cannot be read.
"""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keys import confirmation, handover
from keys.attested import Trail, Trust
from keys.confirmation import Confirmed, is_confirmation
from keys.copies import ERASED, UNKNOWN, Found, find_sealed
from keys.cosignature import ML_DSA_44, CosignerKey
from keys.errors import KeysError, Malformed, Tampered
from keys.handover import is_handover
from keys.model import Label
from keys.note import VerifierKey, parse_vkey
from keys.receipt import CONFIRMED, DOES_NOT_PROVE, PROVES, Statement, Verified, verify

OK, NO_FILE, DOES_NOT_VERIFY = 0, 3, 5
CONFIRMATION_SUFFIX, HANDOVER_SUFFIX = ".confirmed", ".rekey"
GIVEN = "given by you"
_HEAD = 12
NAMED = "named by the receipt itself: compare it yourself"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: verified, or the reason why not; and by which steps."""

    path: Path
    verified: Verified | None
    problem: str = ""
    trail: Trail = field(default_factory=Trail)
    confirmed: Confirmed | None = None

    @property
    def verdict(self) -> str:
        """What the receipt says of its erasure, with what a confirmation says of it since."""
        stated = self.verified.statement.verdict if self.verified else ""
        return CONFIRMED if self.confirmed else stated


def trust_in(log_keys: Iterable[str], witnesses: Iterable[str]) -> Trust:
    """Returns the trust in keys as they are written, each of its type; raises `Malformed`."""
    first, second = list[VerifierKey](), list[CosignerKey]()
    for text in log_keys:
        if parse_vkey(text)[2][0] == ML_DSA_44:
            second.append(CosignerKey.parse(text))
        else:
            first.append(VerifierKey.parse(text))
    cosigners = tuple(map(CosignerKey.parse, witnesses))
    return Trust(tuple(first), seconds=tuple(second), witnesses=cosigners)


def verify_files(paths: Sequence[Path], trust: Trust) -> list[Outcome]:
    """Verifies receipts, with the confirmations and handovers given or lying beside them.

    Each receipt has an outcome, and so has each confirmation that is refused or of none of them,
    and each handover that is refused: a refusal is an outcome with its reason, never an exception.
    Raises OSError.
    """
    files = {path: path.read_bytes() for path in dict.fromkeys([*paths, *_beside(paths)])}
    trust, refused = _with_handovers(files, trust)
    rest = {path: data for path, data in files.items() if not is_handover(data)}
    receipts = {path: data for path, data in rest.items() if not is_confirmation(data)}
    outcomes = [_receipt(path, data, trust) for path, data in receipts.items()]
    for path in rest.keys() - receipts.keys():
        outcomes = _confirm(outcomes, path, rest[path], trust)
    return outcomes + refused


def _with_handovers(files: Mapping[Path, bytes], trust: Trust) -> tuple[Trust, list[Outcome]]:
    """Returns the trust with the handovers that verify, and the others as outcomes."""
    found, refused = dict.fromkeys(trust.handovers), list[Outcome]()
    for path in (path for path, data in files.items() if is_handover(data)):
        try:
            more = found | {handover.verify(files[path]): None}
            handover.refuse_forks(more)
            found = more
        except KeysError as error:
            refused.append(Outcome(path, None, str(error)))
    return replace(trust, handovers=tuple(found)), refused


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


def explain(outcome: Outcome, whose_key: str) -> list[str]:
    """Returns the verdict of one receipt as lines for a person, with whose word the log key is.

    What is proved and what is not are this program's words; the signer's own can only add limits.
    """
    if outcome.verified is None:
        return [f"{outcome.path}: DOES NOT VERIFY: {outcome.problem}"]
    it, statement = outcome.verified, outcome.verified.statement
    files = len(statement.headers)
    became = f"{len(statement.slots)} of {statement.live_size} slots became empty, no other changed"
    return [
        f"{outcome.path}: verifies, {outcome.verdict}{_by(outcome.confirmed)}",
        f"  log key   {it.key.format()} ({it.relation or whose_key})",
        *(f"  cosigned  by {one.key}, {one.when}" for one in it.cosignatures),
        f"  log       entry {it.index} of {it.checkpoint.size}, root {it.checkpoint.root.hex()}",
        f"  erased    {len(statement.erased)} interaction(s), {files} sealed file(s)",
        f"  when      {statement.erased_at}, epoch {statement.epoch_from} to {statement.epoch_to}",
        f"  live      {became}: root {statement.live_before} to {statement.live_after}",
        *_confirmed(outcome.confirmed),
        *(f"  anchor    {a.anchor}, level {a.level}: {a.rests_on}" for a in statement.anchors),
        *(f"  kept      {row}" for row in statement.kept),
        *(f"  disclosed {row}" for row in statement.disclosed),
        *(f"  residual  {row}" for row in statement.residual),
        *(f"  proves    {row}" for row in PROVES),
        *(f"  NOT       {row}" for row in dict.fromkeys(DOES_NOT_PROVE + statement.does_not_prove)),
    ]


def _by(it: Confirmed | None) -> str:
    return f" (pending at first; by confirmation, log entry {it.index})" if it else ""


def _confirmed(it: Confirmed | None) -> list[str]:
    if it is None:
        return []
    said = it.statement
    lines = [f"  confirmed {said.confirmed_at}, epoch {said.epoch}: no way is outstanding any more"]
    return lines + [f"  checked   {row.check}: {row.found}" for row in said.checks]


def steps(outcome: Outcome) -> list[str]:
    """Returns what was done to reach the verdict, step by step, as lines for a person."""
    lines = [f"{outcome.path}: being verified, step by step"]
    for number, step in enumerate(outcome.trail.steps, 1):
        lines.append(f"  step {number}    {step.name}")
        lines += [f"  compared  {it}" for it in step.compared]
        lines.append(f"  proves    {step.proves}")
    if outcome.verified is None:
        at = f"step {len(outcome.trail.steps) + 1}, {outcome.trail.at}"
        lines.append(f"  stopped   at {at}: {outcome.problem}")
    return lines


def as_json(outcome: Outcome) -> dict[str, object]:
    """Returns the verdict of one receipt for a program."""
    if outcome.verified is None:
        return {"receipt": str(outcome.path), "verifies": False, "problem": outcome.problem}
    it = outcome.verified
    return {
        "receipt": str(outcome.path),
        "verifies": True,
        "verdict": outcome.verdict,
        "log_key": it.key.format(),
        "index": it.index,
        "size": it.checkpoint.size,
        "cosignatures": [{"key": str(one.key), "time": one.when} for one in it.cosignatures],
        "statement": json.loads(it.statement.encode()),
        **_confirmed_json(outcome.confirmed),
    }


def _confirmed_json(it: Confirmed | None) -> dict[str, object]:
    if it is None:
        return {}
    said = json.loads(it.statement.encode())
    return {"confirmation": {"index": it.index, "size": it.checkpoint.size, "statement": said}}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verifier; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        outcomes = verify_files(options.receipts, trust_in(options.log_key, options.witness))
        copies = [row for path in options.copy for row in states(find_sealed(path), outcomes)]
    except FileNotFoundError as error:
        sys.stderr.write(printable(f"no such file: {error.filename}") + "\n")
        return NO_FILE
    except OSError as error:
        sys.stderr.write(printable(str(error)) + "\n")
        return DOES_NOT_VERIFY
    _print(options, outcomes, copies)
    return OK if all(outcome.verified for outcome in outcomes) else DOES_NOT_VERIFY


def _print(
    options: argparse.Namespace, outcomes: list[Outcome], copies: list[tuple[str, str]]
) -> None:
    if options.json:
        files = [{"file": name, "state": state} for name, state in copies]
        document = {"receipts": [as_json(outcome) for outcome in outcomes], "copies": files}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    lines = list[str]()
    for it in outcomes:
        lines += steps(it) if options.explain else []
        lines += explain(it, GIVEN if options.log_key else NAMED)
    lines += [f"{state:8} {name}" for name, state in copies]
    for line in lines:
        sys.stdout.write(_folded(printable(line)) + "\n")


def _folded(line: str) -> str:
    if not sys.stdout.isatty():
        return line
    width, indent = shutil.get_terminal_size().columns, " " * _HEAD
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def printable(line: str) -> str:
    """Returns the line as it is, or escaped: a file's name may hold a newline or worse."""
    return line if line.isprintable() else ascii(line)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="keys.verify", description="Verify erasure receipts.")
    parser.add_argument("receipts", metavar="RECEIPT", nargs="+", type=Path)
    keys = (
        ("--log-key", _log_key, "a log key that you trust, of Ed25519 or ML-DSA-44"),
        ("--witness", _witness, "a witness who must have cosigned"),
    )
    for name, kind, what in keys:
        parser.add_argument(name, metavar="VKEY", type=kind, action="append", default=[], help=what)
    parser.add_argument("--copy", metavar="PATH", action="append", default=[], type=Path)
    parser.add_argument("--explain", action="store_true", help="say what each step compared")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def _log_key(text: str) -> str:
    return _checked(text, lambda it: trust_in([it], []))


def _witness(text: str) -> str:
    return _checked(text, CosignerKey.parse)


def _checked(text: str, parse: Callable[[str], object]) -> str:
    try:
        parse(text)
    except Malformed as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


if __name__ == "__main__":
    sys.exit(main())

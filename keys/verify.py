"""The stand-alone verifier: `python -m keys.verify RECEIPT… [--log-key VKEY]… [--copy PATH]…`.

Needs no vault, no anchor and no network, and never touches the state of whoever signed. To trust a
verdict, read this file and `outcome.py`, then `receipt.verify` with its steps in `attested.py`, and
what these call:
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
from collections.abc import Callable, Sequence
from pathlib import Path

from keys.confirmation import Confirmed
from keys.copies import find_sealed
from keys.cosignature import CosignerKey
from keys.errors import Malformed
from keys.handover import Handover
from keys.outcome import Outcome, states, trust_in, verify_files
from keys.receipt import DOES_NOT_PROVE, PROVES

OK, NO_FILE, DOES_NOT_VERIFY = 0, 3, 5
GIVEN = "given by you"
_HEAD = 12
NAMED = "named by the receipt itself: compare it yourself"


def explain(outcome: Outcome, whose_key: str) -> list[str]:
    """Returns the verdict of one receipt as lines for a person, with whose word the log key is.

    What is proved and what is not are this program's words; the signer's own can only add limits.
    """
    if outcome.handover:
        return _change(outcome.path, outcome.handover)
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


def _change(path: Path, it: Handover) -> list[str]:
    return [
        f"{path}: verifies, a change of the log's key and no receipt",
        f"  from      {it.old.format()}",
        f"  to        {it.new.format()}, generation {it.generation}",
        f"  log       entry {it.index} of {it.old.name}",
        "  proves    that the holders of both keys signed this change, and that the log has it",
        "  NOT       that either key is the signer's: compare them with one from elsewhere",
    ]


def _by(it: Confirmed | None) -> str:
    return f" (pending at first; by confirmation, log entry {it.index})" if it else ""


def _confirmed(it: Confirmed | None) -> list[str]:
    if it is None:
        return []
    said = it.statement
    lines = [f"  confirmed {said.confirmed_at}, epoch {said.epoch}: nothing is outstanding"]
    return lines + [f"  checked   {row.check}: {row.found}" for row in said.checks]


def steps(outcome: Outcome) -> list[str]:
    """Returns what was done to reach the verdict, step by step, as lines for a person."""
    if outcome.handover:
        return []
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
    if outcome.handover:
        change = outcome.handover
        keys = {"from": change.old.format(), "to": change.new.format()}
        numbers = {"index": change.index, "generation": change.generation}
        return {"handover": str(outcome.path), "verifies": True, **keys, **numbers}
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
        trust = trust_in(options.log_key, options.witness, options.tsa)
        outcomes = verify_files(options.receipts, trust)
        copies = [row for path in options.copy for row in states(find_sealed(path), outcomes)]
    except FileNotFoundError as error:
        sys.stderr.write(printable(f"no such file: {error.filename}") + "\n")
        return NO_FILE
    except (Malformed, OSError) as error:
        sys.stderr.write(printable(str(error)) + "\n")
        return DOES_NOT_VERIFY
    _print(options, outcomes, copies)
    return OK if all(outcome.holds for outcome in outcomes) else DOES_NOT_VERIFY


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
    stamps = "the certificates of a time stamp authority (PEM) that must have stamped"
    parser.add_argument("--tsa", metavar="PEM", type=Path, action="append", default=[], help=stamps)
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

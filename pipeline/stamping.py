"""Having others vouch for a receipt: a witness who cosigns it, an authority that stamps the time.

Promises to use no network: what is to be signed is written to files for the user to send, and what
came back is added to the receipt only if it is of its checkpoint, and counts for whom it is said to
be, where that was named. A receipt or confirmation that bears more than before verifies as before.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keys.attested import Attested, Trust
from keys.cosignature import times
from keys.durable import RealDisk, replace_file
from keys.errors import Malformed, Tampered
from keys.note import split_note
from keys.outcome import trust_in
from keys.stamp import lines_in, request_of, with_lines
from pipeline.commands import DONE
from pipeline.errors import Refused
from pipeline.terminal import Terminal, count, safe

CHECKPOINT, REQUEST = ".checkpoint", ".tsq"


def stamp(options: Namespace) -> int:
    """Writes what others are to sign of a receipt, or adds what came back to it."""
    it = Terminal(as_json=options.json)
    if options.attach:
        trust = _trust(options)
        added = attach(options.receipt, options.attach, trust)
        it.say(f"added {count(added, 'line')} to {safe(str(options.receipt))}")
        written = [options.receipt]
    else:
        written = request(options.receipt, options.to)
        it.say("send the checkpoint to a witness, or the request to an authority (RFC 3161)")
    if it.as_json:
        it.document({"files": [str(path) for path in written]})
    else:
        for path in written:
            it.exact(safe(str(path)))
    return DONE


def request(receipt: Path, folder: Path) -> list[Path]:
    """Writes the signed checkpoint of a receipt for a witness, and a request for an authority."""
    note = _read(receipt).proof.checkpoint_note
    paths = [folder / (receipt.name + suffix) for suffix in (CHECKPOINT, REQUEST)]
    for path, data in zip(paths, (note.encode(), request_of(split_note(note)[0])), strict=True):
        path.write_bytes(data)
    return paths


def attach(receipt: Path, returned: Sequence[Path], trust: Trust) -> int:
    """Adds what came back to a receipt, and returns how many lines are new; raises `Tampered`.

    The witnesses and authorities in `trust` have to be among those whose lines it then bears.
    """
    it = _read(receipt)
    text, before = split_note(it.proof.checkpoint_note)
    lines = [line for path in returned for line in lines_in(text, path.read_bytes())]
    proof = with_lines(it.proof, lines)
    for witness in trust.witnesses:
        if not times(proof.checkpoint_note, witness):
            raise Tampered(f"what came back is not of {witness}")
    for authority in trust.authorities:
        authority.times(proof.checkpoint_note)
    replace_file(RealDisk(), receipt, replace(it, proof=proof).encode())
    return len(split_note(proof.checkpoint_note)[1]) - len(before)


def _trust(options: Namespace) -> Trust:
    try:
        return trust_in([], options.witness, options.tsa)
    except Malformed as error:
        raise Refused(f"--witness or --tsa: {error}") from error


def _read(path: Path) -> Attested:
    return Attested.parse(path.read_bytes(), "receipt or confirmation")

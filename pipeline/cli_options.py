"""The options of every command: the parser of the whole command line.

Defines and explains; does nothing. What belongs together and is long, or shared, has a file of its
own (`cli_hearing`, `cli_terms`, `cli_assistant`, `cli_skills`, `cli_home`). A new option is added
here and named in README's table and in `tests/test_configuration.py`.
"""

import argparse
import os
from pathlib import Path

from pipeline.cli_assistant import add_assistant
from pipeline.cli_hearing import add_hearing, add_model, positive
from pipeline.cli_home import add_home
from pipeline.cli_skills import add_skills
from pipeline.cli_terms import add_terms

EPILOG = """exit codes: 0 done, 1 failed, 2 usage, 3 no such thing, 4 erased, 5 tampered or does not
verify, 6 busy, 7 anchor or passphrase missing or wrong, 8 no model or no audio device"""


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="anechoic",
        allow_abbrev=False,
        description="A local voice assistant pipeline whose every echo can be erased, with proof.",
        epilog=EPILOG,
    )
    top.add_argument("--vault", type=Path, metavar="DIR", help="the vault (or ANECHOIC_VAULT)")
    top.add_argument("--json", action="store_true", help="results as JSON on standard output")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_making, _add_looking, _add_erasing, _add_rest):
        add(commands)
    return top


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _add(
    commands: "Commands[argparse.ArgumentParser]", name: str, what: str
) -> argparse.ArgumentParser:
    # Nothing may be abbreviated: of a command that erases, `--al` must not become `--all`.
    description = f"{what[0].upper()}{what[1:]}."
    it = commands.add_parser(name, help=what, description=description, allow_abbrev=False)
    hidden = argparse.SUPPRESS  # people put these last as well, and mean the same
    it.add_argument("--vault", type=Path, default=hidden, help=hidden)
    it.add_argument("--json", action="store_true", default=hidden, help=hidden)
    return it


def _add_making(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = _add(commands, "init", "make a vault")
    it.add_argument("--anchor", default="file", metavar="SPEC", help="where the share lies: file")
    it.add_argument("--passphrase", action="store_true", help="ask for one, needed to open it")
    it = _add(commands, "ingest", "hear sound files and seal what was said")
    it.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="WAV, FLAC, OGG or folders")
    it.add_argument(
        "--profile", default="default", metavar="P", help="whose interactions these are"
    )
    it.add_argument(
        "--jobs", type=positive, default=_jobs(), metavar="N", help="processes that hear"
    )
    dask = "hear on the workers of a Dask cluster instead: what they hear leaves this machine"
    it.add_argument("--dask", metavar="URL", help=dask)
    add_model(it)
    _add_listening(commands)
    add_assistant(commands, _add)


def _add_listening(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = _add(commands, "listen", "hear a microphone and seal what is said, until Ctrl-C")
    add_hearing(it)
    it.add_argument("--once", action="store_true", help="end after one utterance, or at Enter")
    it.add_argument(
        "--ephemeral", action="store_true", help="store nothing; k and Enter keeps the last"
    )
    it.add_argument("--profile", metavar="P", help="for whom; else that of the microphone")
    add_model(it)
    it = _add(commands, "devices", "list microphones")
    it.add_argument("--levels", action="store_true", help="listen to each, and show how loud it is")


def _jobs() -> int:
    return min(4, os.cpu_count() or 1)


def _add_looking(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = _add(commands, "history", "list interactions, newest first")
    it.add_argument("--limit", type=positive, default=None, metavar="N", help="at most so many")
    _add_filter(it)
    it = _add(commands, "show", "show all that is known of an interaction")
    it.add_argument("id", metavar="ID")
    it = _add(commands, "report", "what is held, why, until when, who has seen it, what has left")
    it.add_argument("--profile", metavar="P", help="of this profile alone")
    it.add_argument("--page", type=Path, metavar="FILE", help="write it as a page (HTML) to print")
    it = _add(commands, "play", "play the audio of an interaction")
    it.add_argument("id", metavar="ID")
    it = _add(commands, "export", "copy an interaction out of the vault, sealed or plain")
    it.add_argument("id", metavar="ID")
    it.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write to")
    it.add_argument("--plain", action="store_true", help="readable by anyone; a disclosure")
    it = _add(commands, "search", "find interactions whose transcript holds the words")
    what = 'words, "phrases in quotes", beginn*; - reads them from standard input'
    it.add_argument("words", nargs="+", metavar="WORDS", help=what)
    it.add_argument("--limit", type=positive, default=None, metavar="N", help="at most so many")


def _add_filter(it: argparse.ArgumentParser) -> None:
    it.add_argument("--since", metavar="T", help="heard at or after this time (RFC 3339)")
    it.add_argument("--until", metavar="T", help="heard before this time")
    it.add_argument("--profile", metavar="P", help="heard for this profile")


def _add_erasing(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = _add(commands, "forget", "erase interactions, with a receipt")
    it.add_argument("ids", nargs="*", metavar="ID", help="ids, or the first four digits or more")
    it.add_argument("--last", action="store_true", help="the newest interaction")
    it.add_argument("--all", action="store_true", help="every interaction")
    it.add_argument("--match", nargs="+", default=[], metavar="WORDS", help="where these were said")
    _add_filter(it)
    it.add_argument("--only", choices=["audio"], help="erase the audio, keep the words")
    it.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="ARTEFACT",
        help="an action to keep, as a record",
    )
    it.add_argument("--dry-run", action="store_true", help="show the plan, erase nothing")
    it.add_argument("--yes", action="store_true", help="do not ask")
    it.add_argument("--receipt", type=Path, metavar="FILE", help="write the receipt here as well")
    it = _add(commands, "verify", "check receipts, and what copies still hold")
    it.add_argument("receipts", nargs="+", type=Path, metavar="RECEIPT")
    it.add_argument("--explain", action="store_true", help="say what each step compares and proves")
    key = "a log key that you trust; a handover (.rekey) leads from one to the next"
    it.add_argument("--log-key", action="append", default=[], metavar="VKEY", help=key)
    _add_copy(it)
    _add_vouching(it)
    _add(commands, "receipts", "list all receipts with their verdicts")
    it = _add(commands, "stamp", "have a witness or a time stamp authority vouch for a receipt")
    it.add_argument("receipt", type=Path, metavar="RECEIPT")
    way = it.add_mutually_exclusive_group(required=True)
    way.add_argument("--to", type=Path, metavar="DIR", help="write there what they are to sign")
    back = "add what came back: a response, a note, or its lines"
    way.add_argument("--attach", type=Path, nargs="+", metavar="FILE", help=back)
    _add_vouching(it)
    it = _add(commands, "restore", "bring sealed files back from an old copy of the vault")
    it.add_argument("copy", metavar="COPY", help="a folder, tar file or store (URL), of any age")
    it = _add(commands, "audit", "hold every file, key, log entry and receipt together")
    _add_copy(it)


def _add_vouching(it: argparse.ArgumentParser) -> None:
    witness = "a witness that must have signed along"
    it.add_argument("--witness", action="append", default=[], metavar="VKEY", help=witness)
    stamps = "the certificates (PEM) of an authority that must have stamped the time (RFC 3161)"
    it.add_argument("--tsa", type=Path, action="append", default=[], metavar="PEM", help=stamps)


def _add_copy(it: argparse.ArgumentParser) -> None:
    what = "tell of each sealed file in a folder, tar file or store whether it is live or erased"
    it.add_argument("--copy", action="append", default=[], metavar="PATH|URL", help=what)


def _add_keeping(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = _add(commands, "anchor", "list, add, remove or rotate the anchors, and recovery copies")
    acts = it.add_subparsers(dest="act", metavar="list|add|remove|rotate|recovery", required=True)
    _add(acts, "list", "each way to the root, its anchors, their levels, and whether they are here")
    add = _add(acts, "add", "add a way to the root, or an anchor to a way")
    add.add_argument("spec", metavar="SPEC", help="file:DIR, keyring, tpm, or several joined by +")
    add.add_argument("--to", metavar="ANCHOR", help="join it to this anchor: both are needed then")
    remove = _add(acts, "remove", "remove an anchor; its old shares are destroyed")
    remove.add_argument("name", metavar="ANCHOR", help="as in the list")
    word = "it is lost, and destroyed: what waited for it is confirmed on your word alone"
    remove.add_argument("--destroyed", action="store_true", help=word)
    copy = _add(acts, "recovery", "write a copy of the means to open this vault now, or use one")
    way = copy.add_mutually_exclusive_group(required=True)
    way.add_argument("--to", dest="target", type=Path, metavar="FILE", help="the file to write")
    way.add_argument("--from", dest="source", type=Path, metavar="FILE", help="the copy to use")
    copy.add_argument("--passphrase", action="store_true", help="ask for one, needed to use it")
    copy.add_argument("--yes", action="store_true", help="do not ask")
    copy.add_argument("--anchor", default="file", metavar="SPEC", help="with --from: anchors to be")
    _add(acts, "rotate", "give every anchor that is here a new share, and destroy the old")
    it = _add(commands, "log-key", "show or change the key that receipts are checked with")
    acts = it.add_subparsers(dest="act", metavar="show|rotate", required=True)
    _add(acts, "show", "the key that signs now, and the handovers from earlier ones")
    rotate = _add(acts, "rotate", "sign with a new key from here on; old receipts stay good")
    rotate.add_argument("--ml-dsa", action="store_true", help="with a second signature, ML-DSA-44")
    it = _add(commands, "store", "keep copies of the sealed files in another place: SFTP, S3, …")
    acts = it.add_subparsers(dest="act", metavar="sync", required=True)
    sync = _add(acts, "sync", "copy what lives there, ask for what is dead to be deleted")
    sync.add_argument("url", metavar="URL", help="such as sftp://host/folder or s3://bucket/folder")
    it = _add(commands, "mirror", "keep ring and log in another place too")
    acts = it.add_subparsers(dest="act", metavar="list|add|remove", required=True)
    _add(acts, "list", "each mirror, and whether it is up to date")
    for act, what in (("add", "begin a mirror, on another disk"), ("remove", "give a mirror up")):
        _add(acts, act, what).add_argument("directory", type=Path, metavar="DIR")


def _add_rest(commands: "Commands[argparse.ArgumentParser]") -> None:
    add_skills(commands, _add)
    add_home(commands, _add)
    it = _add(commands, "model", "list or fetch recognition models, or choose the vault's")
    acts = it.add_subparsers(dest="act", metavar="list|fetch|use", required=True)
    _add(acts, "list", "models that can be had, and those installed")
    fetch = _add(acts, "fetch", "fetch a model and check every file of it")
    fetch.add_argument("name", nargs="?", metavar="NAME", help="default: the best that can be had")
    use = _add(acts, "use", "choose the model that this vault is heard with")
    use.add_argument("name", nargs="?", metavar="NAME|PATH", help="without: whatever is installed")
    _add_keeping(commands)
    add_terms(commands, _add)
    _add(commands, "demo", "the whole story on the samples, in a minute")

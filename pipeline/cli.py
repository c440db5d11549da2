"""The command line: `anechoic [--vault DIR] [--json] COMMAND …`; a door, with no logic of its own.

Parses, calls one function of `pipeline.commands`, and turns what was refused into an exit code.
Everything heavy is imported by the command that needs it, so that `--help` is quick.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

DONE, FAILED, USAGE, NOT_FOUND, ERASED, TAMPERED, BUSY, ANCHOR, NO_MODEL = range(9)
EPILOG = """exit codes: 0 done, 1 failed, 2 usage, 3 no such thing, 4 erased, 5 tampered or does not
verify, 6 busy, 7 anchor or passphrase missing or wrong, 8 no model or no audio device"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    options = parser().parse_args(argv)
    from pipeline import machine

    machine.harden()
    try:
        return _run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nanechoic: stopped; what was complete is kept\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or Python complains at exit
        return 128 + 13


def _run(options: argparse.Namespace) -> int:
    from pipeline import commands

    try:
        command: Callable[[argparse.Namespace], int] = getattr(commands, options.command)
        return command(options)
    except Exception as error:  # noqa: BLE001 - the one place where every refusal ends
        code = _exit_code(error)
        sys.stderr.write(f"anechoic: {_message(error, code)}\n")
        return code or FAILED


def _exit_code(error: Exception) -> int | None:
    import keys.errors as of_keys
    import pipeline.errors as ours

    codes: list[tuple[type[Exception], int]] = [
        (of_keys.Erased, ERASED),
        (of_keys.NoSuchSlot, TAMPERED),
        (of_keys.Malformed, TAMPERED),
        (of_keys.Tampered, TAMPERED),
        (of_keys.Busy, BUSY),
        (of_keys.AnchorFailure, ANCHOR),
        (of_keys.KeysError, FAILED),
        (ours.Refused, USAGE),
        (ours.NotFound, NOT_FOUND),
        (ours.NoModel, NO_MODEL),
        (ours.NoAudioDevice, NO_MODEL),
        (ours.PipelineError, FAILED),
        (FileNotFoundError, NOT_FOUND),
        (OSError, FAILED),
    ]
    return next((code for kind, code in codes if isinstance(error, kind)), None)


def _message(error: Exception, code: int | None) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if code is not None:
        return str(error)
    # A defect. Its text may hold content, so only its kind and its places are shown.
    places = traceback.extract_tb(error.__traceback__)
    where = "\n".join(f"  {place.filename}:{place.lineno} in {place.name}" for place in places)
    return f"internal error, please report it: {type(error).__name__}\n{where}"


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="anechoic",
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


def _add_making(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = commands.add_parser("init", help="make a vault")
    it.add_argument("--anchor", default="file", metavar="SPEC", help="where the share lies: file")
    it.add_argument("--passphrase", action="store_true", help="ask for one, needed to open it")
    it = commands.add_parser("ingest", help="hear sound files and seal what was said")
    it.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="WAV, FLAC, OGG or folders")
    it.add_argument(
        "--profile", default="default", metavar="P", help="whose interactions these are"
    )
    it.add_argument("--jobs", type=int, default=_jobs(), metavar="N", help="processes that hear")
    it.add_argument("--model", type=Path, metavar="PATH", help="a Vosk model (or ANECHOIC_MODEL)")


def _jobs() -> int:
    return min(4, os.cpu_count() or 1)


def _add_looking(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = commands.add_parser("history", help="list interactions, newest first")
    it.add_argument("--limit", type=int, default=None, metavar="N", help="at most so many")
    _add_filter(it)
    it = commands.add_parser("show", help="show all that is known of an interaction")
    it.add_argument("id", metavar="ID")
    it = commands.add_parser("play", help="play the audio of an interaction")
    it.add_argument("id", metavar="ID")
    it = commands.add_parser("export", help="copy an interaction out of the vault, sealed or plain")
    it.add_argument("id", metavar="ID")
    it.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write to")
    it.add_argument("--plain", action="store_true", help="readable by anyone; a disclosure")
    it = commands.add_parser("search", help="find interactions whose transcript holds the words")
    it.add_argument("words", nargs="+", metavar="WORDS")


def _add_filter(it: argparse.ArgumentParser) -> None:
    it.add_argument("--since", metavar="T", help="heard at or after this time (RFC 3339)")
    it.add_argument("--until", metavar="T", help="heard before this time")
    it.add_argument("--profile", metavar="P", help="heard for this profile")


def _add_erasing(commands: "Commands[argparse.ArgumentParser]") -> None:
    it = commands.add_parser("forget", help="erase interactions, with a receipt")
    it.add_argument("ids", nargs="*", metavar="ID", help="ids, or the first four digits or more")
    it.add_argument("--last", action="store_true", help="the newest interaction")
    it.add_argument("--all", action="store_true", help="every interaction")
    it.add_argument("--match", nargs="+", default=[], metavar="WORDS", help="where these were said")
    _add_filter(it)
    it.add_argument("--only", choices=["audio"], help="erase the audio, keep the words")
    it.add_argument("--dry-run", action="store_true", help="show the plan, erase nothing")
    it.add_argument("--yes", action="store_true", help="do not ask")
    it.add_argument("--receipt", type=Path, metavar="FILE", help="write the receipt here as well")
    it = commands.add_parser("verify", help="check receipts, and what copies still hold")
    it.add_argument("receipts", nargs="+", type=Path, metavar="RECEIPT")
    it.add_argument("--log-key", metavar="VKEY", help="the log key that you trust")
    _add_copy(it)
    it = commands.add_parser("audit", help="hold every file, key, log entry and receipt together")
    _add_copy(it)


def _add_copy(it: argparse.ArgumentParser) -> None:
    what = "tell of each sealed file in a folder or tar file whether it is live or erased"
    it.add_argument("--copy", type=Path, action="append", default=[], metavar="PATH", help=what)


def _add_rest(commands: "Commands[argparse.ArgumentParser]") -> None:
    commands.add_parser("doctor", help="what weakens erasure on this machine, and what to do")
    it = commands.add_parser("model", help="list or fetch recognition models")
    acts = it.add_subparsers(dest="act", metavar="list|fetch", required=True)
    acts.add_parser("list", help="models that can be had, and those installed")
    fetch = acts.add_parser("fetch", help="fetch a model and check every file of it")
    fetch.add_argument("name", nargs="?", metavar="NAME", help="default: the best that can be had")
    it = commands.add_parser("demo", help="the whole story on the samples, in a minute")
    it.add_argument("--model", type=Path, metavar="PATH", help="a Vosk model (or ANECHOIC_MODEL)")


if __name__ == "__main__":
    sys.exit(main())

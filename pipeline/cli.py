"""The command line: `anechoic [--vault DIR] [--json] COMMAND …`; a door, with no logic of its own.

Parses, calls one function of `pipeline.commands` or `pipeline.checking`, and turns what was refused
into an exit code.
Everything heavy is imported by the command that needs it, so that `--help` is quick.
"""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from pipeline import configuration
from pipeline.cli_options import parser
from pipeline.errors import defect

DONE, FAILED, USAGE, NOT_FOUND, ERASED, TAMPERED, BUSY, ANCHOR, NO_MODEL = range(9)
_MODULES = {
    **dict.fromkeys(("verify", "receipts", "restore", "audit"), "pipeline.checking"),
    "forget": "pipeline.forget",
    **dict.fromkeys(("listen", "devices"), "pipeline.microphone"),
    **dict.fromkeys(("anchor", "log-key", "mirror"), "pipeline.keeping"),
    **dict.fromkeys(("ask", "agenda"), "pipeline.assistant.asking"),
    "events": "pipeline.events",
    "completion": "pipeline.completion",
    "stamp": "pipeline.stamping",
    "skills": "pipeline.skilled",
    **dict.fromkeys(("retention", "profile"), "pipeline.terms"),
    "serve": "pipeline.serve",
    "store": "pipeline.storing",
}
"""Where the function of a command is, other than in `pipeline.commands`."""
_BROKEN_PIPE = 128 + 13  # what a shell says of a program that SIGPIPE has ended
_REMEDIES = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check that it is yours, and its permissions",
    errno.EPERM: "check that it is yours, and its permissions",
    errno.EROFS: "name a place that can be written",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.EEXIST: "name another place",
    errno.ENOSPC: "make room on that disk, then run this again",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; without `argv`, that of this process."""
    if argv is None:
        _keep_quiet()
    _write_whatever_comes()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\nanechoic: stopped; what was complete is kept\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read has seen enough
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # or Python complains at exit
        return _BROKEN_PIPE
    return code


def _keep_quiet() -> None:
    """Keeps Python from printing what it cannot raise: its text may hold content.

    Such as the complaint of a library's `__del__`. Ctrl-C that came in one is not lost: it comes
    again a moment later, from a thread, because here it could not be raised either.
    """
    import threading

    main = threading.get_ident()

    def interrupt() -> None:
        if hasattr(signal, "pthread_kill"):  # it wakes the main thread, whatever that waits for
            signal.pthread_kill(main, signal.SIGINT)
        else:
            signal.raise_signal(signal.SIGINT)

    def unraisable(it: "sys.UnraisableHookArgs") -> None:
        if it.exc_type is KeyboardInterrupt:
            again = threading.Timer(0.02, interrupt)
            again.daemon = True
            again.start()

    sys.unraisablehook = unraisable
    threading.excepthook = lambda it: _say(defect(it.exc_value))


def _write_whatever_comes() -> None:
    """Makes words that the encoding of a stream lacks escapes, instead of the end of a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(argv: Sequence[str] | None) -> int:
    try:
        options = configuration.parse(parser(), argv)
        from pipeline import machine

        machine.harden()
        # Before numpy is loaded: its threads would wait by spinning, beside those who recognise.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        module = import_module(_MODULES.get(options.command, "pipeline.commands"))
        command: Callable[[argparse.Namespace], int] = getattr(
            module, options.command.replace("-", "_")
        )
        return command(options)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place where every refusal ends
        code = _exit_code(error)
        _say(_message(error) if code is not None else defect(error))
        return code or FAILED


def _say(problem: str) -> None:
    if sys.stderr.isatty():
        from pipeline.terminal import Terminal

        Terminal(as_json=False).problem(problem)
    else:
        sys.stderr.write(f"anechoic: {problem}\n")


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


def _message(error: Exception) -> str:
    from pipeline.terminal import printable

    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        why = error.strerror or type(error).__name__
        return printable(f"{what}{why}; {_REMEDIES.get(error.errno or 0, 'then run this again')}")
    return printable(str(error))


if __name__ == "__main__":
    sys.exit(main())

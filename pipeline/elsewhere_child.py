"""The process beside a Dask worker that hears: the only one there with a key, sound or words.

    python -P -m pipeline.elsewhere_child

Promises that its key is made in its memory and never leaves it, that it writes nothing but sealed
answers to its standard output, and that it ends, with all that it heard, when its input ends or
after a minute without work. Change here what one request does on the machine of a worker.
"""

import json
import os
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from keys.errors import Tampered
from keys.secret import Secret
from pipeline import machine, models
from pipeline.elsewhere_sealing import open_sent, seal_answer, words_to_json
from pipeline.errors import NoModel, Refused
from pipeline.recognise import Loaded, load

IDLE_S = 60.0
_FRAME = struct.Struct(">I")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_FATAL = 3


def send(to: BinaryIO, data: bytes) -> None:
    """Writes one frame."""
    to.write(_FRAME.pack(len(data)) + data)
    to.flush()


def receive(source: BinaryIO) -> bytes | None:
    """Reads one frame; None at the end, also in the middle of one."""
    head = source.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    (size,) = _FRAME.unpack(head)
    data = source.read(size)
    return data if len(data) == size else None


def this_machine() -> str:
    """Returns what tells this machine, as it runs, from every other; "" where nothing does."""
    with suppress(OSError):
        return _BOOT_ID.read_text("ascii").strip()
    return ""


def serve(source: BinaryIO, to: BinaryIO, idle_s: float = IDLE_S) -> None:
    """Says its public key, then answers: first what model to load, then utterances (int16, 16 kHz).

    Whatever is asked and answered after the key is sealed.
    """
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw().hex()
    send(to, json.dumps({"public": public, "machine": this_machine()}).encode())
    loaded: Loaded | None = None
    while (message := _next(source, idle_s)) is not None:
        content, key = open_sent(private, message)
        with content, key:
            if loaded is None:
                loaded, answer = _load(content)
            else:
                answer = _heard(loaded, content)
            send(to, seal_answer(key, answer))


def _next(source: BinaryIO, idle_s: float) -> bytes | None:
    waiting = threading.Timer(idle_s, os._exit, (0,))  # a read cannot be given up otherwise
    waiting.daemon = True
    waiting.start()
    try:
        return receive(source)
    finally:
        waiting.cancel()


def _load(asked: Secret) -> tuple[Loaded | None, bytes]:
    what = json.loads(asked)
    try:
        return load(models.find(what["model"]), what["vocabulary"]), b"{}"
    except (NoModel, Refused) as error:
        return None, json.dumps({"kind": type(error).__name__, "problem": str(error)}).encode()


def _heard(recogniser: Loaded, pcm: Secret) -> bytes:
    return words_to_json(recogniser.recognise(np.frombuffer(pcm, np.int16).copy()))


def main() -> None:
    """Serves standard input and output; prints nothing, whatever happens."""
    machine.harden()
    machine.lock_memory()
    source, to = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    with suppress(BrokenPipeError, Tampered):
        serve(source, to)
        sys.exit(0)
    os._exit(_FATAL)


if __name__ == "__main__":
    main()

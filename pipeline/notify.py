"""Tells the service manager, if one has started this, that it is ready (the protocol sd_notify).

Promises to say nothing else, and to nobody where no `NOTIFY_SOCKET` is named. A manager that does
not listen is no reason to end: then it is not told.
"""

import contextlib
import os
import socket

_VARIABLE = "NOTIFY_SOCKET"


def ready() -> bool:
    """Says `READY=1`; tells whether there was somebody to be told."""
    address = os.environ.get(_VARIABLE, "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(b"READY=1", address.replace("@", "\0", 1))  # an abstract one begins with a zero
        return True
    return False

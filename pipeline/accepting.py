"""One listening socket and several workers that accept at it: how each takes part, and leaves.

Promises that no worker ever waits in `accept`, also while the next one only begins, and that who
was accepted in the moment of leaving is let in and not dropped; who comes later is left to the
others. Change here what a worker may do with a socket that is not its own.
"""

import asyncio
import contextlib
import socket


def own(listening: socket.socket) -> socket.socket:
    """Returns a socket of this worker's own for what all of them listen at; it never blocks.

    Blocking is no property of a descriptor but of what all workers share, and `dup` sets it to
    what this process believes. Were that blocking, even for a moment, then a worker that accepts
    just now would wait for one more client, and serve nobody until that comes.
    """
    listening.settimeout(0)
    return listening.dup()


async def close(server: asyncio.Server) -> None:
    """Accepts nobody more, then closes; what has been accepted in the same turn is let in first.

    asyncio drops a connection for which it has no transport yet when its server closes.
    """
    with contextlib.suppress(NotImplementedError):  # the loop of Windows: there it may be dropped
        for it in server.sockets:
            server.get_loop().remove_reader(it.fileno())
    await asyncio.sleep(0)
    server.close()

"""Workers that accept at one socket: the next one stops nobody, and who leaves drops nobody.

Each with its control: what `dup` and asyncio do by themselves.
"""

import asyncio
import gc
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from pipeline import accepting
from pipeline.web.door import Door, Serving, door
from tests.household import make, reopen
from tests.wyoming_client import running

Socket = socket.socket


def ask(it: Door, wait_s: float = 20.0) -> bytes:
    """Returns what a client without a cookie is answered; nothing where it is dropped."""
    with socket.create_connection(it.listening.getsockname(), wait_s) as client:
        return answer_to(it, client)


def answer_to(it: Door, client: Socket) -> bytes:
    with suppress(ConnectionError):
        client.sendall(f"GET / HTTP/1.1\r\nHost: {min(it.names)}\r\n\r\n".encode())
        return client.recv(12)
    return b""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Door, Serving]]:
    """A door and a worker that is at work."""
    make(tmp_path)
    it = door("127.0.0.1:0")
    with it.listening, it.opened(lambda: reopen(tmp_path), list[str]().append) as serving:
        assert ask(it) == b"HTTP/1.1 401"
        yield it, serving


@contextmanager
def beginning(it: Door) -> Iterator[None]:
    """Has the next worker come as far as its socket, and no further."""
    has_socket, goes_on = threading.Event(), threading.Event()

    def run(sockets: list[Socket]) -> None:
        has_socket.set()
        goes_on.wait()
        for each in sockets:
            each.close()

    following = Serving(mock.Mock(run=run), it.listening, mock.Mock())
    following.start()
    assert has_socket.wait(20)
    try:
        yield
    finally:
        goes_on.set()
        following.join()
        it.listening.settimeout(0)  # a worker that waits for one more gets that: a test has an end
        socket.create_connection(it.listening.getsockname()).close()


def inherited(listening: Socket) -> Socket:
    """Returns it as a forked process has it."""
    return listening


def handed_over(listening: Socket) -> Socket:
    """Returns it as a spawned process gets it, which knows nothing of its being non-blocking."""
    return Socket(fileno=os.dup(listening.fileno()))


@pytest.mark.parametrize("given", [inherited, handed_over])
def test_who_comes_while_the_next_worker_begins_is_answered(
    page: tuple[Door, Serving], given: Callable[[Socket], Socket]
) -> None:
    it, _ = page
    with given(it.listening) as theirs, beginning(replace(it, listening=theirs)):
        assert ask(it) == b"HTTP/1.1 401"


def test_a_copy_as_python_makes_it_would_leave_them_waiting(
    page: tuple[Door, Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    it, _ = page
    monkeypatch.setattr(accepting, "own", Socket.dup)
    with handed_over(it.listening) as theirs, beginning(replace(it, listening=theirs)):
        with pytest.raises(TimeoutError):
            ask(it, wait_s=0.5)
        it.listening.settimeout(0)
        assert ask(it) == b"HTTP/1.1 401", "the next to come frees the worker"


def test_no_wyoming_client_is_left_waiting_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocking, start_server = list[bool](), asyncio.start_server

    async def noting(*about: object, sock: Socket, **more: object) -> asyncio.Server:
        blocking.append(os.get_blocking(sock.fileno()))
        return await start_server(*about, sock=sock, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "start_server", noting)
    with running([make(tmp_path)]) as it, it.plug() as plug:
        plug.sendall(b'{"type": "describe"}\n')
        assert plug.recv(1)
    assert blocking == [False]


@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "control"])
def test_who_is_accepted_in_the_turn_of_closing_is_let_in(*, is_ours: bool) -> None:
    """Left to itself asyncio forgets them: nobody answers, and nobody hangs up."""

    async def come_in(listening: Socket) -> bytes:
        server = await asyncio.start_server(greet, sock=accepting.own(listening))
        wait_s = 20 if is_ours else 0.5
        with suppress(TimeoutError), socket.create_connection(listening.getsockname()) as client:
            client.settimeout(wait_s)
            await asyncio.sleep(0)  # now the loop knows that somebody is there,
            await asyncio.sleep(0)  # and now it has accepted them, and made no transport yet
            await accepting.close(server) if is_ours else server.close()
            return await asyncio.to_thread(client.recv, 5)
        return b""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listening, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of what the control forgets
        assert asyncio.run(come_in(listening)) == (b"hello" if is_ours else b"")
        gc.collect()


def test_who_comes_to_the_page_in_the_moment_of_its_closing_is_answered(
    page: tuple[Door, Serving],
) -> None:
    it, serving = page
    (server,) = serving._server.servers
    loop, is_held, goes_on = server.get_loop(), threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        goes_on.wait()
        loop.call_soon(serving.drain)  # in the turn in which it accepts

    loop.call_soon_threadsafe(hold)
    assert is_held.wait(20)
    with socket.create_connection(it.listening.getsockname(), 20) as client:
        goes_on.set()
        assert answer_to(it, client) == b"HTTP/1.1 401"

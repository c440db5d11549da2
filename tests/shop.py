"""A shop with a webhook, played by a real HTTP server on this machine; and plug-ins to install.

The shop takes orders and answers requests to erase them, well or badly, as its `manner` says. It
keeps what it was sent, as shops do.
"""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

DRIP_S = 0.05


_VECTORS = Path(__file__).parent / "vectors"
RECORDED = json.loads((_VECTORS / "home-assistant-conversation.json").read_text())["answers"]


@dataclass(slots=True)
class Shop:
    """What a shop was sent, and how it answers: `manner` is the name of a method of `_Hook`."""

    url: str = ""
    manner: str = "well"
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    elsewhere: str = ""
    at_once: Callable[[], None] | None = None
    """Called when something comes in, before it is answered."""
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def orders(self) -> list[dict[str, Any]]:
        return [row for row in self.seen if row.get("act") != "erase"]

    @property
    def erasures(self) -> list[str]:
        return [row["reference"] for row in self.seen if row.get("act") == "erase"]


class _Hook(BaseHTTPRequestHandler):
    shop: Shop
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.shop.seen.append(row)
        self.shop.headers.append(dict(self.headers.items()))
        self.shop.paths.append(self.path)
        if self.shop.at_once:
            self.shop.at_once()
        with suppress(OSError):
            getattr(self, self.shop.manner)(row)
        self.close_connection = True

    def do_CONNECT(self) -> None:
        self.shop.paths.append(self.path)
        self._send(403, b"{}")

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def well(self, row: dict[str, Any]) -> None:
        done = {"erased": True} if row["act"] == "erase" else {"text": "it is on its way"}
        self._json(200, {"reference": row["reference"], **done})

    def refusing(self, row: dict[str, Any]) -> None:
        done = {"erased": False} if row["act"] == "erase" else {}
        self._json(200 if row["act"] != "erase" else 409, {"reference": row["reference"], **done})

    def declining(self, _: dict[str, Any]) -> None:
        self._json(422, {"problem": "we are closed"})

    def silent(self, _: dict[str, Any]) -> None:
        self.shop.closing.wait(30)

    def late(self, row: dict[str, Any]) -> None:
        self.shop.closing.wait(2)
        self.well(row)

    def broken(self, row: dict[str, Any]) -> None:
        self._json(500, {"reference": row["reference"]})

    def hanging_up(self, _: dict[str, Any]) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def hotel(self, _: dict[str, Any]) -> None:
        self._send(200, b"<html>Please log in</html>", "text/html")

    def lying(self, row: dict[str, Any]) -> None:
        """Says JSON and is not."""
        self._send(200, b"<html>" + json.dumps(row).encode())

    def shy(self, row: dict[str, Any]) -> None:
        """Is JSON and says otherwise."""
        self._send(200, json.dumps({"reference": row["reference"], "erased": True}).encode(), "x/y")

    def mistaken(self, _: dict[str, Any]) -> None:
        self._json(200, {"reference": "00" * 16, "erased": True})

    def deep(self, _: dict[str, Any]) -> None:
        self._send(200, b"[" * 20_000)

    def huge(self, row: dict[str, Any]) -> None:
        whole = {"reference": row["reference"], "erased": True, "text": "a" * (64 << 20)}
        self._json(200, whole)

    def redirecting(self, _: dict[str, Any]) -> None:
        self._send(307, b"", extra=[("Location", self.shop.elsewhere)])

    def dripping(self, _: dict[str, Any]) -> None:
        """A slow loris, on the side of the server: one byte of a header at a time."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        while not self.shop.closing.wait(DRIP_S):
            self.wfile.write(b"a")
            self.wfile.flush()

    def recorded(self, row: dict[str, Any]) -> None:
        """Answers what a real Home Assistant answered."""
        (it,) = [it for it in RECORDED if it["asked"] == row]
        self._send(it["status"], it["body"].encode(), it["content_type"])

    def home(self, row: dict[str, Any]) -> None:
        """Answers as Home Assistant's conversation API does, whatever was said."""
        speech = {"plain": {"speech": f"turned on {row['text'].split()[-1]}", "extra_data": None}}
        response = {"response_type": "action_done", "language": "en", "speech": speech}
        self._json(200, {"response": response, "conversation_id": None})

    def unauthorised(self, _: dict[str, Any]) -> None:
        self._send(401, b"401: Unauthorized", "text/plain")

    def _json(self, status: int, row: dict[str, Any]) -> None:
        self._send(status, json.dumps(row).encode())

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        extra: list[tuple[str, str]] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in [("Content-Type", kind), *(extra or [])]:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def shop(manner: str = "well", context: ssl.SSLContext | None = None) -> Iterator[Shop]:
    """Runs a shop on a port of its own."""
    it = Shop(manner=manner)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hook", (_Hook,), {"shop": it}))
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    it.url = f"http{'s' * bool(context)}://localhost:{server.server_address[1]}/hook/7f3a"
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield it
    finally:
        it.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def configure(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> Path:
    """Makes `text` the configuration of skills."""
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(folder))
    (folder / "skills.toml").write_text(text)
    return folder / "skills.toml"


def enable(monkeypatch: pytest.MonkeyPatch, folder: Path, url: str, *names: str) -> None:
    """Enables skills with this URL."""
    rows = (f'[{name}]\nenabled = true\nurl = "{url}"\n' for name in names)
    configure(monkeypatch, folder, "".join(rows))


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, **skills: str) -> Path:
    """Installs a distribution with a module of this text and skills, name to class, in it."""
    made = folder / "dist_info_of_plug_in-1.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1\n")
    lines = [f"{name.replace('_', '-')} = plugged:{it}" for name, it in skills.items()]
    (made / "entry_points.txt").write_text("\n".join(["[anechoic.skills]", *lines, ""]))
    (folder / "plugged.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def until(what: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for something to be true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)

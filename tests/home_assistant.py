"""A real Home Assistant on loopback, if ANECHOIC_HOME_ASSISTANT names a Python that has it.

Such a Python is made apart from this project's, because it brings some two hundred packages:

    python3.13 -m venv ha && ha/bin/pip install homeassistant==2025.4.4 wyoming==1.5.4 …

with what its integrations require besides (`frontend`, `conversation`, `assist_pipeline`, `tts`,
`ffmpeg`, `http`: their `manifest.json` names the versions). It has no account and no configuration
but what is made here, in a folder of the test's: one light, that a template makes of a switch.
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.model import RATE_HZ

PYTHON = os.environ.get("ANECHOIC_HOME_ASSISTANT", "")
LIGHT = "light.kitchen_light"
_STARTS_S, _ANSWERS_S, _PIECE_S, _SILENCE_S = 120.0, 30.0, 0.02, 1.5
_CONFIGURATION = """
homeassistant: {{name: Home, latitude: 0, longitude: 0, elevation: 0, time_zone: UTC}}
http: {{server_host: 127.0.0.1, server_port: {port}}}
conversation:
assist_pipeline:
input_boolean: {{kitchen: {{name: Kitchen switch}}}}
light:
  - platform: template
    lights:
      kitchen_light:
        friendly_name: Kitchen light
        value_template: "{{{{ is_state('input_boolean.kitchen', 'on') }}}}"
        turn_on: {{action: input_boolean.turn_on, target: {{entity_id: input_boolean.kitchen}}}}
        turn_off: {{action: input_boolean.turn_off, target: {{entity_id: input_boolean.kitchen}}}}
"""


@dataclass(slots=True)
class House:
    """A Home Assistant that runs, and a long-lived token of its only user."""

    url: str
    token: str = ""

    def request(self, path: str, row: object = None, *, form: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Posts an object, or gets; returns what came back."""
        body = None if row is None else json.dumps(row).encode()
        if form:
            assert isinstance(row, dict)
            body = urllib.parse.urlencode(row).encode()
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {"Content-Type": kind}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        asked = urllib.request.Request(self.url + path, body, headers)  # noqa: S310 - http, ours
        with urllib.request.urlopen(asked, timeout=_ANSWERS_S) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    @contextmanager
    def talking(self) -> "Iterator[Talking]":
        """Opens its websocket."""
        from websockets.sync.client import connect

        with connect(self.url.replace("http", "ws") + "/api/websocket", max_size=None) as wire:
            it = Talking(wire)
            assert it.receive()["type"] == "auth_required"
            wire.send(json.dumps({"type": "auth", "access_token": self.token}))
            assert it.receive()["type"] == "auth_ok"
            yield it

    def adds_wyoming(self, port: int) -> str:
        """Adds the integration as a user does; returns the id of what recognises speech for it."""
        flow = self.request("/api/config/config_entries/flow", {"handler": "wyoming"})["flow_id"]
        found = {"host": "127.0.0.1", "port": port}
        entry = self.request(f"/api/config/config_entries/flow/{flow}", found)
        assert (entry["type"], entry["title"]) == ("create_entry", "anechoic"), entry
        (engine,) = [it["entity_id"] for it in self.states() if it["entity_id"].startswith("stt.")]
        return str(engine)

    def states(self) -> Any:  # noqa: ANN401 - JSON
        return self.request("/api/states")

    def is_on(self, entity: str) -> bool:
        return bool(self.request(f"/api/states/{entity}")["state"] == "on")


@dataclass(slots=True)
class Talking:
    """One connection to its websocket API."""

    wire: Any
    number: int = 0

    def receive(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.wire.recv(timeout=_ANSWERS_S))

    def call(self, kind: str, **more: object) -> Any:  # noqa: ANN401 - JSON
        """Calls, and returns the result."""
        self.number += 1
        self.wire.send(json.dumps({"id": self.number, "type": kind, **more}))
        while (answer := self.receive())["type"] != "result" or answer["id"] != self.number:
            pass
        assert answer["success"], answer
        return answer["result"]

    def pipeline(self, engine: str) -> str:
        """Makes an assistant that hears by this engine; returns its id."""
        nothing = dict.fromkeys(
            ["tts_engine", "tts_language", "tts_voice", "wake_word_entity", "wake_word_id"]
        )
        made = self.call(
            "assist_pipeline/pipeline/create",
            name=engine,
            language="en",
            conversation_engine="conversation.home_assistant",
            conversation_language="en",
            stt_engine=engine,
            stt_language="en",
            **nothing,
        )
        return str(made["id"])

    def says(self, pipeline: str, pcm: bytes) -> dict[str, Any]:
        """Speaks to it in real time, with silence after; returns what its events held, by kind."""
        about = {"start_stage": "stt", "end_stage": "intent", "pipeline": pipeline}
        self.call("assist_pipeline/run", **about, input={"sample_rate": RATE_HZ})
        handler = bytes([self._event("run-start")["runner_data"]["stt_binary_handler_id"]])
        size, began_s = int(_PIECE_S * RATE_HZ) * 2, time.monotonic()
        spoken = pcm + bytes(int(_SILENCE_S * RATE_HZ) * 2)
        for number, at in enumerate(range(0, len(spoken), size), 1):
            self.wire.send(handler + spoken[at : at + size])
            time.sleep(max(0.0, began_s + number * _PIECE_S - time.monotonic()))
        self.wire.send(handler)
        found: dict[str, Any] = {}
        while "run-end" not in found:
            event = self._next()
            found[event["type"]] = event["data"]
        return found

    def _event(self, kind: str) -> Any:  # noqa: ANN401 - JSON
        while (event := self._next())["type"] != kind:
            pass
        return event["data"]

    def _next(self) -> Any:  # noqa: ANN401 - JSON
        while (row := self.receive())["type"] != "event":
            pass
        return row["event"]


@contextmanager
def house(folder: Path) -> Iterator[House]:
    """Runs a Home Assistant whose first user has just moved in."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir()
    (folder / "configuration.yaml").write_text(_CONFIGURATION.format(port=port))
    with open(folder / "output", "wb") as output:
        command = [PYTHON, "-m", "homeassistant", "-c", str(folder), "--skip-pip"]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        it = House(f"http://127.0.0.1:{port}")
        _until_it_answers(it, process)
        it.token = _moved_in(it)
        yield it
    finally:
        process.terminate()
        process.wait(60)


def _until_it_answers(it: House, process: "subprocess.Popen[bytes]") -> None:
    until_s = time.monotonic() + _STARTS_S
    while True:
        try:
            it.request("/api/onboarding")
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, "it does not start"
            assert time.monotonic() < until_s, "it does not answer"
            time.sleep(0.5)
        else:
            return


def _moved_in(it: House) -> str:
    about = {"client_id": it.url + "/", "language": "en"}
    user = {"name": "Ada", "username": "ada", "password": "not a secret"}
    code = it.request("/api/onboarding/users", {**about, **user})["auth_code"]
    grant = {"grant_type": "authorization_code", "code": code, "client_id": it.url + "/"}
    it.token = it.request("/auth/token", grant, form=True)["access_token"]
    it.request("/api/onboarding/core_config", {})
    with it.talking() as wire:
        exposed = {"assistants": ["conversation"], "entity_ids": [LIGHT], "should_expose": True}
        wire.call("homeassistant/expose_entity", **exposed)
        return str(wire.call("auth/long_lived_access_token", client_name="anechoic", lifespan=1))

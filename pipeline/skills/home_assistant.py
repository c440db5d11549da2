"""Home Assistant's conversation API: the words are handed over, its answer comes back; built in.

`POST /api/conversation/process` with a long-lived token, as its developer documentation has it
("Conversation API"). Home Assistant keeps what it was told in its own recorder and logs, and has
no request by which a conversation is erased: `erase` says so.
"""

from typing import Any, ClassVar

from pipeline.errors import Refused
from pipeline.skills.interface import (
    CANNOT,
    Answer,
    Declined,
    Field,
    Manifest,
    NotSent,
    Outcome,
    Request,
    Result,
    Unknown,
)
from pipeline.skills.posting import NoReply, NotReached, post
from pipeline.skills.webhook import URL

_PATH = "/api/conversation/process"
LANGUAGE, AGENT = "language", "agent"


class HomeAssistant:
    """Hands words to Home Assistant."""

    manifest: ClassVar = Manifest(
        "home-assistant",
        "hands what you said to Home Assistant, which acts on it and answers",
        (Field("text", "what you said, word for word"),),
        "your Home Assistant",
        answers=("text", "kind"),
    )

    def handle(self, request: Request) -> Outcome:
        """Posts the words; returns the text to be spoken, and the kind of the answer."""
        row: dict[str, object] = {"text": request.fields["text"]}
        for setting, name in ((LANGUAGE, "language"), (AGENT, "agent_id")):
            if value := request.settings.get(setting):
                row[name] = value
        url = request.settings.get(URL, "").rstrip("/") + _PATH
        try:
            reply = post(url, row, request.settings, request.reference)
        except (NotReached, Refused):
            return NotSent()
        except NoReply:
            return Unknown()
        if reply.is_declined:
            return Declined()
        return _answered(reply.row) if reply.is_done else Unknown()

    def erase(self, request: Request) -> Answer:  # noqa: ARG002 - there is nothing to ask with
        """Says that it cannot be asked."""
        return Answer(CANNOT)


def _answered(row: Any) -> Outcome:  # noqa: ANN401 - JSON of somebody else's
    try:
        kind = row["response"]["response_type"]
        text = row["response"]["speech"]["plain"]["speech"]
    except (KeyError, TypeError):
        return Unknown()
    return Result({"text": text, "kind": kind}) if isinstance(text, str) else Unknown()

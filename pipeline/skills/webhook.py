"""Messages, orders and rides over a webhook that the user configures; built in.

The protocol, a POST of one JSON object to the URL, is in `pipeline/DESIGN.md` under "Skills".
Promises that nothing counts as done or erased but an answer that names the reference it is of:
whatever else answers with 200, such as the page of a hotel's network, has said nothing.
"""

from typing import ClassVar

from pipeline.errors import Refused
from pipeline.skills.interface import (
    ERASED,
    REFUSED,
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
from pipeline.skills.posting import NoReply, NotReached, Reply, post

URL = "url"
_TO = "the webhook that you configure"


class Webhook:
    """What the skills below have in common."""

    manifest: ClassVar[Manifest]

    def handle(self, request: Request) -> Outcome:
        """Posts the fields; done only if the answer says so of this reference."""
        try:
            reply = self._posted(request, self.manifest.name, dict(request.fields))
        except (NotReached, Refused):
            return NotSent()
        except NoReply:
            return Unknown()
        if reply.is_declined:
            return Declined()
        if not reply.is_done or reply.row.get("reference") != request.reference:
            return Unknown()
        text = reply.row.get("text")
        return Result({"text": text} if isinstance(text, str) else {})

    def erase(self, request: Request) -> Answer:
        """Posts the reference; an answer counts only if it names it, whatever its status is."""
        try:
            reply = self._posted(request, "erase", None)
        except (NotReached, NoReply, Refused):
            return Answer()
        if reply.row.get("reference") != request.reference:
            return Answer()
        said = reply.row.get("erased")
        return Answer({True: ERASED, False: REFUSED}[said] if isinstance(said, bool) else "")

    def _posted(self, request: Request, act: str, fields: dict[str, str] | None) -> Reply:
        row: dict[str, object] = {"act": act, "reference": request.reference}
        if fields is not None:
            row["fields"] = fields
        key = f"{act}-{request.reference}"
        return post(request.settings.get(URL, ""), row, request.settings, key)


class Message(Webhook):
    """Hands a message over."""

    manifest: ClassVar = Manifest(
        "message",
        "sends a message to one of your contacts",
        (Field("recipient", "whom it is for"), Field("text", "what it says")),
        _TO,
    )


class Order(Webhook):
    """Hands an order over."""

    manifest: ClassVar = Manifest(
        "order",
        "orders things from a shop",
        (Field("items", "what is ordered"), Field("when", "until when", required=False)),
        _TO,
    )


class Ride(Webhook):
    """Hands the order of a ride over."""

    manifest: ClassVar = Manifest(
        "ride",
        "orders a ride",
        (
            Field("to", "where to"),
            Field("from", "where from", required=False),
            Field("when", "when", required=False),
        ),
        _TO,
    )

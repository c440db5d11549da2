"""What others add to a checkpoint: time stamps, and lines that came back (SPEC section 5.6).

Promises that a stamp counts only by a certificate that the verifier names, and over the very text
of the checkpoint (RFC 3161); that nothing is added that is of another one. Reads no file, no clock
and no network. Stamps are made and checked with the extra `timestamps`; all others ignore them.
"""

from base64 import b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from types import ModuleType
from typing import TYPE_CHECKING, Self

from keys.errors import KeysError, Malformed, Tampered
from keys.note import ID_SIZE, LogProof, split_note

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

NAME = "rfc3161"
KEY_ID = sha256(f"{NAME}\n".encode() + b"\xff" + NAME.encode()).digest()[:ID_SIZE]
"""As signed-note has it for a type without a number: 0xff and a longer name."""
_DER_SEQUENCE = b"\x30"


class NoTimestamps(KeysError):
    """The extra that reads time stamps is not installed."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whoever stamps time, by certificates in PEM: its own with those above it, or a root alone."""

    name: str
    pem: bytes

    @classmethod
    def parse(cls, pem: bytes) -> Self:
        """Reads the certificates, the first of which gives the name; raises `Malformed`."""
        from cryptography.x509 import load_pem_x509_certificates

        try:
            name = load_pem_x509_certificates(pem)[0].subject.rfc4514_string()
        except ValueError as error:
            raise Malformed("expected certificates in PEM") from error
        return cls(name if name.isprintable() else ascii(name), pem)

    def __str__(self) -> str:
        return f"{self.name} (RFC 3161)"

    def times(self, note: str) -> list[int]:
        """Returns the times (seconds since 1970) of its stamps on a note; raises `Tampered`.

        Stamps of others are passed over: which one is whose is said by no name, but by a signature.
        """
        text, signatures = split_note(note)
        found, trouble = list[int](), ""
        for name, blob in signatures:
            if (name, blob[:ID_SIZE]) == (NAME, KEY_ID):
                try:
                    found.append(self._time(text, blob[ID_SIZE:]))
                except KeysError as error:
                    trouble = f": {error}"
        if not found:
            raise Tampered(f"the checkpoint bears no time stamp of {self}{trouble}")
        return found

    def _time(self, text: str, data: bytes) -> int:
        from cryptography.x509 import load_pem_x509_certificates

        client, response = _client(), _parse(text, data)
        verifier = client.VerifierBuilder(roots=load_pem_x509_certificates(self.pem)).build()
        try:
            verifier.verify_message(response, text.encode())
        except Exception as error:  # the library's own, and what its parsers raise
            raise Tampered(f"a time stamp does not hold: {type(error).__name__}") from error
        return int(response.tst_info.gen_time.timestamp())


def request_of(text: str) -> bytes:
    """Returns the RFC 3161 request (DER) for the text of a checkpoint, by its SHA-256."""
    client = _client()
    builder = client.TimestampRequestBuilder(text.encode()).nonce(nonce=False)
    made: bytes = builder.hash_algorithm(client.HashAlgorithm.SHA256).build().as_bytes()
    return made


def lines_in(text: str, returned: bytes) -> list[str]:
    """Returns the lines to be added for what came back: a response (DER), a note, or lines.

    Raises `Malformed`, and `Tampered` for what is of another checkpoint. Who signed is not looked
    at: that is for whoever verifies.
    """
    if returned.startswith(_DER_SEQUENCE):
        _parse(text, returned)
        return [f"— {NAME} {b64encode(KEY_ID + returned).decode()}\n"]
    try:
        found = returned.decode()
    except UnicodeDecodeError as error:
        raise Malformed("neither a time stamp response nor signature lines of a note") from error
    if not found.startswith("— "):
        body, _, tail = found.rpartition("\n\n")
        if body + "\n" != text:
            raise Tampered("what came back is of another checkpoint")
        found = tail
    split_note(text + "\n" + found)
    return found.splitlines(keepends=True)


def with_lines(proof: LogProof, lines: list[str]) -> LogProof:
    """Returns the proof with these lines added to its note, each once."""
    fresh = [line for line in dict.fromkeys(lines) if line not in proof.checkpoint_note]
    return replace(proof, checkpoint_note=proof.checkpoint_note + "".join(fresh))


def _parse(text: str, data: bytes) -> "TimeStampResponse":
    try:
        response: TimeStampResponse = _client().decode_timestamp_response(data)
        imprint = response.tst_info.message_imprint
        algorithm, message = imprint.hash_algorithm.dotted_string, bytes(imprint.message)
        same = response.as_bytes() == data
    except NoTimestamps:
        raise
    except Exception as error:  # whatever the library's parsers raise
        raise Malformed("not a time stamp response that was granted") from error
    if not same:
        raise Malformed("the time stamp response is not in its canonical form")
    if (algorithm, message) != ("2.16.840.1.101.3.4.2.1", sha256(text.encode()).digest()):
        raise Tampered("the time stamp is of something else than the SHA-256 of this checkpoint")
    return response


def _client() -> ModuleType:
    try:
        import rfc3161_client
    except ImportError as error:
        raise NoTimestamps(
            "time stamps need an extra: pip install 'anechoic[timestamps]'"
        ) from error
    return rfc3161_client

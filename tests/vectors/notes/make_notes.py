"""Writes the vectors of keys.note: vkey.json, note.json, checkpoint.json and proof.json.

It joins strings and signs with `cryptography` alone, sharing no code with `keys.note`. Run it to
write the files again; a test checks that it reproduces them byte for byte.

Each case is one behaviour: `input` is what is read, `rejected_by` the layer that must refuse it
("shape" is Malformed, "signature" is Tampered, null means that it is accepted). Published: the keys
and notes called PeterNeumann and EnochRoot (Go, golang.org/x/mod, sumdb/note/note_test.go,
BSD-3-Clause; their private key is a published test key) and the examples of C2SP's signed-note.md,
tlog-checkpoint.md and tlog-proof.md (CC BY 4.0), whose keys are not published.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Case = dict[str, object]

PETER_SEED = bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173")
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZ"
    "b6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)
QUASIMODO = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFS"
    "QU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)
SOFA_ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
SOFA = f"example.com/behind-the-sofa\n20852163\n{SOFA_ROOT}\n"
SOFA_NOTE = SOFA + (
    "\n— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcy"
    "v2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)
FANCY_EXTRA = "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ"
FANCY_HASHES = (
    "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
    "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n"
    "EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=\n"
    "RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=\n"
    "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=\n"
)
FANCY = "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n"


def b64(data: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(data).decode()


def vkey(name: str, blob: bytes) -> str:
    """A verifier key with a fitting id, whatever the blob."""
    return f"{name}+{key_id(name, blob).hex()}+{b64(blob)}"


def key_id(name: str, blob: bytes) -> bytes:
    """The id of a key of any type."""
    return sha256(name.encode() + b"\n" + blob).digest()[:4]


def signed(text: str, name: str = "PeterNeumann", seed: bytes = PETER_SEED) -> str:
    """The signature line of `text`."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    blob = b"\x01" + key.public_key().public_bytes_raw()
    return f"— {name} {b64(key_id(name, blob) + key.sign(text.encode()))}\n"


def note(text: str) -> str:
    """A note that Peter signed."""
    return f"{text}\n{signed(text)}"


def case(name: str, given: str, rejected_by: str | None, **more: object) -> Case:
    """One behaviour."""
    return {"name": name, "input": given, "rejected_by": rejected_by, **more}


def vkeys() -> Iterator[Case]:
    """Verifier keys."""
    name, own_id, public = PETER.split("+", 2)
    blob = b"\x01" + bytes(range(32))
    yield case("Peter, published", PETER, None)
    yield case("Enoch, published", ENOCH, None)
    yield case("a name that is an address", vkey("example.com/log42", blob), None)
    yield case("a name beyond ASCII", vkey("läufer.example", blob), None)
    yield case("a plus in the base64", vkey("plus", b"\x01\0\0" + b"\xfb\xef\xbe" * 10), None)
    wrong = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="
    yield case("too long, with its own id, published", wrong, "shape")
    wrong = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    yield case("unknown type, with its own id, published", wrong, "shape")
    yield case("too short", vkey("short", blob[:32]), "shape")
    yield case("no key", vkey("none", b"\x01"), "shape")
    yield case("nothing", "", "shape")
    yield case("no id", f"{name}+{public}", "shape")
    yield case("wrong id", f"{name}+c74f20a4+{public}", "shape")
    yield case("id of another name", f"CarmenSandiego+{own_id}+{public}", "shape")
    yield case("upper-case id", f"{name}+{own_id.upper()}+{public}", "shape")
    yield case("id with 0x", f"{name}+0x{own_id}+{public}", "shape")
    yield case("empty name", vkey("", blob), "shape")
    yield case("space in the name", vkey("Peter Neumann", blob), "shape")
    yield case("no-break space in the name", vkey("Peter\u00a0Neumann", blob), "shape")
    yield case("line separator in the name", vkey("Peter\u2028Neumann", blob), "shape")
    yield case("newline in the name", vkey("Peter\nNeumann", blob), "shape")
    yield case("control character in the name", vkey("Peter\x01Neumann", blob), "shape")
    yield case("newline after", PETER + "\n", "shape")
    yield case("space before", " " + PETER, "shape")
    yield case("url-safe base64", PETER.replace("/", "_"), "shape")
    padded = vkey("padded", b"\x01" + bytes(31))[:-1]
    yield case("truncated base64", padded, "shape")
    for what, point in small_order_points():
        yield case(f"small order: {what}", vkey("weak", b"\x01" + point), "shape")


def small_order_points() -> Iterator[tuple[str, bytes]]:
    """Every encoding of the eight points whose order divides eight, on edwards25519."""
    p = 2**255 - 19
    y8 = int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16)
    known = {"order 4": 0, "identity": 1, "order 2": p - 1, "order 8": y8, "order 8, other": p - y8}
    known |= {"order 4, not reduced": p, "identity, not reduced": p + 1}
    for what, y in known.items():
        yield what, y.to_bytes(32, "little")
        yield f"{what}, sign bit", (y | 1 << 255).to_bytes(32, "little")


def notes() -> Iterator[Case]:
    """Notes, opened with Peter's key unless `keys` says otherwise."""
    good = TEXT + "\n" + PETER_LINE
    blob = PETER_LINE.split(" ")[2][:-1]
    yield case("Peter, published", good, None, text=TEXT, signed_by=PETER_SEED.hex())
    both = good + ENOCH_LINE
    yield case("Peter, and Enoch unknown, published", both, None, text=TEXT)
    yield case("Peter and Enoch, published", both, None, text=TEXT, keys=[PETER, ENOCH])
    yield case("Enoch first, unknown", TEXT + "\n" + ENOCH_LINE + PETER_LINE, None, text=TEXT)
    yield case("one known key twice", good + PETER_LINE, None, text=TEXT)
    yield case("one key given twice", good, None, text=TEXT, keys=[PETER, PETER])
    yield case("no known key", both, "signature", keys=[])
    yield case("known keys signed nothing", good, "signature", keys=[ENOCH])
    yield case("quasimodo, published: shape holds, key unknown", QUASIMODO, "signature")
    inner = "Text.\n\nMore text.\n"
    yield case("an empty line in the text", note(inner), None, text=inner)
    yield case("an empty line at the text's end", note("Text.\n\n"), None, text="Text.\n\n")
    yield case("a text of one newline", note("\n"), None, text="\n")
    nested = good + "— not a signature line —\n"
    yield case("a note within a note", note(nested), None, text=nested)
    yield case("text beyond ASCII", note("è subito sera\n"), None, text="è subito sera\n")
    yield case("sixteen signatures", TEXT + "\n" + PETER_LINE * 16, None, text=TEXT)
    yield case("a hundred signatures", TEXT + "\n" + PETER_LINE * 100, None, text=TEXT)
    yield case("a hundred and one signatures", TEXT + "\n" + PETER_LINE * 101, "shape")
    yield case("the same, all unknown", TEXT + "\n" + PETER_LINE * 101, "shape", keys=[])
    long = f"— witness.example {b64(bytes(5000))}\n"
    yield case("a long signature of an unknown type", good + long, None, text=TEXT)
    same_name = f"— PeterNeumann {b64(bytes(68))}\n"
    yield case("a known name with an unknown id", good + same_name, None, text=TEXT)
    same_id = PETER_LINE.replace("PeterNeumann", "CarmenSandiego")
    yield case("a known id with an unknown name", good + same_id, None, text=TEXT)
    yield case("only a known id", TEXT + "\n" + same_id, "signature")
    yield case("only a known name", TEXT + "\n" + same_name, "signature")
    yield case("text changed", good.replace("answer", "Answer"), "signature")
    yield case("newline added to the text", "\n" + good, "signature")
    broken = f"— PeterNeumann {blob[:8]}AAAA{blob[12:]}\n"
    yield case("signature changed", TEXT + "\n" + broken, "signature")
    yield case("one good and one bad signature of a key", good + broken, "signature")
    yield case(
        "a bad one of Peter, a good one of Enoch",
        TEXT + "\n" + broken + ENOCH_LINE,
        "signature",
        keys=[PETER, ENOCH],
    )
    longer = PETER_LINE[:60] + "ABCD" + PETER_LINE[60:]
    yield case("signature too long, published", TEXT + "\n" + longer, "signature")
    yield case("signature too short", f"{TEXT}\n— PeterNeumann {blob[:88]}\n", "signature")
    yield from malformed_notes(good, blob)


def malformed_notes(good: str, blob: str) -> Iterator[Case]:
    """Notes that are not notes."""

    def line(content: str) -> str:
        return TEXT + "\n" + content

    yield case("nothing", "", "shape")
    yield case("only a newline", "\n", "shape")
    yield case("only text, published", TEXT, "shape")
    yield case("no signature, published", TEXT + "\n", "shape")
    yield case("no last newline, published", good[:-1], "shape")
    yield case("no empty line", TEXT + PETER_LINE, "shape")
    yield case("no empty line, with the signature of one", signed("\n"), "shape")
    yield case("no text", "\n" + PETER_LINE, "shape")
    yield case("empty line after", good + "\n", "shape")
    yield case("empty line between signatures", good + "\n" + ENOCH_LINE, "signature")
    yield case("another line after, published", good + "Unexpected line.\n", "shape")
    yield case("control character, published", "\x01" + good, "shape")
    yield case("tab", good.replace("answer", "\tanswer"), "shape")
    yield case("carriage returns", good.replace("\n", "\r\n"), "shape")
    yield case("NUL at the end", good + "\0", "shape")
    yield case("lone surrogate", "\ud800" + good, "shape")
    yield case("hyphen for the dash", line(f"- PeterNeumann {blob}\n"), "shape")
    yield case("en dash for the dash", line(f"\u2013 PeterNeumann {blob}\n"), "shape")
    yield case("no dash", line(f"PeterNeumann {blob}\n"), "shape")
    yield case("no space after the dash", line(f"—PeterNeumann {blob}\n"), "shape")
    yield case("two spaces after the dash", line(f"—  PeterNeumann {blob}\n"), "shape")
    yield case("two spaces after the name", line(f"— PeterNeumann  {blob}\n"), "shape")
    yield case("space at the end", line(f"— PeterNeumann {blob} \n"), "shape")
    yield case("space before", line(f" — PeterNeumann {blob}\n"), "shape")
    yield case("space in the name, published", line(f"— Bad Name {blob}\n"), "shape")
    yield case("no-break space in the name", line(f"— Bad\u00a0Name {blob}\n"), "shape")
    yield case("plus in the name", line(f"— Bad+Name {blob}\n"), "shape")
    yield case("no name", line(f"—  {blob}\n"), "shape")
    yield case("no signature data", line("— PeterNeumann \n"), "shape")
    yield case("only a key id", line(f"— PeterNeumann {b64(bytes(4))}\n"), "shape")
    yield case("no padding", line(f"— PeterNeumann {blob[:-1]}\n"), "shape")
    yield case("too much padding", line(f"— PeterNeumann {blob}=\n"), "shape")
    yield case("unused bits set", line(f"— PeterNeumann {blob[:-2]}N=\n"), "shape")
    yield case("url-safe base64", line(f"— PeterNeumann {blob.replace('/', '_')}\n"), "shape")
    yield case("not base64", line("— PeterNeumann !!!!\n"), "shape")
    yield case("base64 beyond ASCII", line("— PeterNeumann ääää\n"), "shape")
    yield case("a malformed line of an unknown key", good + "— witness.example x\n", "shape")


def checkpoints() -> Iterator[Case]:
    """Checkpoint texts."""
    origin, size, root = SOFA[:-1].split("\n")
    yield case("sofa, published", SOFA, None)
    yield case("empty tree", f"{origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", None)
    yield case("extension lines", SOFA + "one\ntwo words\n", None)
    yield case("an extension line of a space", SOFA + " \n", None)
    yield case("spaces in the origin", SOFA.replace(origin, "go.sum database tree"), None)
    yield case("the largest size", f"{origin}\n{2**63 - 1}\n{root}\n", None)
    yield case("a size too large", f"{origin}\n{2**63}\n{root}\n", "shape")
    yield case("a size of 5000 digits", f"{origin}\n{'9' * 5000}\n{root}\n", "shape")
    sizes = {"leading zero": "020852163", "two zeroes": "00", "sign": "+1", "negative": "-1"}
    sizes |= {"no size": "", "space before the size": " 1", "space after the size": "1 "}
    sizes |= {"hexadecimal": "0x10", "underscore": "1_000", "fraction": "1.0"}
    sizes |= {"digits beyond ASCII": "\uff11\uff12", "superscript digit": "²", "exponent": "1e3"}
    for what, wrong in sizes.items():
        yield case(what, f"{origin}\n{wrong}\n{root}\n", "shape")
    yield case("nothing", "", "shape")
    yield case("only newlines", "\n\n\n", "shape")
    yield case("no last newline", SOFA[:-1], "shape")
    yield case("no last newline after an extension", SOFA + "one", "shape")
    yield case("no root", f"{origin}\n{size}\n", "shape")
    yield case("empty origin", f"\n{size}\n{root}\n", "shape")
    yield case("empty line after", SOFA + "\n", "shape")
    yield case("empty line between extensions", SOFA + "one\n\ntwo\n", "shape")
    yield case("control character in an extension", SOFA + "one\ttwo\n", "shape")
    yield case("control character in the origin", "\x7f\x1b" + SOFA, "shape")
    yield case("lone surrogate in the origin", "\udfff" + SOFA, "shape")
    yield case("carriage returns", SOFA.replace("\n", "\r\n"), "shape")
    yield case("short root", f"{origin}\n{size}\n{b64(bytes(31))}\n", "shape")
    yield case("long root", f"{origin}\n{size}\n{b64(bytes(33))}\n", "shape")
    yield case("no padding", f"{origin}\n{size}\n{root[:-1]}\n", "shape")
    yield case("unused bits set", f"{origin}\n{size}\n{root[:-2]}J=\n", "shape")
    yield case("root in hexadecimal", f"{origin}\n{size}\n{'00' * 32}\n", "shape")
    yield case("space after the root", f"{origin}\n{size}\n{root} \n", "shape")
    yield case("a whole note", SOFA_NOTE, "shape")


def proofs() -> Iterator[Case]:
    """Whole .tlog-proof files; the shape only, since opening the note is another step."""
    mark, index, signed_head = "c2sp.org/tlog-proof@v1\n", "index 73894\n", note(FANCY)
    zero = b64(bytes(32)) + "\n"
    extra = FANCY_EXTRA + "\n"
    rest = index + FANCY_HASHES + "\n" + signed_head
    yield case("fancylog, published, signed anew", mark + extra + rest, None)
    yield case("sofa's checkpoint, published", f"{mark}index 0\n\n{SOFA_NOTE}", None)
    yield case("no extra data", mark + rest, None)
    yield case("no hashes", f"{mark}index 0\n\n{signed_head}", None)
    yield case("63 hashes", f"{mark}{index}{zero * 63}\n{signed_head}", None)
    yield case("64 hashes", f"{mark}{index}{zero * 64}\n{signed_head}", "shape")
    yield case("nothing", "", "shape")
    yield case("only the first line", mark, "shape")
    yield case("another version", mark.replace("v1", "v2") + rest, "shape")
    yield case("no first line", rest, "shape")
    yield case("empty extra data", f"{mark}extra \n{rest}", "shape")
    yield case("extra without a space", f"{mark}extra\n{rest}", "shape")
    yield case("extra and data in one word", f"{mark}extraAAA\n{rest}", "shape")
    yield case("extra data twice", mark + extra + extra + rest, "shape")
    yield case("extra data after the index", mark + index + extra + "\n" + signed_head, "shape")
    yield case("extra data not base64", f"{mark}extra !!!!\n{rest}", "shape")
    yield case("extra data with unused bits", f"{mark}extra AB==\n{rest}", "shape")
    yield case("no index", mark + FANCY_HASHES + "\n" + signed_head, "shape")
    yield case("a bare number for the index", f"{mark}0\n\n{signed_head}", "shape")
    yield case("index twice", mark + index + rest, "shape")
    for what, wrong in {"empty": "", "padded": "00", "negative": "-1", "too large": 2**63}.items():
        yield case(f"index {what}", f"{mark}index {wrong}\n\n{signed_head}", "shape")
    yield case("two spaces before the index", f"{mark}index  1\n\n{signed_head}", "shape")
    yield case("short hash", f"{mark}{index}{b64(bytes(31))}\n\n{signed_head}", "shape")
    yield case("hash without padding", f"{mark}{index}{'A' * 43}\n\n{signed_head}", "shape")
    yield case("no empty line", mark + index + FANCY_HASHES + signed_head, "shape")
    yield case(
        "empty line before the hashes", f"{mark}{index}\n{FANCY_HASHES}\n{signed_head}", "shape"
    )
    yield case("empty line before the index", f"{mark}\n{rest}", "shape")
    yield case("empty line after", mark + rest + "\n", "shape")
    yield case("no checkpoint", f"{mark}{index}{FANCY_HASHES}\n", "shape")
    yield case("checkpoint not signed", f"{mark}{index}{FANCY_HASHES}\n{FANCY}", "shape")
    yield case("a note that is no checkpoint", f"{mark}{index}\n{note(TEXT)}", "shape")
    yield case("carriage returns", (mark + rest).replace("\n", "\r\n"), "shape")
    yield case("no last newline", (mark + rest)[:-1], "shape")


FILES = {"vkey": vkeys, "note": notes, "checkpoint": checkpoints, "proof": proofs}


def build(kind: str) -> str:
    """The whole file of one kind."""
    vectors = {
        "about": "Made by make_notes.py, which says where the values come from.",
        "keys": [PETER],
        "cases": list(FILES[kind]()),
    }
    return json.dumps(vectors, indent=1) + "\n"


if __name__ == "__main__":
    for kind in FILES:
        Path(__file__).with_name(f"{kind}.json").write_text(build(kind), encoding="utf-8")

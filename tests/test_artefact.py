"""What is sealed is read back as it was written, or refused without a word of it in the error."""

import traceback

import pytest

from keys.errors import Malformed
from pipeline.artefact import Disclosure, Meta, Transcript
from pipeline.model import Word

META = Meta("2026-02-01T08:00:00.000Z", 50, "default", "a.wav", 0, "none")
TRANSCRIPT = Transcript((Word("pineapple", 0, 9, 1.0),))
DISCLOSURE = Disclosure("export", "/media", ("audio",), "asked", "2026-02-01T08:00:00Z", 3)


@pytest.mark.parametrize("value", [META, TRANSCRIPT, DISCLOSURE])
def test_what_was_encoded_is_decoded(value: Meta | Transcript | Disclosure) -> None:
    assert type(value).decode(value.encode()) == value


@pytest.mark.parametrize("kind", [Meta, Transcript, Disclosure])
@pytest.mark.parametrize(
    "data",
    [b"", b"pineapple", b"\xff", b"7", b"null", b"[7]", b'{"pineapple": 1}', b'[{"pineapple": 1}]'],
)
def test_another_form_is_refused_and_not_repeated(
    kind: type[Meta | Transcript | Disclosure], data: bytes
) -> None:
    with pytest.raises(Malformed, match="another form") as refusal:
        kind.decode(data)
    assert "pineapple" not in str(refusal.value)
    assert refusal.value.__suppress_context__
    assert traceback.format_exception(refusal.value)[-1].count("\n") == 1

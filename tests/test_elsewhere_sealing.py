"""What travels to a recogniser elsewhere: it opens at both ends, and nowhere else."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Tampered
from pipeline.elsewhere_sealing import (
    open_answer,
    open_sent,
    seal_answer,
    seal_to,
    words_to_json,
)
from pipeline.model import Word


@pytest.fixture(scope="module")
def private() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


def public(private: X25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


@given(content=st.binary(max_size=5000), answer=st.binary(max_size=5000))
def test_there_and_back(private: X25519PrivateKey, content: bytes, answer: bytes) -> None:
    sent = seal_to(public(private), content)
    received = open_sent(private, sent.message)
    assert bytes(received.content) == content
    back = seal_answer(received.answer_key, answer)
    assert bytes(open_answer(sent.answer_key, back)) == answer


def test_any_byte_changed_dropped_or_added_is_refused(private: X25519PrivateKey) -> None:
    sent = seal_to(public(private), b"spoken")
    answer = seal_answer(sent.answer_key, b"words")
    for at in range(len(sent.message)):
        changed = bytearray(sent.message)
        changed[at] ^= 1
        with pytest.raises(Tampered):
            open_sent(private, bytes(changed))
    for at in range(0, len(answer), 97):
        changed = bytearray(answer)
        changed[at] ^= 1
        with pytest.raises(Tampered):
            open_answer(sent.answer_key, bytes(changed))
    for cut in (b"", sent.message[:31], sent.message[:32], sent.message[:-1], sent.message + b"x"):
        with pytest.raises(Tampered):
            open_sent(private, cut)


def test_a_public_key_that_makes_no_secret_is_refused(private: X25519PrivateKey) -> None:
    with pytest.raises(Tampered):
        open_sent(private, bytes(32) + bytes(64))


def test_nobody_else_opens_it_not_even_the_sender(private: X25519PrivateKey) -> None:
    sent, other = seal_to(public(private), b"spoken"), seal_to(public(private), b"spoken")
    with pytest.raises(Tampered):
        open_sent(X25519PrivateKey.generate(), sent.message)
    with pytest.raises(Tampered):
        open_answer(sent.answer_key, sent.message[32:])  # the key of the answer, not of the message
    with pytest.raises(Tampered):
        open_answer(other.answer_key, seal_answer(sent.answer_key, b"words"))


def test_a_message_that_is_sent_twice_is_not_answered_under_one_nonce(
    private: X25519PrivateKey,
) -> None:
    key = seal_to(public(private), b"spoken").answer_key
    assert seal_answer(key, b"words")[:12] != seal_answer(key, b"other")[:12]


def test_lengths_are_padded(private: X25519PrivateKey) -> None:
    key = public(private)
    assert len(seal_to(key, bytes(98_400)).message) == len(seal_to(key, bytes(100_000)).message)
    answer = seal_to(key, b"").answer_key
    assert len(seal_answer(answer, bytes(10))) == len(seal_answer(answer, bytes(4000)))


def test_words_keep_all_they_have() -> None:
    words = (Word("caf\u00e9", 10, 20, 0.5), Word("two", 20, 30, None))
    rows = json.loads(words_to_json(words))["words"]
    assert tuple(Word(*row) for row in rows) == words

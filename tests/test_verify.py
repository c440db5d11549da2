"""`python -m keys.verify` as a stranger runs it: two receipts, a folder, nothing of the vault.

The program runs in a copy of `keys` alone, in a directory of its own, with an empty environment.
"""

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from keys.copies import Found
from keys.errors import KeysError
from keys.model import ArtefactId, InteractionId, Label, Slot, VaultId
from keys.outcome import Outcome, states, verify_file
from keys.receipt import (
    CONFIRMED,
    DOES_NOT_PROVE,
    FAILED,
    PENDING,
    PROVES,
    DeadArtefact,
    Statement,
    parse_receipt,
)
from keys.sealed import SMALL_CHUNK_LOG2, Header, pad_steps, seal
from keys.verify import NAMED, explain, main

ROOT = Path(__file__).parent.parent
VECTORS = Path(__file__).parent / "vectors"
REFERENCE = runpy.run_path(str(VECTORS / "make_receipts.py"))
STATEFUL = {"ring", "pages", "root", "log", "durable", "lock", "anchor"}


def sealed(interaction: bytes) -> tuple[Header, bytes]:
    ids = VaultId(bytes(range(0x10, 0x20))), InteractionId(interaction), ArtefactId(b"\x30" * 16)
    label = Label(*ids, "audio", Slot(4))
    return seal(bytearray(32), label, bytes(24), b"hello", pad_steps, SMALL_CHUNK_LOG2)


DEAD, ALIVE = sealed(b"\x20" * 16), sealed(b"\x21" * 16)


def receipt(**changes: object) -> bytes:
    """A receipt that says that `DEAD` was erased."""
    artefact = {"artefact": "30" * 16, "kind": "audio", "slot": 4, "header": DEAD[0].hash.hex()}
    erased = REFERENCE["erased"](artefacts=[artefact])
    row = REFERENCE["fields"](**{"erased": erased, **changes})
    data: bytes = REFERENCE["receipt"](REFERENCE["encode"](row))
    return data


GOOD = receipt()
KEY: str = parse_receipt(GOOD).statement.log_key
OTHER_KEY: str = REFERENCE["vkey"](REFERENCE["OTHER_SEED"])


@dataclass(frozen=True, slots=True)
class Stranger:
    """A directory with a copy of `keys`, a receipt, and copies of a vault in every shape."""

    home: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "keys.verify", *arguments]
        env = {"PYTHONPATH": str(self.home), "HOME": str(self.home), "PYTHONUTF8": "1"}
        env |= {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}  # Windows
        return subprocess.run(
            command, cwd=self.home, env=env, capture_output=True, encoding="utf-8", check=False
        )


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    home = tmp_path_factory.mktemp("stranger")
    shutil.copytree(ROOT / "keys", home / "keys", ignore=shutil.ignore_patterns("__pycache__"))
    copy = home / "copy" / "sealed" / "202"
    copy.mkdir(parents=True)
    (copy / "dead").write_bytes(DEAD[1])
    (copy / "alive").write_bytes(ALIVE[1])
    (copy / "notes").write_bytes(b"hello")
    for name, mode in (("copy.tar", "w"), ("copy.tar.gz", "w:gz")):
        with tarfile.open(home / name, mode) as tar:  # type: ignore[call-overload]
            tar.add(home / "copy", "copy")
    (home / "good.receipt").write_bytes(GOOD)
    (home / "bad.receipt").write_bytes(GOOD.replace(b"confirmed", b"confirmer"))
    (home / "false.receipt").write_bytes(GOOD.replace(b"vectors 1", b"vectors 2"))
    return Stranger(home)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good.receipt"], 0),
        (["good.receipt", "--log-key", KEY], 0),
        (["good.receipt", "--log-key", OTHER_KEY], 5),
        (["good.receipt", "false.receipt"], 5),
        (["false.receipt"], 5),
        (["bad.receipt"], 5),
        (["keys/verify.py"], 5),
        (["copy"], 5),
        (["missing.receipt"], 3),
        (["good.receipt", "--copy", "missing"], 3),
        ([], 2),
        (["good.receipt", "--log-key", "nonsense"], 2),
        (["good.receipt", "--nonsense"], 2),
    ],
    ids=lambda it: " ".join(it)[:40] if isinstance(it, list) else None,
)
def test_exit_code(stranger: Stranger, arguments: list[str], code: int) -> None:
    done = stranger.run(*arguments)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == (code in {2, 3} or arguments == ["copy"])


def test_the_verdict_for_a_person(stranger: Stranger) -> None:
    out = stranger.run("good.receipt", "false.receipt").stdout
    assert "good.receipt: verifies, confirmed" in out
    assert "named by the receipt itself: compare it yourself" in out
    assert "false.receipt: DOES NOT VERIFY" in out
    for row in (*PROVES, *DOES_NOT_PROVE):
        assert row in out
    before, after = (REFERENCE["live"]()[f"live_{when}"] for when in ("before", "after"))
    became = "1 of 6 slots became empty, no other changed"
    assert f"  live      {became}: root {before} to {after}" in out
    assert "(given by you)" in stranger.run("good.receipt", "--log-key", KEY).stdout


def test_the_verdict_for_a_program(stranger: Stranger) -> None:
    done = stranger.run("--json", "good.receipt", "false.receipt", "--copy", "copy")
    document = json.loads(done.stdout)
    good, false = document["receipts"]
    assert (good["verifies"], good["verdict"], good["log_key"]) == (True, "confirmed", KEY)
    assert (good["index"], good["size"]) == (1, 2)
    assert good["statement"]["erased"][0]["interaction"] == "20" * 16
    assert (false["verifies"], "statement" in false) == (False, False)
    assert {Path(row["file"]).name: row["state"] for row in document["copies"]} == {
        "dead": "erased",
        "alive": "unknown",
    }


@pytest.mark.parametrize(
    ("copy", "count"),
    [("copy", 2), ("copy.tar", 2), ("copy.tar.gz", 2), ("copy/sealed/202/dead", 1), (".", 6)],
)
def test_a_copy_of_any_shape(stranger: Stranger, copy: str, count: int) -> None:
    done = stranger.run("--json", "good.receipt", "--copy", copy)
    rows = json.loads(done.stdout)["copies"]
    assert done.returncode == 0
    assert len(rows) == count
    for row in rows:
        assert row["state"] == ("erased" if row["file"].endswith("dead") else "unknown")


def test_a_receipt_that_does_not_verify_erases_nothing(stranger: Stranger) -> None:
    done = stranger.run("--json", "false.receipt", "--copy", "copy")
    assert {row["state"] for row in json.loads(done.stdout)["copies"]} == {"unknown"}


def test_it_loads_nothing_with_state(stranger: Stranger) -> None:
    """Neither ring nor log nor anchor, and nothing beside `cryptography` and Python itself."""
    text = "import sys; before = set(sys.modules); import keys.verify; "
    text += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=stranger.home,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    loaded = done.stdout.split()
    assert "keys.receipt" in loaded
    assert not {f"keys.{name}" for name in STATEFUL} & set(loaded)
    tops = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names
    assert tops <= {"keys", "cryptography", "_cffi_backend", "_openssl"}


def test_it_writes_nothing(stranger: Stranger) -> None:
    def files() -> set[Path]:
        return {p for p in stranger.home.rglob("*") if "__pycache__" not in p.parts}

    before = files()
    stranger.run("good.receipt", "--copy", ".")
    assert files() == before


# The explanation

STEPS = ["form", "log key", "checkpoint signature", "inclusion", "live change"]


def vector(name: str) -> Path:
    return VECTORS / "receipts" / f"{name}.receipt"


def test_the_explanation_names_each_step_and_what_it_compared(stranger: Stranger) -> None:
    """The values are those that the generator computes, which shares no code with `keys`."""
    out = stranger.run("good.receipt", "--explain").stdout
    told, _, verdict = out.partition("good.receipt: verifies, confirmed")
    assert verdict
    heads = [line for line in told.splitlines() if line.startswith("  step")]
    assert heads == [f"  step {n}    {name}" for n, name in enumerate(STEPS, 1)]
    assert told.count("  proves  ") == len(STEPS)
    statement, _, proof = GOOD.partition(b"\n\n")
    line = REFERENCE["line"](1, statement)
    head = REFERENCE["node"](
        REFERENCE["leaf"](f"0 anechoic-log/1 {REFERENCE['VAULT']}".encode()),
        REFERENCE["leaf"](line),
    )
    live = REFERENCE["live"]()
    for value in (KEY, line.decode(), REFERENCE["leaf"](line).hex(), head.hex()):
        assert value in told
    assert live["live_before"] in told
    assert live["live_after"] in told
    assert proof


def test_without_explain_no_step_is_told(stranger: Stranger) -> None:
    assert "compared" not in stranger.run("good.receipt").stdout


@pytest.mark.parametrize(
    ("name", "key", "step"),
    [
        ("statement-compact", None, 1),
        ("proof-with-extra-data", None, 1),
        ("valid", OTHER_KEY, 2),
        ("key-of-another-vault", None, 2),
        ("proof-signed-by-another-key", None, 3),
        ("proof-of-another-log", None, 3),
        ("proof-of-another-index", None, 4),
        ("proof-of-another-statement", None, 4),
        ("change-of-another-position", None, 5),
        ("change-in-which-another-slot-goes-too", None, 5),
    ],
)
def test_the_explanation_of_a_refusal_says_where_it_stopped(
    capsys: pytest.CaptureFixture[str], name: str, key: str | None, step: int
) -> None:
    given = ["--log-key", key] if key else []
    assert main([str(vector(name)), "--explain", *given]) == 5
    told, _, verdict = capsys.readouterr().out.partition(f"{vector(name)}: DOES NOT VERIFY: ")
    assert f"  stopped   at step {step}, {STEPS[step - 1]}: {verdict}" in told
    assert told.count("  step ") == step - 1, "what comes after was not looked at"


# What a hostile signer or a hostile copy can make it say


def outcome(data: bytes, folder: Path) -> Outcome:
    path = folder / "r"
    path.write_bytes(data)
    return verify_file(path, None)


@pytest.mark.parametrize("verdict", [CONFIRMED, PENDING, FAILED])
def test_only_a_confirmed_receipt_calls_files_erased(tmp_path: Path, verdict: str) -> None:
    """A failed one says itself that the keys may still be there."""
    it = outcome(receipt(verdict=verdict), tmp_path)
    assert it.verified
    wanted = "erased" if verdict == CONFIRMED else "unknown"
    assert states([Found("x", DEAD[0])], [it]) == [("x", wanted)]


@pytest.mark.parametrize("field", ["vault", "interaction", "artefact", "kind", "slot"])
def test_a_file_is_erased_only_if_its_header_says_what_the_receipt_says(
    tmp_path: Path, field: str
) -> None:
    """Another vault's signer cannot call a file erased by listing the hash of its header."""
    label = DEAD[0].label
    others: dict[str, Any] = {"kind": "meta", "slot": Slot(5)}
    other = replace(label, **{field: others.get(field, bytes(16))})
    header = replace(DEAD[0], label=other)
    artefact = DeadArtefact("30" * 16, "audio", 4, header.hash.hex())
    good = outcome(GOOD, tmp_path)
    assert good.verified
    row = replace(good.verified.statement.erased[0], artefacts=(artefact,))
    lied = replace(good.verified, statement=replace(good.verified.statement, erased=(row,)))
    assert header.hash.hex() in lied.statement.headers
    assert states([Found("x", header)], [replace(good, verified=lied)]) == [("x", "unknown")]


def test_the_signer_cannot_add_to_what_is_proved(tmp_path: Path) -> None:
    data = receipt(proves=["that all is well"], does_not_prove=["that the moon is a cheese"])
    lines = explain(outcome(data, tmp_path), NAMED)
    assert not any("all is well" in line for line in lines)
    assert any("the moon is a cheese" in line for line in lines)
    assert [line for line in lines if line.startswith("  proves")] == [
        f"  proves    {row}" for row in PROVES
    ]


def test_a_name_cannot_draw_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A tar file may name its members anything: a line of its own, or an escape sequence."""
    name = "x\nerased   everything\x1b[2J"
    info = tarfile.TarInfo(name)
    info.size = len(ALIVE[1])
    with tarfile.open(tmp_path / "copy.tar", "w") as tar:
        tar.addfile(info, io.BytesIO(ALIVE[1]))
    (tmp_path / "r").write_bytes(GOOD)
    assert main([str(tmp_path / "r"), "--copy", str(tmp_path / "copy.tar")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\nerased   everything" not in out
    assert "unknown" in out


def test_every_refusal_is_an_outcome(tmp_path: Path) -> None:
    for data in (b"", b"\xff", b"{}\n\n", GOOD[:-2], GOOD + GOOD):
        assert outcome(data, tmp_path).verified is None
    with pytest.raises(KeysError):
        Statement.parse(b"")

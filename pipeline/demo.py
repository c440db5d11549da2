"""The demo: the whole story on the samples, in a vault of its own that is gone afterwards.

Every step is done for real by the same functions as the commands, and every claim on the screen is
looked at when it is made: where one does not hold, the demo says so and fails.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from keys.copies import ERASED
from keys.errors import AnchorFailure
from keys.model import InteractionId
from keys.receipt import CONFIRMED, Statement
from pipeline import forgetting, history
from pipeline.artefact import RECORD, TRANSCRIPT, Transcript
from pipeline.assistant.values import ALARM, Action
from pipeline.erase import Erasure, erase
from pipeline.errors import NotFound
from pipeline.history import Filter
from pipeline.ingest import Request
from pipeline.listening import ingesting
from pipeline.plan import make_plan
from pipeline.recognisers import Recognisers
from pipeline.restore import RESTORED, restore
from pipeline.select import Selection
from pipeline.session import acting, create_vault, now, open_vault
from pipeline.terminal import Terminal, count, safe
from pipeline.vault import Vault

SAMPLES = Path(__file__).parent.parent / "samples"
WANTED = "blood pressure"
_PAUSE_S = 0.3


@dataclass(slots=True)
class Stage:
    """Where the story happens, and which of its claims did not hold."""

    it: Terminal
    folder: Path
    step: int = 0
    broken: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Starts the next step of the story."""
        self.step += 1
        self.it.print()
        self.it.item(f"[bold cyan]{self.step}.[/]", f"[bold cyan]{safe(text)}[/]")
        time.sleep(_PAUSE_S)

    def tell(self, text: str) -> None:
        """Says something about what is happening."""
        self.it.item("     ", safe(text))

    def claim(self, text: str, *, holds: bool) -> None:
        """Says something that has just been looked at, and how it is."""
        self.it.item("  [green]yes[/]" if holds else "  [bold red]NO [/]", safe(text))
        if not holds:
            self.broken.append(text)


def run(it: Terminal, model: Path) -> int:
    """Tells the story; returns 0 when every claim held."""
    if not SAMPLES.is_dir():
        raise NotFound(f"the sample recordings are expected in {SAMPLES}: run this from a checkout")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="anechoic-demo-") as folder:
        # The story is the result; with --json only how it ended is, and the story a remark.
        stage = Stage(it.as_remarks() if it.as_json else it, Path(folder))
        _story(stage, model)
    stage.it.print(f"\n   {time.monotonic() - started:.0f} s; the demo's vault is deleted now.")
    _where_next(stage)
    if it.as_json:
        it.document({"claims_broken": stage.broken, "steps": stage.step})
    return 1 if stage.broken else 0


def _story(stage: Stage, model: Path) -> None:
    stage.title("A household talks; every word is recognised on this machine, and sealed")
    with Recognisers(model) as recognisers:
        vault = create_vault(stage.folder / "vault", stage.folder / "anchor")
        request = Request((SAMPLES,), "household", model.name)
        ingesting(stage.it, vault, request, recognisers)
    _nothing_readable(stage, vault)
    stage.title("A backup of the whole vault, as any backup tool would make it")
    backup = stage.folder / "backup"
    shutil.copytree(vault.directory, backup)
    _opens(stage, backup)
    stage.title(f"“Forget what I said about my {WANTED}”")
    done, gone, other = _forget(stage, vault)
    stage.title("The old backup comes back")
    _comes_back(stage, vault, backup, gone, other)
    stage.title("A stranger checks the receipt: another process, no vault, no network")
    _check(stage, backup, done)
    stage.title("“Forget that I asked to be woken”, and the alarm?")
    _keep(stage, vault)
    _honest(stage, done.statement)


def _nothing_readable(stage: Stage, vault: Vault) -> None:
    with acting(vault):
        words = {
            w.word for row in history.rows(vault, Filter()) for w in row.words if len(w.word) > 4
        }
    content = b"".join(p.read_bytes() for p in vault.directory.rglob("*") if p.is_file())
    hits = sum(word.encode() in content for word in words)
    stage.claim(f"none of {len(words)} words spoken can be found in any file", holds=not hits)


def _opens(stage: Stage, backup: Path) -> None:
    with acting(copy := open_vault(backup, stage.folder / "anchor", bytearray)):
        count = sum(1 for _ in history.rows(copy, Filter()))
    stage.claim(
        f"today the backup opens: {count} interactions can be read from it", holds=count > 0
    )


def _forget(stage: Stage, vault: Vault) -> tuple[Erasure, InteractionId, InteractionId]:
    with acting(vault):
        gone = history.search(vault, WANTED.split())[0]
        other = next(r for r in history.rows(vault, Filter()) if r.interaction != gone.interaction)
        plan = make_plan(vault, [gone.interaction], now())
        stage.tell(f"plan: “{gone.text}”,")
        files = len(gone.artefacts)
        stage.tell(f"{len(plan.slots)} keys, {files} sealed files, wherever copies of them are")
        started = time.perf_counter()
        done = erase(vault, plan, now)
        took_ms = (time.perf_counter() - started) * 1000
    it = done.statement
    epochs = f"epoch {it.epoch_from} to {it.epoch_to}"
    stage.claim(
        f"erased in {took_ms:.0f} ms, {epochs}: {it.verdict}", holds=it.verdict == CONFIRMED
    )
    return done, gone.interaction, other.interaction


def _comes_back(
    stage: Stage, vault: Vault, backup: Path, gone: InteractionId, other: InteractionId
) -> None:
    try:
        with acting(open_vault(backup, stage.folder / "anchor", bytearray)):
            refused = ""
    except AnchorFailure as error:
        refused = str(error)
    stage.claim("the backup as a whole refuses to open: its root is gone", holds=bool(refused))
    with acting(vault):
        for artefact in vault.artefacts(other):  # an accident: the vault loses another one's files
            artefact.path.unlink()
        found = list(restore(vault, backup))
        text = Transcript.decode(vault.read(other, TRANSCRIPT)).text
    dead = [row for row in found if row.interaction == gone.hex()]
    stage.claim(
        f"restore: the {len(dead)} files of the forgotten one do not open from it either",
        holds=bool(dead) and all(row.state == ERASED for row in dead),
    )
    back = sum(row.state == RESTORED for row in found)
    stage.claim(
        f"control: {back} lost files of another one come back, beside the current ring:",
        holds=back > 0,
    )
    stage.tell(f"“{text}”")


def _check(stage: Stage, backup: Path, done: Erasure) -> None:
    receipt = shutil.copy(done.receipt, stage.folder / "erasure.receipt")
    key = done.statement.log_key
    args = [sys.executable, "-m", "keys.verify", receipt, "--log-key", key, "--copy", str(backup)]
    result = subprocess.run(args, capture_output=True, text=True, check=False)
    dead = sum(line.startswith("erased  ") for line in result.stdout.splitlines())
    stage.tell("python -m keys.verify erasure.receipt --log-key … --copy backup")
    stage.claim("the receipt verifies under the vault's log key", holds=result.returncode == 0)
    stage.claim(f"it names the {dead} files of the backup that are dead", holds=dead > 0)
    forged = Path(receipt).read_text().replace('"confirmed"', '"failed"', 1)
    Path(receipt).write_text(forged)
    result = subprocess.run(args, capture_output=True, text=True, check=False)
    stage.claim("control: with one word changed it does not", holds=result.returncode == 5)


def _keep(stage: Stage, vault: Vault) -> None:
    with acting(vault):
        found = forgetting.propose(vault, Selection(match=("wake",)), now())
        (offered,) = found.keepable
        stage.tell(f"plan: “{found.rows[0].text}”; to keep: {offered.what}")
        done = forgetting.carry_out(vault, found, now, [offered.name])
        kept = [Action.decode(vault.read(it, RECORD)) for it in vault.owned(RECORD)]
        living = set(vault.interactions())
    stage.claim(
        "the words are erased, with all that was made of them",
        holds=done.statement.verdict == CONFIRMED and found.rows[0].interaction not in living,
    )
    stage.claim(
        "the alarm stays: its time and nothing else, under a key of its own",
        holds=len(kept) == 1 and (kept[0].what, bool(kept[0].at)) == (ALARM, True),
    )


def _honest(stage: Stage, statement: Statement) -> None:
    stage.title("How much to believe")
    for anchor in statement.anchors:
        stage.tell(f"anchor: {anchor.anchor}, level {anchor.level} of A (best) to E.")
        stage.tell(anchor.rests_on + ".")
    for row in (*statement.residual, *statement.does_not_prove):
        stage.tell(f"not proved: {row}.")


def _where_next(stage: Stage) -> None:
    if stage.broken:
        stage.it.print(f"\n[bold red]{count(len(stage.broken), 'claim')} did not hold.[/]")
        return
    stage.it.print("\n[bold]Your turn:[/]")
    for line in (
        "anechoic ingest FILES…       hear your own recordings",
        "anechoic history             what is held",
        "anechoic forget ID           erase, with a receipt",
        "anechoic doctor              what weakens erasure on this machine",
    ):
        stage.it.print(f"   {safe(line)}")

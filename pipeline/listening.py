"""How hearing looks while it goes on: a bar, the words as they grow, a line for each interaction.

On a terminal the bar counts seconds of sound; in a pipe there is a line for each interaction only.
"""

import stat
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import disclosures
from pipeline.assistant.respond import Assistant
from pipeline.errors import BadAudio
from pipeline.ingest import Done, Request, Sealed, ingest
from pipeline.recognisers import Recognisers
from pipeline.session import acting
from pipeline.sources import find_audio
from pipeline.terminal import Terminal, printable, safe
from pipeline.vault import Vault

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_BAR_WIDTH = 20
_BESIDE_PARTIAL = _BAR_WIDTH + 12  # the bar, the time, and the spaces between them
_LEAST_PARTIAL = 10
_SHORT = 8

Event = Sealed | Done | BadAudio


def the_recognisers(options: Namespace, model: Path, vocabulary: Sequence[str]) -> Recognisers:
    """Returns the recognisers of these options: processes of this machine, or on a cluster."""
    if not options.dask:
        return Recognisers(model, options.jobs, vocabulary)
    from pipeline.elsewhere import Elsewhere

    return Elsewhere(options.dask, model, vocabulary)


def leaving(it: Terminal, vault: Vault, recognisers: Recognisers, to: str) -> tuple[str, str]:
    """Says and logs, before it does, that sound leaves this machine; returns how and to where."""
    if not recognisers.leaves:
        return "", ""
    from pipeline.elsewhere import HOW

    with acting(vault):
        disclosures.announce(vault, HOW)
    it.say(safe(f"the sound leaves this machine, for the workers of {to}; the log says so"))
    if not to.startswith("tls://"):
        it.say("without TLS whoever is between here and there can pose as one of them: use tls://")
    return HOW, to


def ingesting(it: Terminal, vault: Vault, request: Request, recognisers: Recognisers) -> int:
    """Hears everything asked for, showing each interaction; returns how many sources were bad."""
    screen = it.on_one_screen()
    assistant = Assistant(vault, asks=False)
    console = screen.out if screen.is_rich else screen.err
    if not console.is_terminal:
        heard = ingest(vault, request, recognisers, assistant=assistant)
        return sum(_show(it, event) for event in heard)
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    width = max(_LEAST_PARTIAL, console.width - _BESIDE_PARTIAL)
    columns = [BarColumn(_BAR_WIDTH), TimeElapsedColumn(), TextColumn("{task.description}")]
    with Progress(*columns, console=console, transient=True) as progress:
        bar = _Bar(progress, progress.add_task("", total=_seconds(request)), width)
        bad = 0
        for event in ingest(vault, request, recognisers, bar.partial, assistant=assistant):
            bar.advance(event)
            bad += _show(screen, event)
    return bad


@dataclass(slots=True)
class _Bar:
    progress: "Progress"
    task: "TaskID"
    width: int
    done_s: float = 0.0

    def partial(self, text: str) -> None:
        self.progress.update(self.task, description=safe(text[-self.width :]))

    def advance(self, event: Event) -> None:
        at_s = self.done_s
        if isinstance(event, Done):
            at_s = self.done_s = self.done_s + _length(event.source)
        elif isinstance(event, Sealed):
            at_s += event.end_ms / 1000
        self.progress.update(self.task, completed=at_s, description="")


def _show(it: Terminal, event: Event) -> bool:
    if isinstance(event, BadAudio):
        it.problem(str(event))
        return True
    if isinstance(event, Done):
        if not event.count:
            it.say(safe(f"{event.source}: no speech in it; nothing was stored"))
    elif it.as_json:
        it.line(
            {
                "interaction": event.interaction.hex(),
                "source": str(event.source),
                "seconds": event.seconds,
                "text": event.text,
            }
        )
    elif it.is_rich:
        short = f"[bold]{event.interaction.hex()[:_SHORT]}[/]"
        it.item(f"{short} {event.seconds:6.2f} s ", safe(event.text))
    else:
        seconds = f"{event.seconds:.2f}"
        source = printable(str(event.source))
        it.table([], [(event.interaction.hex(), seconds, source, event.text)])
    return False


def _seconds(request: Request) -> float:
    return sum(_length(path) for path in find_audio(request.paths) if isinstance(path, Path))


def _length(path: Path) -> float:
    import soundfile

    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
            return 0.0
        return float(soundfile.info(path).duration)
    except (soundfile.SoundFileError, OSError, TypeError):  # told of when it is heard
        return 0.0

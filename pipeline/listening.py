"""How hearing looks while it goes on: a bar, the words as they grow, a line for each interaction.

On a terminal the bar counts seconds of sound; in a pipe there is a line for each interaction only.
"""

from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipeline.errors import BadAudio
from pipeline.hear import Recognisers
from pipeline.ingest import Done, Request, Sealed, ingest
from pipeline.sources import find_audio
from pipeline.terminal import Terminal
from pipeline.vault import Vault

_PARTIAL_WIDTH = 40
_SHORT = 8


def ingesting(it: Terminal, vault: Vault, request: Request, recognisers: Recognisers) -> int:
    """Hears everything asked for, showing each interaction; returns how many sources were bad."""
    console = it.out if it.is_rich else it.err
    if not console.is_terminal:
        events = ingest(vault, request, recognisers)
        return sum(_show(it, event) for event in events)
    columns = [BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}")]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=_seconds(request))
        events = ingest(
            vault, request, recognisers, lambda text: bar.update(task, description=_cut(text))
        )
        return sum(_advance(bar, task, event) + _show(it, event) for event in events)


def _show(it: Terminal, event: Sealed | Done | BadAudio) -> bool:
    if isinstance(event, BadAudio):
        it.problem(str(event))
        return True
    if isinstance(event, Done):
        if not event.count:
            it.say(escape(f"{event.source}: no speech in it; nothing was stored"))
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
        it.print(f"{short} {event.seconds:6.2f} s  {escape(event.text)}")
    else:
        it.table([], [(event.interaction.hex(), f"{event.seconds}", str(event.source), event.text)])
    return False


def _advance(bar: Progress, task: TaskID, event: Sealed | Done | BadAudio) -> int:
    if isinstance(event, Done):
        bar.advance(task, _length(event.source))
    return 0


def _seconds(request: Request) -> float:
    return sum(_length(path) for path in find_audio(request.paths) if isinstance(path, Path))


def _length(path: Path) -> float:
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.LibsndfileError, OSError):
        return 0.0


def _cut(text: str) -> str:
    return escape(text[-_PARTIAL_WIDTH:])

"""The command about skills: which there are, what each would be given, and what is waited for.

As in `pipeline/commands.py`, it calls the act and shows the result. Listing needs no vault.
"""

from argparse import Namespace
from collections.abc import Sequence

from pipeline.commands import DONE
from pipeline.opening import the_vault
from pipeline.skills.again import ask_again, give_up
from pipeline.skills.catalogue import BUILT_IN, Described, described, known_skills
from pipeline.skills.configuration import configuration_file
from pipeline.skills.confine import FILES, LIMITS, NETWORK
from pipeline.skills.interface import Field, Manifest
from pipeline.skills.posting import origin
from pipeline.skills.webhook import URL
from pipeline.terminal import Terminal, safe

_UNDONE = {
    NETWORK: "this system does not let it be cut off from the network",
    FILES: "this system does not let it be kept from your files",
    LIMITS: "this system sets it no limits",
}


def skills(options: Namespace) -> int:
    """Lists the skills, or asks them for the answers that receipts wait for."""
    it = Terminal(as_json=options.json)
    if options.act in {"ask", "give-up"}:
        vault = the_vault(options, it)
        given_up = options.act == "give-up"
        _show_waiting(it, give_up(vault, options.reference) if given_up else ask_again(vault))
        return DONE
    _show(it, [described(known) for known in known_skills()])
    return DONE


def _show(it: Terminal, found: Sequence[Described]) -> None:
    if it.as_json:
        it.document([_document(one) for one in found])
        return
    for one in found:
        _describe(it, one)
    it.say(safe(f"what is enabled, and with what, is in {configuration_file()}"))


def _show_waiting(it: Terminal, waiting: Sequence[str]) -> None:
    if it.as_json:
        it.document({"outstanding": list(waiting)})
        return
    for name in waiting:
        it.exact(f"[yellow]has not answered[/] {name}")
    if not waiting:
        it.print("no receipt waits for the answer of a skill")


def _document(one: Described) -> dict[str, object]:
    known, manifest = one.known, one.manifest
    row: dict[str, object] = {
        "skill": known.name,
        "built_in": known.name in BUILT_IN,
        "enabled": known.configured.enabled,
        "starts": manifest is not None,
    }
    if manifest:
        fields = [
            {"field": it.name, "why": it.why, "leaves": it.leaves, "required": it.required}
            for it in _given(one, manifest)
        ]
        row |= {"what_for": manifest.what_for, "to": _to(one, manifest), "fields": fields}
        row |= {"not_prevented": [_UNDONE[it] for it in _undone(one, manifest)]}
    return row


def _describe(it: Terminal, one: Described) -> None:
    known, manifest = one.known, one.manifest
    state = "[green]enabled[/]" if known.configured.enabled else "not enabled"
    it.print(f"[bold]{safe(known.name)}[/], {state}")
    if manifest is None:
        it.item("  [red]but[/]     ", "it does not start, or calls itself something else")
        return
    it.item("  what for", safe(manifest.what_for))
    for field in _given(one, manifest):
        it.item("  is given", safe(_in_words(field)))
    where = "leaves for" if manifest.leaves else "stays with"
    it.item(f"  {where}", safe(_to(one, manifest)))
    for undone in _undone(one, manifest):
        it.item("  [yellow]but[/]     ", _UNDONE[undone])


def _in_words(field: Field) -> str:
    notes = [field.why]
    notes += [] if field.required else ["if it was said"]
    notes += ["leaves this machine"] if field.leaves else []
    return f"{field.name}: {', '.join(notes)}"


def _given(one: Described, manifest: Manifest) -> list[Field]:
    allowed = one.known.configured.fields
    return [it for it in manifest.fields if allowed is None or it.name in allowed]


def _to(one: Described, manifest: Manifest) -> str:
    """Returns to where it goes, without the path of a webhook, which may hold a secret."""
    settings = one.known.configured.settings
    return origin(settings[URL]) if URL in settings else manifest.to


def _undone(one: Described, manifest: Manifest) -> list[str]:
    """Returns what it is not kept from; one that sends what it is given needs the network."""
    return [it for it in one.undone if it in _UNDONE and not (it == NETWORK and manifest.leaves)]

"""The command about skills: which there are, what each would be given, and what is waited for.

As in `pipeline/commands.py`, it calls the act and shows the result. Listing needs no vault.
"""

from argparse import Namespace
from collections.abc import Sequence

from pipeline.commands import DONE
from pipeline.opening import the_vault
from pipeline.skills.again import ask_again, give_up
from pipeline.skills.allowing import set_allowed
from pipeline.skills.catalogue import BUILT_IN, Described, described, known_skills
from pipeline.skills.configuration import configuration_file
from pipeline.skills.interface import Field
from pipeline.terminal import Terminal, safe


def skills(options: Namespace) -> int:
    """Lists the skills, allows or withdraws one, or asks for the answers that receipts wait for."""
    it = Terminal(as_json=options.json)
    if options.act in {"ask", "give-up"}:
        vault = the_vault(options, it)
        given_up = options.act == "give-up"
        _show_waiting(it, give_up(vault, options.reference) if given_up else ask_again(vault))
        return DONE
    if options.act in {"allow", "withdraw"}:
        set_allowed(options.name, is_allowed=options.act == "allow")
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
            for it in one.given
        ]
        row |= {"what_for": manifest.what_for, "to": one.to, "fields": fields}
        row |= {"not_prevented": list(one.not_prevented)}
    return row


def _describe(it: Terminal, one: Described) -> None:
    known, manifest = one.known, one.manifest
    state = "[green]enabled[/]" if known.configured.enabled else "not enabled"
    it.print(f"[bold]{safe(known.name)}[/], {state}")
    if manifest is None:
        it.item("  [red]but[/]     ", "it does not start, or calls itself something else")
        return
    it.item("  what for", safe(manifest.what_for))
    for field in one.given:
        it.item("  is given", safe(_in_words(field)))
    where = "leaves for" if manifest.leaves else "stays with"
    it.item(f"  {where}", safe(one.to))
    for undone in one.not_prevented:
        it.item("  [yellow]but[/]     ", undone)


def _in_words(field: Field) -> str:
    notes = [field.why]
    notes += [] if field.required else ["if it was said"]
    notes += ["leaves this machine"] if field.leaves else []
    return f"{field.name}: {', '.join(notes)}"

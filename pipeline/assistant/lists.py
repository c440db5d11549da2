"""Shopping, to-do and other lists: what is put on them, taken off them and read out.

Each function takes what was understood and the context, and returns what follows. A list is there
as long as something is on it; its names are whatever was said.
"""

from pipeline.assistant.derived import Context, Derived, Mark, listed
from pipeline.assistant.entries import Entry
from pipeline.assistant.understand import Understood
from pipeline.assistant.values import DONE, ITEM, Action

SHOPPING, TO_DO = "shopping", "to-do"
_NAMES = {
    "": SHOPPING,
    "grocery": SHOPPING,
    "groceries": SHOPPING,
    "to do": TO_DO,
    "todo": TO_DO,
    "to-do": TO_DO,
    "task": TO_DO,
    "tasks": TO_DO,
}
_ARTICLES = {"a", "an", "the", "some", "any", "more", "of"}


def add(it: Understood, context: Context) -> Derived:  # noqa: ARG001 - all functions take both
    """Puts things on a list: each of "milk and bread" where things are bought."""
    name = list_name(it.slot("list"))
    things = _things(it.slot("item"), name)
    actions = tuple(Action(ITEM, list=name, label=thing) for thing in things)
    return Derived(actions=actions, answer=f"On the {name} list: {listed(things)}.")


def remove(it: Understood, context: Context) -> Derived:
    """Takes things off a list."""
    name = list_name(it.slot("list"))
    wanted = [_bare(thing) for thing in _things(it.slot("item"), name)]
    found = [each for each in on(context, name) if _bare(each.action.label) in wanted]
    if not found:
        return Derived(answer=f"That is not on the {name} list.")
    marks = tuple(Mark(each, DONE) for each in found)
    said = listed([each.action.label for each in found])
    return Derived(marks=marks, answer=f"Off the {name} list: {said}.", reads=tuple(found))


def show(it: Understood, context: Context) -> Derived:
    """Reads a list out."""
    name = list_name(it.slot("list"))
    found = on(context, name)
    things = listed([each.action.label for each in found]) if found else "nothing"
    return Derived(answer=f"On the {name} list: {things}.", reads=tuple(found))


def clear(it: Understood, context: Context) -> Derived:
    """Takes everything off a list."""
    name = list_name(it.slot("list"))
    marks = tuple(Mark(each, DONE) for each in on(context, name))
    return Derived(marks=marks, answer=f"The {name} list is empty.")


def on(context: Context, name: str) -> list[Entry]:
    """Returns what is on a list."""
    entries = (each for each in context.entries() if each.is_open)
    return [each for each in entries if (each.action.what, each.action.list) == (ITEM, name)]


def list_name(said: str) -> str:
    """Returns the name of a list, whichever way it was said."""
    return _NAMES.get(said, said)


def _things(said: str, name: str) -> list[str]:
    if name != SHOPPING:
        return [said]
    pieces = said.replace(", ", " and ").split(" and ")
    return [bare for piece in pieces if (bare := _bare(piece))] or [said]


def _bare(text: str) -> str:
    words = text.split()
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return " ".join(words)

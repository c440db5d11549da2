"""Messages, orders, rides, the house: what a skill is asked to do, and what it is given for that.

Promises that nothing leaves here: a `Derived` only names the errand, and what carries it out gives
a skill that the user has enabled the fields of it and no more. Without such a skill nothing happens
but that it is said.
"""

from collections.abc import Mapping

from pipeline.assistant.clocks import starts
from pipeline.assistant.derived import Context, Derived, time_said
from pipeline.assistant.resolve import Unclear, resolve
from pipeline.assistant.sentences import sentences
from pipeline.assistant.understand import Understood, sort_of
from pipeline.assistant.values import HOME, MESSAGE, ORDER, RIDE, Action

_DOORS = {"door", "doors", "garage", "gate", "gates", "lock"}
_SAYING = {"saying", "that", "telling", "which", "says"}
_NAMED_AFTER = {"friend", "colleague", "neighbour", "neighbor", "cousin", "aunt", "uncle", "doctor"}
_BEGINS_A_TEXT = {
    *("i", "i'm", "i'll", "i've", "we", "we're", "we'll", "you", "he", "she", "they", "it", "it's"),
    *("the", "this", "there", "please", "can", "could", "would", "will", "what", "when", "where"),
    *("how", "why", "who", "is", "are", "do", "does", "don't", "let's", "thank", "thanks", "sorry"),
    *("happy", "good", "hello", "hi", "my", "your", "our", "no", "yes", "dinner", "lunch"),
}


def message(it: Understood, context: Context) -> Derived:
    """Prepares a message to somebody."""
    to, text = it.slot("recipient"), it.slot("text")
    if not to:
        to, text = split(it.slot("to_and_text"), sentences().contacts)
    if not text:
        return Derived(answer=f"What shall I tell {to}?")
    return _errand(Action(MESSAGE, at=_now(context), recipient=to, label=text), context)


def order(it: Understood, context: Context) -> Derived:
    """Prepares an order."""
    return _errand(Action(ORDER, at=_now(context), label=it.slot("label")), context)


def ride(it: Understood, context: Context) -> Derived:
    """Prepares the order of a ride, for now or later."""
    try:
        at = resolve(it.when, context.now, sort_of(it).habit) if it.when else context.now
    except Unclear:
        return Derived(answer="For what time shall the ride be?", question=it)
    at_text = at.isoformat(timespec="seconds")
    return _errand(Action(RIDE, at=at_text, label=it.slot("label")), context)


def home(it: Understood, context: Context) -> Derived:
    """Hands on what was said to the house; without a skill for that it is no command at all."""
    if HOME not in context.skills():
        return Derived()
    label = it.slot("text") or it.words
    action = Action(HOME, at=_now(context), label=label)
    return _errand(action, context) if needs_yes(action) else Derived(errand=action)


def needs_yes(action: Action) -> bool:
    """Tells whether an errand waits for a yes: a light that comes on can be put off again."""
    return action.what != HOME or lets_in(action)


def lets_in(action: Action) -> bool:
    """Tells whether somebody may come in by it, who is inside then: never without a yes."""
    words = set(action.label.split())
    opens = "unlock" in words or bool("open" in words and words & _DOORS)
    return action.what == HOME and opens


def fields(action: Action) -> Mapping[str, str]:
    """Returns what the skill of an errand is given."""
    if action.what == MESSAGE:
        return {"recipient": action.recipient, "text": action.label}
    if action.what == ORDER:
        return {"items": action.label}
    if action.what == HOME:
        return {"text": action.label}
    return {"to": action.label, "when": action.at}


def described(action: Action, context: Context) -> str:
    """Says an errand back."""
    if action.what == MESSAGE:
        return f"Message to {action.recipient}: {action.label}."
    if action.what == ORDER:
        return f"Order: {action.label}."
    if action.what == HOME:
        return f"To the house: {action.label}."
    at = action.moment
    to = f" to {action.label}" if action.label else ""
    return f"Ride{to} {time_said(at, context)}." if at else f"Ride{to}."


def split(said: str, contacts: tuple[str, ...] = ()) -> tuple[str, str]:
    """Splits "my friend robert we will be late" into whom it is for and what it says.

    A contact that the user has named wins; then words such as "saying"; then a guess, which is why
    a message is said back before it goes.
    """
    tokens = said.split()
    for name in sorted(contacts, key=len, reverse=True):
        if starts(tokens, 0, *name.split()):
            return name, _text(tokens[len(name.split()) :])
    for at, token in enumerate(tokens[1:], 1):
        if token in _SAYING:
            return " ".join(tokens[:at]), _text(tokens[at:])
    size = 1
    if tokens[:1] and tokens[0] in {"my", "the", "our"}:
        has_name = len(tokens) > 2 and tokens[1] in _NAMED_AFTER and tokens[2] not in _BEGINS_A_TEXT
        size = 3 if has_name else 2
    return " ".join(tokens[:size]), _text(tokens[size:])


def _text(tokens: list[str]) -> str:
    return " ".join(tokens[1:] if tokens and tokens[0] in _SAYING else tokens)


def _now(context: Context) -> str:
    return context.now.isoformat(timespec="seconds")


def _errand(action: Action, context: Context) -> Derived:
    said = described(action, context)
    if action.what not in context.skills():
        return Derived(
            actions=(action,),
            answer=f"{said} No skill for that is enabled, so nothing was sent.",
        )
    return Derived(answer=f"{said} Shall I? Say yes or no.", errand=action)

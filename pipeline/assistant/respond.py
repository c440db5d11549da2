"""The assistant in a conversation: what it heard is understood, sealed with, answered, carried out.

Whoever hears (a microphone, a file, a line typed) calls `hear`, seals the parts with what it seals
anyway, or nothing where the words are private, and then `done`. What was asked for (a time, a yes)
is remembered for a minute, in memory. Neither call is made while the vault is held.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from keys.entry import Noted
from keys.errors import Busy, Erased
from keys.model import InteractionId
from pipeline import write
from pipeline.artefact import ACTION, ANSWER
from pipeline.assistant import errands, forget
from pipeline.assistant.agenda import Agenda, mark
from pipeline.assistant.derive import derive
from pipeline.assistant.derived import SILENCE, Context, Derived, Mark, Reply, listed
from pipeline.assistant.entries import Entry
from pipeline.assistant.here import now as here_and_now
from pipeline.assistant.sentences import sentences
from pipeline.assistant.understand import Understood, only_a_time, understand
from pipeline.assistant.values import SENT, UNSENT, Action, Answer
from pipeline.errors import NotFound, Refused
from pipeline.forgetting import Proposal, carry_out
from pipeline.session import acting
from pipeline.skills.catalogue import known_skills
from pipeline.skills.configuration import read_configuration
from pipeline.skills.interface import Declined, NotSent, Outcome, Result
from pipeline.skills.use import use
from pipeline.terminal import count
from pipeline.vault import Vault

PATIENCE = timedelta(seconds=60)
"""So long an answer to a question is waited for; after that "yes" means nothing."""
_YES, _NO, _KEEP = "yes", "no", "yes-but-keep"
_NOT_STORED = "Nothing is stored for this profile, so that cannot be done."
_BUSY = "The vault is busy, so that was not done. Say it again."
_FORGOTTEN = "That was forgotten meanwhile."
_PATIENT_S = 30.0
Use = Callable[[Vault, InteractionId, str, Mapping[str, str]], Outcome]


@dataclass(frozen=True, slots=True, repr=False)
class _Asked:
    """What was asked last: for a time, whether to forget, or whether to do an errand."""

    until: datetime
    question: tuple[InteractionId, Understood] | None = None
    proposal: Proposal | None = None
    errand: tuple[InteractionId, Action] | None = None


class Assistant:
    """One conversation about one vault, or without a vault, in which nothing is stored.

    Where nobody is there to answer it does not ask: what lacks a time is not done, and an errand
    goes to its skill at once, as what is said to the house always does.
    """

    def __init__(
        self,
        vault: Vault | None,
        now: Callable[[], datetime] = here_and_now,
        *,
        asks: bool = True,
        is_ringing: Callable[[], bool] = lambda: False,
        use_skill: Use = use,
    ) -> None:
        sentences()  # so that a mistake in the user's shows before anybody speaks
        self._vault, self._now, self._asks = vault, now, asks
        self._is_ringing, self._use = is_ringing, use_skill
        self._agenda = Agenda(vault) if vault else None
        self._asked: _Asked | None = None

    def hear(self, text: str) -> Derived:
        """Returns what follows from a text; where `is_private`, nothing of it may be stored."""
        asked = self._asked if self._asked and self._asked.until >= self._now() else None
        self._asked = asked
        is_a_choice = asked is not None and asked.question is None
        answers = {_YES, _NO, _KEEP} if asked and asked.proposal else {_YES, _NO}
        if is_a_choice and (answer := understand(text, only=answers)):
            return Derived(reply=answer)
        try:
            if asked and asked.question and only_a_time(text):
                derived = derive(text, self._context(), asked.question[1])
                return replace(derived, completes=True)
            self._asked = None
            return derive(text, self._context())
        except Busy:
            return Derived(answer=_BUSY)

    def done(self, derived: Derived, interaction: InteractionId | None) -> Reply:
        """Carries out what follows, once it is sealed as that interaction; returns the reply.

        Where another process keeps the vault busy, nothing is carried out, and that is the reply.
        """
        try:
            return self._done(derived, interaction)
        except Busy:
            return Reply(_BUSY)

    def _done(self, derived: Derived, interaction: InteractionId | None) -> Reply:
        if self._vault is None:
            return self._without_vault(derived)
        if derived.is_private:
            return self._private(self._vault, derived)
        if interaction is None and (derived.actions or derived.errand):
            return Reply(_NOT_STORED)
        return self._followed(self._vault, interaction, derived)

    def _followed(self, vault: Vault, interaction: InteractionId | None, derived: Derived) -> Reply:
        if derived.question and interaction and self._asks:
            asked = interaction, derived.question
            self._asked = _Asked(self._now() + PATIENCE, question=asked)
        if derived.errand and interaction:
            return self._errand(vault, interaction, derived)
        self._note(vault, derived)
        return Reply(derived.answer, SILENCE if derived.silences else "")

    def _context(self) -> Context:
        is_ringing, stores = self._is_ringing(), self._vault is not None
        return Context(self._now(), self._entries, _enabled, is_ringing=is_ringing, stores=stores)

    def _entries(self) -> list[Entry]:
        if self._vault is None or self._agenda is None:
            return []
        with acting(self._vault):
            return self._agenda.entries()

    def _note(self, vault: Vault, derived: Derived) -> None:
        """Seals what became of earlier actions, and logs what was read of them."""
        if not (derived.marks or derived.reads):
            return
        with acting(vault):
            vault.note_read("assistant", list(dict.fromkeys(it.owner for it in derived.reads)))
            for it in derived.marks:
                with suppress(Erased):  # it was forgotten meanwhile, which calls it off as well
                    mark(vault, it, _utc(self._now()))

    def _errand(self, vault: Vault, interaction: InteractionId, derived: Derived) -> Reply:
        assert derived.errand is not None, "somebody looked"  # noqa: S101 - see done
        if self._asks and errands.needs_yes(derived.errand):
            until = self._now() + PATIENCE
            self._asked = _Asked(until, errand=(interaction, derived.errand))
            return Reply(derived.answer)
        if errands.lets_in(derived.errand):
            return Reply("Nobody is there to say yes to that, so nothing was sent.")
        return self._run(vault, interaction, derived.errand)

    def _run(self, vault: Vault, interaction: InteractionId, action: Action) -> Reply:
        """Gives an errand to its skill: the action is sealed first, its outcome after."""
        try:
            with acting(vault):
                artefact = write.add(vault, interaction, (ACTION, action.encode()))
            how, said = self._given(vault, interaction, action)
        except Erased:
            return Reply(_FORGOTTEN)
        entry = Entry(interaction, artefact, ACTION, action)
        with suppress(Erased, Busy):  # it was given all the same, and must not be asked for again
            self._seal_outcome(vault, entry, how, said)
        return Reply(said)

    def _seal_outcome(self, vault: Vault, entry: Entry, how: str, said: str) -> None:
        with acting(vault, wait_s=_PATIENT_S):
            mark(vault, Mark(entry, how), _utc(self._now()))
            write.add(vault, entry.owner, (ANSWER, Answer(said).encode()))

    def _given(self, vault: Vault, interaction: InteractionId, action: Action) -> tuple[str, str]:
        try:
            outcome = self._use(vault, interaction, action.what, errands.fields(action))
        except (Refused, NotFound) as refused:
            return UNSENT, f"Nothing was sent: {refused}."
        if isinstance(outcome, Result):
            return SENT, outcome.answer.get("text") or "It is done."
        if isinstance(outcome, Declined):
            return UNSENT, "It was declined. What was asked for has left this machine."
        if isinstance(outcome, NotSent):
            return UNSENT, "Nobody was there to give it to, so nothing was sent."
        return SENT, "No answer came, so whether it was done cannot be told."

    def _completed(self, vault: Vault, derived: Derived) -> Reply:
        """Seals what was asked a time for with the interaction that asked: they die together."""
        asked, self._asked = self._asked, None
        assert asked is not None, "a time was asked for"  # noqa: S101 - see hear
        assert asked.question is not None, "a time was asked for"  # noqa: S101 - see hear
        interaction = asked.question[0]
        try:
            with acting(vault):
                for part in derived.content:
                    write.add(vault, interaction, part)
        except Erased:
            return Reply(_FORGOTTEN)
        return self._followed(vault, interaction, derived)

    def _private(self, vault: Vault, derived: Derived) -> Reply:
        if derived.completes:
            return self._completed(vault, derived)
        if derived.reply:
            return self._replied(vault, derived.reply)
        if derived.asks_what_is_known:
            with acting(vault):
                return Reply(self._known(vault))
        if derived.wish:
            with acting(vault):
                found = forget.proposed(vault, derived.wish, _utc(self._now()))
            if found is None:
                return Reply(forget.NOTHING)
            self._asked = _Asked(self._now() + PATIENCE, proposal=found)
            return Reply(forget.said_back(found, self._now()))
        return Reply(derived.answer, derived.effect)

    def _replied(self, vault: Vault, reply: Understood) -> Reply:
        asked, self._asked = self._asked, None
        if asked is None or reply.name == _NO:
            return Reply("Nothing was done.")
        if asked.errand:
            return self._run(vault, *asked.errand)
        assert asked.proposal is not None, "something was asked"  # noqa: S101 - see hear
        return self._forget(vault, asked.proposal, reply)

    def _forget(self, vault: Vault, proposal: Proposal, reply: Understood) -> Reply:
        names: list[str] = []
        if reply.name == _KEEP:
            found = forget.kept_names(proposal, reply.slot("kept"))
            if found is None:
                return Reply("There is no such thing to keep; nothing was forgotten.")
            names = found
        try:
            with acting(vault):
                done = carry_out(vault, proposal, lambda: _utc(self._now()), names)
        except Erased:
            return Reply("That was forgotten already.")
        except NotFound:  # what was to be kept, by somebody else meanwhile
            return Reply("Some of that is not there any more; nothing was forgotten. Ask again.")
        if self._agenda:
            self._agenda.drop()
        return Reply(forget.told(done, proposal, names), receipt=done.receipt)

    def _known(self, vault: Vault) -> str:
        """Says how much there is, by category; `anechoic report` tells all of it."""
        living = set(vault.interactions())
        entries = self._agenda.entries() if self._agenda else []
        kinds = [it.action.what for it in entries if it.is_current(self._now())]
        left = sum(
            1
            for _, it in vault.log.scan()
            if isinstance(it, Noted) and it.act == "disclose" and living & set(it.interactions)
        )
        held = [count(len(living), "interaction")]
        held += [count(kinds.count(kind), kind) for kind in dict.fromkeys(kinds)]
        gone = f"{count(left, 'time')} something left" if left else "Nothing of it has left"
        return f"I hold {listed(held)}. {gone} this machine. The command report tells all of it."

    def _without_vault(self, derived: Derived) -> Reply:
        if derived.wish or derived.asks_what_is_known:
            return Reply("Nothing is stored now, so there is nothing of that.")
        return Reply(derived.answer, derived.effect)


def _enabled() -> frozenset[str]:
    if not read_configuration():  # which is quick; what is installed takes a look at every package
        return frozenset()
    return frozenset(it.name for it in known_skills() if it.configured.enabled)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Which skills there are: those built in, and those that are installed as plug-ins.

Promises that no code of a plug-in is loaded here: what it says of itself is asked of its own
process, without network. A plug-in with the name of a built-in skill is not taken for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from keys.model import KIND
from pipeline.errors import NotFound
from pipeline.skills.configuration import Configured, read_configuration
from pipeline.skills.confine import FILES, LIMITS, NETWORK
from pipeline.skills.interface import GROUP, Field, Manifest
from pipeline.skills.posting import origin
from pipeline.skills.process import SkillFailed, running
from pipeline.skills.webhook import URL

BUILT_IN = {
    "home-assistant": "pipeline.skills.home_assistant:HomeAssistant",
    "message": "pipeline.skills.webhook:Message",
    "order": "pipeline.skills.webhook:Order",
    "ride": "pipeline.skills.webhook:Ride",
}
DESCRIBE_S = 5.0
_UNDONE = {
    NETWORK: "this system does not let it be cut off from the network",
    FILES: "this system does not let it be kept from your files",
    LIMITS: "this system sets it no limits",
}


@dataclass(frozen=True, slots=True)
class Known:
    """A skill that is installed: its name, its class, and what the user configured."""

    name: str
    where: str
    configured: Configured


@dataclass(frozen=True, slots=True)
class Described:
    """A skill with what it says of itself, or without where it does not start.

    `undone` is what cannot be kept from it on this machine.
    """

    known: Known
    manifest: Manifest | None
    undone: Sequence[str] = ()

    @property
    def given(self) -> Sequence[Field]:
        """The fields that it would be given: those that it declares, as far as the user allows."""
        allowed, declared = (
            self.known.configured.fields,
            self.manifest.fields if self.manifest else (),
        )
        return [it for it in declared if allowed is None or it.name in allowed]

    @property
    def to(self) -> str:
        """To where it goes, without the path of a webhook, which may hold a secret."""
        settings = self.known.configured.settings
        if URL in settings:
            return origin(settings[URL])
        return self.manifest.to if self.manifest else ""

    @property
    def not_prevented(self) -> Sequence[str]:
        """What it is not kept from here; one that sends what it is given needs the network."""
        leaves = self.manifest is not None and self.manifest.leaves
        return [
            _UNDONE[it] for it in self.undone if it in _UNDONE and not (it == NETWORK and leaves)
        ]


def known_skills() -> list[Known]:
    """Returns the skills that are installed, by name; raises `Refused` for a bad configuration."""
    found = {it.name: it.value for it in entry_points(group=GROUP) if KIND.fullmatch(it.name)}
    configured = read_configuration()
    places = sorted({**found, **BUILT_IN}.items())
    return [Known(name, where, configured.get(name, Configured())) for name, where in places]


def known_skill(name: str) -> Known:
    """Returns one skill; raises `NotFound` where none has that name."""
    for it in known_skills():
        if it.name == name:
            return it
    raise NotFound(f"no skill {name[:32]!r} is installed; `anechoic skills` lists those that are")


def described(known: Known, private: Iterable[Path] = ()) -> Described:
    """Asks a skill what it says of itself, in its own process; a broken one has no manifest."""
    try:
        with running(known.where, DESCRIBE_S, private=private) as it:
            ours = it.manifest if it.manifest.name == known.name else None
            return Described(known, ours, it.undone)
    except SkillFailed:
        return Described(known, None)

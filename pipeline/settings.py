"""The settings of a vault as values: who is heard, and how long what they say is kept.

Promises that a limit is always a number of seconds, `None` for ever or 0 for never stored, and that
`policy_of` tells for any name, known or not, what holds. Pure: sealed and read by
`pipeline/retention.py`, changed by `pipeline/profiles.py`. A new field gets a default, so that
settings of an earlier version still parse. No repr shows a name, which may tell who lives here.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from keys.errors import Malformed
from pipeline.errors import Refused

FOREVER, NONE = "forever", "none"
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
_UNITS_S = {"m": MINUTE_S, "h": HOUR_S, "d": DAY_S, "w": 7 * DAY_S, "y": 365 * DAY_S}
_LONGEST_S = 100 * 365 * DAY_S
"""Longer ones end beyond what dates and the index can hold."""
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhdwy])")

Limit = int | None
"""Seconds after which something goes; None: kept until it is forgotten; 0: never stored."""


def shorter(*limits: Limit) -> Limit:
    """Returns the shortest of some limits."""
    found = None
    for limit in limits:  # quicker than `min`, and this is asked of every interaction
        if limit is not None and (found is None or limit < found):
            found = limit
    return found


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the audio and the words of an interaction are kept."""

    audio_s: Limit = None
    words_s: Limit = None

    def within(self, other: "Limits") -> "Limits":
        """Returns the shorter of both, of each kind; audio never outlives its words."""
        words_s = shorter(self.words_s, other.words_s)
        return Limits(shorter(self.audio_s, other.audio_s, words_s), words_s)


@dataclass(frozen=True, slots=True, repr=False)
class Consent:
    """That a guardian agreed: who, when (RFC 3339), and to which limits at the most."""

    by: str
    at: str
    to: Limits


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """Somebody who is heard. Without limits of its own a profile has those of everybody."""

    name: str
    is_child: bool = False
    limits: Limits | None = None
    inactive_s: Limit = None
    """All of a child's goes when nothing was heard of it for so long."""
    consent: Consent | None = None
    devices: tuple[str, ...] = ()
    child_since: str = ""
    """When it became a child's: silence counts from then at the earliest."""


@dataclass(frozen=True, slots=True, repr=False)
class Shortened:
    """Limits for what was captured before a moment: the user asked for that expressly."""

    before: str
    profile: str | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for one profile now."""

    limits: Limits
    sensitive_s: Limit
    inactive_s: Limit = None
    is_child: bool = False
    has_consent: bool = True

    @property
    def stores(self) -> bool:
        """Whether anything of an interaction may be stored."""
        return self.has_consent and self.limits.words_s != 0


CHILD = Policy(Limits(0, 7 * DAY_S), DAY_S, 30 * DAY_S, is_child=True, has_consent=False)
"""What holds for a child unless a guardian chose otherwise; without consent nothing is kept."""


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """All settings of a vault; without any, everything is kept until it is forgotten."""

    limits: Limits = Limits()
    sensitive_s: Limit = None
    words: tuple[str, ...] = ()
    """What the user calls sensitive, beside the words for health."""
    profiles: tuple[Profile, ...] = ()
    shortened: tuple[Shortened, ...] = ()
    calendar: str = ""
    """The secret part of the address at which calendar programs read; empty where there is none."""

    def profile(self, name: str) -> Profile | None:
        """Returns the profile of this name, if it was added; a child is one in any case of it."""
        known, wanted = self.profiles, name.strip().casefold()
        return next((it for it in known if it.name.casefold() == wanted), None)

    def name_of(self, name: str) -> str:
        """Returns the name as it was added, else as it is given."""
        found = self.profile(name)
        return found.name if found else name

    def policy_of(self, name: str) -> Policy:
        """Returns what holds for a profile; one that was never added is an adult's."""
        found = self.profile(name)
        if found is None or not found.is_child:
            own = found.limits if found else None
            return Policy((own or self.limits).within(Limits()), self.sensitive_s)
        limits = found.limits or CHILD.limits
        return Policy(
            limits.within(found.consent.to if found.consent else limits),
            shorter(CHILD.sensitive_s, self.sensitive_s),
            found.inactive_s,
            is_child=True,
            has_consent=found.consent is not None,
        )

    def of_device(self, device: str) -> str | None:
        """Returns the name of the profile that a microphone belongs to, by a part of its name."""
        for profile in self.profiles:
            if any(bound.lower() in device.lower() for bound in profile.devices):
                return profile.name
        return None

    def encode(self) -> bytes:
        """Returns JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes | bytearray) -> Self:
        """Parses what `encode` returned."""
        try:
            return cls(**_settings(json.loads(data)))
        except (ValueError, TypeError, KeyError):  # not passed on: it may name somebody
            raise Malformed("the settings have another form than this version writes") from None


def parse_duration(text: str) -> Limit:
    """Parses `30m`, `1h`, `7d`, `2w`, `1y`, `forever` or `none`; raises `Refused`."""
    if text in {FOREVER, NONE}:
        return None if text == FOREVER else 0
    if found := _DURATION.fullmatch(text):
        limit = int(found[1]) * _UNITS_S[found[2]]
        if limit > _LONGEST_S:
            raise Refused(f"{text} is longer than a hundred years: write {FOREVER}")
        return limit
    raise Refused(
        f"expected a duration such as 30m, 1h, 7d, 2w, 1y, {FOREVER} or {NONE}: found {text[:40]!r}"
    )


def format_duration(limit: Limit) -> str:
    """Writes a limit as `parse_duration` reads it."""
    if not limit:
        return NONE if limit == 0 else FOREVER
    unit = next(u for u in "ydhm" if limit % _UNITS_S[u] == 0)  # a week is said as 7d
    return f"{limit // _UNITS_S[unit]}{unit}"


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "limits": Limits(**row["limits"]),
        "words": tuple(row["words"]),
        "profiles": tuple(_profile(it) for it in row["profiles"]),
        "shortened": tuple(
            Shortened(**{**it, "limits": Limits(**it["limits"])}) for it in row["shortened"]
        ),
    }


def _profile(row: dict[str, Any]) -> Profile:
    consent: Any = row["consent"]
    return Profile(
        **{
            **row,
            "limits": Limits(**row["limits"]) if row["limits"] else None,
            "consent": Consent(**{**consent, "to": Limits(**consent["to"])}) if consent else None,
            "devices": tuple(row["devices"]),
        }
    )


def names_of(profiles: Sequence[Profile]) -> str:
    """Returns the names of profiles for a message to whoever named one of them."""
    return ", ".join(profile.name for profile in profiles) or "none"

"""Changes of the settings: profiles added and removed, limits set; values in, values out.

Promises that a child's limits never get longer than a guardian agreed to, and that a limit changed
later does not lengthen what was captured before. Refuses what would make a child an adult in
passing. Pure: `pipeline/retention.py` seals what comes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.errors import NotFound, Refused
from pipeline.settings import (
    CHILD,
    Consent,
    Limits,
    Profile,
    Settings,
    Shortened,
    names_of,
    parse_duration,
)

UNBOUND = (
    "what that microphone hears is kept as everybody's is, also where the profile is a child's, at "
    "the latest from the next start of listening on"
)
"""What to say where a microphone belongs to nobody alone any more."""


@dataclass(frozen=True, slots=True, repr=False)
class Newcomer:
    """A profile to be added, or what is to be added to one that is there."""

    name: str
    is_child: bool = False
    consent_by: str | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Wish:
    """Limits to be set, as durations in words; None leaves one as it is."""

    profile: str | None = None
    audio: str | None = None
    words: str | None = None
    sensitive: str | None = None
    inactive: str | None = None
    own_words: tuple[str, ...] | None = None
    consent_by: str | None = None
    existing: bool = False
    """What was captured before gets these limits too, where they are shorter than its own."""


def add(settings: Settings, newcomer: Newcomer, now: str) -> Settings:
    """Adds a profile, or consent and microphones to one that is there; raises `Refused`."""
    name = newcomer.name.strip()
    if not name or not name.isprintable():
        raise Refused("expected a name for the profile that can be printed: found none")
    old = settings.profile(name) or Profile(name)
    is_child = old.is_child or newcomer.is_child
    if newcomer.consent_by is not None and not is_child:
        raise Refused("--consent-by is for a child's profile: add --child")
    _refuse_shared(settings, old, newcomer.devices)
    new = replace(
        old,
        is_child=is_child,
        inactive_s=CHILD.inactive_s if is_child and not old.is_child else old.inactive_s,
        child_since=now if is_child and not old.is_child else old.child_since,
        devices=tuple(dict.fromkeys((*old.devices, *newcomer.devices))),
    )
    return _with(settings, _agreed(new, newcomer.consent_by, now))


def unbind(settings: Settings, name: str, device: str | None = None) -> Settings:
    """Has a microphone of a profile, or all of them, hear everybody again; raises `NotFound`.

    It is named as it was bound. What it hears from then on is kept as anybody's is.
    """
    old = _there(settings, name)
    gone = [it for it in old.devices if device is None or it.casefold() == device.casefold()]
    if not gone:
        bound = ", ".join(old.devices) or "none"
        raise NotFound(f"no such microphone belongs to this profile; those that do: {bound}")
    return _with(settings, replace(old, devices=tuple(it for it in old.devices if it not in gone)))


def remove(settings: Settings, name: str) -> Settings:
    """Removes a profile; raises `NotFound`. What was captured for it keeps its limits."""
    gone = _there(settings, name)
    return replace(settings, profiles=tuple(it for it in settings.profiles if it != gone))


def set_limits(settings: Settings, wish: Wish, now: str) -> Settings:
    """Sets limits for everybody or one profile; raises `Refused`."""
    if wish.profile is None:
        return _for_all(settings, wish, now)
    if wish.sensitive is not None or wish.own_words is not None:
        raise Refused("what is sensitive holds for everybody: leave out --profile")
    old = settings.profile(wish.profile) or Profile(wish.profile)
    if not old.is_child and (wish.inactive, wish.consent_by) != (None, None):
        raise Refused("--inactive and --consent-by are for a child's profile")
    base = old.limits or (CHILD.limits if old.is_child else settings.limits)
    new = replace(old, limits=_limits(base, wish))
    if wish.inactive is not None:
        new = replace(new, inactive_s=_inactivity(wish.inactive))
    return _shortening(_with(settings, _agreed(new, wish.consent_by, now)), wish, now)


def _for_all(settings: Settings, wish: Wish, now: str) -> Settings:
    if (wish.inactive, wish.consent_by) != (None, None):
        raise Refused("--inactive and --consent-by need --profile, which must be a child's")
    new = replace(settings, limits=_limits(settings.limits, wish))
    if wish.sensitive is not None:
        new = replace(new, sensitive_s=parse_duration(wish.sensitive))
    if wish.own_words is not None:
        new = replace(new, words=wish.own_words)
    return _shortening(new, wish, now)


def _limits(base: Limits, wish: Wish) -> Limits:
    audio_s = base.audio_s if wish.audio is None else parse_duration(wish.audio)
    words_s = base.words_s if wish.words is None else parse_duration(wish.words)
    return Limits(audio_s, words_s)


def _inactivity(text: str) -> int | None:
    found = parse_duration(text)
    if found == 0:
        raise Refused("--inactive none: expected a duration such as 30d, or forever")
    return found


def _agreed(profile: Profile, by: str | None, now: str) -> Profile:
    """Records a guardian's consent to the limits of a child; raises `Refused` where it lacks."""
    if not profile.is_child:
        return profile
    limits = (profile.limits or CHILD.limits).within(Limits())
    if by is not None:
        if not by.strip():
            raise Refused("--consent-by: expected who agreed, found nothing")
        return replace(profile, consent=Consent(by.strip(), now, limits))
    if profile.consent and limits.within(profile.consent.to) != limits:
        raise Refused(
            "a guardian has agreed to shorter limits for this child: add --consent-by WHO to "
            "record that somebody agrees to these"
        )
    return profile


def _shortening(settings: Settings, wish: Wish, now: str) -> Settings:
    """Has the limits just set apply to what was captured before; never makes one longer."""
    if not wish.existing:
        return settings
    given = Limits(
        *(None if text is None else parse_duration(text) for text in (wish.audio, wish.words))
    )
    if given == Limits():
        raise Refused("--existing shortens what is held: name --audio or --words with a duration")
    profile = None if wish.profile is None else settings.name_of(wish.profile)
    new = Shortened(now, profile, given.within(Limits()))
    return replace(settings, shortened=(*settings.shortened, new))


def _refuse_shared(settings: Settings, profile: Profile, devices: Sequence[str]) -> None:
    for device in devices:
        owner = settings.of_device(device)
        if not device.strip() or owner not in {None, profile.name}:
            raise Refused("--device: that microphone belongs to another profile, or has no name")


def _with(settings: Settings, profile: Profile) -> Settings:
    others = tuple(it for it in settings.profiles if it.name != profile.name)
    return replace(settings, profiles=(*others, profile))


def _there(settings: Settings, name: str) -> Profile:
    if found := settings.profile(name):
        return found
    raise NotFound(f"there is no such profile; there are: {names_of(settings.profiles)}")

"""The pages about what is held, for how long, and by whom: report, settings, skills, machine."""

from starlette.responses import JSONResponse, RedirectResponse, Response

from pipeline import devices, history, index, places, profiles, reporting, retention
from pipeline.doctor import findings, of_settings
from pipeline.errors import NoAudioDevice, Refused
from pipeline.limits import Due
from pipeline.profiles import Newcomer, Wish
from pipeline.report import report as report_of
from pipeline.retention import state_of
from pipeline.session import now
from pipeline.settings import Profile, Settings, format_duration
from pipeline.skills.allowing import set_allowed
from pipeline.skills.catalogue import described, known_skills
from pipeline.skills.configuration import configuration_file
from pipeline.vault import Vault
from pipeline.web import acts
from pipeline.web.asked import Asked
from pipeline.web.house import House
from pipeline.web.looking import Answer, Names, Shown

_MOST_LEFT = 30
_MOST_ROWS = 200
_AGREED = "agreed"
_DURATIONS = ("none", "1h", "1d", "7d", "30d", "90d", "1y", "forever")


def report(vault: Vault, _: Asked) -> Answer:
    """Shows what is held, why, who has read it, what left."""
    return Shown("report.html", {"it": reporting.document(report_of(vault, now))})


def machine(vault: Vault, _: Asked) -> Answer:
    """Shows what on this machine weakens erasure."""
    found = [*findings(vault.directory, places.anchor_directory()), of_settings(vault)]
    return Shown("machine.html", {"findings": found})


def settings(vault: Vault, _: Asked, names: Names) -> Answer:
    """Shows how long what is captured is kept, and of whom."""
    state, doubt = state_of(vault, now), retention.doubt(vault, now)
    it = state.settings if state else Settings()
    held = {name.casefold(): names.of(name) for name in index.census(vault).profiles}
    return Shown(
        "settings.html",
        {
            "everybody": _limits(it, None),
            "profiles": [
                (each, _limits(it, each), held.get(each.name.casefold())) for each in it.profiles
            ],
            "words": "\n".join(it.words),
            "shortened": it.shortened,
            "durations": _DURATIONS,
            "doubt": doubt,
            "unbound": profiles.UNBOUND,
        },
    )


def _limits(settings: Settings, profile: Profile | None) -> dict[str, object]:
    policy = settings.policy_of(profile.name if profile else "")
    limits = policy.limits if profile else settings.limits
    return {
        "audio": format_duration(limits.audio_s),
        "words": format_duration(limits.words_s),
        "sensitive": format_duration(policy.sensitive_s if profile else settings.sensitive_s),
        "inactive": format_duration(policy.inactive_s),
        "stores": profile is None or policy.stores,
    }


def set_limits(vault: Vault, asked: Asked) -> Answer:
    """Sets limits for everybody or a profile; what they would erase at once is shown first."""
    profile = asked.one("profile") or None
    own = asked.one("own_words").splitlines() if "own_words" in dict(asked.fields) else None
    wish = Wish(
        profile,
        asked.one("audio") or None,
        asked.one("words") or None,
        asked.one("sensitive") or None,
        asked.one("inactive") or None,
        own_words=None if own is None else tuple(it.strip() for it in own if it.strip()),
        consent_by=asked.one("consent_by") or None,
        existing=asked.one("existing") == "yes",
    )

    def make(old: Settings, at: str) -> Settings:
        return profiles.set_limits(old, wish, at)

    goes = retention.would_erase(vault, make, now)
    if goes and asked.one(_AGREED) != _number(goes):
        return _before(vault, asked, goes)
    retention.change(vault, make, now)
    return RedirectResponse("/settings?saved", 303)


def _before(vault: Vault, asked: Asked, goes: Due) -> Shown:
    values = {
        "whole": len(goes.whole),
        "audio": len(goes.audio),
        "records": len(goes.records),
        "rows": list(history.some(vault, goes.whole[:_MOST_ROWS], "plan")),
        "fields": [it for it in asked.fields if it[0] != _AGREED] + [(_AGREED, _number(goes))],
        "is_other": bool(asked.one(_AGREED)),
    }
    return Shown("shorten.html", values)


def _number(goes: Due) -> str:
    """Says how much somebody agrees to; where it is not so much any more, they are asked again."""
    return f"{len(goes.whole)} {len(goes.audio)} {len(goes.records)}"


def add_profile(vault: Vault, asked: Asked) -> Answer:
    """Adds a profile, or consent or a microphone to one."""
    heard_by = (asked.one("device"),) if asked.one("device") else ()
    by, is_child = asked.one("consent_by") or None, asked.one("child") == "yes"
    newcomer = Newcomer(asked.one("name"), is_child, by, heard_by)
    retention.change(vault, lambda old, at: profiles.add(old, newcomer, at), now)
    return RedirectResponse("/settings?saved", 303)


def unbind(vault: Vault, asked: Asked) -> Answer:
    """Has a microphone of a profile hear everybody again."""
    name, device = asked.one("name"), asked.one("device")
    retention.change(vault, lambda old, _: profiles.unbind(old, name, device), now)
    return RedirectResponse("/settings?unbound", 303)


def remove_profile(vault: Vault, asked: Asked) -> Answer:
    """Removes a profile; what was heard for it stays, with the limits that it has."""
    retention.change(vault, lambda old, _: profiles.remove(old, asked.one("name")), now)
    return RedirectResponse("/settings?removed", 303)


def microphones() -> Response:
    """Sends the names of the microphones that there are."""
    try:
        found = [it.name for it in devices.devices()]
    except NoAudioDevice:  # then a name can be typed all the same
        found = []
    return JSONResponse(found)


def skills(house: House, _: Asked) -> Answer:
    """Shows which skills there are, what each may see, and what of which interaction has left.

    Each says what it is in a process of its own, which takes a moment: the vault is not held then.
    """
    private = (house.directory,) if house.directory else ()
    found = [described(it, private) for it in known_skills()]
    with house.acting() as vault:
        gone = acts.left(vault, _MOST_LEFT)
    values = {"skills": found, "left": gone, "file": str(configuration_file())}
    return Shown("skills.html", values)


def allow(_: House, asked: Asked) -> Answer:
    """Allows a skill, or withdraws that."""
    wish = asked.one("wish")
    if wish not in {"allow", "withdraw"}:
        raise Refused("choose whether the skill is allowed or withdrawn; nothing was changed")
    set_allowed(asked.one("skill"), is_allowed=wish == "allow")
    return RedirectResponse(f"/skills?{wish}", 303)

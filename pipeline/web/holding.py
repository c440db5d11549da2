"""The pages about what is held and for how long: report, settings, and this machine."""

from starlette.responses import RedirectResponse

from pipeline import places, profiles, reporting, retention
from pipeline.doctor import findings
from pipeline.profiles import Newcomer, Wish
from pipeline.report import report as report_of
from pipeline.retention import state_of
from pipeline.session import now
from pipeline.settings import Profile, Settings, format_duration
from pipeline.vault import Vault
from pipeline.web.asked import Asked
from pipeline.web.looking import Answer, Shown

_DURATIONS = ("none", "1h", "1d", "7d", "30d", "90d", "1y", "forever")


def report(vault: Vault, _: Asked) -> Answer:
    """Shows what is held, why, who has read it, what left."""
    return Shown("report.html", {"it": reporting.document(report_of(vault, now))})


def machine(vault: Vault, _: Asked) -> Answer:
    """Shows what on this machine weakens erasure."""
    found = findings(vault.directory, places.anchor_directory())
    return Shown("machine.html", {"findings": found})


def settings(vault: Vault, _: Asked) -> Answer:
    """Shows how long what is captured is kept, and of whom."""
    state, doubt = state_of(vault, now), retention.doubt(vault, now)
    it = state.settings if state else Settings()
    return Shown(
        "settings.html",
        {
            "everybody": _limits(it, None),
            "profiles": [(each, _limits(it, each)) for each in it.profiles],
            "words": "\n".join(it.words),
            "shortened": it.shortened,
            "durations": _DURATIONS,
            "doubt": doubt,
        },
    )


def _limits(settings: Settings, profile: Profile | None) -> dict[str, object]:
    policy = settings.policy_of(profile.name if profile else "")
    limits = policy.limits if profile else settings.limits
    return {
        "audio": format_duration(limits.audio_s),
        "words": format_duration(limits.words_s),
        "sensitive": format_duration(policy.sensitive_s if profile else settings.sensitive_s),
        "stores": profile is None or policy.stores,
    }


def set_limits(vault: Vault, asked: Asked) -> Answer:
    """Sets limits for everybody or a profile."""
    profile = asked.one("profile") or None
    own = asked.one("own_words").splitlines() if "own_words" in dict(asked.fields) else None
    wish = Wish(
        profile,
        asked.one("audio") or None,
        asked.one("words") or None,
        asked.one("sensitive") or None,
        own_words=None if own is None else tuple(it.strip() for it in own if it.strip()),
        consent_by=asked.one("consent_by") or None,
        existing=asked.one("existing") == "yes",
    )
    retention.change(vault, lambda old, at: profiles.set_limits(old, wish, at), now)
    return RedirectResponse("/settings?saved", 303)


def add_profile(vault: Vault, asked: Asked) -> Answer:
    """Adds a profile."""
    newcomer = Newcomer(
        asked.one("name"), asked.one("child") == "yes", asked.one("consent_by") or None
    )
    retention.change(vault, lambda old, at: profiles.add(old, newcomer, at), now)
    return RedirectResponse("/settings?saved", 303)

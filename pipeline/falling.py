"""What of everything in a vault has fallen due by given settings, and the plan that erases it.

Promises to ask the index alone: most is decided by columns, and what they leave open is looked at
one by one. A record has no limit of its own, and goes with its source only where a keeping that
came to no end has left it there. Changes nothing; the rules are in `pipeline/limits.py`.
"""

from dataclasses import replace

from pipeline import kept
from pipeline.indexvalues import Row as IndexRow
from pipeline.limits import Due, Row, due
from pipeline.plan import Plan, make_plan
from pipeline.settings import Limits, Settings, shorter
from pipeline.vault import Vault


def found(vault: Vault, settings: Settings, now_s: int) -> Due:
    """Returns what these settings make due at a reckoned time, and when the next falls due."""
    from pipeline import index  # these take a moment to load, and mostly nothing is due
    from pipeline.outlook import Outlook

    outlook = Outlook(settings, now_s, vault.ring.liveness())
    rows = (_row(vault, it) for it in index.some(vault, outlook.undecided))
    fallen = due(rows, settings, now_s)
    return replace(fallen, next_s=shorter(fallen.next_s, outlook.next_s))


def plan(vault: Vault, fallen: Due, requested_at: str) -> Plan:
    """Makes one plan of whole interactions and of those that lose their audio only."""
    whole = make_plan(vault, (*fallen.whole, *kept.same(vault, fallen.whole)), requested_at)
    audio = make_plan(vault, fallen.audio, requested_at, only_audio=True)
    rows = {row.interaction: row for row in (*audio.erased, *whole.erased)}
    disclosed = tuple(dict.fromkeys((*whole.disclosed, *audio.disclosed)))
    return replace(whole, erased=tuple(rows.values()), disclosed=disclosed)


def _row(vault: Vault, it: IndexRow) -> Row:
    """Returns an interaction as retention sees it, by what the index knows of its meta."""
    has_audio = it.audio_limit_s != 0 and vault.ring.is_live(it.audio_slot)
    ended_s = (it.started_us // 1000 + it.duration_ms) // 1000
    since_s = ended_s if it.processed_s is None else it.processed_s
    limits = Limits(it.audio_limit_s, it.words_limit_s)
    return Row(it.interaction, it.profile, since_s, limits, it.reckoned_s, has_audio)

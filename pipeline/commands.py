"""One function for each command: opens the vault, calls the act, shows the result.

No logic of its own beyond asking and showing: whatever changes a vault is in the modules called.
Each takes the parsed options and returns the exit code.
"""

import os
import sys
from argparse import Namespace
from functools import partial

from pipeline import history as looking
from pipeline import machine, places, retention, share, showing, views
from pipeline.errors import Refused
from pipeline.opening import (
    apart,
    asked_before,
    choose_model,
    new_passphrase,
    the_model,
    the_vault,
    the_vaults_model,
)
from pipeline.query import parse
from pipeline.search import Finding
from pipeline.select import parse_time
from pipeline.session import acting, create_vault, now
from pipeline.terminal import Terminal, count, safe
from pipeline.working import working

DONE, FAILED = 0, 1


def init(options: Namespace) -> int:
    """Makes a vault."""
    it = Terminal(as_json=options.json)
    directory, anchors = apart(options)
    passphrase = new_passphrase() if options.passphrase else None
    vault = create_vault(directory, anchors, options.anchor, passphrase)
    views.vault_made(it, vault)
    return DONE


def ingest(options: Namespace) -> int:
    """Hears files and folders, and seals what was said."""
    from pipeline import indexing, models
    from pipeline.completing import complete
    from pipeline.ingest import Request
    from pipeline.listening import ingesting, leaving, the_recognisers
    from pipeline.vocabulary import vocabulary

    it = Terminal(as_json=options.json)
    model = the_model(options)
    words = vocabulary(options.vocabulary)
    with the_recognisers(options, model, words) as recognisers:  # before any key: they may fork
        vault = the_vault(options, it)
        with acting(vault):
            if not retention.stores(vault, now, options.profile):
                raise Refused(retention.NOTHING)
        sent = leaving(it, vault, recognisers, options.dask)
        request = Request(tuple(options.paths), options.profile, models.name_of(model), sent)
        try:
            # A limited vocabulary is for what is heard now, not for what was cut off earlier;
            # and of that nobody has said that it may leave this machine.
            if not words and not options.dask and (found := complete(vault, recognisers)):
                it.say(f"{count(len(found), 'utterance')} cut off earlier: recognised now")
            bad = ingesting(it, vault, request, recognisers)
        except KeyboardInterrupt:
            with acting(vault):  # settles what was half made
                raise
    indexing.keep_up(vault)
    return FAILED if bad else DONE


def history(options: Namespace) -> int:
    """Lists interactions."""
    it = Terminal(as_json=options.json)
    which = filter_of(options)
    vault = the_vault(options, it)
    with working(it), acting(vault):
        found = looking.history(vault, which, options.limit)
    views.rows(it, found)
    views.unreadable(it, vault.unreadable)
    return DONE


def search(options: Namespace) -> int:
    """Finds interactions by their words."""
    from pipeline import indexing

    it = Terminal(as_json=options.json)
    typed = sys.stdin.read() if options.words == ["-"] else " ".join(options.words)
    vault = the_vault(options, it)
    with working(it), acting(vault):
        finding = Finding(vault, parse(typed))
        found = looking.found(vault, finding, options.limit)
        is_due = finding.index is not None and indexing.is_due(finding.index)
        damaged = finding.damaged
        finding.close()
    views.rows(it, found, finding.query)
    views.unreadable(it, vault.unreadable)
    if is_due:  # while nobody waits any more
        views.mended(it, indexing.keep_up(vault, now, damaged))
    return DONE


def show(options: Namespace) -> int:
    """Shows one interaction."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        found = looking.detail(vault, vault.resolve(options.id))
        kept = retention.until(vault, found.row.interaction, found.row.meta, now)
    showing.detail(it, found, kept)
    return DONE


def report(options: Namespace) -> int:
    """Shows what is held, why and for how long, who was shown it, and what left."""
    from pipeline import reporting
    from pipeline.report import look, tell

    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with working(it):
        with acting(vault):
            seen = look(vault, now, options.profile)
        found = tell(vault, seen)  # which takes longer, and others can work meanwhile
    if options.page:
        options.page.write_text(reporting.page(found))
        it.say(safe(f"the report is in {options.page}"))
    else:
        reporting.show(it, found)
    return DONE


def play(options: Namespace) -> int:
    """Plays one interaction."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        interaction = vault.resolve(options.id)
        pcm = share.audio(vault, interaction)
        vault.note_read("play", [interaction])
    share.play(pcm)
    views.played(it, interaction, len(pcm))
    return DONE


def export(options: Namespace) -> int:
    """Copies one interaction into a folder."""
    it = Terminal(as_json=options.json)
    vault = the_vault(options, it)
    with acting(vault):
        row = looking.one(vault, vault.resolve(options.id), "export")
        if options.plain:
            paths = share.export_plain(vault, row, options.to, now())
        else:
            paths = share.export_sealed(row, options.to)
    views.exported(it, row, paths, plain=options.plain)
    return DONE


def doctor(options: Namespace) -> int:
    """Says what weakens erasure on this machine, and what to do."""
    from pipeline.doctor import findings, looked_into
    from pipeline.mending import mend

    it = Terminal(as_json=options.json)
    where = places.vault_directory(options.vault), places.anchor_directory()
    mended = list(mend(*where, partial(_ask, options))) if options.fix else []
    found = [*mended, *findings(*where), *looked_into(*where)]
    views.findings(it, found)
    return FAILED if any(finding.state == machine.BAD for finding in found) else DONE


def model(options: Namespace) -> int:
    """Lists or fetches recognition models, or chooses the vault's."""
    from pipeline import models

    it = Terminal(as_json=options.json)
    if options.act == "fetch":
        views.fetched(it, views.fetching(it, options.name))
        return DONE
    if options.act == "use":
        choose_model(the_vault(options, it), options.name)
    installed = {found.model.name: found.path for found in models.installed()}
    named, chosen = os.environ.get(models.VARIABLE), the_vaults_model(options)
    views.models(it, models.MODELS, installed, named, chosen)
    return DONE


def _ask(options: Namespace) -> bytearray:
    return asked_before(options)()


def demo(options: Namespace) -> int:
    """Tells the whole story on the samples, in a vault of its own that is gone afterwards."""
    from pipeline import models
    from pipeline.demo import run

    return run(Terminal(as_json=options.json), models.find(None))


def filter_of(options: Namespace) -> looking.Filter:
    """Returns which interactions the options mean by time and profile; raises `Refused`."""
    since = parse_time(options.since) if options.since else None
    until = parse_time(options.until) if options.until else None
    return looking.Filter(since, until, options.profile)

"""Imports point down: the layers of the layout, from the doors at the top to the errors below.

A new module is given its layer here, in the same change; beside and below it may import, above
it may not. `keys` knows nothing of `pipeline`, and `keys.verify` reaches nothing that has state.
"""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = """
pipeline.completion pipeline.manual
pipeline.cli
pipeline.cli_options
pipeline.assistant.asking
pipeline.checking pipeline.keeping pipeline.skilled pipeline.terms pipeline.stamping pipeline.events
pipeline.storing
pipeline.forget
pipeline.commands
pipeline.demo
pipeline.serve
pipeline.microphone
pipeline.companion pipeline.beside pipeline.telling
pipeline.web.door
pipeline.web.pages
pipeline.web.erasing pipeline.web.holding pipeline.web.calendar
pipeline.web.looking
pipeline.web.asked
pipeline.web.house
pipeline.web.acts pipeline.web.views pipeline.web.drawing
pipeline.wyoming_door
pipeline.wyoming
pipeline.wyoming_connection
pipeline.wyoming_hearing pipeline.wyoming_sound pipeline.wyoming_about
pipeline.wyoming_frames pipeline.wyoming_address pipeline.accepting
pipeline.reporting
pipeline.report
pipeline.tally
pipeline.showing pipeline.mending
pipeline.views pipeline.proofs pipeline.listening pipeline.doctor pipeline.share
pipeline.restore
pipeline.opening pipeline.store pipeline.vocabulary pipeline.following
pipeline.assistant.respond
pipeline.assistant.forget
pipeline.forgetting
pipeline.ingest pipeline.listen pipeline.completing pipeline.select
pipeline.heard
pipeline.safekeeping
pipeline.history pipeline.indexing pipeline.keep
pipeline.skills.use pipeline.skills.again
pipeline.session
pipeline.recovery
pipeline.anchoring pipeline.mirrors
pipeline.identity pipeline.passphrase
pipeline.anchors
pipeline.retention
pipeline.falling
pipeline.outlook
pipeline.assistant.watch
pipeline.assistant.agenda
pipeline.erase pipeline.audit
pipeline.livestate pipeline.confirm pipeline.settingsfile
pipeline.agenda
pipeline.logkey
pipeline.plan pipeline.unfinished
pipeline.skills.asking
pipeline.disclosures
pipeline.search
pipeline.index
pipeline.indexreading pipeline.indexrebuild pipeline.memory
pipeline.indexstate
pipeline.assistant.derive
pipeline.assistant.schedule pipeline.assistant.lists pipeline.assistant.errands
pipeline.assistant.derived
pipeline.assistant.calendar
pipeline.assistant.understand pipeline.assistant.entries
pipeline.assistant.bell
pipeline.assistant.sentences pipeline.assistant.values
pipeline.assistant.spoken pipeline.assistant.past
pipeline.assistant.resolve
pipeline.assistant.moments
pipeline.assistant.clocks
pipeline.assistant.numerals pipeline.assistant.here pipeline.assistant.voice pipeline.assistant
pipeline.kept
pipeline.hear pipeline.write pipeline.logged pipeline.descent pipeline.tree
pipeline.elsewhere
pipeline.recognisers pipeline.elsewhere_worker pipeline.fetch pipeline.npm
pipeline.elsewhere_child
pipeline.indexrow pipeline.recording pipeline.devices pipeline.wake pipeline.relief
pipeline.voice
pipeline.vault pipeline.derive pipeline.indexmerge pipeline.indexmatch
pipeline.recognise pipeline.moonshine pipeline.capture pipeline.segment
pipeline.lineage
pipeline.limits pipeline.profiles
pipeline.reckoning pipeline.sensitive
pipeline.settings
pipeline.elsewhere_sealing
pipeline.sources pipeline.models pipeline.artefact pipeline.query pipeline.indexformat
pipeline.indexvalues
pipeline.supervisor
pipeline.turn pipeline.typed pipeline.glimpse
pipeline.skills.allowing
pipeline.skills.catalogue
pipeline.skills.process
pipeline.skills.child
pipeline.skills.configuration
pipeline.skills.webhook pipeline.skills.home_assistant
pipeline.skills.posting pipeline.skills.interface pipeline.skills.confine pipeline.skills
pipeline.configuration
pipeline.working
pipeline.places pipeline.notify pipeline.machine pipeline.terminal pipeline.interrupts
pipeline.web.sound
pipeline.model
pipeline.web.guard pipeline.web.line
pipeline.cli_skills pipeline.cli_home
pipeline.cli_terms
pipeline.errors pipeline pipeline.cli_hearing pipeline.cli_assistant pipeline.web
keys.verify
keys.outcome
keys.ring keys.log keys.livetree keys.receipt keys.confirmation keys.copies keys.segments
keys.rotation
keys.statefile keys.pagefile
keys.attested keys.canonical
keys.stamp
keys.handover keys.cosignature
keys.root
keys.logsearch keys.mirror keys.pages
keys.anchor.file keys.anchor.medium keys.anchor.keyring keys.anchor.tpm
keys.anchor.asked
keys.anchor keys.anchor.chip keys.anchor.blobs
keys.durable keys.lock
keys.outstanding keys.recovery keys.pagetable
keys.sealed keys.live keys.merkle keys.note keys.entry keys.secret
keys.model
keys.errors keys.progress keys
""".splitlines()
DEPTH = {name: depth for depth, layer in enumerate(LAYERS) for name in layer.split()}
STATELESS = """
keys keys.errors keys.model keys.secret keys.sealed keys.note keys.merkle keys.live keys.entry
keys.canonical keys.outcome keys.attested keys.stamp keys.cosignature keys.handover keys.copies
keys.confirmation keys.receipt keys.verify
"""
FREE_OF_STATE = frozenset(STATELESS.split())


def modules() -> dict[str, Path]:
    files = [path for top in ("keys", "pipeline") for path in (ROOT / top).rglob("*.py")]
    names = {path: path.relative_to(ROOT).with_suffix("").parts for path in files}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in names.items()}


MODULES = modules()


@cache
def imports(name: str) -> frozenset[str]:
    """The modules that `name` imports anywhere in its text, functions included."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; name the package"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= inner or {str(node.module)}
    return frozenset(found)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_down(name: str) -> None:
    assert name in DEPTH, f"{name} has no layer: give it one in LAYERS"
    up = {each for each in imports(name) & MODULES.keys() if DEPTH.get(each, 99) < DEPTH[name]}
    assert not up, f"{name} imports from above: {sorted(up)}"


def test_the_verifier_reaches_nothing_with_state() -> None:
    if "keys.verify" not in MODULES:
        pytest.skip("there is no verifier yet")
    reached, ahead = set(), {"keys.verify"}
    while ahead:
        reached |= ahead
        ahead = {each for name in ahead & MODULES.keys() for each in imports(name)} - reached
    foreign = {name for name in reached if name.partition(".")[0] not in sys.stdlib_module_names}
    libraries = {"cryptography", "rfc3161_client"}
    assert {each for each in foreign if each.partition(".")[0] not in libraries} <= FREE_OF_STATE

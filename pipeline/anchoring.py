"""Changing the anchors of a living vault: each change is a rotation, crash-safe like an erasure.

`vault.json` names the anchors to be (`anchor_next`) before the ring changes, and they take the
place of the others when it has. What a crash leaves between, `follow` ends at the next act; what
cannot be, such as a stick that was pulled out meanwhile, it takes back.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from keys.anchor import Level
from keys.errors import AnchorFailure
from keys.root import held_by
from pipeline.anchors import format_spec, parse_spec
from pipeline.errors import NotFound, Refused
from pipeline.identity import clear_half_written, read_identity, write_identity
from pipeline.vault import Vault

Ways = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor of a vault: as the user names it, its way to the root, its level if it is here."""

    spec: str
    name: str
    way: str
    level: Level | None
    is_outstanding: bool


def anchors(vault: Vault) -> Iterator[AnchorRow]:
    """Yields every anchor of the vault, way by way."""
    specs = (spec for way in parse_spec(vault.anchor) for spec in way)
    roots = vault.roots_of(vault.anchor)
    for spec, (anchor, way) in zip(specs, ((a, w) for w in roots.ways for a in w), strict=True):
        name = roots.name_of(way)
        level = None if held_by(anchor) is None else anchor.level()
        yield AnchorRow(spec, anchor.name, name, level, name in vault.ring.outstanding)


def add(vault: Vault, spec: str, to: str | None = None) -> None:
    """Adds a way to the root or, with `to`, anchors to the way of that one; raises `Refused`."""
    more, ways = parse_spec(spec), parse_spec(vault.anchor)
    if to is None:
        _change(vault, (*ways, *more))
        return
    if len(more) > 1:
        raise Refused("--to: expected anchors joined by +, all of which are then needed")
    place = _way_of(vault, to)
    _change(vault, tuple(w + more[0] if n == place else w for n, w in enumerate(ways)))


def remove(vault: Vault, name: str) -> None:
    """Takes an anchor out of its way; raises `NotFound`, and `Refused` for the last one."""
    place, spec = _way_of(vault, name), _spec_of(vault, name)
    ways = parse_spec(vault.anchor)
    left = tuple(tuple(s for s in w if s != spec) if n == place else w for n, w in enumerate(ways))
    if not any(left):
        raise Refused("the last anchor cannot be removed: add another one first")
    _change(vault, tuple(filter(None, left)))


def rotate(vault: Vault) -> None:
    """Gives every anchor that is here a new share, and destroys the old ones."""
    vault.ring.destroy([], b"")


def follow(vault: Vault) -> None:
    """Takes anchors and mirrors as they are on record now, and ends a change that was cut off."""
    clear_half_written(vault.directory, vault.disk)
    identity = read_identity(vault.directory, vault.disk)
    if {*map(str, vault.disk.mirrors)} != {*identity.mirrors}:
        vault.disk.use(identity.mirrors)
    if identity.anchor != vault.anchor:
        vault.use_anchors(identity.anchor)
    if identity.anchor_next:
        _carry_out(vault, identity.anchor_next)


def _change(vault: Vault, ways: Ways) -> None:
    spec = format_spec(ways)
    parse_spec(spec)
    known = {anchor.name for anchor in vault.ring.anchors}
    for anchor in vault.roots_of(spec).anchors:
        if anchor.name not in known:
            anchor.level()  # raises where there is none, before anything is changed
    _record(vault, vault.anchor, spec)
    _carry_out(vault, spec)


def _carry_out(vault: Vault, spec: str) -> None:
    """Ends a change that is on record: with the old ways, or the new ones if these have gone."""
    old, new = vault.roots_of(vault.anchor), vault.roots_of(spec)
    try:
        ring = vault.ring_of(old)
        ring.open()
    except AnchorFailure:
        ring = vault.ring_of(new)
        ring.open()
        ring.retire(old)
    else:
        try:
            ring.change_ways(new)
        except AnchorFailure:
            _take_back(vault, spec)
            raise
    vault.use_anchors(spec, ring)
    _record(vault, spec, None)


def _take_back(vault: Vault, spec: str) -> None:
    """Leaves the anchors as they were, when the ring still opens with them."""
    ring = vault.ring_of(vault.roots_of(vault.anchor))
    ring.open()
    ring.retire(vault.roots_of(spec))
    vault.use_anchors(vault.anchor, ring)
    _record(vault, vault.anchor, None)


def _record(vault: Vault, anchor: str, then: str | None) -> None:
    identity = read_identity(vault.directory, vault.disk)
    write_identity(vault.directory, replace(identity, anchor=anchor, anchor_next=then), vault.disk)


def _spec_of(vault: Vault, name: str) -> str:
    found = [row.spec for row in anchors(vault) if name in {row.spec, row.name}]
    if not found:
        raise NotFound(f"no anchor {name[:40]!r}; `anechoic anchor list` shows them")
    return found[0]


def _way_of(vault: Vault, name: str) -> int:
    spec = _spec_of(vault, name)
    return next(n for n, way in enumerate(parse_spec(vault.anchor)) if spec in way)

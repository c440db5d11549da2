"""Changing the anchors of a living vault: each change is a rotation, crash-safe like an erasure.

`vault.json` names the anchors to be (`anchor_next`) before the ring changes, and they take the
place of the others when it has. What a crash leaves between, `follow` ends at the next act; what
cannot be, such as a stick that was pulled out meanwhile, it takes back. Before a change begins, a
way to the root must be left that is here, and each new anchor must be a place of its own that can
be written and passes for none of its name that was given up while it was away: a name stands for
one place (SPEC section 3.4), and by it alone a receipt is pending or confirmed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from keys.anchor import Anchor, Level
from keys.errors import AnchorFailure, StateUnknown
from keys.ring import Ring
from keys.root import Roots, held_by
from pipeline.anchors import check_places, format_spec, parse_spec, place_of
from pipeline.errors import NotFound, Refused
from pipeline.identity import clear_half_written, read_identity, write_identity
from pipeline.vault import Vault

Ways = tuple[tuple[str, ...], ...]
_FAILURES = AnchorFailure, StateUnknown, OSError
"""What an anchor does that is pulled out, full, or may not be written."""
_PROBE = ".anechoic-probe"


@dataclass(frozen=True, slots=True)
class AnchorRow:
    """One anchor of a vault: as the user names it, its way to the root, its level if it is here."""

    spec: str
    name: str
    way: str
    level: Level | None
    is_outstanding: bool
    problem: str = ""
    """What it says to being written, where it can be read only."""
    is_used: bool = True
    """Else it was given up while it was away, or is a recovery copy."""


def anchors(vault: Vault) -> Iterator[AnchorRow]:
    """Yields every anchor of the vault, way by way, then the ways no longer used and awaited."""
    specs = (spec for way in parse_spec(vault.anchor) for spec in way)
    roots = vault.roots_of(vault.anchor)
    for spec, (anchor, way) in zip(specs, ((a, w) for w in roots.ways for a in w), strict=True):
        name = roots.name_of(way)
        level = None if held_by(anchor) is None else anchor.level()
        problem = vault.ring.unwritable.get(anchor.name, "")
        yield AnchorRow(spec, anchor.name, name, level, name in vault.ring.outstanding, problem)
    for name in sorted(vault.ring.outstanding - roots.names()):
        yield AnchorRow(name, name, name, None, is_outstanding=True, is_used=False)


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
    if not row_of(vault, name).is_used:
        raise Refused(f"{name} is not used any more; once it is destroyed, say --destroyed")
    place, spec = _way_of(vault, name), row_of(vault, name).spec
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
    vault.disk.kept.clear()  # another process may have gone on without them since
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
    _check(vault, spec)
    record(vault, vault.anchor, spec)
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
        _retire(ring, old)
    else:
        try:
            _check_here(old, new)
            ring.change_ways(new)
        except _FAILURES:
            _take_back(vault, spec)
            raise
    vault.use_anchors(spec, ring)
    record(vault, spec, None)


def _take_back(vault: Vault, spec: str) -> None:
    """Leaves the anchors as they were, when the ring still opens with them."""
    ring = vault.ring_of(vault.roots_of(vault.anchor))
    ring.open()
    _retire(ring, vault.roots_of(spec))
    vault.use_anchors(vault.anchor, ring)
    record(vault, vault.anchor, None)


def _retire(ring: Ring, roots: Roots) -> None:
    """Destroys what these hold as far as they can be written; the others are outstanding."""
    with contextlib.suppress(*_FAILURES):
        ring.retire(roots)


def record(vault: Vault, anchor: str, then: str | None) -> None:
    """Puts on record which anchors the vault has, and which it is to have."""
    identity = read_identity(vault.directory, vault.disk)
    write_identity(vault.directory, replace(identity, anchor=anchor, anchor_next=then), vault.disk)


def row_of(vault: Vault, name: str) -> AnchorRow:
    """Returns the anchor of this name or specification; raises `NotFound`."""
    names = {name, format_spec(((name,),))}
    found = [row for row in anchors(vault) if names & {row.spec, row.name}]
    if not found:
        raise NotFound(f"no anchor {name[:40]!r}; `anechoic anchor list` shows them")
    return found[0]


def _way_of(vault: Vault, name: str) -> int:
    spec = row_of(vault, name).spec
    return next(n for n, way in enumerate(parse_spec(vault.anchor)) if spec in way)


# What must hold before


def _check(vault: Vault, spec: str) -> None:
    """Raises `Refused` or `AnchorFailure` where the anchors cannot become those of `spec`."""
    old, new = vault.roots_of(vault.anchor), vault.roots_of(spec)
    _check_here(old, new)
    specs = [spec for way in parse_spec(spec) for spec in way]
    check_places(parse_spec(spec), (vault.directory, *vault.disk.mirrors))
    known = {anchor.name for anchor in old.anchors}
    for name, anchor in zip(specs, new.anchors, strict=True):
        if anchor.name in known:
            continue
        try:
            _check_new(vault, anchor, old)
            _try_out(vault, name, anchor)
        except (StateUnknown, OSError) as error:
            why = getattr(error.__cause__ or error, "strerror", None) or error
            problem = f"no anchor can be made at {name}: {why}; name another place"
            raise AnchorFailure(problem) from error


def _check_here(old: Roots, new: Roots) -> None:
    """Raises `AnchorFailure` unless a way of the new ones is here, or can be made with what is."""
    known = {anchor.name for anchor in old.anchors}
    made = [way for way in new.ways if new.name_of(way) not in old.names()]
    for anchor in (anchor for way in made for anchor in way if anchor.name in known):
        if held_by(anchor) is None:  # to write would make another one in its place
            raise AnchorFailure(f"the anchor {anchor.name} is not here; attach it first")
    if not made and not any(all(held_by(a) is not None for a in way) for way in new.ways):
        names = " or ".join(sorted(new.names()))
        raise AnchorFailure(f"what would be left, {names}, is not here; attach it first")


def _check_new(vault: Vault, anchor: Anchor, old: Roots) -> None:
    held = held_by(anchor)
    if held and any(held == held_by(other) for other in old.anchors):
        raise Refused("an anchor of this vault lies there already; name another folder")
    gone = vault.ring.outstanding | vault.ring.sworn
    if not held and anchor.name in {name for way in gone for name in way.split("+")}:
        raise Refused(
            f"an anchor {anchor.name} was removed while it was away, and what it held is "
            "outstanding; this is another one in its place: name another folder for it"
        )


def _try_out(vault: Vault, spec: str, anchor: Anchor) -> None:
    anchor.level()  # raises where there is none
    if place := place_of(spec):
        vault.disk.make_dir(place)
        vault.disk.write(place / _PROBE, 0, bytes(2 * 4096))  # as much as an anchor takes
        vault.disk.sync(place / _PROBE)
        vault.disk.delete(place / _PROBE)

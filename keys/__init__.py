"""Keys that can be destroyed, and the proof that they were.

Ring, anchors, sealed files, log and receipts, for opaque bytes under opaque ids: this package knows
nothing of speech. `keys/SPEC.md` is normative.
"""

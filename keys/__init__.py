"""Keys that can be destroyed, and the proof that they were.

Ring, anchors, sealed files, log and receipts. This package knows nothing of speech: opaque bytes under opaque ids. `keys/SPEC.md` is normative.
"""

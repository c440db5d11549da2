"""Keys that can be destroyed, and the proof that they were: ring, anchors, sealed files, log, receipts.

This package knows nothing of speech: opaque bytes under opaque ids. `keys/SPEC.md` is normative.
"""

"""The voice pipeline: hear, segment, recognise, seal, remember, forget.

Everything about speech is here; everything about keys and proofs is in the package `keys`.
"""

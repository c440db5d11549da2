"""Real places for shares: a software TPM, a private session with a key store, mounted images."""

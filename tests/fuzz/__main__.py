"""Runs one target under atheris: `python -m tests.fuzz NAME [OPTION…]`; lists them without a name.

The options are libFuzzer's. It begins from the target's seeds, keeps in `corpus/` what led
somewhere new, which git leaves alone, and writes what it finds to `found/`.
"""

import sys
from hashlib import sha256

import atheris

# Nothing of `keys` may be imported before this, or it would be without instruments.
with atheris.instrument_imports(include=["keys"]):
    from tests.fuzz.target import FOUND, HERE, load, names, seeds

    known = names()
    target = load(sys.argv[1]) if sys.argv[1:2] and sys.argv[1] in known else None

if target is None:
    print("\n".join(known))
    sys.exit(len(sys.argv) > 1)
name = sys.argv.pop(1)
corpus = HERE / "corpus" / name
for folder in (corpus, FOUND / name):
    folder.mkdir(parents=True, exist_ok=True)
for seed in seeds(name):
    (corpus / sha256(seed).hexdigest()).write_bytes(seed)
own = ["-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={FOUND / name}/"]
atheris.Setup([sys.argv[0], str(corpus), *own, *sys.argv[1:]], target.check)
atheris.Fuzz()

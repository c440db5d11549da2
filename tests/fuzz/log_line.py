"""A line of the log."""

from collections.abc import Iterable

from keys.entry import line_of, parse_line
from keys.model import VaultId
from tests.fuzz.target import Target

VAULT = VaultId(bytes(range(16)))
IDS = [bytes(range(n, n + 16)).hex() for n in (0x10, 0x20)]
HASH = bytes(range(32)).hex()
LINES = f"""\
0 anechoic-log/1 {VAULT.hex()}
1 create {IDS[0]} 0:{HASH} 9223372036854775807:{HASH}
2 seal {IDS[0]} {IDS[1]} transcript 0 {HASH}
3 read recall {IDS[0]} {IDS[1]}
4 disclose export {IDS[0]}
5 discard unfinished {IDS[0]}
6 erase {IDS[0]} 1:2 {HASH}
7 confirm {IDS[0]} 3 {HASH}
8 create {IDS[0]} ٣:{HASH}
9 create {IDS[0]} +0:{HASH}
10 rekey 1 {HASH} {HASH}
11 rekey 2 {HASH} {HASH} {HASH}
12 anchor copied recovery-00010203
13 anchor destroyed tpm+file-0a1b2c3d
14 anchor moved file
"""


def run(data: bytes) -> None:
    index, entry = parse_line(data, VAULT)
    assert line_of(index, entry) == data


def seeds() -> Iterable[bytes]:
    return LINES.encode().splitlines()


TARGET = Target(run, seeds)

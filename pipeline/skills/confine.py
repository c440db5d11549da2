"""What the process of a skill takes from itself before any code of the skill is loaded.

Promises limits on every POSIX system, and on Linux, where the kernel has it, that the process can
write to no file but below the folder that the user gave it, reads only Python and the system, and
has no network when nothing of what it is given leaves the machine. `confine` returns what could
not be done: it is said, never passed over. What a skill sends and writes is beyond this.
"""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

NETWORK, FILES, LIMITS = "network", "files", "limits"
"""What may have to be said: it was not cut off, not kept from files, not limited."""

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_BENEATH = 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a directory
_ALL = (1 << 13) - 1  # the rights of the first version of Landlock
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # of versions 2 and 3
_OF_A_FILE = 1 << 0 | 1 << 1 | 1 << 2 | _TRUNCATE
_SCOPES = 3  # sockets without a name, signals: none to processes outside; version 6
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/run/systemd/resolve", "/opt")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_MEMORY_BYTES, _CPU_S, _DESCRIPTORS, _FILE_BYTES = 1 << 30, 20, 64, 16 << 20


def confine(*, network: bool, folder: Path | None) -> list[str]:
    """Confines this process for good; returns what could not be done here."""
    undone = []
    if not _limit():
        undone.append(LIMITS)
    if sys.platform != "linux":
        return [*undone, FILES, *([] if network else [NETWORK])]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if not network and not _without_network(libc):
        undone.append(NETWORK)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not _without_files(libc, folder):
        undone.append(FILES)
    return undone


def _limit() -> bool:
    if sys.platform == "win32":
        return False
    import resource

    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: _CPU_S,
        resource.RLIMIT_AS: _MEMORY_BYTES,
        resource.RLIMIT_NOFILE: _DESCRIPTORS,
        resource.RLIMIT_FSIZE: _FILE_BYTES,
    }
    for which, most in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # it is lower already
            resource.setrlimit(which, (most, most))
    return True


def _without_network(libc: ctypes.CDLL) -> bool:
    # As root the network alone; anybody else needs a name space of users for it.
    return not (libc.unshare(_CLONE_NEWNET) and libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _without_files(libc: ctypes.CDLL, folder: Path | None) -> bool:
    """Allows with Landlock what is listed, and nothing else; False where the kernel lacks it."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = _ALL | _REFER * (version >= 2) | _TRUNCATE * (version >= 3)
    scopes = _SCOPES * (version >= 6)
    sizes = {True: struct.pack("QQQ", rights, 0, scopes), False: struct.pack("Q", rights)}
    wanted = sizes[version >= 6]
    ruleset = libc.syscall(_CREATE_RULESET, wanted, ctypes.c_size_t(len(wanted)), 0)
    if ruleset < 0:
        return False
    for path in (*_SYSTEM, *_python()):
        _allow(libc, ruleset, path, _READ)
    for path in _DEVICES:
        _allow(libc, ruleset, path, _OF_A_FILE & rights)
    if folder:
        _allow(libc, ruleset, str(folder), rights)
    done = bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    os.close(ruleset)
    return done


def _python() -> Sequence[str]:
    """Returns where this Python and what it may import lie."""
    return [path for path in (sys.prefix, sys.base_prefix, *sys.path) if path]


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no leave
    allowed = rights if os.path.isdir(path) else rights & _OF_A_FILE  # noqa: PTH112 - of a string
    rule = struct.pack("=Qi", allowed, fd)
    libc.syscall(_ADD_RULE, ruleset, _BENEATH, rule, 0)
    os.close(fd)

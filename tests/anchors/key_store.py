"""A private session: a D-Bus of its own with a real gnome-keyring, in a home that goes with it."""

import os
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pytest

PASSWORD = "correct horse"
# No directory of services: the bus must not start a key store, or a prompt, of its own accord.
_BUS = """<busconfig><type>session</type><listen>unix:dir={}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>"""


def why_not() -> str | None:
    """Returns what is missing for a private key store, None when nothing is."""
    for program, package in (("dbus-daemon", "dbus-daemon"), ("gnome-keyring-daemon",) * 2):
        if shutil.which(program) is None:
            return f"{program} is missing (Debian: {package.removesuffix('-daemon')})"
    if find_spec("keyring") is None or find_spec("secretstorage") is None:
        return "keyring is missing (anechoic[keyring])"
    return None


class PrivateSession:
    """A bus and a key store, from `with` to its end; the files in `home` stay for the next one.

    While it is open the environment of this process points into it.
    """

    def __init__(self, home: Path, data: Path | None = None) -> None:
        self.home = home
        self.data, self.runtime = data or home / "data", home / "run"
        self.files = self.data / "keyrings"
        for directory in (self.data, self.runtime):
            directory.mkdir(mode=0o700, exist_ok=True)
        self._environment = pytest.MonkeyPatch()

    def __enter__(self) -> Self:
        self._environment = pytest.MonkeyPatch()
        for name in [name for name in os.environ if name.startswith(("XDG_", "DBUS_"))]:
            self._environment.delenv(name)
        for name in (
            "DISPLAY",
            "WAYLAND_DISPLAY",
            "PYTHON_KEYRING_BACKEND",
            "GNOME_KEYRING_CONTROL",
        ):
            self._environment.delenv(name, raising=False)
        self._environment.setenv("HOME", str(self.home))
        self._environment.setenv("XDG_DATA_HOME", str(self.data))
        self._environment.setenv("XDG_RUNTIME_DIR", str(self.runtime))
        config = self.runtime / "bus.conf"
        config.write_text(_BUS.format(self.runtime))
        self._bus = subprocess.Popen(
            [
                "dbus-daemon",
                f"--config-file={config}",
                "--nofork",
                "--nopidfile",
                "--print-address",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._bus.stdout is not None
        address = self._bus.stdout.readline().strip()
        self._environment.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        self.unlock()
        self._use_it()
        return self

    def _use_it(self) -> None:
        # `keyring` looks once per process for what there is, which may have been before this.
        import keyring.core
        from keyring.backends.SecretService import Keyring

        self._environment.setattr(keyring.core, "_keyring_backend", Keyring())  # type: ignore[no-untyped-call]

    def unlock(self, password: str = PASSWORD) -> None:
        """Starts the key store with the login password, as a login does."""
        self._store = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._store.stdin is not None
        self._store.stdin.write(password.encode())
        self._store.stdin.close()
        until = time.monotonic() + 10
        while not _answers():
            assert time.monotonic() < until, "the key store did not come up"
            time.sleep(0.02)

    def lock(self) -> None:
        """Ends the key store, as a logout does."""
        self._store.terminate()
        self._store.wait(timeout=10)

    def __exit__(self, *_: object) -> None:
        self.lock()
        self._bus.terminate()
        self._bus.wait(timeout=10)
        if self._bus.stdout is not None:
            self._bus.stdout.close()
        self._environment.undo()


def _answers() -> bool:
    from contextlib import closing

    import secretstorage

    try:
        with closing(secretstorage.dbus_init()) as bus:
            return bool(secretstorage.check_service_availability(bus)) and bool(
                list(secretstorage.get_all_collections(bus))
            )
    except Exception:  # noqa: BLE001  (it is asked until it answers)
        return False

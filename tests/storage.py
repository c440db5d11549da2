"""Places to store sealed files, as real servers on this machine: SFTP by sshd, S3 by rclone."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_PATIENCE_S = 20


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Sftp:
    """A server that lets one key in; `folder` is what it keeps, `url` where it is reached.

    `variables` are those of a client whose home has the key, and knows the key of the server.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.folder, self._port = home, home / "kept", free_port()
        self.url = f"sftp://127.0.0.1/{self.folder}".replace("//", "/").replace(":/", "://")
        ssh = home / "client" / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        for key in (home / "host_key", ssh / "id_ed25519"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        (home / "allowed").write_text((ssh / "id_ed25519.pub").read_text())
        public = " ".join((home / "host_key.pub").read_text().split()[:2])
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{self._port} {public}\n")
        (ssh / "config").write_text(
            f"Host 127.0.0.1\n Port {self._port}\n IdentityFile {ssh / 'id_ed25519'}\n"
        )
        self.variables = {"HOME": str(home / "client")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, is_read_only: bool = False) -> None:
        conf = self.home / "sshd_config"
        conf.write_text(
            f"Port {self._port}\nListenAddress 127.0.0.1\nHostKey {self.home / 'host_key'}\n"
            f"AuthorizedKeysFile {self.home / 'allowed'}\nPasswordAuthentication no\n"
            f"StrictModes no\nUsePAM no\nPidFile {self.home / 'pid'}\nPermitRootLogin yes\n"
            f"Subsystem sftp internal-sftp{' -R' if is_read_only else ''}\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with open(self.home / "log", "ab") as log:
            self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(conf)], stderr=log)
        _until_open(self._port)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def sftp(home: Path) -> Iterator[Sftp]:
    it = Sftp(home)
    it.start()
    try:
        yield it
    finally:
        it.stop()


@contextlib.contextmanager
def s3(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A server with one bucket; yields a URL in it, and the variables of a client it lets in."""
    (home / "buckets" / "sealed").mkdir(parents=True)
    port, key = free_port(), ("anechoic", "not-a-secret")
    served = subprocess.Popen(
        [
            *("rclone", "serve", "s3", str(home / "buckets"), "--addr", f"127.0.0.1:{port}"),
            *("--auth-key", ",".join(key), "--config", str(home / "none")),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_open(port)
        variables = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
        where = f"http://127.0.0.1:{port}"
        yield "s3://sealed/copies", {**variables, "FSSPEC_S3_ENDPOINT_URL": where}
    finally:
        served.terminate()
        served.wait()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def _until_open(port: int) -> None:
    patience_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < patience_s, f"nothing listens at {port}"
            time.sleep(0.1)
        else:
            return
